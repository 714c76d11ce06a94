# SPDX-License-Identifier: Apache-2.0
"""The tree as the checks see it: its files, their C text without comments and strings, functions.

The C reader is a scanner, not a parser. It knows brackets, words and preprocessor lines, which is all
that the checks ask for, and it relies on the layout that clang-format gives every file.
"""

import bisect
import re
import subprocess
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.MULTILINE)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.MULTILINE)
ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\)")
BRANCH = re.compile(r"\b(?:if|for|while|switch)\b|&&|\|\||\?")
BLOCK_WORD = re.compile(r"\b(?:else|do)\s*$")
LABEL = re.compile(r"^[ \t]*(?!default\b)[A-Za-z_]\w*:(?!:)", re.MULTILINE)
NOT_FUNCTIONS = {"if", "for", "while", "switch", "return", "sizeof", "_Static_assert"}


def blank(text):
    """Spaces in place of the text, so that offsets and line numbers stay."""
    return "".join("\n" if c == "\n" else " " for c in text)


@dataclass
class Include:
    line: int
    system: bool
    path: str


@dataclass
class Function:
    name: str
    line: int
    lines: int
    complexity: int
    nesting: int
    parameters: int
    labels: int
    first: int  # offsets of the body in the stripped text
    last: int


class CFile:
    def __init__(self, root, path):
        self.path = path
        self.text = (root / path).read_text()

    @cached_property
    def uncommented(self):
        return TOKEN.sub(lambda m: blank(m[0]) if m[0][0] == "/" else m[0], self.text)

    @cached_property
    def stripped(self):
        """Without comments, strings, preprocessor lines and attributes."""
        text = TOKEN.sub(lambda m: blank(m[0]), self.text)
        text = DIRECTIVE.sub(lambda m: blank(m[0]), text)
        return ATTRIBUTE.sub(lambda m: blank(m[0]), text)

    @cached_property
    def line_starts(self):
        return [0] + [m.end() for m in re.finditer("\n", self.text)]

    def line_of(self, offset):
        return bisect.bisect_right(self.line_starts, offset)

    @cached_property
    def lines(self):
        return self.text.splitlines()

    @cached_property
    def includes(self):
        return [
            Include(self.line_of(m.start()), m[1] == "<", m[2])
            for m in INCLUDE.finditer(self.uncommented)
        ]

    @cached_property
    def functions(self):
        return list(find_functions(self))


def matching(text, start, step, open_, close):
    """The offset of the bracket that matches the one at `start`, walking in direction `step`."""
    depth = 0
    at = start
    while 0 <= at < len(text):
        if text[at] == open_:
            depth += 1
        elif text[at] == close:
            depth -= 1
            if depth == 0:
                return at
        at += step
    return at


def find_functions(file):
    text = file.stripped
    at = text.find("{")
    while at >= 0:
        end = matching(text, at, 1, "{", "}")
        before = text[:at].rstrip()
        if before.endswith(")"):
            function = read_function(file, text, len(before) - 1, at, end)
            if function:
                yield function
        at = text.find("{", end + 1)


def read_function(file, text, close, body, end):
    open_ = matching(text, close, -1, ")", "(")
    name = re.search(r"(\w+)\s*$", text[:open_])
    if name is None or name[1] in NOT_FUNCTIONS:
        return None
    inside = text[body : end + 1]
    first, last = file.line_of(name.start(1)), file.line_of(end)
    return Function(
        name=name[1],
        line=first,
        lines=last - first + 1,
        complexity=1 + len(BRANCH.findall(inside)),
        nesting=deepest_block(inside),
        parameters=count_parameters(text[open_ + 1 : close]),
        labels=len(LABEL.findall(inside)),
        first=body,
        last=end,
    )


def count_parameters(text):
    while re.search(r"\([^()]*\)", text):
        text = re.sub(r"\([^()]*\)", "", text)
    text = text.strip()
    return 0 if text in ("", "void") else text.count(",") + 1


def deepest_block(body):
    """How deep statement blocks nest; braces of initialisers are not blocks, the function is none."""
    depth = deepest = 0
    kinds = []
    for match in re.finditer(r"[{}]", body):
        if match[0] == "}":
            depth -= kinds.pop() if kinds else 0
            continue
        before = body[: match.start()].rstrip()[-40:]
        block = before.endswith((")", ";", "{", "}", ":")) or bool(BLOCK_WORD.search(before))
        kinds.append(int(block and bool(kinds)))
        depth += kinds[-1]
        deepest = max(deepest, depth)
    return deepest


class Tree:
    def __init__(self, root):
        self.root = Path(root)
        here = self.root / "tests/lint"
        self.layers = self.read_toml(self.root / "tools/layers.toml")
        self.rules = self.read_toml(here / "rules.toml")
        self.allow = self.read_toml(here / "allow.toml")

    @staticmethod
    def read_toml(path):
        return tomllib.loads(path.read_text())

    @cached_property
    def paths(self):
        """Files that are committed or could be: what .gitignore names is no part of the tree."""
        if (self.root / ".git").exists():
            names = subprocess.run(
                ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z"],
                cwd=self.root, check=True, capture_output=True, text=True,
            ).stdout.split("\0")
        else:
            names = [str(p.relative_to(self.root)) for p in self.root.rglob("*")]
        return sorted(n for n in names if n and (self.root / n).is_file())

    @cached_property
    def c_files(self):
        """Every C file by its path."""
        return {p: CFile(self.root, p) for p in self.paths if p.endswith((".c", ".h"))}

    @cached_property
    def source(self):
        """The C files below src/."""
        return {p: f for p, f in self.c_files.items() if p.startswith("src/")}

    @cached_property
    def texts(self):
        """Every text file by its path."""
        found = {}
        for path in self.paths:
            data = (self.root / path).read_bytes()
            if b"\0" not in data[:8000]:
                found[path] = data.decode("utf-8", "replace")
        return found

    def folder(self, path):
        """The folder of src/ a path belongs to: src/h1/codec.c is in h1."""
        parts = Path(path).parts
        return parts[1] if len(parts) > 2 and parts[0] == "src" else None
