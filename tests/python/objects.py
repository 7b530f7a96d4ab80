"""What goes in and what comes out: reading, splitting and comparing Part 10 files."""
import io
import os
import re
import struct

import numpy
import pydicom
import requests
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.filewriter import write_file_meta_info

SESSION = requests.Session()
SESSION.trust_env = False
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'

BUNDLED = os.path.join(os.path.dirname(pydicom.__file__), "data", "test_files")

# Files of the wheel that a DICOM archive cannot keep, and why. Everything else there must be stored.
NO_INSTANCE = {
    "JPEGLSNearLossless_08.dcm": "no Study and Series Instance UID",
    "JPEGLSNearLossless_16.dcm": "no Study and Series Instance UID",
    "SC_rgb_jls_lossy_line.dcm": "no Study and Series Instance UID",
    "SC_rgb_jls_lossy_sample.dcm": "no Study and Series Instance UID",
    "UN_sequence.dcm": "no SOP Instance UID",
    "empty_charset_LEI.dcm": "no SOP Instance UID",
    "meta_missing_tsyntax.dcm": "no SOP Instance UID",
    "nested_priv_SQ.dcm": "no SOP Instance UID",
    "no_meta.dcm": "no SOP Instance UID",
    "no_meta_group_length.dcm": "no SOP Instance UID",
    "priv_SQ.dcm": "no SOP Instance UID",
    "MR_truncated.dcm": "cut off within its pixel data",
    "rtplan_truncated.dcm": "cut off within a sequence",
}
# Transfer syntaxes of files that do not say theirs.
UNSAID = {
    "ExplVR_BigEndNoMeta.dcm": "1.2.840.10008.1.2.2",
    "ExplVR_LitEndNoMeta.dcm": "1.2.840.10008.1.2.1",
    "rtstruct.dcm": "1.2.840.10008.1.2",
    "no_meta.dcm": "1.2.840.10008.1.2",
}


def split(part10):
    """(file meta information, bytes of the data set) of a Part 10 file, or of a bare data set."""
    file = DicomBytesIO(part10)
    try:
        read_preamble(file, False)
        meta = _read_file_meta_info(file)
        return meta, part10[file.tell():]
    except pydicom.errors.InvalidDicomError:
        return pydicom.dataset.FileMetaDataset(), part10


def read(part10, **options):
    return pydicom.dcmread(io.BytesIO(part10), force=True, **options)


