# SPDX-License-Identifier: Apache-2.0
"""What the code of a file may hold: calls, magic words, budgets, and no #if inside functions."""

import re

CALL = re.compile(r"(?<![\w.>])(\w+)\s*\(")
MAGIC = re.compile(r"\b(\w*MAGIC\w*)\s*(?:=\s*)?(?:UINT32_C\()?(0x[0-9a-fA-F]+)")
CONDITIONAL = re.compile(r"^[ \t]*#[ \t]*if", re.MULTILINE)
TYPEDEF = re.compile(r"\btypedef\s+(?:struct|union|enum)\b(?![^;{]*\()")  # of functions they may be


def banned_calls(tree):
    """No call from the lists in rules.toml, but for what allow.toml names."""
    allowed = tree.allow["banned"]
    used = set()
    for path, file in tree.source.items():
        banned = banned_in(tree, tree.folder(path))
        for match in CALL.finditer(file.stripped):
            name = match[1]
            if name not in banned or is_declaration(file.stripped, match.start()):
                continue
            if f"{path}:{name}" in allowed:
                used.add(f"{path}:{name}")
            else:
                yield path, file.line_of(match.start()), f"{name}() {banned[name]}"
    yield from stale(set(allowed) - used, "banned")


def banned_in(tree, folder):
    """The calls banned in a folder, with the reason."""
    groups = tree.rules["folders"]
    found = {}
    for rule in tree.rules["banned"]:
        exempt = rule.get("except", [])
        only = rule.get("only")
        exempt = groups[exempt] if isinstance(exempt, str) else exempt
        only = groups[only] if isinstance(only, str) else only
        if folder not in exempt and (only is None or folder in only):
            found.update({call: rule["why"] for call in rule["calls"]})
    return found


def is_declaration(text, offset):
    """A word before the name makes it a declaration: `int close(...)`, but not `return close(...)`."""
    before = re.search(r"(\w+)[ \t\n*]*$", text[max(0, offset - 60) : offset])
    if before is None:
        return False
    return before[1] not in ("return", "else", "do", "case", "sizeof") and text[offset - 1] in " *\n"


def stale(names, section):
    for name in sorted(names):
        yield "tests/lint/allow.toml", 1, f"[{section}] \"{name}\" is not needed any more: remove it"


def magic_words(tree):
    """Every magic number is used for one kind of object."""
    seen = {}
    for path, file in tree.source.items():
        for match in MAGIC.finditer(file.uncommented):
            name, value = match[1], int(match[2], 16)
            line = file.line_of(match.start())
            if value in seen and seen[value] != name:
                yield path, line, f"{name} has the same value as {seen[value]}"
            seen.setdefault(value, name)


def function_budgets(tree):
    """Functions stay within length, complexity, nesting, parameters and labels."""
    limits = tree.rules["budgets"]
    measures = {
        "function_lines": "lines", "complexity": "complexity", "nesting": "nesting",
        "parameters": "parameters", "labels": "labels",
    }
    for budget, attribute in measures.items():
        sizes = {
            f"{path}:{f.name}": (getattr(f, attribute), f.line)
            for path, file in tree.source.items()
            for f in file.functions
        }
        yield from over_budget(tree, budget, limits[budget], sizes)


def file_budgets(tree):
    """Files stay within their length."""
    sizes = {path: (len(file.lines), 1) for path, file in tree.source.items()}
    yield from over_budget(tree, "file_lines", tree.rules["budgets"]["file_lines"], sizes)


def over_budget(tree, budget, limit, sizes):
    allowed = tree.allow[budget]
    for name, (size, line) in sizes.items():
        if size > max(limit, allowed.get(name, 0)):
            path, _, function = name.partition(":")
            what = f"{function}: " if function else ""
            yield path, line, f"{what}{budget} {size} is over {max(limit, allowed.get(name, 0))}"
    for name, figure in allowed.items():
        size = sizes.get(name, (0, 0))[0]
        if size <= limit:
            yield from stale([name], budget)
        elif size < figure:
            yield "tests/lint/allow.toml", 1, f"[{budget}] \"{name}\" has shrunk to {size}: write that"


def conditionals(tree):
    """No #if inside a function: a variant is a function of its own."""
    for path, file in tree.source.items():
        for function in file.functions:
            inside = file.uncommented[function.first : function.last]
            match = CONDITIONAL.search(inside)
            if match:
                line = file.line_of(function.first + match.start())
                yield path, line, f"#if inside {function.name}"


def typedefs(tree):
    """Structs, unions and enums go by their own names."""
    for path, file in tree.source.items():
        for match in TYPEDEF.finditer(file.stripped):
            yield path, file.line_of(match.start()), "typedef of a struct, union or enum"


CHECKS = [
    banned_calls, magic_words, function_budgets, file_budgets, conditionals, typedefs,
]
