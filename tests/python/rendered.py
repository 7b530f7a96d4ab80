"""rendered.py WEB: pictures beside those that pydicom, numpy and Little CMS make of the same pixels."""
import io
import sys

import numpy
from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

# The driver of presentation states makes its objects from the same parts.
sys.argv.append("")
from presented import IMAGES, SESSION, common, image, item, near, store, table, url, web

rows, columns = numpy.mgrid[0:64, 0:80]
ramp = (rows * 61 + columns * 37) % 4096


def picture(data_set, query="", resource="rendered", kind="image/png"):
    answer = SESSION.get(f"{url(data_set)}/{resource}{query}", headers={"Accept": kind})
    assert answer.status_code == 200, (answer.status_code, answer.text)
    return Image.open(io.BytesIO(answer.content))


def shown(data_set, query="", **more):
    return numpy.asarray(picture(data_set, query, **more))


def plain(samples, **values):
    """An image that says nothing of how it is to be shown but what is given."""
    made = image(samples)
    for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        delattr(made, keyword)
    for keyword, value in values.items():
        setattr(made, keyword, value)
    store(made)
    return made


def windows():
    for function in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        for center, width in ((2048, 4096), (1000, 300), (700.5, 1.5), (-50, 900)):
            made = plain(ramp.astype("<u2"), RescaleSlope=1.5, RescaleIntercept=-200, WindowCenter=center, WindowWidth=width,
                         VOILUTFunction=function)
            values = apply_voi_lut(apply_modality_lut(ramp, made), made)
            least, most = -200, 4095 * 1.5 - 200
            near(shown(made), ((values - least) * 255 / (most - least)).round(), f"{function} {center} {width}")
    curve = (numpy.linspace(0, 1, 1024) ** 2 * 65535).round().astype(int)
    made = plain(ramp.astype("<u2"), VOILUTSequence=table("VOILUTSequence", 512, curve >> 4, 12))
    near(shown(made), (apply_voi_lut(ramp, made).astype(int) * 255 / 4095).round(), "VOI LUT")
    # pydicom knows modality LUTs of 8 and of 16 bits alone.
    made = plain(ramp.astype("<u2"), ModalityLUTSequence=table("ModalityLUTSequence", 100, curve[::-1]),
                 WindowCenter=32000, WindowWidth=48000)
    values = apply_voi_lut(apply_modality_lut(ramp, made), made)
    near(shown(made), (values * 255 / 65535).round(), "modality LUT")


def padding():
    samples = ramp.copy()
    samples[:10] = 4000
    samples[10:] = samples[10:] % 1000 + 200
    made = plain(samples.astype("<u2"), PixelPaddingValue=4000)
    wanted = ((samples - 200) * 255 / (samples[10:].max() - 200)).round()
    near(shown(made)[10:], wanted[10:], "padding")


def palettes():
    indices = (rows * 3 + columns) % 256
    ramps = [list(range(0, 65536, 257)), list(range(65535, -1, -257)), [(value * 7919) % 65536 for value in range(256)]]

    def coloured(bits, segmented=None):
        made = common("1.2.840.10008.5.1.4.1.1.7", IMAGES, "OT")
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "PALETTE COLOR", 0
        made.Rows, made.Columns = indices.shape
        made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
        made.PixelData = indices.astype("u1").tobytes()
        for channel, values in zip(("Red", "Green", "Blue"), ramps):
            setattr(made, f"{channel}PaletteColorLookupTableDescriptor", [256, 0, bits])
            made[f"{channel}PaletteColorLookupTableDescriptor"].VR = "US"
            data = numpy.array(values, "<u2").tobytes() if bits == 16 else numpy.array([value >> 8 for value in values], "u1").tobytes()
            if segmented is None:
                setattr(made, f"{channel}PaletteColorLookupTableData", data)
            else:
                setattr(made, f"Segmented{channel}PaletteColorLookupTableData", segmented)
        store(made)
        return made

    def by_pydicom(made, bits):
        return apply_color_lut(indices.astype("u1"), made) >> (8 if bits == 16 else 0)

    for bits in (8, 16):
        made = coloured(bits)
        near(shown(made), by_pydicom(made, bits), f"a palette of {bits} bits", 0)
    # Discrete; linear; the first two again.
    words = [0, 4, 1000, 30000, 20000, 65535, 1, 120, 4000, 1, 4, 64000, 2, 2, 0, 0, 1, 4, 100]
    made = coloured(16, numpy.array(words, "<u2").tobytes())
    near(shown(made), by_pydicom(made, 16), "a segmented palette of 16 bits")


