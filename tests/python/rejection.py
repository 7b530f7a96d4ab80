"""rejection.py PORT WEB PASSCODE FILE...: pynetdicom and requests reject stored instances by notes (IHE IOCM), in every view of the
archive. The last file is of a study of another patient that has expired."""
import copy
import io
import sys

import pydicom
import requests
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_role, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (KeyObjectSelectionDocumentStorage as KOS,
                                  StudyRootQueryRetrieveInformationModelFind as FIND,
                                  StudyRootQueryRetrieveInformationModelGet as GET)

port, web, passcode, *paths = sys.argv[1:]
api = web.rsplit("/", 1)[0] + "/api/v1"
*files, expired = [pydicom.dcmread(path) for path in paths]
STUDY = str(files[0].StudyInstanceUID)
ALL = {str(file.SOPInstanceUID) for file in files}
QUALITY, SAFETY, WORKLIST, EXPIRED = ("113001", "DCM"), ("113037", "DCM"), ("113038", "DCM"), ("113039", "DCM")
REVOKE = ("REVOKE_REJECTION", "99DCM4CHEE")
VIEWS = {"FILMROOM": "", "FILMROOM_QC": "/regular", "FILMROOM_ALL": "/manager"}


sessions = {"": requests.Session()}


def signed(name):
    if name not in sessions:
        sessions[name] = requests.Session()
        sessions[name].auth = (name, passcode)
    return sessions[name]


def note(title, listed, patient=None, study=None, classes=None):
    """A rejection note (PS3.3 A.35.4) on instances."""
    of = patient or listed[0]
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = KOS, generate_uid()
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = study or str(of.StudyInstanceUID), generate_uid()
    data_set.PatientID, data_set.PatientName = of.PatientID, of.PatientName
    data_set.IssuerOfPatientID = of.get("IssuerOfPatientID", "")
    data_set.StudyDate, data_set.Modality, data_set.SeriesNumber, data_set.InstanceNumber = of.StudyDate, "KO", 99, 1
    data_set.ValueType = "CONTAINER"
    data_set.ContinuityOfContent = "SEPARATE"
    concept = Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = title[0], title[1], "title"
    data_set.ConceptNameCodeSequence = [concept]
    studies = {}
    for file in listed:
        item = Dataset()
        item.ReferencedSOPClassUID = classes or file.SOPClassUID
        item.ReferencedSOPInstanceUID = file.SOPInstanceUID
        series = studies.setdefault(str(file.StudyInstanceUID), {})
        series.setdefault(str(file.SeriesInstanceUID), []).append(item)
    evidence = []
    for uid, series in studies.items():
        of_study = Dataset()
        of_study.StudyInstanceUID, of_study.ReferencedSeriesSequence = uid, []
        for series_uid, items in series.items():
            of_series = Dataset()
            of_series.SeriesInstanceUID, of_series.ReferencedSOPSequence = series_uid, items
            of_study.ReferencedSeriesSequence.append(of_series)
        evidence.append(of_study)
    data_set.CurrentRequestedProcedureEvidenceSequence = evidence
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.file_meta.MediaStorageSOPClassUID, data_set.file_meta.MediaStorageSOPInstanceUID = KOS, data_set.SOPInstanceUID
    return data_set


def associate(caller, called, contexts, **options):
    return AE(caller).associate("127.0.0.1", int(port), ae_title=called, contexts=contexts, **options)


def store(caller, data_set):
    association = associate(caller, "FILMROOM", [build_context(KOS, ExplicitVRLittleEndian)])
    assert association.is_established
    status = association.send_c_store(data_set).Status
    association.release()
    return status


def found(caller, called, level, keyword):
    """What C-FIND gives of a keyword at a level of the study."""
    association = associate(caller, called, [build_context(FIND)])
    assert association.is_established, f"{caller} is not let in as {called}"
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = level, STUDY
    if level == "IMAGE":
        identifier.SeriesInstanceUID = ""
    setattr(identifier, keyword, "")
    answers = [answer for status, answer in association.send_c_find(identifier, FIND) if answer]
    association.release()
    return [str(getattr(answer, keyword)) for answer in answers]


