# SPDX-License-Identifier: Apache-2.0
"""What every file owes: licence line, head, clean text, a place in the build and in the tests."""

import re
from pathlib import PurePath

SPDX = "SPDX-License-Identifier: Apache-2.0"
# The norm is 5 to 15 lines; a file whose header tells the story says so in one.
HEAD_LINES_MIN = 1
# Written so that these lines do not find themselves.
MACHINE_PATH = re.compile(
    r"/(?:wor[k]|far[m])/|/tmp/(?:bas[h]_jobs|adi[t]/|w[t]/)|/roo[t]/|/hom[e]/(?!USER)\w+/")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
FILES_CALL = re.compile(r"'([\w./-]+\.c)'")


def wants_spdx(path):
    name = PurePath(path).name
    return path.endswith((".c", ".h", ".py", ".sh")) or name in (
        "meson.build", "meson_options.txt", "dev")


def licence_line(tree):
    """Every source file names its licence in its first lines."""
    for path, text in tree.texts.items():
        if wants_spdx(path) and text and SPDX not in "\n".join(text.splitlines()[:3]):
            yield path, 1, f"no line '{SPDX}' at the top"


def file_head(tree):
    """Every C file begins by saying what it is for, and every header with #pragma once after that."""
    for path, file in tree.c_files.items():
        head = 0
        for line in file.lines:
            if not line.startswith("//"):
                break
            head += len(line.strip("/ ")) > 0 and SPDX not in line
        if head < HEAD_LINES_MIN:
            yield path, 1, "the head comment (5 to 15 lines: what for, what not, states, threads) is missing"
        if path.endswith(".h") and "#pragma once" not in file.uncommented:
            yield path, 1, "no #pragma once"


def clean_text(tree):
    """No trailing blanks, tabs in C or missing last newline."""
    for path, text in tree.texts.items():
        if path.startswith("tests/fuzz/seeds/") or path == "LICENSE":
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if line.endswith((" ", "\t", "\r")):
                yield path, number, "trailing blank"
            elif "\t" in line and path.endswith((".c", ".h", ".py")):
                yield path, number, "tab"
        if text and not text.endswith("\n"):
            yield path, text.count("\n") + 1, "no newline at the end"


def machine_paths(tree):
    """No committed file speaks of the machine it was written on."""
    for path, text in tree.texts.items():
        for number, line in enumerate(text.split("\n"), 1):
            match = MACHINE_PATH.search(line)
            if match:
                yield path, number, f"a path of one machine: {match[0]}"


def built(tree):
    """Every C file below src/ and tests/ is named in the meson.build of its folder."""
    named = {}
    for path, text in tree.texts.items():
        if PurePath(path).name == "meson.build":
            folder = PurePath(path).parent
            named.update({(folder / m).as_posix(): path for m in FILES_CALL.findall(text)})
    for path in tree.c_files:
        if path.endswith(".c") and path.startswith(("src/", "tests/")) and path not in named:
            yield path, 1, "is not built: no meson.build names it"


def unit_tests(tree):
    """Every source file has a unit test of its name; check_test.c serves check_text.c as well."""
    allowed = tree.allow["untested"]
    for path in tree.source:
        if path.endswith(".c") and not has_test(tree, path) and path not in allowed:
            yield path, 1, f"has no {test_paths(path)[0]}"
    for path in allowed:
        if path not in tree.source or has_test(tree, path):
            yield "tests/lint/allow.toml", 1, f"[untested] \"{path}\" is not needed any more: remove it"


def has_test(tree, path):
    return any(test in tree.c_files for test in test_paths(path))


def test_paths(path):
    """src/conf/check_text.c: tests/unit/conf/check_text_test.c, tests/unit/conf/check_test.c."""
    stem = "tests/unit/" + path.removeprefix("src/").removesuffix(".c")
    folder, _, name = stem.rpartition("/")
    words = name.split("_")
    return [f"{folder}/{'_'.join(words[:n])}_test.c" for n in range(len(words), 0, -1)]


def links(tree):
    """Links between pages of the tree lead somewhere."""
    for path, text in tree.texts.items():
        if not path.endswith(".md"):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            for target in LINK.findall(line):
                if ":" not in target and not (tree.root / path).parent.joinpath(target).exists():
                    yield path, number, f"link to {target}, which is not there"


def folders_listed(tree):
    """Every folder of src/ stands in tools/layers.toml and on the map of docs/design."""
    design = tree.texts.get("docs/design/README.md", "")
    for folder in tree.layers["levels"]:
        if f"`src/{folder}`" not in design:
            yield "docs/design/README.md", 1, f"the map does not name `src/{folder}`"


CHECKS = [
    licence_line, file_head, clean_text, machine_paths, built, unit_tests, links, folders_listed,
]
