# SPDX-License-Identifier: Apache-2.0
"""Under a service manager (systemd's sd_notify): when edge and agent are ready, reload, upgrade, live and
stop. And without one: when the terminal goes in which an edge was started."""
import os
import shutil
import signal
import socket
import time

import pytest

from harness import WAIT, reply, until
from harness.edge import program
from harness.terminal import Terminal
from harness.tunnel import zone


class Manager:
    """Hears what a service says."""

    def __init__(self, folder):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(folder / "notify"))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.env = {"NOTIFY_SOCKET": str(folder / "notify")}
        self.said = []  # (pid of who said it, {name: value})

    def listen(self):
        try:
            while True:
                data, control, *_ = self.sock.recvmsg(4096, 256, socket.MSG_DONTWAIT)
                pid = int.from_bytes(control[0][2][:4], "little")
                self.said.append((pid, dict(line.split("=", 1) for line in data.decode().splitlines())))
        except BlockingIOError:
            return self.said

    def wait_for(self, name, since=0):
        """The first that says it; gives its index and what it said."""
        def found():
            return next(((at, said) for at, (_, said) in enumerate(self.listen())
                         if at >= since and name in said), None)
        return until(found, f"{name}= after {self.said[since:]}")


@pytest.fixture
def manager(tmp_path):
    made = Manager(tmp_path)
    yield made
    made.sock.close()


# ---- the edge -------------------------------------------------------------------------------------


def test_ready_reload_stop(edge, origin, manager):
    way = edge(proxy=origin(), env=manager.env)
    at, said = manager.wait_for("READY")
    assert "generation 1" in said["STATUS"] and said["MAINPID"] == str(way.process.pid)
    assert way.get().status == 200
    before = time.monotonic()
    way.reload()
    at, said = manager.wait_for("RELOADING", at)
    assert 0 <= int(said["MONOTONIC_USEC"]) / 1e6 - before < WAIT
    at, said = manager.wait_for("READY", at)
    assert "generation 2" in said["STATUS"]
    way.write("sites: {}}")
    way.signal(signal.SIGHUP)
    at, _ = manager.wait_for("RELOADING", at)
    at, said = manager.wait_for("READY", at)
    assert "generation 2" in said["STATUS"]
    way.signal(signal.SIGTERM)
    _, said = manager.wait_for("STOPPING", at)
    assert int(said["EXTEND_TIMEOUT_USEC"]) >= 500_000
    way.stop()
    assert {pid for pid, _ in manager.listen()} == {way.process.pid}, "only the main process speaks"


def test_an_edge_that_does_not_start_is_not_ready(edge, manager):
    way = edge("sites: {}}", env=manager.env, listeners=0, expect_exit=3)
    assert way.wait_exit() == 3
    assert not [said for _, said in manager.listen() if "READY" in said]


@pytest.mark.parametrize("good", [True, False], ids=["taken over", "refused"])
def test_an_upgrade_keeps_the_main_process(edge, origin, manager, tmp_path, good):
    """The program that takes over, or the one that goes on, says that it serves."""
    other = str(tmp_path / "adit")
    shutil.copy(program(), other)
    os.chmod(other, 0o755)
    way = edge(proxy=origin(), env=manager.env)
    at, _ = manager.wait_for("READY")
    if not good:
        with open(other, "wb") as file:
            file.write(b"#!/bin/sh\necho no; exit 1\n")
    done = way.command("upgrade", other)
    assert (done.returncode == 0) == good, done.stderr
    at, said = manager.wait_for("RELOADING", at)
    assert said["STATUS"] == "upgrading"
    manager.wait_for("READY", at)
    assert {pid for pid, _ in manager.said} == {way.process.pid}
    assert way.get().status == 200


def test_signs_of_life(edge, agent, origin, manager):
    """More often than the manager asks for, from both."""
    for us in ("2000000", "400000"):
        way = edge(env={**manager.env, "WATCHDOG_USEC": us})
        at, _ = manager.wait_for("READY", len(manager.said))
        first, _ = manager.wait_for("WATCHDOG", at)
        manager.wait_for("WATCHDOG", first + 1)
        way.stop()
    way = edge(**zone())
    since = len(manager.listen())
    agent(way, origin().port, env={**manager.env, "WATCHDOG_USEC": "400000"})
    first, _ = manager.wait_for("WATCHDOG", since)
    manager.wait_for("WATCHDOG", first + 1)


def test_signs_of_life_are_for_who_was_asked(edge, manager):
    way = edge(env={**manager.env, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"})
    manager.wait_for("READY")
    assert way.get().status == 421
    assert not [said for _, said in manager.listen() if "WATCHDOG" in said]


# ---- the agent ------------------------------------------------------------------------------------


def test_an_agent_is_ready_when_its_tunnel_is_up(edge, agent, origin, manager):
    way = edge(**zone())
    it = agent(way, origin(lambda request: reply(200, b"x")).port, env=manager.env)
    at, said = manager.wait_for("READY")
    assert said["STATUS"] == it.url
    way.signal(signal.SIGKILL)
    way.expect_exit = -signal.SIGKILL
    at, said = manager.wait_for("STATUS", at + 1)
    assert said["STATUS"] != it.url
    it.stop()
    manager.wait_for("STOPPING", at)
    assert {pid for pid, _ in manager.listen()} == {it.process.pid}


# ---- a terminal that goes ---------------------------------------------------------------------------


@pytest.fixture
def serve(tmp_path):
    """serve(*words) is `WORDS adit serve` at a terminal, whatever nohup the tests are run with."""
    running = []
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def start(*words):
        config = tmp_path / "adit.yaml"
        config.write_text(f"listen: '127.0.0.1:0'\ncontrol: {tmp_path}/control\ndrain: 500ms\n"
                          "sites: {default: {respond: here}}\n")
        running.append(Terminal(*words, program(), "serve", "-c", str(config), cwd=str(tmp_path),
                                env={"ADIT_STATE": ""}))
        running[-1].wait_for("serving")
        return running[-1]
    yield start
    signal.signal(signal.SIGHUP, before)
    for one in running:
        one.__exit__()


def test_an_edge_ends_with_its_terminal(serve):
    """As when the window is closed in which somebody tries it: no edge is left that holds the port."""
    screen = serve()
    screen.hang_up()
    assert screen.process.wait(WAIT) == 0


def test_an_edge_in_a_shell_ends_with_its_terminal(serve, tmp_path):
    screen = serve("sh", "-c", '"$@"; true', "sh")
    assert (tmp_path / "control").exists()
    screen.hang_up()
    until(lambda: not (tmp_path / "control").exists(), "the edge's end")


def test_nohup_outlives_the_terminal(serve):
    screen = serve("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
    screen.process.send_signal(signal.SIGHUP)
    screen.wait_for("generation=2")
    screen.hang_up()
    screen.process.send_signal(signal.SIGTERM)
    assert screen.process.wait(WAIT) == 0
