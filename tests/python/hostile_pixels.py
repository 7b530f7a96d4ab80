"""hostile_pixels.py WEB: objects whose pixels lie, or are made to explode. Each is refused, or stored and then answered with a picture, a
placeholder or a clear refusal, soon."""
import struct
import sys
import time
import zlib

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from objects import SESSION, part10

web = sys.argv[1]
JPEG, LOSSLESS, JPEG_LS, JPEG_2000, HTJ2K, JPEG_XL, RLE, DEFLATED_FRAME = (
    f"1.2.840.10008.1.2.{end}" for end in ("4.50", "4.70", "4.80", "4.90", "4.201", "4.110", "5", "8.1"))


def image(syntax=ExplicitVRLittleEndian, rows=64, columns=64, bits=8, samples=1, **values):
    data_set = Dataset()
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set.SOPClassUID, data_set.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", generate_uid()
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID, data_set.Modality = generate_uid(), generate_uid(), "OT"
    data_set.PatientName, data_set.PatientID = "Test^Hostile", "H1"
    data_set.Rows, data_set.Columns, data_set.SamplesPerPixel = rows, columns, samples
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = bits, bits, bits - 1, 0
    data_set.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    if samples == 3:
        data_set.PlanarConfiguration = 0
    for keyword, value in values.items():
        setattr(data_set, keyword, value)
    return data_set


def native(content, **options):
    data_set = image(**options)
    data_set.PixelData = content
    return data_set


def framed(*frames, offsets=None, **options):
    data_set = image(**options)
    value = encapsulate(list(frames), has_bot=False)
    if offsets is not None:
        value = struct.pack("<HHI", 0xFFFE, 0xE000, 4 * len(offsets)) + struct.pack(f"<{len(offsets)}I", *offsets) + value[8:]
    data_set.PixelData = value
    data_set["PixelData"].VR = "OB"
    data_set["PixelData"].is_undefined_length = True
    return data_set


def jpeg(rows, columns, process=0xC0, components=1):
    frame = struct.pack(">BBHBHHB", 0xFF, process, 8 + 3 * components, 8, rows, columns, components) + b"".join(
        bytes([n, 0x11, 0]) for n in range(1, components + 1))
    scan = struct.pack(">BBHB", 0xFF, 0xDA, 6 + 2 * components, components) + b"".join(
        bytes([n, 0]) for n in range(1, components + 1)) + bytes([1 if process == 0xC3 else 0, 63 if process == 0xC0 else 0, 0])
    return b"\xff\xd8" + frame + scan + bytes(40) + b"\xff\xd9"


def jpeg2000(rows, columns, tile_rows, tile_columns, high_throughput=False):
    size = struct.pack(">HIIIIIIIIHBBB", 0x4000 if high_throughput else 0, columns, rows, 0, 0, tile_columns, tile_rows, 0, 0, 1, 7, 1, 1)
    coding = bytes([0, 0, 0, 1, 0, 5, 4, 4, 0x40 if high_throughput else 0, 1])
    quantization = bytes([0x40] + [0x48] * 16)
    segment = lambda marker, body: struct.pack(">HH", marker, 2 + len(body)) + body
    return (b"\xff\x4f" + segment(0xFF51, size) + segment(0xFF52, coding) + segment(0xFF5C, quantization)
            + segment(0xFF90, struct.pack(">HIBB", 0, 14, 0, 1)) + b"\xff\x93" + b"\xff\xd9")


def rle(*offsets, data=bytes(100)):
    return struct.pack("<16I", len(offsets), *offsets, *[0] * (15 - len(offsets))) + data


def table(descriptor, entries):
    item = Dataset()
    item.add_new(0x00283002, "US", descriptor)
    item.add_new(0x00283006, "OW", entries)
    return [item]


bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
BOMB = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(600)) + bomb.flush()
palette = dict(PhotometricInterpretation="PALETTE COLOR",
               **{f"{colour}PaletteColorLookupTableDescriptor": [4, 250, 16] for colour in ("Red", "Green", "Blue")},
               **{f"{colour}PaletteColorLookupTableData": bytes(4) for colour in ("Red", "Green", "Blue")})
