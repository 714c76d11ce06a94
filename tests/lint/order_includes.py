#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Puts the includes of C files into the house's order (`./dev fmt` runs it).

Own header, system, lower levels, same folder: four blocks, each sorted, with a blank line between;
the last two are one when sorting keeps them apart (clang-format sorts within a block).
Only the first run of includes in a file is touched, and only when nothing else stands in it.
"""

import re
import sys
from pathlib import Path, PurePath

LINE = re.compile(r'#include ([<"])([^">]+)[">].*')


def block_of(path, system, target, first):
    """0 to 3: own header, system, lower levels, same folder."""
    own = PurePath(path).with_suffix("").relative_to("src").as_posix()
    if system:
        return 1
    if target == own + ".h" or (first and target == own + "_int.h"):
        return 0
    return 3 if target.startswith(PurePath(path).parts[1] + "/") else 2


def ordered(path, lines):
    """The lines of a run of includes, in order."""
    blocks = [[], [], [], []]
    for line in lines:
        match = LINE.fullmatch(line)
        if match:
            first = not any(blocks)
            blocks[block_of(path, match[1] == "<", match[2], first)].append(line)
    blocks = [sorted(set(block)) for block in blocks]
    if sorted(blocks[2] + blocks[3]) == blocks[2] + blocks[3]:
        blocks[2:] = [blocks[2] + blocks[3]]
    parts = ["\n".join(block) for block in blocks if block]
    return "\n\n".join(parts).split("\n")


def reorder(path, text):
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if LINE.fullmatch(line)), None)
    if start is None:
        return text
    end = start
    while end < len(lines) and (lines[end] == "" or LINE.fullmatch(lines[end])):
        end += 1
    while lines[end - 1] == "":
        end -= 1
    return "\n".join(lines[:start] + ordered(path, lines[start:end]) + lines[end:])


def main():
    for path in sys.argv[1:]:
        text = Path(path).read_text()
        new = reorder(path, text)
        if new != text:
            Path(path).write_text(new)


if __name__ == "__main__":
    main()
