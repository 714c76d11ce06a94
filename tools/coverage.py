#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures coverage with gcovr and holds it against the gates of tools/coverage.toml.

`coverage.py BUILD --results FILE` prints the share of lines per folder and per gate, and writes one
`ok|fail<TAB>name` line per gate. BUILD/coverage.html has every line.
"""

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]


def measure(build):
    """{file: (lines covered, lines)} of everything below src/."""
    summary = build / "coverage.json"
    subprocess.run(
        ["gcovr", "--root", ROOT, "--object-directory", build, "--filter", str(ROOT / "src/"),
         "--json-summary", summary, "--html-details", build / "coverage.html",
         "--exclude-unreachable-branches", "--gcov-ignore-parse-errors"],
        cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    files = json.loads(summary.read_text())["files"]
    return {f["filename"]: (f["line_covered"], f["line_total"]) for f in files}


def share(counts):
    covered, total = (sum(column) for column in zip(*counts)) if counts else (0, 0)
    return 100.0 * covered / total if total else 100.0


def print_folders(files):
    folders = defaultdict(list)
    for path, counts in files.items():
        folders[Path(path).parts[1]].append(counts)
    for folder, counts in sorted(folders.items()):
        print(f"  {share(counts):5.1f} %  src/{folder}")


def main():
    parser = argparse.ArgumentParser(description="coverage against its gates")
    parser.add_argument("build", type=Path)
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()

    files = measure(ROOT / options.build)
    print_folders(files)
    lines = []
    for gate in tomllib.loads((ROOT / "tools/coverage.toml").read_text())["gate"]:
        reached = share([c for path, c in files.items() if re.match(gate["files"], path)])
        ok = reached >= gate["lines"]
        print(f"{'ok' if ok else 'LOW'}: {gate['name']} {reached:.1f} %, the gate is {gate['lines']} %")
        lines.append(f"{'ok' if ok else 'fail'}\tcoverage of {gate['name']}\n")
    if options.results:
        options.results.write_text("".join(lines))
    return 1 if any(line.startswith("fail") for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
