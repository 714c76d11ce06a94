# SPDX-License-Identifier: Apache-2.0
"""Who includes whom: layers, cycles, the order of includes, libraries behind one folder."""

from pathlib import PurePath


def layers(tree):
    """Every include goes to a lower level or stays in its folder (tools/layers.toml)."""
    levels = tree.layers["levels"]
    for path, file in tree.source.items():
        folder = tree.folder(path)
        if folder not in levels:
            yield path, 1, f"folder '{folder}' is not in tools/layers.toml"
            continue
        for include in file.includes:
            if not include.system:
                problem = judge(tree, levels, folder, include.path)
                if problem:
                    yield path, include.line, problem


def judge(tree, levels, folder, target):
    other = target.split("/")[0]
    if other not in levels or "/" not in target:
        return f'"{target}" does not name a folder of src/; write "{folder}/{target}"'
    if f"src/{target}" not in tree.source:
        return f'"{target}" is not in the tree'
    if other == folder:
        return None
    if target.endswith("_int.h"):
        return f'"{target}" is private to src/{other}'
    if levels[other] >= levels[folder]:
        return f"{folder} (level {levels[folder]}) may not include {other} (level {levels[other]})"
    return None


def libraries(tree):
    """A library's header is included only where tools/layers.toml puts it."""
    owners = tree.layers["libraries"]
    for path, file in tree.source.items():
        for include in file.includes:
            for header, folders in owners.items():
                named = include.path == header or (
                    header.endswith("/") and include.path.startswith(header))
                if include.system and named and tree.folder(path) not in folders:
                    yield path, include.line, f"<{include.path}> belongs to {', '.join(folders)}"


def cycles(tree):
    """No header includes itself, however far round."""
    graph = {
        path: [f"src/{i.path}" for i in file.includes if not i.system]
        for path, file in tree.source.items()
    }
    done, trail = set(), []

    def walk(path):
        if path in trail:
            return trail[trail.index(path) :] + [path]
        if path in done or path not in graph:
            return None
        trail.append(path)
        for target in graph[path]:
            cycle = walk(target)
            if cycle:
                return cycle
        trail.pop()
        done.add(path)
        return None

    for path in graph:
        cycle = walk(path)
        if cycle:
            yield cycle[0], 1, "include cycle: " + " -> ".join(cycle)
            return


def include_order(tree):
    """Own header, system headers, lower levels, same folder."""
    for path, file in tree.source.items():
        own = PurePath(path).with_suffix(".h").relative_to("src").as_posix()
        folder = tree.folder(path)
        last = -1
        for include in file.includes:
            rank = include_rank(include, own, folder, last)
            if rank < last:
                yield path, include.line, (
                    f"include of {include.path} comes late; the order is own header, system, "
                    "lower levels, same folder")
                break
            last = rank


def include_rank(include, own, folder, last):
    if include.system:
        return 1
    if include.path == own or (last < 0 and include.path == own.removesuffix(".h") + "_int.h"):
        return 0
    return 3 if include.path.startswith(f"{folder}/") else 2


CHECKS = [layers, libraries, cycles, include_order]
