"""stow_described.py WEB: instances sent as metadata with their pixels, documents and films beside them (PS3.18 §10.5.1.1.2), and what
is answered of each."""
import io
import json
import struct
import sys

import numpy
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from objects import AS_STORED, SESSION, parts

web = sys.argv[1]
JSON, XML, BULK = "application/dicom+json", "application/dicom+xml", "application/octet-stream"
SECONDARY_CAPTURE, FILM = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.77.1.4.1"
PDF, CDA, STL = (f"1.2.840.10008.5.1.4.1.1.104.{kind}" for kind in (1, 2, 3))
rows, columns = numpy.mgrid[0:60, 0:82]
GREY = ((rows * 3 + columns * 2) % 256).astype("u1")
COLOUR = numpy.stack([GREY, 255 - GREY, numpy.full_like(GREY, 90)], -1)


def described(sop_class, **values):
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = sop_class, generate_uid()
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = generate_uid(), generate_uid()
    data_set.PatientName, data_set.PatientID, data_set.Modality = "Müller^Zoë", "D1", "OT"
    data_set.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in values.items():
        setattr(data_set, keyword, value)
    return data_set


def metadata(data_set, tag=None, uri="bulk"):
    members = json.loads(data_set.to_json())
    if tag:
        members[tag] = {"vr": "OB", "BulkDataURI": uri}
    return members


def send(*bodies, kind=JSON, accept=JSON, study=""):
    """Posts parts given as (Content-Type, Content-Location or None, bytes)."""
    body = b""
    for media_type, location, content in bodies:
        head = f"--edge\r\nContent-Type: {media_type}\r\n" + (f"Content-Location: {location}\r\n" if location else "")
        body += head.encode() + b"\r\n" + content + b"\r\n"
    return SESSION.post(f"{web}/studies{study}", data=body + b"--edge--\r\n", timeout=60,
                        headers={"Content-Type": f'multipart/related; type="{kind}"; boundary=edge', "Accept": accept})


def url(data_set):
    return f"{web}/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"


def stored(data_set, tag, media_type, *contents):
    """What an instance becomes whose value of this tag comes in such parts."""
    answer = send((JSON, None, json.dumps([metadata(data_set, tag)]).encode()), *((media_type, "bulk", content) for content in contents))
    assert answer.status_code == 200, (media_type, answer.status_code, answer.text, answer.headers.get("Warning"))
    (safe,) = Dataset.from_json(answer.json()).ReferencedSOPSequence
    assert safe.ReferencedSOPInstanceUID == data_set.SOPInstanceUID
    assert safe.RetrieveURL == url(data_set), safe.RetrieveURL
    (part,) = parts(SESSION.get(safe.RetrieveURL, headers={"Accept": AS_STORED}, timeout=60))
    found = pydicom.dcmread(io.BytesIO(part))
    assert found.PatientName == data_set.PatientName
    return found


def encoded(samples, kind, **options):
    file = io.BytesIO()
    Image.fromarray(samples).save(file, kind, **options)
    return file.getvalue()


