"""privacy.py PORT STUDY SERIES INSTANCE NAME PASSCODE: what a user of a DICOM node finds and fetches, as one line of JSON."""
import json
import sys

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import (
    ComputedRadiographyImageStorage,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

port, study, series, instance, name, passcode = sys.argv[1:]

ae = AE(ae_title="WS1")
find, patients = StudyRootQueryRetrieveInformationModelFind, PatientRootQueryRetrieveInformationModelFind
get, move = StudyRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove
for model in (find, patients, get, move):
    ae.add_requested_context(model)
ae.add_requested_context(ComputedRadiographyImageStorage)
negotiation = [build_role(ComputedRadiographyImageStorage, scp_role=True)]
if name:
    identity = UserIdentityNegotiation()
    identity.user_identity_type = 2
    identity.primary_field = name.encode()
    identity.secondary_field = passcode.encode()
    negotiation.append(identity)
received = []


def store(event):
    received.append(event.request.AffectedSOPInstanceUID)
    return 0x0000


association = ae.associate("127.0.0.1", int(port), ext_neg=negotiation, evt_handlers=[(evt.EVT_C_STORE, store)])
assert association.is_established, association


def found(model, level, **keys):
    question = Dataset()
    question.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(question, keyword, value)
    answers = [(status.Status, answer) for status, answer in association.send_c_find(question, model)]
    assert answers[-1][0] == 0, answers[-1]
    return [answer for _, answer in answers[:-1]]


def fetched(model_of, **keys):
    question = Dataset()
    for keyword, value in keys.items():
        setattr(question, keyword, value)
    status = [status for status, _ in model_of(question)][-1]
    return [status.Status, status.get("NumberOfCompletedSuboperations", 0), status.get("NumberOfFailedSuboperations", 0)]


gets = lambda **keys: fetched(lambda question: association.send_c_get(question, get), **keys)
patient = found(patients, "PATIENT", PatientID="", NumberOfPatientRelatedStudies="", NumberOfPatientRelatedInstances="")
result = {
    "studies": sorted(answer.StudyInstanceUID for answer in found(find, "STUDY", StudyInstanceUID="")),
    "study": len(found(find, "STUDY", StudyInstanceUID=study)),
    "series": len(found(find, "SERIES", StudyInstanceUID=study, SeriesInstanceUID="")),
    "instance": len(found(find, "IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=instance)),
    "relational": len(found(find, "IMAGE", StudyInstanceUID="", SeriesInstanceUID="", SOPInstanceUID=instance)),
    "patients": sorted(
        [str(answer.PatientID), int(answer.NumberOfPatientRelatedStudies or 0)] for answer in patient
    ),
    "get": [
        gets(QueryRetrieveLevel="STUDY", StudyInstanceUID=study),
        gets(QueryRetrieveLevel="SERIES", StudyInstanceUID=study, SeriesInstanceUID=series),
        gets(QueryRetrieveLevel="IMAGE", StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=instance),
    ],
    "received": len(received),
    "move": fetched(
        lambda question: association.send_c_move(question, "ELSE", move), QueryRetrieveLevel="STUDY", StudyInstanceUID=study
    ),
}
association.release()
print(json.dumps(result))
