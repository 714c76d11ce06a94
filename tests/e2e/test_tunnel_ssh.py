# SPDX-License-Identifier: Apache-2.0
"""OpenSSH on a public port: by a plain stream of the edge, and by `adit tcp` (issue 5)."""
import os
import subprocess

import pytest

from harness.apps import MIB, Sshd, blob
from harness.ports import free_port
from harness.tunnel import create_token, zone

ROADS = {"proxy": (False, 1), "tunnel": (False, 1), "tunnel-tls": (True, 1), "tunnel-tls-2": (True, 2)}


@pytest.fixture
def sshd(tmp_path):
    app = Sshd(tmp_path)
    yield app
    app.stop()


@pytest.fixture(params=ROADS)
def public(request, edge, pki, sshd):
    """Host and port at which visitors find it."""
    tls, workers = ROADS[request.param]
    port = free_port()
    if request.param == "proxy":
        edge({"listen": "127.0.0.1:0", "streams": [{"listen": f"127.0.0.1:{port}",
                                                    "proxy": [f"127.0.0.1:{sshd.port}"]}]},
             listeners=2)
        return "127.0.0.1", port
    agent = request.getfixturevalue("agent")
    way = edge(**zone(pki.zone if tls else None, workers, tunnels={"ports": str(port)}))
    token = create_token(way, "--ports", str(port))
    it = agent(way, f"tcp {sshd.target}", token=token)
    assert it.url.startswith("tcp://") and it.public_at[1] == port
    return "127.0.0.1", port


def test_a_command_and_its_exit_status(sshd, public):
    done = sshd.ssh(public, "read line; echo said $line; echo wrong >&2; exit 7", input=b"hello\n")
    assert (done.stdout, done.stderr, done.returncode) == (b"said hello\n", b"wrong\n", 7)


def test_bytes_both_ways_and_half_a_close(sshd, public):
    """The end of the visitor's input is seen by the command, whose output still comes."""
    data = b"".join(blob(3 * MIB))
    done = sshd.ssh(public, "cat", input=data)
    assert done.returncode == 0 and done.stdout == data


def test_a_copy_of_twenty_megabytes(sshd, public, tmp_path):
    there, back = tmp_path / "there", tmp_path / "back"
    source = tmp_path / "source"
    source.write_bytes(b"".join(blob(20 * MIB)))
    for one, other in ((source, f"{public[0]}:{there}"), (f"{public[0]}:{there}", back)):
        done = sshd.scp(public[1], one, other)
        assert done.returncode == 0, done.stderr
    assert back.read_bytes() == source.read_bytes()


def test_ten_sessions_at_once(sshd, public):
    running = [subprocess.Popen(["ssh", *sshd.options("-p", public[1]), public[0], "cat"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(10)]
    words = [os.urandom(16).hex().encode() for _ in running]
    for one, word in zip(running, words):
        one.stdin.write(word + b"\n")
        one.stdin.flush()
    for one, word in zip(running, words):
        assert one.stdout.readline() == word + b"\n"
    for one, word in zip(running, words):
        assert one.communicate(timeout=30)[0] == b"" and one.returncode == 0