def aspects():
    made = plain((ramp % 256).astype("<u2"), PixelSpacing=[2, 1])
    assert picture(made, "?viewport=160,256").size == (160, 256), picture(made, "?viewport=160,256").size
    made = plain((ramp % 256).astype("<u2"))
    del made.PixelSpacing
    made.PixelAspectRatio = [1, 2]
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    store(made)
    assert picture(made, "?viewport=320,400").size == (320, 128), picture(made, "?viewport=320,400").size


def profiles():
    colours = numpy.stack([rows * 4 % 256, columns * 3 % 256, (rows + columns) * 5 % 256], 2).astype("u1")
    first = image(colours, "RGB")
    store(first)
    for name in ("adobergb", "rommrgb"):
        wide = picture(first, f"?iccprofile={name}")
        profile = wide.info["icc_profile"]
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        wanted = ImageCms.profileToProfile(Image.fromarray(colours), ImageCms.createProfile("sRGB"), target,
                                           renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC)
        apart = numpy.abs(numpy.asarray(wide).astype(int) - numpy.asarray(wanted)).max()
        assert apart <= 3, f"to {name}: {apart} apart"
        own = image(numpy.asarray(wide), "RGB")
        own.ICCProfile = profile
        store(own)
        assert picture(own, "?iccprofile=yes").info["icc_profile"].rstrip(b"\0") == profile.rstrip(b"\0")
        back = shown(own, "?iccprofile=srgb").astype(int)
        wanted = ImageCms.profileToProfile(wide, target, ImageCms.createProfile("sRGB"),
                                           renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC)
        apart = numpy.abs(back - numpy.asarray(wanted)).max()
        assert apart <= 3, f"from {name}: {apart} apart"


def maps():
    values = (numpy.sin(rows / 9) * numpy.cos(columns / 7) * 12.5).astype("<f4")
    made = common("1.2.840.10008.5.1.4.1.1.30", IMAGES, "OT")
    made.SamplesPerPixel, made.PhotometricInterpretation, made.NumberOfFrames = 1, "MONOCHROME2", 2
    made.Rows, made.Columns = values.shape
    made.BitsAllocated = 32
    made.FloatPixelData = values.tobytes() + (-values).tobytes()
    store(made)
    wanted = ((values - values.min()) * 255 / (values.max() - values.min())).round()
    near(shown(made), wanted, "a parametric map")
    near(shown(made, resource="frames/2/rendered"), 255 - wanted, "its second frame")
    near(shown(made, "?window=0,10,linear-exact"), ((values / 10 + 0.5).clip(0, 1) * 255).round(), "a window on it")

    marked = numpy.stack([(rows + columns) % 5 == 0, rows > 31, columns % 3 == 0])
    made = common("1.2.840.10008.5.1.4.1.1.66.4", IMAGES, "SEG")
    made.SamplesPerPixel, made.PhotometricInterpretation, made.NumberOfFrames, made.PixelRepresentation = 1, "MONOCHROME2", 3, 0
    made.Rows, made.Columns = 61, 77
    made.BitsAllocated, made.BitsStored, made.HighBit, made.SegmentationType = 1, 1, 0, "BINARY"
    marked = marked[:, :61, :77]
    made.PixelData = numpy.packbits(marked.ravel(), bitorder="little").tobytes()
    made["PixelData"].VR = "OB"
    store(made)
    for number, segment in enumerate(marked, 1):
        near(shown(made, resource=f"frames/{number}/rendered"), segment * 255, f"segment {number}", 0)


if __name__ == "__main__":
    windows()
    padding()
    palettes()
    aspects()
    profiles()
    maps()
    print("as it should be")
