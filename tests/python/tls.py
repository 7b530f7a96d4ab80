"""tls.py PORT OWN_PORT AUTHORITY CERTIFICATE KEY FILE...: pynetdicom stores by TLS, and fetches by C-MOVE to itself, also by TLS."""
import ssl
import sys

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as MOVE

from objects import Failures, split

port, own_port, authority, certificate, key, *paths = sys.argv[1:]
files = {}
for path in paths:
    with open(path, "rb") as file:
        meta, data_set = split(file.read())
    files[str(meta.MediaStorageSOPInstanceUID)] = (meta, data_set, path)
storage = {(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)) for meta, _, _ in files.values()}


def context(purpose, version):
    made = ssl.create_default_context(purpose, cafile=authority)
    made.load_cert_chain(certificate, key)
    made.verify_mode = ssl.CERT_REQUIRED
    made.minimum_version = made.maximum_version = version
    return made


received = {}


def keep(event):
    received[str(event.request.AffectedSOPInstanceUID)] = event.request.DataSet.getvalue()
    return 0x0000


failures = Failures()


def check(name, good):
    def judge():
        assert good, "it is not so"
    failures.case(name, judge)


ae = AE("MODALITY")
for abstract, transfer in storage:
    ae.add_supported_context(abstract, transfer)
server = ae.start_server(("127.0.0.1", int(own_port)), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)],
                         ssl_context=context(ssl.Purpose.CLIENT_AUTH, ssl.TLSVersion.TLSv1_3))
for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    client = context(ssl.Purpose.SERVER_AUTH, version)
    contexts = [build_context(*pair) for pair in sorted(storage)] + [build_context(MOVE)]
    association = ae.associate("127.0.0.1", int(port), ae_title="FILMROOM", contexts=contexts,
                               tls_args=(client, "127.0.0.1"))
    assert association.is_established, f"no association by {version}"
    for uid, (_, _, path) in files.items():
        status = association.send_c_store(path)
        check(f"C-STORE of {uid}: {status}", status.Status == 0)
    study = str(pydicom.dcmread(paths[0]).StudyInstanceUID)
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = study
    received.clear()
    last = [status for status, _ in association.send_c_move(identifier, "MODALITY", MOVE)][-1]
    check(f"C-MOVE: {last}", last.Status == 0)
    check("what came", received == {uid: data_set for uid, (_, data_set, _) in files.items()})
    association.release()
server.shutdown()
failures.end()
