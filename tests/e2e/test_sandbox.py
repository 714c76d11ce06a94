# SPDX-License-Identifier: Apache-2.0
"""What the processes may still do once they run (sanitizers need a wider filter)."""
import os
import subprocess

import pytest

from harness import Client, proc, program

pytestmark = pytest.mark.release
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs to be started as root")


def inner(way):
    """Everything but the supervisor: worker and keeper."""
    return way.processes()[1:]


def test_filters_and_no_new_privileges(edge, origin):
    way = edge(proxy=origin())
    assert way.get().status == 200
    assert len(inner(way)) >= 2
    for pid in inner(way):
        status = proc.status(pid)
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"


@AS_ROOT
def test_worker_and_keeper_are_not_root(edge, origin):
    way = edge(proxy=origin())
    for pid in inner(way):
        status = proc.status(pid)
        assert "0" not in status["Uid"].split()
        assert "0" not in status["Gid"].split()
        assert "0" not in status["Groups"].split()


def test_no_capabilities(edge, origin):
    way = edge(proxy=origin())
    for pid in inner(way):
        status = proc.status(pid)
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[kind], 16) == 0, kind


@AS_ROOT
def test_a_chosen_user(edge, origin):
    way = edge(proxy=origin(), user="daemon")
    assert set(proc.status(way.worker_pid)["Uid"].split()) == {"1"}


@AS_ROOT
def test_an_unprivileged_start_works_as_well(origin, tmp_path):
    """A person without root runs it from a shell: everything works."""
    tmp_path.chmod(0o777)
    app = origin()
    config = tmp_path / "adit.yaml"
    config.write_text(f"listen: 127.0.0.1:0\ncontrol: {tmp_path}/control\naccess_log: off\n"
                      f"sites: {{default: {{proxy: '{app.at}'}}}}\n")
    process = subprocess.Popen([program(), "serve", "-c", str(config)], stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL, text=True, user="nobody")
    line = ""
    while "listening on" not in line:
        line = process.stderr.readline()
        assert line, "it ended"
    with Client(("127.0.0.1", int(line.strip().rsplit(":", 1)[1].rstrip("/")))) as client:
        assert client.get().body == b"hello"
    process.terminate()
    assert process.wait(15) == 0


def test_no_descriptors_leak_into_the_worker(edge, origin):
    """A file that the caller had open is not the worker's."""
    way = edge(proxy=origin())
    names = [os.readlink(f"/proc/{way.worker_pid}/fd/{fd}") for fd in
             os.listdir(f"/proc/{way.worker_pid}/fd")]
    assert not [n for n in names if n.endswith("adit.yaml")]
    assert len(names) < 64, names


def test_the_rss_of_an_idle_edge_is_small(edge, origin):
    way = edge(proxy=origin())
    way.get()
    assert proc.rss(way.worker_pid) < 32 << 20
