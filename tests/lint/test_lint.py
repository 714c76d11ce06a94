# SPDX-License-Identifier: Apache-2.0
"""The lint's own tests: each rule is given a small tree that breaks it, and one that does not."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import checks_code  # noqa: E402
import checks_files  # noqa: E402
import checks_layers  # noqa: E402
import checks_tools  # noqa: E402
from tree import Tree  # noqa: E402

REAL = Path(__file__).parents[2]
HEAD = "// SPDX-License-Identifier: Apache-2.0\n//\n// One line.\n// Another line.\n"


@pytest.fixture
def found(tmp_path):
    """found(check, {path: text}) lists what the check says of a tree with these files."""

    def look(check, files, allow=""):
        empty = "\n".join(
            f"[{section}]" for section in
            ("function_lines", "complexity", "nesting", "parameters", "labels", "file_lines",
             "banned", "untested") if f"[{section}]" not in allow)
        kept = {
            "tools/layers.toml": (REAL / "tools/layers.toml").read_text(),
            "tests/lint/rules.toml": (REAL / "tests/lint/rules.toml").read_text(),
            "tests/lint/allow.toml": empty + "\n" + allow,
        }
        for path, text in {**kept, **files}.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return [f"{path}:{line}: {text}" for path, line, text in check(Tree(tmp_path))]

    return look


def one(problems, *words):
    """There is exactly one problem and it holds these words."""
    assert len(problems) == 1, problems
    for word in words:
        assert word in problems[0]


# ---- layers ------------------------------------------------------------------------------------


def test_a_higher_level_may_include_a_lower_one(found):
    files = {"src/h1/codec.c": '#include "base/slice.h"\n', "src/base/slice.h": ""}
    assert found(checks_layers.layers, files) == []


def test_a_lower_level_may_not_include_a_higher_one(found):
    files = {"src/base/slice.c": '\n#include "h1/codec.h"\n', "src/h1/codec.h": ""}
    one(found(checks_layers.layers, files), "src/base/slice.c:2:", "level 0", "level 4")


def test_same_level_never_includes_each_other(found):
    files = {"src/net/listen.c": '#include "http/head.h"\n', "src/http/head.h": ""}
    one(found(checks_layers.layers, files), "net (level 3) may not include http (level 3)")


def test_unknown_folder_and_missing_folder(found):
    one(found(checks_layers.layers, {"src/misc/a.c": ""}), "'misc' is not in tools/layers.toml")


def test_include_without_folder(found):
    one(found(checks_layers.layers, {"src/base/a.c": '#include "slice.h"\n'}), "base/slice.h")


def test_private_header_of_another_folder(found):
    files = {"src/h1/a.c": '#include "base/slab_int.h"\n', "src/base/slab_int.h": ""}
    one(found(checks_layers.layers, files), "private to src/base")


def test_commented_include_does_not_count(found):
    assert found(checks_layers.layers, {"src/base/a.c": '// #include "h1/codec.h"\n'}) == []


def test_library_outside_its_folder(found):
    one(found(checks_layers.libraries, {"src/h1/a.c": "#include <libfyaml.h>\n"}), "belongs to conf")
    assert found(checks_layers.libraries, {"src/h1/a.c": "#include <string.h>\n"}) == []


def test_cycle(found):
    files = {
        "src/base/a.h": '#include "base/b.h"\n',
        "src/base/b.h": '#include "base/c.h"\n',
        "src/base/c.h": '#include "base/a.h"\n',
    }
    one(found(checks_layers.cycles, files), "include cycle", "src/base/a.h -> src/base/b.h")


def test_include_order(found):
    good = '#include "h1/a.h"\n#include <stdio.h>\n#include "base/b.h"\n#include "h1/c.h"\n'
    assert found(checks_layers.include_order, {"src/h1/a.c": good}) == []
    inner = '#include "h1/a.h"\n#include <stdio.h>\n#include "h1/a_int.h"\n'
    assert found(checks_layers.include_order, {"src/h1/a.c": inner}) == []
    first = '#include "h1/a_int.h"\n#include "base/b.h"\n'
    assert found(checks_layers.include_order, {"src/h1/a.c": first}) == []
    bad = '#include "base/b.h"\n#include <stdio.h>\n'
    one(found(checks_layers.include_order, {"src/h1/a.c": bad}), "src/h1/a.c:2:")


# ---- code --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path, call", [
    ("src/cli/a.c", "strcpy(a, b)"),
    ("src/base/a.c", "return atoi(a)"),
    ("src/h1/a.c", "char *a = malloc(1)"),
    ("src/proxy/a.c", "clock_gettime(CLOCK_MONOTONIC, &t)"),
    ("src/upstream/a.c", "ssize_t n = read(fd, b, 1)"),
    ("src/headers/a.c", "x = (int)write(fd, b, 1)"),
])
def test_banned_call(found, path, call):
    one(found(checks_code.banned_calls, {path: f"void f(void)\n{{\n    {call};\n}}\n"}), f"{path}:3:")


@pytest.mark.parametrize("path, code", [
    ("src/base/a.c", "char *a = malloc(1);"),
    ("src/os/a.c", "ssize_t n = read(fd, b, 1);"),
    ("src/h1/a.c", "sys->read(fd); s.write(fd); my_read(fd); // read(fd)"),
    ("src/h1/a.c", 'log("read(fd)");'),
])
def test_call_that_is_allowed(found, path, code):
    assert found(checks_code.banned_calls, {path: f"void f(void)\n{{\n    {code}\n}}\n"}) == []


def test_banned_call_in_the_allow_list(found):
    code = "void f(void)\n{\n    malloc(1);\n}\n"
    allow = '[banned]\n"src/h1/a.c:malloc" = "because"\n'
    assert found(checks_code.banned_calls, {"src/h1/a.c": code}, allow) == []
    one(found(checks_code.banned_calls, {"src/h1/a.c": ""}, allow), "not needed any more")


def test_magic_words_are_unique(found):
    files = {"src/base/a.h": "#define A_MAGIC 0xabcd1234u\n", "src/h1/b.h": "#define B_MAGIC 0xABCD1234\n"}
    one(found(checks_code.magic_words, files), "B_MAGIC", "A_MAGIC")
    files["src/h1/b.h"] = "#define B_MAGIC 0x1\n"
    assert found(checks_code.magic_words, files) == []


def function(body, parameters="void"):
    return f"int f({parameters})\n{{\n{body}\n}}\n"


def over(found, body, parameters="void", allow=""):
    files = {"src/h1/a.c": function(body, parameters)}
    return found(checks_code.function_budgets, files, allow)


def test_function_length(found):
    assert over(found, "\n" * 90) == []
    one(over(found, "\n" * 100), "function_lines", "f:")


def test_complexity_counts_a_switch_once(found):
    assert over(found, "switch (a) {\n" + "case 1: b();\n" * 40 + "}") == []
    one(over(found, "c = a && b;\n" * 25), "complexity 26")


def test_nesting_is_of_blocks_not_of_initialisers(found):
    deep = "if (a) {\n" * 4 + "}\n" * 4
    assert over(found, deep) == []
    assert over(found, "int a[] = {{{{{1}}}}};") == []
    one(over(found, "for (;;) {\n" + deep + "}"), "nesting 5")


def test_parameters(found):
    six = "int a, int b, int c, int d, int e, void (*g)(int, int)"
    assert over(found, "", six) == []
    one(over(found, "", six + ", int h"), "parameters 7")


def test_labels(found):
    assert over(found, "switch (a) {\ndefault:\ncase 1:\n}\nout:\n return b ? c : d;") == []
    one(over(found, "out:\nfail:\n"), "labels 2")


def test_allow_list_may_only_shrink(found):
    allow = '[function_lines]\n"src/h1/a.c:f" = 130\n'
    assert over(found, "\n" * 126, allow=allow) == []
    one(over(found, "\n" * 127, allow=allow), "is over 130")
    one(over(found, "\n" * 110, allow=allow), "has shrunk to 114")
    one(over(found, "", allow=allow), "not needed any more")


def test_file_length(found):
    one(found(checks_code.file_budgets, {"src/h1/a.c": "\n" * 1201}), "file_lines 1201")


def test_conditional_inside_a_function(found):
    one(found(checks_code.conditionals, {"src/os/a.c": function("#ifdef X\n#endif")}), "#if inside f")
    assert found(checks_code.conditionals, {"src/os/a.c": "#ifdef X\n" + function("") + "#endif\n"}) == []


def test_typedef_of_a_struct(found):
    one(found(checks_code.typedefs, {"src/os/a.h": "typedef struct a b;\n"}), "typedef")
    one(found(checks_code.typedefs, {"src/os/a.h": "typedef struct {\n    int (*f)(void);\n} b;\n"}), "typedef")
    assert found(checks_code.typedefs, {"src/os/a.h": "typedef void a_fn(struct b *);\n"}) == []
    assert found(checks_code.typedefs, {"src/os/a.h": "typedef struct b a_fn(int);\n"}) == []


# ---- files -------------------------------------------------------------------------------------


def test_licence_line(found):
    one(found(checks_files.licence_line, {"src/h1/a.c": "int a;\n"}), "SPDX")
    assert found(checks_files.licence_line, {"src/h1/a.c": HEAD}) == []


def test_file_head(found):
    one(found(checks_files.file_head, {"src/h1/a.c": HEAD.splitlines()[0]}), "head comment")
    one(found(checks_files.file_head, {"src/h1/a.c": HEAD, "src/h1/a.h": HEAD}), "pragma once")


@pytest.mark.parametrize("text, what", [
    ("a \n", "trailing blank"), ("\ta\n", "tab"), ("a", "no newline"), ("a\r\n", "trailing blank"),
])
def test_unclean_text(found, text, what):
    one(found(checks_files.clean_text, {"src/h1/a.c": text}), what)


@pytest.mark.parametrize("path", ["/wor" + "k/x", "/hom" + "e/jo/x", "/roo" + "t/x", "/tmp/w" + "t/x"])
def test_machine_path(found, path):
    one(found(checks_files.machine_paths, {"README.md": f"see {path}\n"}), "README.md:1:")


def test_file_that_is_not_built(found):
    files = {"src/h1/a.c": "", "src/h1/meson.build": "adit_src += files('b.c')\n"}
    one(found(checks_files.built, files), "no meson.build names it")
    files["src/h1/meson.build"] = "adit_src += files('a.c')\n"
    assert found(checks_files.built, files) == []


def test_source_without_unit_test(found):
    one(found(checks_files.unit_tests, {"src/h1/a.c": ""}), "tests/unit/h1/a_test.c")
    allow = '[untested]\n"src/h1/a.c" = "because"\n'
    assert found(checks_files.unit_tests, {"src/h1/a.c": ""}, allow) == []
    one(found(checks_files.unit_tests, {"src/h1/a.c": "", "tests/unit/h1/a_test.c": ""}, allow), "remove it")


def test_a_test_serves_the_parts_of_its_file(found):
    files = {"src/h1/codec_scan.c": "", "tests/unit/h1/codec_test.c": ""}
    assert found(checks_files.unit_tests, files) == []


def test_dead_link(found):
    files = {"README.md": "[a](docs/a.md) [b](https://example.com) [c](#c)\n"}
    one(found(checks_files.links, files), "docs/a.md")


# ---- programs ----------------------------------------------------------------------------------


def test_header_that_does_not_stand_alone(found):
    files = {"src/base/a.h": "size_t a(void);\n", "src/base/b.h": "#include <stddef.h>\nsize_t b(void);\n"}
    one(found(checks_tools.headers_alone, files), "src/base/a.h:1:", "size_t")


def test_layout(found):
    style = (REAL / ".clang-format").read_text()
    files = {".clang-format": style, "src/base/a.c": "int a(void){return 1;}\n", "src/base/b.c": "int b;\n"}
    one(found(checks_tools.layout, files), "src/base/a.c:1:")
