#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The lint of adit: rules a compiler does not know, each a small function in checks_*.py.

`lint.py [--results FILE] [CHECK...]` runs all checks, or those named, over the tree it stands in and
prints `file:line: check: what is wrong`. Exit status 1 when anything was found. Figures and lists are
in rules.toml, exceptions in allow.toml, layers in tools/layers.toml.
"""

import argparse
import sys
from pathlib import Path

import checks_code
import checks_files
import checks_layers
import checks_tools
from tree import Tree

CHECKS = checks_layers.CHECKS + checks_code.CHECKS + checks_files.CHECKS + checks_tools.CHECKS


def run(tree, checks):
    """What each check found: {name: [(path, line, text), ...]}."""
    return {check.__name__: list(check(tree)) for check in checks}


def main():
    parser = argparse.ArgumentParser(description="checks the tree of adit")
    parser.add_argument("--results", type=Path, help="also write `ok|fail<TAB>check` lines here")
    parser.add_argument("checks", nargs="*", metavar="CHECK",
                        help="one of: " + " ".join(c.__name__ for c in CHECKS))
    options = parser.parse_args()
    chosen = [c for c in CHECKS if not options.checks or c.__name__ in options.checks]

    found = run(Tree(Path(__file__).parents[2]), chosen)
    for name, problems in found.items():
        for path, line, text in problems:
            print(f"{path}:{line}: {name}: {text}")
    if options.results:
        options.results.write_text("".join(
            f"{'fail' if problems else 'ok'}\tlint {name}\n" for name, problems in found.items()))
    broken = sum(1 for problems in found.values() if problems)
    print(f"lint: {len(found) - broken} checks passed, {broken} failed")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