def fetched(caller, called):
    """What C-GET brings of the study."""
    came = set()

    def keep(event):
        came.add(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    classes = sorted({str(file.SOPClassUID) for file in files} | {str(KOS)})
    syntaxes = sorted({str(file.file_meta.TransferSyntaxUID) for file in files} | {str(ExplicitVRLittleEndian)})
    contexts = [build_context(GET)] + [build_context(uid, syntaxes) for uid in classes]
    association = associate(caller, called, contexts, ext_neg=[build_role(uid, scp_role=True) for uid in classes],
                            evt_handlers=[(evt.EVT_C_STORE, keep)])
    assert association.is_established
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", STUDY
    list(association.send_c_get(identifier, GET))
    association.release()
    return came


def check(shown):
    """Every way of reading shows these instances, by view; notes are counted apart."""
    for called, below in VIEWS.items():
        wanted = shown[called]
        session = signed("qa") if below == "/manager" else sessions[""]
        root = f"{web}{below}/studies/{STUDY}"
        assert set(found("QC", called, "IMAGE", "SOPInstanceUID")) == wanted, called
        counted = found("QC", called, "STUDY", "NumberOfStudyRelatedInstances")
        assert counted == ([str(len(wanted))] if wanted else []), (called, counted, len(wanted))
        in_series = sum(map(int, found("QC", called, "SERIES", "NumberOfSeriesRelatedInstances")))
        assert in_series == len(wanted), (called, in_series)
        assert fetched("QC", called) == wanted, called
        listed = session.get(f"{root}/instances", params={"limit": 1000})
        assert {one["00080018"]["Value"][0] for one in listed.json() if listed.content} == wanted, called
        studies = session.get(f"{web}{below}/studies", params={"StudyInstanceUID": STUDY}).json()
        assert [one["00201208"]["Value"][0] for one in studies] == ([len(wanted)] if wanted else []), called
        metadata = session.get(f"{root}/metadata")
        assert metadata.status_code == (200 if wanted else 404), (called, metadata.status_code)
        if wanted:
            assert {one["00080018"]["Value"][0] for one in metadata.json()} == wanted, called
        for file in [files[0], files[-1]]:
            uid = str(file.SOPInstanceUID)
            one = f"{root}/series/{file.SeriesInstanceUID}/instances/{uid}"
            for way in ["", "/metadata", "/rendered", "/thumbnail", "/frames/1"]:
                answered = session.get(f"{one}{way}", headers={"Accept": "*/*"}).status_code
                assert answered == (200 if uid in wanted else 404), (called, way, answered)
        thumbnail = session.get(f"{root}/thumbnail").status_code
        assert thumbnail == (200 if wanted & ALL else 404), (called, thumbnail)


def all_of_it():
    return {called: set(ALL) for called in VIEWS}


shown = all_of_it()
check(shown)

# Whose notes are taken, and of what.
one = files[0]
assert store("OTHER", note(QUALITY, [one])) == 0x0124
assert store("NOBODY", note(SAFETY, [one])) == 0x0124
ghost = copy.deepcopy(one)
ghost.SOPInstanceUID = generate_uid()
assert store("QC", note(QUALITY, [one, ghost])) == 0xA772, "a note does not come before its instances"
assert store("QC", note(QUALITY, [one], classes=KOS)) == 0xA773
assert store("QC", note(QUALITY, [one, expired])) == 0xA900, "two patients"
assert store("QC", note(QUALITY, [one], patient=expired)) == 0xA900, "a note of another patient"
assert store("QC", note(REVOKE, [one])) == 0xA772, "nothing is rejected"
assert store("QC", note(("113000", "DCM"), [one], study=generate_uid())) == 0x0000, "any other title is a document like others"
check(shown)

# Quality: seen in regular use.
quality = note(QUALITY, [one])
assert store("QC", quality) == 0x0000
uid = str(one.SOPInstanceUID)
shown["FILMROOM"].discard(uid)
for called in ["FILMROOM_QC", "FILMROOM_ALL"]:
    shown[called].add(str(quality.SOPInstanceUID))
check(shown)
assert store("QC", quality) == 0x0000, "the same again is the same"
assert store("QC", note(WORKLIST, [one])) == 0xA774
check(shown)
refused = associate("OTHER", "FILMROOM_ALL", [build_context(FIND)])
assert refused.is_rejected, "who may not reject does not see what is rejected"
assert requests.get(f"{web}/manager/studies").status_code == 401
feed = requests.get(f"{web}/changes", params={"limit": 1000}).json()["changes"]
assert [change["change"] for change in feed if change["SOPInstanceUID"] == uid] == ["rejected"], "followers hear of it"

# Safety, over the web: seen by managers alone, and restored by them alone.
series = [file for file in files if file.SeriesInstanceUID == files[-1].SeriesInstanceUID and file is not one]
buffer = io.BytesIO()
safety = note(SAFETY, series)
safety.save_as(buffer, enforce_file_format=True)
multipart = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + buffer.getvalue() + b"\r\n--b--\r\n"
kind = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b', "Accept": "application/dicom+json"}
anonymous = requests.post(f"{web}/studies", data=multipart, headers=kind)
assert anonymous.status_code == 409, anonymous.status_code
assert anonymous.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0x0124], anonymous.text
assert signed("qa").post(f"{web}/studies", data=multipart, headers=kind).status_code == 200
for called in ["FILMROOM", "FILMROOM_QC"]:
    shown[called] -= {str(file.SOPInstanceUID) for file in series}
