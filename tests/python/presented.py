"""presented.py WEB FOLDER: images as presentation states present them.

Greys are those of DCMTK (dcmp2pgm); areas, turns and flips those of numpy; what is drawn lies where the state says.
"""
import io
import os
import subprocess
import sys

import numpy
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from objects import SESSION

web, folder = sys.argv[1:]
GRAYSCALE, COLOUR, PSEUDO_COLOUR = (f"1.2.840.10008.5.1.4.1.1.11.{kind}" for kind in (1, 2, 3))
STUDY, IMAGES, STATES = generate_uid(), generate_uid(), generate_uid()


def common(sop_class, series, modality):
    data_set = Dataset()
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.SOPClassUID = data_set.file_meta.MediaStorageSOPClassUID = sop_class
    data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID, data_set.Modality = STUDY, series, modality
    data_set.PatientName, data_set.PatientID, data_set.PatientBirthDate, data_set.PatientSex = "Test^Presented", "P1", "", "O"
    data_set.StudyDate, data_set.StudyTime, data_set.StudyID, data_set.AccessionNumber = "20260101", "120000", "1", ""
    data_set.SeriesNumber, data_set.InstanceNumber, data_set.ReferringPhysicianName, data_set.Manufacturer = 1, 1, "", ""
    return data_set


def image(samples, photometric="MONOCHROME2", signed=0, bits=12):
    data_set = common("1.2.840.10008.5.1.4.1.1.2", IMAGES, "CT")
    data_set.SamplesPerPixel = 3 if photometric == "RGB" else 1
    data_set.PhotometricInterpretation = photometric
    if photometric == "RGB":
        data_set.PlanarConfiguration = 0
    data_set.Rows, data_set.Columns = samples.shape[:2]
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = (8, 8, 7) if photometric == "RGB" else (16, bits, bits - 1)
    data_set.PixelRepresentation = signed
    data_set.PixelSpacing = [1, 1]
    # What the image says of itself is not what the state says.
    data_set.RescaleSlope, data_set.RescaleIntercept = 3, -500
    data_set.WindowCenter, data_set.WindowWidth = 17, 5
    data_set.PixelData = samples.tobytes()
    return data_set


def item(**values):
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def reference(of):
    return item(ReferencedSOPClassUID=of.SOPClassUID, ReferencedSOPInstanceUID=of.SOPInstanceUID)


def state(of, sop_class=GRAYSCALE, **values):
    data_set = common(sop_class, STATES, "PR")
    data_set.ContentLabel, data_set.ContentDescription, data_set.ContentCreatorName = "TEST", "", ""
    data_set.PresentationCreationDate, data_set.PresentationCreationTime = "20260101", "120000"
    data_set.ReferencedSeriesSequence = Sequence([item(SeriesInstanceUID=IMAGES, ReferencedImageSequence=Sequence([reference(of)]))])
    data_set.DisplayedAreaSelectionSequence = Sequence([item(
        DisplayedAreaTopLeftHandCorner=[1, 1], DisplayedAreaBottomRightHandCorner=[of.Columns, of.Rows],
        PresentationSizeMode="SCALE TO FIT", PresentationPixelAspectRatio=[1, 1])])
    if sop_class == GRAYSCALE:
        data_set.PresentationLUTShape = "IDENTITY"
    for keyword, value in values.items():
        if value is None:
            delattr(data_set, keyword)
        else:
            setattr(data_set, keyword, value)
    return data_set


