"""stow_bundled.py WEB: pydicom's own files by STOW-RS, each as it is; each data set comes back byte for byte, frames decode to the
same pixels, and metadata says what pydicom reads."""
import sys

from objects import NO_INSTANCE, SESSION, Failures, bundled, instance_url, part10, parts, read, retrieve, split

TYPE = 'multipart/related; type="application/dicom"; boundary=bundled'
# Files whose pixels no decoder here agrees on.
UNDECODED = {
    "J2K_pixelrep_mismatch.dcm": "data set and codestream disagree on the sign",
}


def stow(web, content):
    body = b"--bundled\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--bundled--\r\n"
    return SESSION.post(f"{web}/studies", data=body, timeout=60,
                        headers={"Content-Type": TYPE, "Accept": "application/dicom+json"})


def check(name, web, data_set, syntax, parsed):
    uid = parsed.get("SOPInstanceUID", "2.25.999")
    answer = stow(web, part10(data_set, syntax, parsed.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.7"), uid))
    if name in NO_INSTANCE:
        assert answer.status_code in (400, 409), f"{answer.status_code}, though {NO_INSTANCE[name]}"
        return
    assert answer.status_code in (200, 202), f"{answer.status_code} {answer.text[:300]}"
    meta, back = split(retrieve(web, parsed))
    assert meta.TransferSyntaxUID == syntax, f"{syntax} became {meta.TransferSyntaxUID}"
    assert back == data_set, "the data set changed"
    check_metadata(web, parsed)


def check_metadata(web, parsed):
    answer = SESSION.get(instance_url(web, parsed) + "/metadata", headers={"Accept": "application/dicom+json"}, timeout=60)
    assert answer.status_code == 200, f"metadata: {answer.status_code} {answer.text[:200]}"
    (metadata,) = answer.json()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "Modality", "Rows", "Columns", "BitsStored"):
        if parsed.get(keyword):
            tag = f"{parsed[keyword].tag:08X}" if isinstance(parsed[keyword].tag, int) else str(parsed[keyword].tag)
            assert metadata[tag]["Value"] == [parsed.get(keyword)], f"{keyword}: {metadata[tag]}"


failures = Failures()
web = sys.argv[1]
for name, data_set, syntax, parsed in bundled():
    failures.case(name, check, name, web, data_set, syntax, parsed)
failures.end()