CASES = {
    "no rows": native(bytes(64), rows=0),
    "no columns and no pixels": native(b"", columns=0),
    "huge, and short": native(bytes(64), rows=65535, columns=65535, bits=16),
    "more frames than bytes": native(bytes(4096), NumberOfFrames="2147483647"),
    "millions of frames of a bit": native(bytes(1 << 20), rows=1, columns=1, bits=1, NumberOfFrames="8388608"),
    "frames below zero": native(bytes(4096), NumberOfFrames="-1"),
    "no bits": native(bytes(4096), BitsAllocated=0, BitsStored=0, HighBit=0),
    "strange bits": native(bytes(8192), BitsAllocated=13, BitsStored=16, HighBit=77),
    "many samples": native(bytes(4096), SamplesPerPixel=65535),
    "a palette that is too short": native(bytes(range(256)) * 16, **palette),
    "a VOI LUT that is too short": native(bytes(8192), bits=16, VOILUTSequence=table([0, 0, 16], bytes(6))),
    "a modality LUT beyond its bits": native(bytes(8192), bits=16, ModalityLUTSequence=table([65535, 65535, 255], bytes(6))),
    "a window of nothing": native(bytes(4096), WindowCenter="1e308", WindowWidth="-1e308", RescaleSlope="0", RescaleIntercept="1e400"),
    "JPEG larger than said": framed(jpeg(65535, 65535), syntax=JPEG),
    "JPEG as large as said": framed(jpeg(65535, 65535), syntax=JPEG, rows=65535, columns=65535),
    "JPEG of no size": framed(jpeg(0, 0), syntax=JPEG),
    "lossless JPEG as large as said": framed(jpeg(65535, 65535, 0xC3), syntax=LOSSLESS, rows=65535, columns=65535),
    "JPEG-LS as large as said": framed(jpeg(65535, 65535, 0xF7), syntax=JPEG_LS, rows=65535, columns=65535),
    "JPEG 2000 as large as said": framed(jpeg2000(65535, 65535, 65535, 65535), syntax=JPEG_2000, rows=65535, columns=65535),
    "JPEG 2000 in tiles of a pixel": framed(jpeg2000(8192, 8192, 1, 1), syntax=JPEG_2000, rows=8192, columns=8192),
    "JPEG 2000 in tiles of nothing": framed(jpeg2000(64, 64, 0, 0), syntax=JPEG_2000),
    "HTJ2K as large as said": framed(jpeg2000(65535, 65535, 65535, 65535, True), syntax=HTJ2K, rows=65535, columns=65535),
    "JPEG XL of noise": framed(b"\xff\x0a" + bytes(range(256)) * 4, syntax=JPEG_XL),
    "RLE segments out of bounds": framed(rle(64, 0xFFFFFFFF, 3), syntax=RLE, samples=3),
    "RLE of more segments than there are": framed(struct.pack("<I", 0xFFFFFFFF) + bytes(60), syntax=RLE),
    "RLE that repeats for ever": framed(rle(64, data=b"\x81\0" * 2_000_000), syntax=RLE),
    "a frame that inflates to 600 MiB": framed(BOMB, syntax=DEFLATED_FRAME),
    "offsets out of bounds": framed(jpeg(64, 64), jpeg(64, 64), offsets=[0, 0xFFFFFFF0], syntax=JPEG, NumberOfFrames="2"),
    "offsets that go back": framed(jpeg(64, 64), jpeg(64, 64), offsets=[60, 0], syntax=JPEG, NumberOfFrames="2"),
    "more frames than fragments": framed(jpeg(64, 64), syntax=JPEG, NumberOfFrames="1000000"),
    "no fragment": framed(syntax=JPEG),
}


def check(name, data_set):
    # pydicom writes no file in a transfer syntax that it does not know.
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, False
    syntax = data_set.file_meta.TransferSyntaxUID
    del data_set.file_meta
    write_dataset(file, data_set)
    content = part10(file.getvalue(), syntax, data_set.SOPClassUID, data_set.SOPInstanceUID)
    begin = time.monotonic()
    answer = SESSION.post(f"{web}/studies", data=content, headers={"Content-Type": "application/dicom"}, timeout=60)
    assert answer.status_code in (200, 202, 400, 409), (name, answer.status_code, answer.text)
    if answer.status_code < 300:
        url = f"{web}/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"
        for resource, kind, expected in (
            ("thumbnail", "image/png", (200,)), ("rendered", "image/jpeg", (200, 400, 404, 406)), ("metadata", "application/dicom+json", (200,)),
            ("rendered?viewport=32,32", "image/gif", (200, 400, 404, 406)), ("frames/1", "application/octet-stream", (200, 404, 406)),
            ("frames/1", "image/jls", (200, 404, 406)), ("frames/2", "*/*", (200, 404, 406)),
            ("pixeldata", "*/*", (200, 404, 406, 413)), ("rendered", 'multipart/related; type="image/jpeg"', (200, 400, 404, 406, 413)), ("", "application/dicom", (200, 406)),
        ):
            answer = SESSION.get(f"{url}/{resource}".rstrip("/"), headers={"Accept": kind}, timeout=60)
            assert answer.status_code in expected, (name, resource, kind, answer.status_code, answer.text[:300])
    took = time.monotonic() - begin
    print(f"{took:6.2f} s  {name}")
    assert took < 60, (name, took)


wrong = []
for name, data_set in CASES.items():
    try:
        check(name, data_set)
    except (AssertionError, OSError) as error:
        wrong.append(f"{name}: {error}")
assert not wrong, "\n".join(wrong)
print("as it should be")
