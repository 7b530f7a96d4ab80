"""hl7_client.py PORT [AUTHORITY CERTIFICATE KEY]: reads messages from standard input, one a line as JSON, sends each by the MLLP client
of the `hl7` package over one connection, and prints what it reads of each answer."""
import json
import ssl
import sys

import hl7
from hl7.client import MLLPClient

port, *tls = sys.argv[1:]
with MLLPClient("127.0.0.1", int(port)) as client:
    if tls:
        context = ssl.create_default_context(cafile=tls[0])
        context.load_cert_chain(tls[1], tls[2])
        client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
    for line in sys.stdin:
        answer = hl7.parse(client.send_message(hl7.parse(json.loads(line))).strip(b"\x0b\x1c\r").decode() + "\r")
        errors = [str(error) for error in answer.segments("ERR")] if "ERR" in [str(s[0]) for s in answer] else []
        print(json.dumps({"code": str(answer["MSA.F1.R1"]), "id": str(answer["MSA.F2.R1"]), "errors": errors}), flush=True)
