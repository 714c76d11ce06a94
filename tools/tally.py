#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up the results that the steps of a suite left behind.

`tally.py DIRECTORY` reads one folder per step: `name`, `status` and any number of reports, which are
Meson's testlog.json (with TAP inside), pytest's JUnit XML, or our own lines `ok|fail|skip<TAB>name`.
Prints what failed and, last, `N passed, N failed`. A step that failed without a failed test in its
reports (a build that broke, a program that was killed) counts as one failure of its own.
"""

import json
import re
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

NAME_MAX = 160  # a parameter of a test can be a page long
TAP_LINE = re.compile(r"^(ok|not ok)\b\s*\d*\s*-?\s*(.*)$")


class Results:
    def __init__(self):
        self.passed = 0
        self.failed = []

    def add(self, name, ok):
        if ok:
            self.passed += 1
        else:
            self.failed.append(name if len(name) <= NAME_MAX else name[:NAME_MAX] + "...")


def read_tap(test, results):
    """The subtests of one program; a program that died after they passed is a failure too."""
    failed_before = len(results.failed)
    for line in (test.get("stdout") or "").splitlines():
        match = TAP_LINE.match(line)
        if match and "# SKIP" not in line.upper():
            results.add(f"{test['name']}: {match[2]}", match[1] == "ok")
    if test["result"] not in ("OK", "SKIP") and len(results.failed) == failed_before:
        results.add(f"{test['name']}: {test['result'].lower()}", False)


def read_meson(path, results):
    for line in path.read_text().splitlines():
        read_tap(json.loads(line), results)


def read_junit(path, results):
    for case in xml.parse(path).iter("testcase"):
        if case.find("skipped") is None:
            broken = case.find("failure") is not None or case.find("error") is not None
            results.add(f"{case.get('classname')}::{case.get('name')}", not broken)


def read_lines(path, results):
    for line in path.read_text().splitlines():
        word, name = line.split("\t", 1)
        if word != "skip":
            results.add(name, word == "ok")


READERS = {".json": read_meson, ".xml": read_junit, ".tsv": read_lines}


def read_step(folder, results):
    failed_before = len(results.failed)
    for path in sorted(folder.iterdir()):
        reader = READERS.get(path.suffix)
        if reader:
            reader(path, results)
    status = (folder / "status").read_text().strip()
    if status != "0" and len(results.failed) == failed_before:
        name = (folder / "name").read_text().strip()
        results.add(f"{name}: exit status {status}", False)


def main():
    results = Results()
    for folder in sorted(Path(sys.argv[1]).iterdir()):
        read_step(folder, results)
    for name in results.failed:
        print(f"failed: {name}")
    print(f"{results.passed} passed, {len(results.failed)} failed")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
