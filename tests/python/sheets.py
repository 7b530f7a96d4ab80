"""sheets.py WEB: pictures of what is no image: reports, and traces of waveforms."""
import io
import sys

import numpy
import pydicom
from PIL import Image
from pydicom.data import get_testdata_file

from objects import SESSION

web = sys.argv[1]


def url(data_set):
    return f"{web}/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"


def store(data_set):
    file = io.BytesIO()
    data_set.save_as(file, enforce_file_format=True)
    answer = SESSION.post(f"{web}/studies", data=file.getvalue(), headers={"Content-Type": "application/dicom"}, timeout=60)
    assert answer.status_code == 200, answer.text


def shown(data_set, resource="rendered", kind="image/png"):
    answer = SESSION.get(f"{url(data_set)}/{resource}", headers={"Accept": kind}, timeout=60)
    assert answer.status_code == 200, (resource, answer.status_code, answer.text)
    return numpy.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)


def traces():
    data_set = pydicom.dcmread(get_testdata_file("waveform_ecg.dcm"))
    store(data_set)
    traces = shown(data_set)
    assert traces.shape == (1024, 1024, 3)
    drawn = (abs(traces - (16, 64, 128)).max(-1) < 40).sum(1)
    channels = data_set.WaveformSequence[0].NumberOfWaveformChannels
    for channel in range(channels):
        rows = drawn[channel * 1024 // channels:(channel + 1) * 1024 // channels]
        assert rows.sum() > 900, f"channel {channel} is not drawn"
    refused = SESSION.get(f"{url(data_set)}/rendered", headers={"Accept": "text/html"}, timeout=60)
    assert refused.status_code == 406


def reports():
    data_set = pydicom.dcmread(get_testdata_file("reportsi.dcm"))
    store(data_set)
    sheet = shown(data_set, kind="image/jpeg")
    assert (sheet.max(-1) < 110).sum() > 300, "no text"
    page = SESSION.get(f"{url(data_set)}/rendered", headers={"Accept": "*/*"}, timeout=60)
    assert page.headers["Content-Type"].startswith("text/html")


for case in (traces, reports):
    case()
print("as it should be")