def part10(data_set_bytes, transfer_syntax_uid, sop_class_uid, sop_instance_uid):
    """A Part 10 file around bytes that stay as they are."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = sop_class_uid
    meta.MediaStorageSOPInstanceUID = sop_instance_uid
    meta.TransferSyntaxUID = transfer_syntax_uid
    meta.ImplementationClassUID = "2.25.1"
    file = DicomBytesIO()
    file.write(bytes(128) + b"DICM")
    write_file_meta_info(file, meta)
    return file.getvalue() + data_set_bytes


def bundled():
    """(name, bytes of the data set, transfer syntax, parsed data set) of every DICOM file in pydicom's wheel but DICOMDIRs.
    Files that share a SOP Instance UID are told apart: it gets another end of the same length."""
    seen = set()
    for folder, _, names in sorted(os.walk(BUNDLED)):
        for name in sorted(names):
            path = os.path.join(folder, name)
            if "DICOMDIR" in name or os.path.splitext(name)[1] not in ("", ".dcm") or name == "README":
                continue
            with open(path, "rb") as file:
                content = file.read()
            meta, data_set = split(content)
            syntax = str(meta.get("TransferSyntaxUID", "")) or UNSAID.get(name, "1.2.840.10008.1.2")
            uid = str(pydicom.dcmread(path, force=True).get("SOPInstanceUID", ""))
            number = 0
            while uid and uid in seen:
                number += 1
                other = uid[:-3] + f"{900 + number}"
                data_set = data_set.replace(uid.encode(), other.encode())
                uid = other
            seen.add(uid)
            yield os.path.relpath(path, BUNDLED), data_set, syntax, read(part10(data_set, syntax, "1.2.3", uid or "1.2.3"))


def instance_url(web, data_set):
    return (f"{web}/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}"
            f"/instances/{data_set.SOPInstanceUID}")


def parts(answer):
    """Bodies of the parts of a multipart answer."""
    boundary = re.search(r'boundary="?([^";]+)"?', answer.headers["Content-Type"]).group(1).encode()
    bodies = []
    for part in (b"\r\n" + answer.content).split(b"\r\n--" + boundary)[1:]:
        if part.startswith(b"--"):
            return bodies
        bodies.append(part.split(b"\r\n\r\n", 1)[1])
    raise AssertionError("the closing boundary is missing")


def retrieve(web, data_set, accept=AS_STORED):
    """The Part 10 file that the archive gives back for an instance."""
    answer = SESSION.get(instance_url(web, data_set), headers={"Accept": accept}, timeout=60)
    assert answer.status_code == 200, f"{answer.status_code} {answer.text[:300]}"
    bodies = parts(answer)
    assert len(bodies) == 1, f"{len(bodies)} parts"
    return bodies[0]


def fragments(pixel_data):
    """Fragments of encapsulated pixel data, without the offset table."""
    found, at = [], 0
    while at + 8 <= len(pixel_data) and pixel_data[at:at + 4] == b"\xfe\xff\x00\xe0":
        (length,) = struct.unpack("<I", pixel_data[at + 4:at + 8])
        found.append(pixel_data[at + 8:at + 8 + length])
        at += 8 + length
    return found[1:]


def values(element):
    if isinstance(element.value, bytes):
        return element.value.rstrip(b"\0")
    return str(element.value).rstrip(" \0") if element.VM < 2 else [str(value).rstrip(" \0") for value in element.value]


def differences(one, other, path=""):
    """What two data sets do not have in common; group lengths and padding apart, which a sender may change."""
    found = []
    tags = [{tag for tag in d.keys() if tag.group != 2 and tag.element != 0 and tag != 0xFFFCFFFC} for d in (one, other)]
    found += [f"{path}{tag} is missing" for tag in sorted(tags[0] - tags[1])]
    found += [f"{path}{tag} is new" for tag in sorted(tags[1] - tags[0])]
    for tag in sorted(tags[0] & tags[1]):
        a, b = one[tag], other[tag]
        if a.VR != b.VR and not {a.VR, b.VR} <= {"OB", "OW"} and "UN" not in (a.VR, b.VR):
            found.append(f"{path}{tag} changed from {a.VR} to {b.VR}")
        elif a.VR == "SQ" and b.VR == "SQ":
            if len(a.value) != len(b.value):
                found.append(f"{path}{tag} has {len(b.value)} items in place of {len(a.value)}")
            for number, pair in enumerate(zip(a.value, b.value)):
                found += differences(*pair, f"{path}{tag}[{number}].")
        elif tag == 0x7FE00010:
            if bytes(a.value).rstrip(b"\0") != bytes(b.value).rstrip(b"\0") and fragments(a.value) != fragments(b.value):
                found.append("the pixel data changed")
        elif a.VR == b.VR and values(a) != values(b):
            found.append(f"{path}{tag} changed from {str(a.value)[:60]!r} to {str(b.value)[:60]!r}")
    return found


def same_pixels(one, other, tolerance=0):
    """Frames of two data sets are equal, in whatever transfer syntax."""
    a, b = one.pixel_array, other.pixel_array
    assert a.shape == b.shape, f"{a.shape} became {b.shape}"
    worst = int(numpy.abs(a.astype("int64") - b.astype("int64")).max())
    assert worst <= tolerance, f"a sample is {worst} off"


class Failures:
    """Collects what is wrong, case by case, and ends the program with it."""

    def __init__(self):
        self.cases, self.failures = 0, []

    def case(self, name, check, *arguments):
        self.cases += 1
        try:
            check(*arguments)
        except Exception as error:
            self.failures.append(f"{name}: {type(error).__name__}: {str(error)[:400]}")

    def end(self):
        print("\n".join(self.failures))
        print(f"{self.cases - len(self.failures)} of {self.cases} cases as they should be")
        raise SystemExit(1 if self.failures or not self.cases else 0)
