"""query_retrieve.py PORT DESTINATION_PORT FILE...: pynetdicom finds stored files under the names in them, whatever the character set,
and fetches them by C-GET and C-MOVE, byte for byte."""
import sys

import pydicom
from pynetdicom import AE, build_role, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (PatientRootQueryRetrieveInformationModelFind as PATIENT_FIND,
                                  StudyRootQueryRetrieveInformationModelFind as FIND,
                                  StudyRootQueryRetrieveInformationModelGet as GET,
                                  StudyRootQueryRetrieveInformationModelMove as MOVE)

from objects import Failures, split

port, destination_port, *paths = sys.argv[1:]
files = {}
for path in paths:
    with open(path, "rb") as file:
        meta, data_set = split(file.read())
    files[str(meta.MediaStorageSOPInstanceUID)] = (meta, data_set, pydicom.dcmread(path))
received = {}


def keep(event):
    received[str(event.request.AffectedSOPInstanceUID)] = (
        str(event.context.transfer_syntax), event.request.DataSet.getvalue())
    return 0x0000


storage = sorted({(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)) for meta, _, _ in files.values()})
ae = AE("TESTSCU")


def associate(contexts, **options):
    association = ae.associate("127.0.0.1", int(port), ae_title="FILMROOM", contexts=contexts, **options)
    assert association.is_established, "no association"
    return association


def find(model, **keys):
    identifier = pydicom.Dataset()
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    association = associate([build_context(model)])
    answers = list(association.send_c_find(identifier, model))
    association.release()
    assert answers[-1][0].Status == 0x0000, f"{answers[-1][0].Status:04X}H"
    assert all(status.Status in (0xFF00, 0xFF01) for status, _ in answers[:-1]), answers
    return [found for _, found in answers[:-1]]


def finds(data_set):
    (study,) = find(FIND, QueryRetrieveLevel="STUDY", StudyInstanceUID=data_set.StudyInstanceUID, PatientName="",
                    PatientID="", StudyDate="", AccessionNumber="", ModalitiesInStudy="", NumberOfStudyRelatedInstances="")
    assert study.PatientID == data_set.PatientID, study
    assert str(study.PatientName) == str(data_set.PatientName), f"{study.PatientName!r}, not {data_set.PatientName!r}"
    assert study.AccessionNumber == data_set.AccessionNumber, study
    assert data_set.Modality in str(study.ModalitiesInStudy), study
    (series,) = find(FIND, QueryRetrieveLevel="SERIES", StudyInstanceUID=data_set.StudyInstanceUID,
                     SeriesInstanceUID=data_set.SeriesInstanceUID, Modality="", SeriesNumber="")
    assert series.Modality == data_set.Modality, series
    (instance,) = find(FIND, QueryRetrieveLevel="IMAGE", StudyInstanceUID=data_set.StudyInstanceUID,
                       SeriesInstanceUID=data_set.SeriesInstanceUID, SOPInstanceUID=data_set.SOPInstanceUID,
                       InstanceNumber="", SOPClassUID="")
    assert instance.SOPClassUID == data_set.SOPClassUID, instance
    (patient, *_) = find(PATIENT_FIND, QueryRetrieveLevel="PATIENT", PatientID=data_set.PatientID, PatientName="")
    assert str(patient.PatientName) == str(data_set.PatientName), patient
    by_date = find(FIND, QueryRetrieveLevel="STUDY", StudyDate=f"{data_set.StudyDate}-{data_set.StudyDate}",
                   PatientID=data_set.PatientID, StudyInstanceUID="")
    assert data_set.StudyInstanceUID in [found.StudyInstanceUID for found in by_date]


def nothing():
    assert find(FIND, QueryRetrieveLevel="STUDY", PatientID="NOBODY", StudyInstanceUID="") == []


def identifier(studies):
    keys = pydicom.Dataset()
    keys.QueryRetrieveLevel = "STUDY"
    keys.StudyInstanceUID = sorted(studies)
    return keys


def compare():
    assert set(received) == set(files), f"{len(received)} of {len(files)} came"
    for uid, (meta, data_set, _) in files.items():
        syntax, back = received[uid]
        assert syntax == meta.TransferSyntaxUID, f"{meta.TransferSyntaxUID} became {syntax}"
        assert back == data_set, f"{uid} ({meta.MediaStorageSOPClassUID}, {syntax}) changed"


def counts(responses, count):
    last = responses[-1][0]
    assert last.Status == 0x0000, f"{last.Status:04X}H {last}"
    assert last.NumberOfCompletedSuboperations == count, last
    assert last.NumberOfFailedSuboperations == 0, last


studies = {str(data_set.StudyInstanceUID) for _, _, data_set in files.values()}


def get():
    received.clear()
    for start in range(0, len(storage), 100):
        some = storage[start:start + 100]
        wanted = {uid for uid, (meta, _, _) in files.items() if (str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)) in some}
        classes = sorted({abstract for abstract, _ in some})
        association = associate([build_context(GET)] + [build_context(*pair) for pair in some],
                                ext_neg=[build_role(abstract, scp_role=True) for abstract in classes],
                                evt_handlers=[(evt.EVT_C_STORE, keep)])
        responses = list(association.send_c_get(identifier(studies), GET))
        association.release()
        counts(responses, len(wanted))
    compare()


def move():
    received.clear()
    scp = AE("TESTDEST")
    for abstract in sorted({abstract for abstract, _ in storage}):
        scp.add_supported_context(abstract, sorted({syntax for other, syntax in storage if other == abstract}))
    server = scp.start_server(("127.0.0.1", int(destination_port)), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    association = associate([build_context(MOVE)])
    responses = list(association.send_c_move(identifier(studies), "TESTDEST", MOVE))
    unknown = list(association.send_c_move(identifier(studies), "NOWHERE", MOVE))
    association.release()
    server.shutdown()
    assert unknown[-1][0].Status == 0xA801, unknown
    counts(responses, len(files))
    compare()


failures = Failures()
for uid, (_, _, data_set) in files.items():
    failures.case(f"C-FIND {data_set.SOPClassUID.name}", finds, data_set)
failures.case("C-FIND of nobody", nothing)
failures.case("C-GET", get)
failures.case("C-MOVE", move)
failures.end()
