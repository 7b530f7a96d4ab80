"""certificate.py HOST PORT: prints the certificate that a TLS server shows."""
import ssl
import sys

print(ssl.get_server_certificate((sys.argv[1], int(sys.argv[2]))))
