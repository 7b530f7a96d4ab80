"""transcoded.py WEB FILE...: each file (already stored) comes back from WADO-RS in every transfer syntax that the archive writes,
with the pixels that pydicom reads from the file. transcoded.py --received SYNTAX FOLDER FILE...: a folder of received files holds
each FILE in SYNTAX, with its pixels."""
import os
import sys

import numpy
import pydicom

from objects import SESSION, Failures, instance_url, parts, read

LOSSLESS = (
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.202",
)
BASELINE = "1.2.840.10008.1.2.4.50"


def pixels(data_set):
    array = pydicom.pixels.pixel_array(data_set)
    return array.astype("int64")


def same(original, received, syntax):
    assert received.file_meta.TransferSyntaxUID == syntax, received.file_meta.TransferSyntaxUID
    assert received.file_meta.MediaStorageSOPInstanceUID == received.SOPInstanceUID == original.SOPInstanceUID
    assert numpy.array_equal(pixels(original), pixels(received)), "other pixels"
    kept = [element for element in original if element.tag.group not in (0x0028, 0x7FE0) and element.tag.element != 0]
    for element in kept:
        assert received[element.tag].value == element.value, f"{element.tag} changed"


def fetch(web, data_set, syntax):
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'
    answer = SESSION.get(instance_url(web, data_set), headers={"Accept": accept}, timeout=120)
    assert answer.status_code == 200, f"{syntax}: {answer.status_code} {answer.text[:300]}"
    (body,) = parts(answer)
    return read(body)


def check(web, path):
    original = pydicom.dcmread(path)
    for syntax in LOSSLESS:
        same(original, fetch(web, original, syntax), syntax)
    if original.BitsStored > 8 or original.PhotometricInterpretation == "PALETTE COLOR":
        return
    lossy = fetch(web, original, BASELINE)
    assert lossy.file_meta.TransferSyntaxUID == BASELINE
    assert lossy.file_meta.MediaStorageSOPInstanceUID == lossy.SOPInstanceUID != original.SOPInstanceUID
    assert lossy.SOPInstanceUID == fetch(web, original, BASELINE).SOPInstanceUID
    assert (lossy.LossyImageCompression, lossy.ImageType[0]) == ("01", "DERIVED")
    assert lossy.LossyImageCompressionMethod == "ISO_10918_1" and float(lossy.LossyImageCompressionRatio) > 1
    assert numpy.abs(pixels(original) - pixels(lossy)).mean() < 4, "too far from the original"


def check_received(syntax, by_uid, path):
    original = pydicom.dcmread(path)
    same(original, by_uid[original.SOPInstanceUID], syntax)


failures = Failures()
if sys.argv[1] == "--received":
    syntax, folder, *paths = sys.argv[2:]
    received = [pydicom.dcmread(os.path.join(folder, name)) for name in os.listdir(folder)]
    by_uid = {data_set.SOPInstanceUID: data_set for data_set in received}
    for path in paths:
        failures.case(path, check_received, syntax, by_uid, path)
else:
    web, *paths = sys.argv[1:]
    for path in paths:
        failures.case(path, check, web, path)
failures.end()
