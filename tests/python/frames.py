"""frames.py WEB FILE...: each frame of each file (already stored), asked for as it is stored and as native pixels, decodes to the
pixels that pydicom reads from the file."""
import sys

import numpy
import pydicom
from pydicom.encaps import generate_frames

from objects import AS_STORED, SESSION, Failures, instance_url, parts, read

NATIVE = 'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1'
ALL = 'multipart/related; type="application/octet-stream"; transfer-syntax=*, multipart/related; type="image/*"; transfer-syntax=*'
LOSSY = {"1.2.840.10008.1.2.4.50": 3, "1.2.840.10008.1.2.4.51": 2, "1.2.840.10008.1.2.4.91": 1, "1.2.840.10008.1.2.4.203": 1}


def frames(web, data_set, count, accept):
    numbers = ",".join(str(number + 1) for number in range(count))
    answer = SESSION.get(f"{instance_url(web, data_set)}/frames/{numbers}", headers={"Accept": accept}, timeout=120)
    assert answer.status_code == 200, f"{answer.status_code} {answer.text[:300]}"
    bodies = parts(answer)
    assert len(bodies) == count, f"{len(bodies)} parts for {count} frames"
    return bodies


def check(web, path):
    data_set = pydicom.dcmread(path)
    if "PixelData" not in data_set:
        return
    count = int(data_set.get("NumberOfFrames") or 1)
    syntax = data_set.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        expected = list(generate_frames(data_set.PixelData, number_of_frames=count))
        for number, (one, other) in enumerate(zip(expected, frames(web, data_set, count, ALL))):
            assert one.rstrip(b"\0") == other.rstrip(b"\0"), f"frame {number + 1} changed"
    if data_set.BitsAllocated == 1:
        return  # Frames share bytes: no frame of its own to ask for.
    # Colour as RGB: what compressed colour becomes when it is given native. Decoders of baseline JPEG differ by more than ten levels
    # at sharp edges of subsampled chroma; libjpeg-turbo is the one to follow.
    plugin = "pillow" if syntax == "1.2.840.10008.1.2.4.50" else ""
    raw = pydicom.pixels.pixel_array(data_set, decoding_plugin=plugin)
    raw = raw if count > 1 else raw[numpy.newaxis]
    for number, body in enumerate(frames(web, data_set, count, NATIVE)):
        pixels = numpy.frombuffer(body, raw.dtype.newbyteorder("<"))[: raw[number].size]
        if data_set.SamplesPerPixel == 3 and pixels.size == raw[number].size:
            pixels = pixels.reshape(raw[number].shape)
        assert pixels.size == raw[number].size, f"{pixels.size} samples in place of {raw[number].size}"
        worst = numpy.abs(pixels.reshape(raw[number].shape).astype("int64") - raw[number].astype("int64")).max()
        assert worst <= LOSSY.get(str(syntax), 0), f"frame {number + 1}: a sample is {worst} off"


failures = Failures()
web, *paths = sys.argv[1:]
for path in paths:
    failures.case(path, check, web, path)
failures.end()
