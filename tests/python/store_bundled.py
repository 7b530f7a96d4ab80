"""store_bundled.py PORT WEB: pynetdicom stores pydicom's own files as they are; each data set comes back byte for byte."""
import os
import sys
import tempfile

from pynetdicom import AE, _config
from pynetdicom.presentation import build_context

from objects import NO_INSTANCE, Failures, bundled, part10, retrieve, split

_config.STORE_SEND_CHUNKED_DATASET = True


def store(port, folder, data_set, syntax, parsed):
    """The status of the C-STORE of bytes that nobody touches."""
    path = os.path.join(folder, "instance.dcm")
    with open(path, "wb") as file:
        file.write(part10(data_set, syntax, parsed.SOPClassUID, parsed.SOPInstanceUID))
    ae = AE("TESTSCU")
    association = ae.associate("127.0.0.1", port, ae_title="FILMROOM",
                               contexts=[build_context(parsed.SOPClassUID, syntax)])
    assert association.is_established, "no association"
    try:
        assert association.accepted_contexts, "the context was refused"
        answer = association.send_c_store(path)
        assert "Status" in answer, "no response"
        return answer.Status
    finally:
        association.release()


def check(name, port, web, folder, data_set, syntax, parsed):
    if "SOPInstanceUID" not in parsed:
        return  # Nothing that C-STORE could name; STOW-RS is asked to take it instead.
    status = store(port, folder, data_set, syntax, parsed)
    if name in NO_INSTANCE:
        assert status not in (0x0000, 0xB000, 0xB006, 0xB007), f"stored, though {NO_INSTANCE[name]}"
        return
    assert status == 0x0000, f"status {status:04X}H"
    meta, back = split(retrieve(web, parsed))
    assert meta.TransferSyntaxUID == syntax, f"{syntax} became {meta.TransferSyntaxUID}"
    assert back == data_set, "the data set changed"


failures = Failures()
port, web = int(sys.argv[1]), sys.argv[2]
with tempfile.TemporaryDirectory() as folder:
    for name, data_set, syntax, parsed in bundled():
        failures.case(name, check, name, port, web, folder, data_set, syntax, parsed)
failures.end()
