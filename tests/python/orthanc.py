"""orthanc.py ORTHANC FILMROOM STUDY COUNT FILE...: waits until COUNT instances of STUDY were forwarded to Orthanc, gives Orthanc the
files and has it send them with storage commitment, then has it query and fetch the forwarded study."""
import json
import sys
import time
import urllib.request

orthanc, filmroom, study, count, *paths = sys.argv[1:]


def ask(url, body=None, method=None):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def eventually(what, question):
    for _ in range(600):
        answer = question()
        if answer:
            return answer
        time.sleep(0.1)
    raise SystemExit(f"waited in vain: {what}")


eventually("the forwarded instances are at Orthanc", lambda: ask(f"{orthanc}/statistics")["CountInstances"] == int(count))
eventually("the queue is empty", lambda: not ask(f"{filmroom}/api/v1/forwards")["forwards"])

ids = []
for path in paths:
    with open(path, "rb") as file:
        ids.append(ask(f"{orthanc}/instances", file.read())["ID"])
sent = ask(f"{orthanc}/modalities/filmroom/store", {"Resources": ids, "StorageCommitment": True, "Synchronous": True})
assert sent["FailedInstancesCount"] == 0, sent
transaction = sent["StorageCommitmentTransactionUID"]


def committed():
    report = ask(f"{orthanc}/storage-commitment/{transaction}")
    return report if report["Status"] != "Pending" else None


report = eventually("storage commitment is reported", committed)
assert report["Status"] == "Success" and len(report["Success"]) == len(paths), report
eventually("the report is taken", lambda: not ask(f"{filmroom}/api/v1/commitments")["commitments"])

query = ask(f"{orthanc}/modalities/filmroom/query", {"Level": "Study", "Query": {"StudyInstanceUID": study}})["ID"]
answers = ask(f"{orthanc}/queries/{query}/answers")
assert len(answers) == 1, answers
for item in ask(f"{orthanc}/studies?expand"):
    if item["MainDicomTags"]["StudyInstanceUID"] == study:
        ask(f"{orthanc}/studies/{item['ID']}", method="DELETE")
ask(f"{orthanc}/queries/{query}/answers/0/retrieve", {"TargetAet": "ORTHANC", "Synchronous": True})
eventually("the study was moved to Orthanc",
           lambda: ask(f"{orthanc}/statistics")["CountInstances"] == int(count) + len(paths))
print("all as it should be")
