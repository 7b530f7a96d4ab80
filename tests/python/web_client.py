"""web_client.py WEB FILE...: a study by dicomweb-client: stored, found, described, retrieved, frame by frame and rendered."""
import io
import sys

import numpy
import pydicom
from dicomweb_client.api import DICOMwebClient
from PIL import Image

from objects import SESSION, differences, read

web, *paths = sys.argv[1:]
client = DICOMwebClient(url=web, session=SESSION)
sent = {data_set.SOPInstanceUID: data_set for data_set in map(pydicom.dcmread, paths)}
first = next(iter(sent.values()))
study, series = first.StudyInstanceUID, first.SeriesInstanceUID

answer = client.store_instances(datasets=list(sent.values()))
assert len(answer.ReferencedSOPSequence) == len(sent), answer
assert "FailedSOPSequence" not in answer, answer

(found,) = client.search_for_studies(search_filters={"StudyInstanceUID": study})
found = pydicom.Dataset.from_json(found)
assert found.PatientID == first.PatientID, found
assert found.PatientName == first.PatientName, (found.PatientName, first.PatientName)
assert found.NumberOfStudyRelatedInstances == len(sent), found
assert client.search_for_studies(search_filters={"PatientID": "NOBODY"}) == []
assert {item["0020000E"]["Value"][0] for item in client.search_for_series(study)} == {
    data_set.SeriesInstanceUID for data_set in sent.values()}
assert {item["00080018"]["Value"][0] for item in client.search_for_instances(study)} == set(sent)

metadata = client.retrieve_study_metadata(study)
assert {item["00080018"]["Value"][0] for item in metadata} == set(sent)
for item in metadata:
    original = sent[item["00080018"]["Value"][0]]
    described = pydicom.Dataset.from_json(item, bulk_data_uri_handler=lambda uri: b"")
    for element in original:
        if element.VR in ("OB", "OW", "OF", "UN", "SQ") or element.keyword == "SpecificCharacterSet" or element.tag.element == 0:
            continue
        assert element.tag in described, f"{element.keyword} is missing from the metadata"
        one, other = described[element.tag].value, element.value
        assert str(one).rstrip() == str(other).rstrip() or numpy.allclose(one, other), f"{element.keyword}: {one!r}, not {other!r}"

retrieved = client.retrieve_study(study)
assert {data_set.SOPInstanceUID for data_set in retrieved} == set(sent)
for data_set in retrieved:
    original = sent[data_set.SOPInstanceUID]
    if data_set.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID:
        assert differences(original, data_set) == []
    assert numpy.array_equal(data_set.pixel_array, original.pixel_array)
assert len(client.retrieve_series(study, series)) == len([d for d in sent.values() if d.SeriesInstanceUID == series])

where = dict(study_instance_uid=study, series_instance_uid=series, sop_instance_uid=first.SOPInstanceUID)
one = client.retrieve_instance(**where)
assert one.SOPInstanceUID == first.SOPInstanceUID
(frame,) = client.retrieve_instance_frames(**where, frame_numbers=[1])
native = numpy.frombuffer(frame, first.pixel_array.dtype).reshape(first.pixel_array.shape[-2:])
assert numpy.array_equal(native, first.pixel_array if first.pixel_array.ndim == 2 else first.pixel_array[0])

for media_type, name in (("image/jpeg", "JPEG"), ("image/png", "PNG")):
    picture = Image.open(io.BytesIO(client.retrieve_instance_rendered(**where, media_types=(media_type,))))
    assert picture.format == name and picture.size == (first.Columns, first.Rows), picture
    grey = numpy.asarray(picture.convert("L"))
    assert grey.max() > 128 and grey.std() > 10, "nothing to see"
(bulk,) = [item["7FE00010"] for item in metadata if item["00080018"]["Value"][0] == first.SOPInstanceUID]
if "BulkDataURI" in bulk:
    uri = bulk["BulkDataURI"]
    uri = uri if uri.startswith("http") else web.split("/dicom-web")[0] + uri if uri.startswith("/") else f"{web}/studies/{study}/series/{series}/{uri}"
    (value,) = client.retrieve_bulkdata(uri)
    assert value == read(open(paths[0], "rb").read()).PixelData
print("as it should be")
