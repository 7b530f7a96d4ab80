"""access.py URL AUTHORITY PASSCODE TOKEN FILE...: an archive that asks who calls, over TLS: passcode, token, session, HTTP/2."""
import socket
import ssl
import sys
from urllib.parse import urlsplit

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient

url, authority, passcode, token, *paths = sys.argv[1:]
web = f"{url}/dicom-web"
sent = [pydicom.dcmread(path) for path in paths]
study = sent[0].StudyInstanceUID


def session(auth=None, headers=None):
    made = requests.Session()
    made.verify, made.auth, made.trust_env = authority, auth, False
    made.headers.update(headers or {})
    return made


# Nobody, then somebody that is not right: told how to be known, by the same words.
for stranger in (session(), session(auth=("ada", "wrong")), session(headers={"Authorization": "Bearer filmroom_0_0"})):
    answer = stranger.get(f"{web}/studies", headers={"Origin": "https://viewer.example"})
    assert answer.status_code == 401, answer
    assert "Basic" in answer.headers["WWW-Authenticate"], answer.headers
    # A browser may read why, from whichever page it asks.
    assert "Access-Control-Allow-Origin" in answer.headers, answer.headers
preflight = session().options(f"{web}/studies", headers={
    "Origin": "https://viewer.example", "Access-Control-Request-Method": "GET",
    "Access-Control-Request-Headers": "authorization"})
assert preflight.status_code == 204 and "Authorization" in preflight.headers["Access-Control-Allow-Headers"], preflight

stores = DICOMwebClient(url=web, session=session(auth=("tess", passcode)))
answer = stores.store_instances(datasets=sent)
assert len(answer.ReferencedSOPSequence) == len(sent), answer

for reader in (session(auth=("ada", passcode)), session(headers={"Authorization": f"Bearer {token}"})):
    client = DICOMwebClient(url=web, session=reader)
    (found,) = client.search_for_studies(search_filters={"StudyInstanceUID": study})
    # What is named in answers is reached the way that the client came.
    assert found["00081190"]["Value"][0].startswith("https://"), found["00081190"]
    assert len(client.retrieve_study(study)) == len(sent)
    assert len(client.retrieve_study_metadata(study)) == len(sent)
    answer = reader.get(f"{web}/studies/{study}/thumbnail")
    assert answer.status_code == 200 and "private" in answer.headers["Cache-Control"], answer.headers
    assert answer.headers["Strict-Transport-Security"].startswith("max-age="), answer.headers
assert session(auth=("ada", passcode)).post(f"{web}/studies", data=b"").status_code == 403
# Who runs the archive sees no patient.
root = session(auth=("root", passcode))
assert root.get(f"{web}/studies").status_code == 403
assert root.get(f"{web}/studies/{study}/thumbnail").status_code == 403
assert root.get(f"{url}/studies/{study}").status_code == 403
assert {account["name"] for account in root.get(f"{url}/api/v1/accounts").json()["accounts"]} == {"root", "ada", "tess"}
assert "hash" not in root.get(f"{url}/api/v1/accounts").text

browser = session()
page = browser.get(f"{url}/")
assert page.url.endswith("/sign-in") and "Sign in" in page.text, page.url
entered = browser.post(f"{url}/sign-in", data={"name": "ada", "passcode": passcode}, headers={"Origin": url})
assert entered.status_code == 200 and entered.url == f"{url}/", entered.url
(cookie,) = browser.cookies
assert cookie.name == "__Host-filmroom" and cookie.secure and cookie.path == "/", cookie
assert browser.get(f"{web}/studies").status_code == 200

place = urlsplit(url)
for wanted in (["h2", "http/1.1"], ["http/1.1"]):
    context = ssl.create_default_context(cafile=authority)
    context.set_alpn_protocols(wanted)
    with socket.create_connection((place.hostname, place.port)) as line:
        with context.wrap_socket(line, server_hostname=place.hostname) as secured:
            assert secured.selected_alpn_protocol() == wanted[0], secured.selected_alpn_protocol()
            assert secured.version() in ("TLSv1.2", "TLSv1.3"), secured.version()
old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
old.load_verify_locations(authority)
try:
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_connection((place.hostname, place.port)) as line:
        old.wrap_socket(line, server_hostname=place.hostname)
    raise AssertionError("TLS 1.1 is spoken")
except (ssl.SSLError, OSError):
    pass
print("ok")
