"""valid.py FILE...: dciodvfy finds no error in each file, and pydicom reads its pixels and its patient's name."""
import os
import subprocess
import sys
import tempfile

import pydicom

from objects import Failures

# Transfer syntaxes that dciodvfy does not read: it gets the same instance in Explicit VR Little Endian.
UNREAD = {"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.201"}


def errors(path):
    told = subprocess.run(["dciodvfy", path], capture_output=True, text=True, errors="replace", timeout=120)
    return [line for line in (told.stdout + told.stderr).splitlines() if "Error" in line]


def check(path):
    data_set = pydicom.dcmread(path)
    assert str(data_set.PatientName) and "?" not in str(data_set.PatientName), data_set.PatientName
    frames = int(data_set.get("NumberOfFrames") or 1)
    if "PixelData" in data_set:
        pixels = data_set.pixel_array
        assert pixels.shape[:1] == (frames,) if frames > 1 else pixels.shape[0] == data_set.Rows, pixels.shape
        assert pixels.min() < pixels.max(), "nothing to see"
    if data_set.file_meta.TransferSyntaxUID not in UNREAD:
        found = errors(path)
    else:
        if data_set.file_meta.TransferSyntaxUID.is_encapsulated:
            data_set.decompress()
        data_set.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        with tempfile.TemporaryDirectory() as folder:
            data_set.save_as(os.path.join(folder, "explicit.dcm"))
            found = errors(os.path.join(folder, "explicit.dcm"))
    assert not found, "; ".join(found[:4])


failures = Failures()
for path in sys.argv[1:]:
    failures.case(path, check, path)
failures.end()
