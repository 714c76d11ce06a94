# SPDX-License-Identifier: Apache-2.0
"""tools/tally.py: what counts as passed and failed, so that no breakage is lost in the sum."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TALLY = Path(__file__).parents[2] / "tools/tally.py"


@pytest.fixture
def tally(tmp_path):
    """tally({report: text}, status=0) gives (exit status, lines printed) for one step."""

    def add_up(reports, status=0):
        step = tmp_path / "01"
        step.mkdir()
        (step / "name").write_text("the step\n")
        (step / "status").write_text(f"{status}\n")
        for name, text in reports.items():
            (step / name).write_text(text)
        done = subprocess.run([sys.executable, TALLY, tmp_path], capture_output=True, text=True)
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()

    return add_up


def meson(name, result, stdout):
    return json.dumps({"name": name, "result": result, "stdout": stdout}) + "\n"


def test_tap_cases_are_counted_one_by_one(tally):
    log = meson("a", "OK", "1..3\nok 1 - x\nok 2 - y\nok 3 - z # SKIP no\n")
    log += meson("b", "FAIL", "1..2\nok 1 - x\nnot ok 2 - y\n")
    assert tally({"testlog.json": log}, 1) == (1, ["failed: b: y", "3 passed, 1 failed"])


def test_a_program_that_died_after_its_cases_is_a_failure(tally):
    log = meson("a", "ERROR", "1..1\nok 1 - x\n")
    assert tally({"testlog.json": log}, 1) == (1, ["failed: a: error", "1 passed, 1 failed"])


def test_a_program_without_output_is_a_failure(tally):
    line = json.dumps({"name": "a", "result": "TIMEOUT"})
    assert tally({"testlog.json": line}, 1) == (1, ["failed: a: timeout", "0 passed, 1 failed"])


def test_junit(tally):
    report = """<testsuites><testsuite>
        <testcase classname="m" name="good"/>
        <testcase classname="m" name="bad"><failure/></testcase>
        <testcase classname="m" name="broken"><error/></testcase>
        <testcase classname="m" name="left"><skipped/></testcase>
        </testsuite></testsuites>"""
    assert tally({"e2e.xml": report}, 1) == (
        1, ["failed: m::bad", "failed: m::broken", "1 passed, 2 failed"])


def test_lines(tally):
    assert tally({"a.tsv": "ok\tx\nskip\ty\n"}) == (0, ["1 passed, 0 failed"])


def test_a_step_that_broke_before_it_could_count_is_a_failure(tally):
    assert tally({}, 2) == (1, ["failed: the step: exit status 2", "0 passed, 1 failed"])