def store(*data_sets):
    parts = b""
    for data_set in data_sets:
        file = io.BytesIO()
        data_set.save_as(file, enforce_file_format=True)
        parts += b"--x\r\nContent-Type: application/dicom\r\n\r\n" + file.getvalue() + b"\r\n"
    answer = SESSION.post(f"{web}/studies", data=parts + b"--x--", headers={
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=x', "Accept": "application/dicom+json"})
    assert answer.status_code == 200, answer.text


def url(data_set):
    return f"{web}/studies/{STUDY}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"


def rendered(data_set, query=""):
    answer = SESSION.get(f"{url(data_set)}/rendered{query}", headers={"Accept": "image/png"})
    assert answer.status_code == 200, (answer.status_code, answer.text)
    return numpy.asarray(Image.open(io.BytesIO(answer.content)))


def by_dcmtk(of, presented):
    paths = [os.path.join(folder, name) for name in ("image.dcm", "state.dcm", "out.pgm")]
    of.save_as(paths[0], enforce_file_format=True)
    presented.save_as(paths[1], enforce_file_format=True)
    subprocess.run(["dcmp2pgm", "-p", paths[1], paths[0], paths[2]], check=True, capture_output=True)
    return numpy.asarray(Image.open(paths[2]))


def near(one, other, what, most=1):
    assert one.shape == other.shape, (what, one.shape, other.shape)
    apart = numpy.abs(one.astype(int) - other.astype(int)).max()
    assert apart <= most, f"{what}: {apart} grey levels apart"


def table(keyword, first, values, bits=16):
    lut = item(LUTDescriptor=[len(values), first, bits], LUTData=numpy.asarray(values, "<u2").tobytes())
    lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "OW"
    if keyword == "ModalityLUTSequence":
        lut.ModalityLUTType = "US"
    return Sequence([lut])


def window(center, width, **more):
    return Sequence([item(WindowCenter=center, WindowWidth=width, **more)])


rows, columns = numpy.mgrid[0:96, 0:128]
ramp = (rows * 17 + columns * 23) % 4096


def greys():
    unsigned = image(ramp.astype("<u2"))
    inverse = image(ramp.astype("<u2"), "MONOCHROME1")
    signed = image((ramp - 2048).astype("<i2"), signed=1)
    store(unsigned, inverse, signed)
    rescale = dict(RescaleSlope=2, RescaleIntercept=-1024, RescaleType="HU")
    curve = (numpy.linspace(0, 1, 4096) ** 0.5 * 65535).round().astype(int)
    cases = {
        "nothing": {},
        "rescale": rescale,
        "rescale and window": dict(rescale, SoftcopyVOILUTSequence=window(300, 1500)),
        "window": dict(SoftcopyVOILUTSequence=window(1800, 2200)),
        "VOI LUT": dict(SoftcopyVOILUTSequence=Sequence([item(VOILUTSequence=table("VOILUTSequence", 0, curve))])),
        "modality LUT": dict(ModalityLUTSequence=table("ModalityLUTSequence", 0, curve[::-1] // 16, 12)),
        "inverse": dict(PresentationLUTShape="INVERSE"),
        "inverse window": dict(PresentationLUTShape="INVERSE", SoftcopyVOILUTSequence=window(1800, 2200)),
        "presentation LUT": dict(PresentationLUTShape=None, PresentationLUTSequence=table("PresentationLUTSequence", 0, curve)),
        "window of another image": dict(SoftcopyVOILUTSequence=window(
            10, 20, ReferencedImageSequence=Sequence([reference(inverse)]))),
    }
    for of, kind in ((unsigned, "unsigned"), (inverse, "MONOCHROME1"), (signed, "signed")):
        for name, values in cases.items():
            if kind == "signed" and "modality LUT" == name:
                continue
            if name == "window of another image" and of is inverse:
                continue
            presented = state(of, **values)
            store(presented)
            near(rendered(presented), by_dcmtk(of, presented), f"{kind}: {name}")
    asked = state(unsigned, **rescale)
    store(asked)
    near(rendered(asked, "?window=300,1500,linear"),
         by_dcmtk(unsigned, state(unsigned, **rescale, SoftcopyVOILUTSequence=window(300, 1500))), "a window that is asked for")


def areas():
    flat = image((ramp % 256 * 16).astype("<u2"))
    store(flat)
    shown = (ramp % 256 * 16 * 255 / 4095).round()
    for rotation, turns in ((0, 0), (90, -1), (180, 2), (270, 1)):
        for flip in "NY":
            presented = state(flat, ImageRotation=rotation, ImageHorizontalFlip=flip)
            store(presented)
            wanted = numpy.rot90(shown, turns)
            near(rendered(presented), wanted[:, ::-1] if flip == "Y" else wanted, f"{rotation} {flip}")

    def area(left, top, right, bottom, **more):
        return Sequence([item(DisplayedAreaTopLeftHandCorner=[left, top], DisplayedAreaBottomRightHandCorner=[right, bottom],
                              **{"PresentationSizeMode": "SCALE TO FIT", "PresentationPixelAspectRatio": [1, 1], **more})])
    part = state(flat, DisplayedAreaSelectionSequence=area(11, 21, 50, 60))
    beyond = state(flat, DisplayedAreaSelectionSequence=area(-9, -4, 20, 10))
    magnified = state(flat, DisplayedAreaSelectionSequence=area(
        1, 1, 20, 10, PresentationSizeMode="MAGNIFY", PresentationPixelMagnificationRatio=3.0))
    tall = state(flat, DisplayedAreaSelectionSequence=area(1, 1, 128, 96, PresentationPixelAspectRatio=[2, 1]))
    turned = state(flat, ImageRotation=90, ImageHorizontalFlip="N",
                   DisplayedAreaSelectionSequence=area(11, 60, 50, 21, PresentationPixelAspectRatio=[2, 1]))
    absurd = state(flat, DisplayedAreaSelectionSequence=area(-2**31, -2**31, 2**31 - 1, 2**31 - 1))
    store(part, beyond, magnified, tall, turned, absurd)
    near(rendered(part), shown[20:60, 10:50], "a part")
    wanted = numpy.zeros((15, 30))
    wanted[5:, 10:] = shown[:10, :20]
    near(rendered(beyond), wanted, "beyond the image")
    assert rendered(magnified).shape == (30, 60)
    assert rendered(tall).shape == (192, 128)
    assert rendered(turned).shape == (40, 80), rendered(turned).shape
    assert rendered(part, "?viewport=80,100").shape == (80, 80)
    near(rendered(part, "?viewport=20,20,10,5,20,20"), shown[25:45, 20:40], "a region of a part")
    answer = SESSION.get(f"{url(absurd)}/rendered", headers={"Accept": "image/png"})
    assert answer.status_code == 406, answer.status_code


def drawings():
    black = image(numpy.zeros((96, 128), "<u2"))
    white = image(numpy.full((96, 128), 4095, "<u2"))
    store(black, white)

    def graphic(kind, points, units="PIXEL", filled="N"):
        return item(GraphicAnnotationUnits=units, GraphicDimensions=2, NumberOfGraphicPoints=len(points) // 2,
                    GraphicData=points, GraphicType=kind, GraphicFilled=filled)

    def layered(of, *graphics, text=(), **more):
        layer = item(GraphicLayer="A", GraphicLayerOrder=1, **more.pop("layer", {}))
        annotation = item(GraphicLayer="A")
        if graphics:
            annotation.GraphicObjectSequence = Sequence(graphics)
        if text:
            annotation.TextObjectSequence = Sequence(text)
        return state(of, GraphicLayerSequence=Sequence([layer]), GraphicAnnotationSequence=Sequence([annotation]), **more)

    box = layered(black, graphic("POLYLINE", [10, 20, 30, 20, 30, 40, 10, 40, 10, 20], filled="Y"))
    ring = layered(black, graphic("CIRCLE", [0.5, 0.5, 0.5, 0.75], "DISPLAY"))
    round_ = layered(black, graphic("ELLIPSE", [20, 48, 108, 48, 64, 28, 64, 68]))
    curve = layered(black, graphic("INTERPOLATED", [10, 10, 60, 80, 110, 10]))
    dot = layered(black, graphic("POINT", [64, 48]))
    grey = layered(black, graphic("POLYLINE", [0, 48, 128, 48]), layer={"GraphicLayerRecommendedDisplayGrayscaleValue": 0x8080})
    red = layered(black, graphic("POLYLINE", [0, 48, 128, 48]), layer={
        "GraphicLayerRecommendedDisplayCIELabValue": [round(54.29 * 655.35), round((80.80 + 128) * 257), round((69.89 + 128) * 257)]})
    turned = layered(black, graphic("POLYLINE", [10, 20, 30, 20, 30, 40, 10, 40, 10, 20], filled="Y"),
                     ImageRotation=90, ImageHorizontalFlip="N")
    words = layered(black, text=[item(BoundingBoxAnnotationUnits="PIXEL", UnformattedTextValue="TEXT",
                    BoundingBoxTopLeftHandCorner=[20, 30], BoundingBoxBottomRightHandCorner=[80, 50],
                    BoundingBoxTextHorizontalJustification="LEFT")])
    states = [box, ring, round_, curve, dot, grey, red, turned, words]
    store(*states)
    shown = [rendered(one) for one in states]
    filled = numpy.zeros((96, 128), bool)
    filled[20:40, 10:30] = True
    assert (shown[0][filled] == 255).all() and shown[0][:, :9].max() == 0 and shown[0][42:].max() == 0
    ys, xs = numpy.nonzero(shown[1])
    # A quarter of the height is 24 pixels, of the width it would be 32: a circle of the display is one of fractions.
    assert (xs.min(), ys.min()) != (0, 0) and abs(xs.mean() - 64) < 2 and abs(ys.mean() - 48) < 2
    ys, xs = numpy.nonzero(shown[2])
    assert (abs(xs.min() - 20) <= 1, abs(xs.max() - 108) <= 1, abs(ys.min() - 28) <= 1, abs(ys.max() - 68) <= 1) == (True,) * 4
    assert shown[3][78:82, 58:62].max() == 255 and shown[3][9:12, 9:12].max() == 255
    assert shown[4][46:50, 62:66].max() == 255 and numpy.count_nonzero(shown[4]) < 40
    assert abs(int(shown[5].max()) - 128) <= 1
    near(shown[6][48, 64], numpy.array([255, 0, 0]), "red", 2)
    near((shown[7] == 255).astype(int)[12:28, 58:74], numpy.ones((16, 16)), "a turned box", 0)
    ys, xs = numpy.nonzero(shown[8])
    assert 19 <= xs.min() <= 24 and 29 <= ys.min() <= 34 and xs.max() > 35
    # The thumbnail of a state shows the image and its graphics, but nobody's name.
    thumbnail = SESSION.get(f"{url(words)}/thumbnail", headers={"Accept": "image/png"})
    assert numpy.asarray(Image.open(io.BytesIO(thumbnail.content))).max() == 0

    shutter = state(white, ShutterShape="RECTANGULAR", ShutterLeftVerticalEdge=11, ShutterRightVerticalEdge=100,
                    ShutterUpperHorizontalEdge=21, ShutterLowerHorizontalEdge=90, ShutterPresentationValue=0)
    circle = state(white, ShutterShape="CIRCULAR", CenterOfCircularShutter=[48, 64], RadiusOfCircularShutter=20,
                   ShutterPresentationValue=0x4040)
    overlay = state(black, GraphicLayerSequence=Sequence([item(GraphicLayer="O", GraphicLayerOrder=1,
                    GraphicLayerRecommendedDisplayGrayscaleValue=0xFFFF)]))
    plane = numpy.zeros((96, 128), bool)
    plane[40:50, 60:70] = True
    overlay.add_new(0x60000010, "US", 96)
    overlay.add_new(0x60000011, "US", 128)
    overlay.add_new(0x60000040, "CS", "G")
    overlay.add_new(0x60000050, "SS", [1, 1])
    overlay.add_new(0x60000100, "US", 1)
    overlay.add_new(0x60000102, "US", 0)
    overlay.add_new(0x60001001, "CS", "O")
    overlay.add_new(0x60003000, "OB", numpy.packbits(plane, bitorder="little").tobytes())
    store(shutter, circle, overlay)
    seen = numpy.zeros((96, 128), bool)
    seen[20:90, 10:100] = True
    near(rendered(shutter), seen * 255, "a rectangular shutter", 0)
    around = rendered(circle)
    assert around[47, 63] == 255 and around[0, 0] == 64 and abs(numpy.count_nonzero(around == 255) - 3.1416 * 400) < 60
    # dcmp2pgm draws neither shutters nor overlays.
    near(rendered(overlay), plane * 255, "an overlay", 0)


def colours():
    red = numpy.zeros((96, 128, 3), "u1")
    red[:48, :, 0] = 200
    coloured = image(red, "RGB")
    grey = image(ramp.astype("<u2"))
    store(coloured, grey)
    turned = state(coloured, COLOUR, ImageRotation=180, ImageHorizontalFlip="N")
    palette = state(grey, PSEUDO_COLOUR, SoftcopyVOILUTSequence=window(2048, 4096))
    for channel, values in (("Red", range(256)), ("Green", range(255, -1, -1)), ("Blue", [7] * 256)):
        setattr(palette, f"{channel}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(palette, f"{channel}PaletteColorLookupTableData", (numpy.array(values, "<u2") * 257).tobytes())
        palette[f"{channel}PaletteColorLookupTableDescriptor"].VR = "US"
    store(turned, palette)
    near(rendered(turned), red[::-1, ::-1], "colour", 0)
    level = by_dcmtk(grey, state(grey, SoftcopyVOILUTSequence=window(2048, 4096))).astype(int)
    near(rendered(palette), numpy.stack([level, 255 - level, 0 * level + 7], 2), "pseudo-colour")


def refusals():
    blending = common("1.2.840.10008.5.1.4.1.1.11.4", STATES, "PR")
    lonely = state(image(ramp.astype("<u2")))
    store(blending, lonely)
    for data_set in (blending, lonely):
        answer = SESSION.get(f"{url(data_set)}/rendered", headers={"Accept": "image/png"})
        assert answer.status_code == 406, (answer.status_code, answer.text)
        thumbnail = SESSION.get(f"{url(data_set)}/thumbnail", headers={"Accept": "image/png"})
        assert thumbnail.status_code == 200
    both = [image(ramp.astype("<u2")), image(ramp.astype("<u2"))]
    presented = state(both[0])
    presented.ReferencedSeriesSequence[0].ReferencedImageSequence.append(reference(both[1]))
    store(*both, presented)
    answer = SESSION.get(f"{url(presented)}/rendered", headers={"Accept": 'multipart/related; type="image/jpeg"'})
    assert answer.content.count(b"Content-Type: image/jpeg") == 2, answer.content[:200]


if __name__ == "__main__":
    greys()
    areas()
    drawings()
    colours()
    refusals()
    print("as it should be")
