# SPDX-License-Identifier: Apache-2.0
"""Checks that ask another program: the compiler (does each header stand alone?) and clang-format."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

GROUP = 8  # files handed to clang-format at once


def in_parallel(work, items):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(work, items)


def headers_alone(tree):
    """Each header compiles by itself: what includes it need not know what it needs."""
    headers = [p for p in tree.source if p.endswith(".h")]

    def compile_alone(path):
        command = ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-DADIT_VERSION=\"lint\"", "-Isrc",
                   "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c", "-"]
        text = f'#include "{path.removeprefix("src/")}"\n'
        done = subprocess.run(command, cwd=tree.root, input=text, capture_output=True, text=True)
        return path, done

    for path, done in in_parallel(compile_alone, headers):
        if done.returncode != 0:
            yield path, 1, "does not compile alone:\n" + done.stderr.strip()


def layout(tree):
    """clang-format 14 would change nothing (`./dev fmt`)."""
    paths = list(tree.c_files)
    groups = [paths[i : i + GROUP] for i in range(0, len(paths), GROUP)]

    def check(group):
        return subprocess.run(["clang-format", "--dry-run", *group], cwd=tree.root,
                              capture_output=True, text=True).stderr

    seen = set()
    for stderr in in_parallel(check, groups):
        for line in stderr.splitlines():
            parts = line.split(":")
            if "warning" in line and len(parts) > 3 and parts[0] not in seen:
                seen.add(parts[0])
                yield parts[0], int(parts[1]), "is not laid out as ./dev fmt does it"


CHECKS = [headers_alone, layout]
