"""worklist.py PORT STUDY INSTANCE...: finds the scheduled step of STUDY, tells that it begins and ends, with what it made."""
import sys

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import (
    ModalityPerformedProcedureStep,
    ModalityPerformedProcedureStepRetrieve,
    ModalityWorklistInformationFind,
)

port, study, *instances = sys.argv[1:]

ae = AE("CT01")
for context in (ModalityWorklistInformationFind, ModalityPerformedProcedureStep, ModalityPerformedProcedureStepRetrieve):
    ae.add_requested_context(context)
association = ae.associate("127.0.0.1", int(port), ae_title="FILMROOM")
assert association.is_established


def worklist(name="", modality="", date="", time=""):
    item = Dataset()
    item.Modality = modality
    item.ScheduledStationAETitle = "CT01"
    item.ScheduledProcedureStepStartDate = date
    item.ScheduledProcedureStepStartTime = time
    item.ScheduledProcedureStepID = ""
    item.ScheduledProcedureStepStatus = ""
    item.ScheduledProcedureStepDescription = ""
    query = Dataset()
    query.SpecificCharacterSet = "ISO_IR 100"
    query.PatientName = name
    query.PatientID = ""
    query.StudyInstanceUID = ""
    query.RequestedProcedureID = ""
    query.AccessionNumber = ""
    query.ReferencedStudySequence = Sequence([])
    query.ScheduledProcedureStepSequence = Sequence([item])
    answers = []
    for status, answer in association.send_c_find(query, ModalityWorklistInformationFind):
        if status.Status in (0xFF00, 0xFF01):
            answers.append(answer)
    assert status.Status == 0, hex(status.Status)
    return answers


assert len(worklist()) == 2
assert len(worklist(modality="CT", date="20300101-20300131")) == 1
assert not worklist(modality="US")
assert not worklist(date="20300107-")
# Dates and times that are both ranges are one range (PS3.4 table K.6-1).
assert len(worklist(date="20300104-20300106", time="1000-0800")) == 1
(entry,) = worklist(name="MÜLLER^*")
assert str(entry.PatientName) == "Müller^Jörg", entry
assert entry.SpecificCharacterSet == "ISO_IR 100"
assert entry.StudyInstanceUID == study
assert len(entry.ReferencedStudySequence) == 0
(step,) = entry.ScheduledProcedureStepSequence
assert step.ScheduledProcedureStepStatus == "SCHEDULED"
assert step.ScheduledProcedureStepDescription == "Schädel"
assert step.ScheduledProcedureStepStartTime == "0930"


def begin():
    item = Dataset()
    item.StudyInstanceUID = entry.StudyInstanceUID
    item.ReferencedStudySequence = Sequence([])
    item.AccessionNumber = entry.AccessionNumber
    item.RequestedProcedureID = entry.RequestedProcedureID
    item.RequestedProcedureDescription = ""
    item.ScheduledProcedureStepID = step.ScheduledProcedureStepID
    item.ScheduledProcedureStepDescription = step.ScheduledProcedureStepDescription
    item.ScheduledProtocolCodeSequence = Sequence([])
    begun = Dataset()
    begun.SpecificCharacterSet = "ISO_IR 100"
    begun.ScheduledStepAttributesSequence = Sequence([item])
    begun.PatientName = entry.PatientName
    begun.PatientID = entry.PatientID
    begun.PatientBirthDate = ""
    begun.PatientSex = ""
    begun.ReferencedPatientSequence = Sequence([])
    begun.PerformedProcedureStepID = "PPS1"
    begun.PerformedStationAETitle = "CT01"
    begun.PerformedStationName = ""
    begun.PerformedLocation = ""
    begun.PerformedProcedureStepStartDate = "20300105"
    begun.PerformedProcedureStepStartTime = "093200"
    begun.PerformedProcedureStepStatus = "IN PROGRESS"
    begun.PerformedProcedureStepDescription = "Schädel"
    begun.PerformedProcedureTypeDescription = ""
    begun.ProcedureCodeSequence = Sequence([])
    begun.PerformedProcedureStepEndDate = ""
    begun.PerformedProcedureStepEndTime = ""
    begun.Modality = "CT"
    begun.StudyID = ""
    begun.PerformedProtocolCodeSequence = Sequence([])
    begun.PerformedSeriesSequence = Sequence([])
    return begun


uid = generate_uid()


def create(attributes, instance=uid):
    status, _ = association.send_n_create(attributes, ModalityPerformedProcedureStep, instance)
    return status


def change(attributes, instance=uid):
    status, _ = association.send_n_set(attributes, ModalityPerformedProcedureStep, instance)
    return status


lacking = begin()
del lacking.PerformedProcedureStepID
answer = create(lacking)
assert answer.Status == 0x0120, hex(answer.Status)
void = begin()
void.Modality = ""
assert create(void).Status == 0x0121
ended = begin()
ended.PerformedProcedureStepStatus = "COMPLETED"
assert create(ended).Status == 0x0106
assert change(begin()).Status == 0x0112
assert create(begin()).Status == 0x0000
assert create(begin()).Status == 0x0111
(started,) = worklist(name="MÜLLER^*")
assert started.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus == "STARTED"

other = Dataset()
other.PatientID = "ANOTHER"
answer = change(other)
assert answer.Status == 0x0107, hex(answer.Status)
images = []
for instance in instances:
    image = Dataset()
    image.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    image.ReferencedSOPInstanceUID = instance
    images.append(image)
series = Dataset()
series.PerformingPhysicianName = ""
series.ProtocolName = "HEAD"
series.OperatorsName = ""
series.SeriesInstanceUID = generate_uid()
series.SeriesDescription = ""
series.RetrieveAETitle = ""
series.ReferencedImageSequence = Sequence(images)
series.ReferencedNonImageCompositeSOPInstanceSequence = Sequence([])
done = Dataset()
done.PerformedProcedureStepStatus = "COMPLETED"
done.PerformedProcedureStepEndDate = "20300105"
done.PerformedProcedureStepEndTime = "094500"
done.PerformedSeriesSequence = Sequence([series])
assert change(done).Status == 0x0000
answer = change(done)
assert answer.Status == 0x0110, hex(answer.Status)
assert answer.ErrorID == 0xA710, answer
assert not worklist(name="MÜLLER^*")

status, told = association.send_n_get(
    [0x00400252, 0x00100010, 0x00400340], ModalityPerformedProcedureStepRetrieve, uid
)
assert status.Status == 0, status
assert told.PerformedProcedureStepStatus == "COMPLETED"
assert str(told.PatientName) == "Müller^Jörg"
assert len(told.PerformedSeriesSequence[0].ReferencedImageSequence) == len(instances)
assert "PatientID" not in told
status, _ = association.send_n_get([], ModalityPerformedProcedureStepRetrieve, generate_uid())
assert status.Status == 0x0112
association.release()
print("all as it should be")
