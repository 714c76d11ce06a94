# SPDX-License-Identifier: Apache-2.0
"""`adit upgrade`: the running edge becomes another program, and nobody notices."""
import json
import os
import shutil
import signal
import subprocess
import threading

import pytest

from harness import proc, reply, until
from harness.edge import program

STUB = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* An adit that is broken in one place; for the rest it is the one that is tested. */
int main(int argc, char **argv)
{
    int is_worker = strcmp(argv[0], "adit: worker") == 0;
    int is_keeper = strcmp(argv[0], "adit: keeper") == 0;
    (void)argc; (void)is_worker; (void)is_keeper;
    BROKEN
    execv(ADIT, argv);
    return 120;
}
"""

BROKEN = {
    "crashes at once": ("abort();", "crashed"),
    "is another program": ("return 0;", "did not answer"),
    "says nothing": ('if (!is_worker && !is_keeper && strcmp(argv[1], "trial") == 0) '
                     '{ write(2, "liberty.so is missing\\n", 22); return 1; }', "liberty.so"),
    "its keeper dies": ("if (is_keeper) abort();", "keeper died"),
    "its worker dies": ("if (is_worker) abort();", "worker died"),
    "its worker ends": ("if (is_worker) return 1;", "worker died"),
}


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """Builds an adit that is broken in a way."""
    def build(broken):
        folder = tmp_path_factory.mktemp("stub")
        os.chmod(folder, 0o755)
        source, out = folder / "stub.c", folder / "adit"
        source.write_text(STUB.replace("BROKEN", broken).replace("ADIT", f'"{program()}"'))
        subprocess.run([os.environ.get("CC", "cc"), "-w", "-o", out, source], check=True)
        os.chmod(out, 0o755)
        return str(out)
    return build


@pytest.fixture
def other(tmp_path):
    """The same program at another place."""
    path = str(tmp_path / "adit")
    shutil.copy(program(), path)
    os.chmod(path, 0o755)
    return path


def upgrade(way, *args):
    done = way.command("upgrade", *args)
    assert done.returncode == 0, f"upgrade: {done.returncode}\n{done.stderr}\n{way.log[-3000:]}"
    return done


def test_the_edge_becomes_another_program(edge, origin, other):
    way = edge(proxy=origin())
    assert way.get().status == 200
    before = way.status()
    upgrade(way, other)
    after = way.status()
    assert after["supervisor"] == before["supervisor"], "its pid stays"
    assert after["worker"]["pid"] != before["worker"]["pid"]
    assert after["keeper"]["pid"] != before["keeper"]["pid"]
    assert (after["program"], after["upgrades"]) == (other, 1)
    assert after["configuration"]["generation"] == before["configuration"]["generation"] + 1
    assert way.get().status == 200
    until(lambda: not way.status()["old_workers"], "the end of the old worker")
    assert way.status()["counters"]["requests"] == 2, "the counters go on"
    assert len(way.addresses) == 1, "nothing new is listened to"


def test_by_a_signal_it_is_what_is_now_at_its_path(edge, origin):
    way = edge(proxy=origin())
    old = way.worker_pid
    way.signal(signal.SIGUSR2)
    until(lambda: way.worker_pid != old, "another worker")
    assert way.get().status == 200
    assert way.status()["program"] == program()


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_program_changes_nothing(edge, origin, stub, how):
    broken, says = BROKEN[how]
    way = edge(proxy=origin())
    before = way.status()
    with way.client() as client:
        assert client.get().status == 200
        done = way.command("upgrade", stub(broken))
        assert done.returncode == 1
        assert says in done.stderr, done.stderr
        way.wait_log(f"upgrade (refused|failed): .*{says}")
        assert client.get().status == 200, "a kept connection goes on"
    after = way.status()
    assert after["worker"] == before["worker"], "the worker never stopped"
    assert (after["program"], after["upgrades"]) == (before["program"], 0)
    way.forgive()
    way.reload(proxy=origin(lambda request: reply(200, b"reloaded")))
    assert way.get().body == b"reloaded"
    upgrade(way)
    assert way.get().body == b"reloaded"


REFUSED = {
    "a text": (b"sites: {}\n", 0o755, "not a program"),
    "not executable": (b"\x7fELF", 0o644, "not a program"),
    "nothing in it": (b"", 0o755, "not a program"),
    "half a program": (b"\x7fELF\2\1\1", 0o755, "not a program"),
    "others can write": (b"\x7fELF", 0o777, "others"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_program_is_refused(edge, origin, tmp_path, what):
    content, mode, says = REFUSED[what]
    path = tmp_path / "adit"
    path.write_bytes(content)
    os.chmod(path, mode)
    way = edge(proxy=origin())
    keeper = way.status()["keeper"]["pid"]
    done = way.command("upgrade", path)
    assert done.returncode == 1
    assert says in done.stderr
    assert way.status()["keeper"]["pid"] == keeper, "it was not even disturbed"
    missing = way.command("upgrade", tmp_path / "missing")
    assert missing.returncode == 1
    assert "No such file" in missing.stderr