shown["FILMROOM_ALL"].add(str(safety.SOPInstanceUID))
check(shown)
assert store("QC", note(REVOKE, series)) == 0x0124, "a manager decides on that"
restore = {"study": STUDY, "instances": [str(file.SOPInstanceUID) for file in series], "why": "checked by the physicist"}
assert signed("qa").post(f"{api}/rejections/restore", json=restore).status_code == 403
assert requests.post(f"{api}/rejections/restore", json=restore).status_code == 401
listed = signed("qa").get(f"{api}/rejections", params={"reason": "113037", "limit": 1}).json()
assert listed["rejections"][0]["by"] == "qa" and listed["rejections"][0]["note"] == str(safety.SOPInstanceUID), listed
assert signed("qa").get(f"{api}/rejections", params={"cursor": listed["next"]}).status_code == 200
held = requests.get(f"{api}/studies/{STUDY}/retention").json()
assert held["status"] == "held" and "113037" in held["reason"], held
assert signed("manager").post(f"{api}/rejections/restore", json=restore).status_code == 200
for called in ["FILMROOM", "FILMROOM_QC"]:
    shown[called] |= {str(file.SOPInstanceUID) for file in series}
check(shown)

# What is restored by a note, the notes stay with managers.
revoke = note(REVOKE, [one])
assert store("QC", revoke) == 0x0000
shown["FILMROOM"].add(uid)
shown["FILMROOM_QC"].discard(str(quality.SOPInstanceUID))
shown["FILMROOM_ALL"].add(str(revoke.SOPInstanceUID))
check(shown)
assert store("QC", quality) == 0x0000, "an old note does not come into force again"
check(shown)

# By hand: a series as a viewer does it, then the whole study.
rejected = signed("qa").post(f"{web}/studies/{STUDY}/series/{one.SeriesInstanceUID}/reject/113001%5EDCM")
assert rejected.status_code == 204, rejected.text
said = {"study": STUDY, "reason": "113038", "why": "another patient's order"}
tried = signed("qa").post(f"{api}/rejections", params={"dryRun": "true"}, json=said)
assert tried.status_code == 200, tried.text
whole = signed("qa").post(f"{api}/rejections", json=said)
assert whole.status_code == 201 and whole.json() == tried.json(), whole.text
again = signed("qa").post(f"{api}/rejections", json=said)
assert again.status_code == 409 and again.json()["code"] == "already-rejected", again.text
for wrong in [{**said, "reason": "113039"}, {**said, "why": ""}, {**said, "instances": [generate_uid()]},
              {**said, "reason": "113000"}, {**said, "instance": [uid]}]:
    assert signed("qa").post(f"{api}/rejections", json=wrong).status_code == 400, wrong
first_series = {str(file.SOPInstanceUID) for file in files if file.SeriesInstanceUID == one.SeriesInstanceUID}
shown["FILMROOM"] = set()
shown["FILMROOM_QC"] = set(first_series)
check(shown)
anything = requests.get(f"{web}/studies", params={"PatientID": str(one.PatientID), "StudyInstanceUID": STUDY})
assert anything.status_code in (200, 204) and not (anything.content and anything.json()), "nothing of a study, no study"

# Expired: only ever a proposal.
assert store("QC", note(EXPIRED, files)) == 0xA776, "it is to be kept"
assert store("QC", note(EXPIRED, [expired])) == 0x0000
(batch,) = requests.get(f"{api}/disposal-batches").json()["batches"]
assert (batch["state"], batch["proposedBy"]) == ("proposed", "ae:QC"), batch
kept = requests.get(f"{web}/studies/{expired.StudyInstanceUID}/metadata")
assert kept.status_code == 200 and len(kept.json()) == 1, "it is there as before, and the note is not"
assert store("QC", note(EXPIRED, [expired])) == 0xA774, "it is proposed already"
print(len(shown["FILMROOM_QC"]))
