"""holds.py WEB FILE...: the archive gives back each file's data set, element for element and pixel for pixel. For files that came
by a sender which encodes anew."""
import sys

from objects import Failures, differences, read, retrieve


def check(web, path):
    with open(path, "rb") as file:
        sent = read(file.read())
    found = differences(sent, read(retrieve(web, sent)))
    assert not found, "; ".join(found[:6])


failures = Failures()
web, *paths = sys.argv[1:]
for path in paths:
    failures.case(path, check, web, path)
failures.end()