def pictures():
    for samples, photometric in ((GREY, "MONOCHROME2"), (COLOUR, "RGB")):
        found = stored(described(SECONDARY_CAPTURE), "7FE00010", "image/png", encoded(samples, "PNG"))
        assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1" and found.PhotometricInterpretation == photometric
        assert numpy.array_equal(found.pixel_array, samples)
        jpeg = encoded(samples, "JPEG", quality=95)
        found = stored(described(SECONDARY_CAPTURE), "7FE00010", "image/jpeg", jpeg, jpeg)
        assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50" and found.NumberOfFrames == 2
        assert (found.LossyImageCompression, found.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
        assert abs(float(found.LossyImageCompressionRatio) - samples.size / len(jpeg)) < 0.1
        assert numpy.array_equal(found.pixel_array[1], found.pixel_array[0])
    found = stored(described(SECONDARY_CAPTURE), "7FE00010", "image/jpeg", encoded(GREY, "JPEG", progressive=True))
    assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.55", found.file_meta
    deep = GREY.astype("u2") * 257
    found = stored(described(SECONDARY_CAPTURE), "7FE00010", "image/png", encoded(deep, "PNG"))
    assert found.BitsStored == 16 and numpy.array_equal(found.pixel_array, deep)
    # What the metadata say holds.
    native = described(SECONDARY_CAPTURE, Rows=60, Columns=82, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME1",
                       BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)
    found = stored(native, "7FE00010", BULK, GREY.tobytes())
    assert found.PhotometricInterpretation == "MONOCHROME1" and numpy.array_equal(found.pixel_array, GREY)


def documents():
    for sop_class, media_type, content in (
        (PDF, "application/pdf", b"%PDF-1.4\n%%EOF"),
        (CDA, "text/xml", b"<ClinicalDocument xmlns='urn:hl7-org:v3'/>"),
        (STL, "model/stl", b"solid\n" + bytes(101)),
    ):
        data_set = described(sop_class)
        found = stored(data_set, "00420011", media_type, content)
        assert found.MIMETypeOfEncapsulatedDocument == media_type and found.EncapsulatedDocumentLength == len(content)
        assert found.EncapsulatedDocument[:len(content)] == content
        shown = SESSION.get(f"{url(data_set)}/rendered", headers={"Accept": media_type}, timeout=60)
        assert (shown.status_code, shown.content) == (200, content), shown.text


def box(kind, *contents):
    content = b"".join(contents)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def film():
    entry = bytes(24) + struct.pack(">HH", 320, 240) + bytes(50) + box(b"avcC", bytes([1, 100, 0, 40]))
    table = box(b"stbl", box(b"stsd", bytes([0, 0, 0, 0, 0, 0, 0, 1]), box(b"avc1", entry)),
                box(b"stts", struct.pack(">4I", 0, 1, 30, 1000)))
    media = box(b"mdia", box(b"mdhd", struct.pack(">6I", 0, 0, 0, 30000, 30000, 0)), box(b"hdlr", bytes(8), b"vide"), box(b"minf", table))
    mp4 = box(b"ftyp", b"isom", bytes(4)) + box(b"mdat", bytes(300_000)) + box(b"moov", box(b"trak", media))
    data_set = described(FILM)
    found = stored(data_set, "7FE00010", "video/mp4", mp4)
    assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.102"
    assert (found.Rows, found.Columns, found.NumberOfFrames) == (240, 320, 30) and abs(found.FrameTime - 33.333) < 0.01
    assert found.PhotometricInterpretation == "YBR_PARTIAL_420" and found.LossyImageCompressionMethod == "ISO_14496_10"
    shown = SESSION.get(f"{url(data_set)}/rendered", headers={"Accept": "video/mp4"}, timeout=60)
    assert shown.headers["Content-Type"] == "video/mp4" and shown.content[:len(mp4)] == mp4
    part = SESSION.get(f"{url(data_set)}/rendered", headers={"Accept": "video/*", "Range": "bytes=4-7"}, timeout=60)
    assert (part.status_code, part.content) == (206, b"ftyp"), part.status_code
    still = SESSION.get(f"{url(data_set)}/thumbnail", headers={"Accept": "image/png"}, timeout=60)
    assert Image.open(io.BytesIO(still.content)).size == (256, 256)


def failures():
    good, bad = described(SECONDARY_CAPTURE), described(SECONDARY_CAPTURE)
    both = json.dumps([metadata(good, "7FE00010"), metadata(bad, "7FE00010", "elsewhere")]).encode()
    bodies = ((JSON, None, both), ("image/png", "bulk", encoded(GREY, "PNG")))
    answer = send(*bodies)
    assert answer.status_code == 202, answer.status_code
    told = Dataset.from_json(answer.json())
    assert [item.ReferencedSOPInstanceUID for item in told.ReferencedSOPSequence] == [good.SOPInstanceUID]
    assert [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in told.FailedSOPSequence] == [(bad.SOPInstanceUID, 0xC000)]
    assert "elsewhere" in answer.headers["Warning"] and answer.headers["Warning"].startswith("299 ")
    answer = send(*bodies, accept=XML)
    assert answer.status_code == 202 and answer.headers["Content-Type"] == XML and "FailedSOPSequence" in answer.text
    for what, bodies in {
        "pixels elsewhere": ((JSON, None, json.dumps([metadata(bad, "7FE00010", "elsewhere")]).encode()),),
        "a picture of no kind": ((JSON, None, json.dumps([metadata(bad, "7FE00010")]).encode()), ("image/png", "bulk", b"GIF89a")),
        "a kind not taken": ((JSON, None, json.dumps([metadata(bad, "7FE00010")]).encode()), ("image/gif", "bulk", b"GIF89a")),
        "metadata cut off": ((JSON, None, b'[{"00080018":'),),
        "no instance": ((JSON, None, b"[{}]"),),
    }.items():
        answer = send(*bodies)
        assert answer.status_code == 409 and answer.headers.get("Warning"), (what, answer.status_code, answer.text)
        told = answer.json()
        assert "00081199" not in told and ("00081198" in told or "0008119A" in told), (what, told)
    other = send((JSON, None, json.dumps([metadata(described(SECONDARY_CAPTURE))]).encode()), study="/1.2.3")
    assert other.status_code == 409 and other.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900], other.text
    # Native DICOM Model in, and a document of XML beside it.
    data_set = described(CDA)
    model = '<?xml version="1.0"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">' + "".join(
        f'<DicomAttribute tag="{tag}" vr="{vr}"><Value number="1">{value}</Value></DicomAttribute>'
        for tag, vr, value in (("00080016", "UI", CDA), ("00080018", "UI", data_set.SOPInstanceUID),
                               ("0020000D", "UI", data_set.StudyInstanceUID), ("0020000E", "UI", data_set.SeriesInstanceUID)))
    model += '<DicomAttribute tag="00420011" vr="OB"><BulkData uri="bulk"/></DicomAttribute></NativeDicomModel>'
    answer = send((XML, None, model.encode()), ("text/xml", "bulk", b"<ClinicalDocument/>"), kind=XML)
    assert answer.status_code == 200, (answer.status_code, answer.text, answer.headers.get("Warning"))


for case in (pictures, documents, film, failures):
    case()
print("as it should be")
