# SPDX-License-Identifier: Apache-2.0
"""What /proc says about a process: memory, descriptors, CPU time, privileges."""
import os

TICK = os.sysconf("SC_CLK_TCK")


def status(pid):
    """/proc/PID/status as a dict; empty when the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="latin-1") as file:
            return {k: v.strip() for k, _, v in (line.partition(":") for line in file)}
    except (FileNotFoundError, ProcessLookupError):
        return {}


def stat(pid):
    """The fields of /proc/PID/stat after the name: [0] state, [1] parent, [3] session."""
    try:
        with open(f"/proc/{pid}/stat", encoding="latin-1") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pid):
    fields = stat(pid)  # once: it may be gone at the next look
    return bool(fields) and fields[0] not in "ZX"


def rss(pid):
    """Bytes of physical memory in use."""
    return int(status(pid)["VmRSS"].split()[0]) * 1024


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid):
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / TICK


def in_session(session):
    """Living processes of a session, which a group of daemons cannot leave by dying parents."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat(int(name))
            if fields and fields[0] not in "ZX" and int(fields[3]) == session:
                found.append(int(name))
    return found


def descendants(pid):
    """Living children, their children and so on, oldest first."""
    parents = {int(n): int(f[1]) for n in os.listdir("/proc") if n.isdigit()
               for f in [stat(int(n))] if f and f[0] not in "ZX"}
    found = [pid]
    for one in found:
        found += sorted(p for p, parent in parents.items() if parent == one)
    return found[1:]
