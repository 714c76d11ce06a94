# SPDX-License-Identifier: Apache-2.0
"""Names of tunnels over a whole restart of the edge: its visitors wait for agents that come back, and
nobody else has the names meanwhile."""
import os
import socket
import threading
import time

import pytest

from harness import WAIT, until
from harness.ports import free_port
from harness.tunnel import ZONE, create_token, kept, visit, zone

pytestmark = pytest.mark.usefixtures("tunnels")


@pytest.fixture
def way(edge):
    return edge(**{**zone(workers=2, tunnels={"anonymous": "on"}), "listen": [f"127.0.0.1:{free_port()}"]})


def kill(way):
    way.kill_session()


def stop(way):
    way.stop()


def begin(way):
    way.addresses.clear()
    way.start()


class Visitor(threading.Thread):
    """Asks once, and keeps the answer."""

    def __init__(self, way, name="myapp"):
        super().__init__(daemon=True)
        self.way, self.name_asked, self.answer = way, name, None
        self.start()

    def run(self):
        self.answer = visit(self.way, self.name_asked)


def tunnels(way):
    done = way.command("tunnels")
    return done.stdout


@pytest.mark.parametrize("end", [kill, stop])
def test_visitors_wait_for_agents_after_a_whole_restart(way, app, agent, end):
    token = create_token(way, "--owner", "alice")
    stranger = create_token(way, "--owner", "bob")
    it = agent(way, app.port, "as", "myapp", token=token)
    until(lambda: kept(way) == {"myapp"}, "the name to be kept")
    it.freeze()                 # it cannot come back by itself
    end(way)
    begin(way)
    early = Visitor(way)
    other = agent(way, app.port, "as", "myapp", token=stranger, wait=False, expect_exit=None)
    assert other.wait_event("ended")["status"] == 409
    assert "parked" in tunnels(way)
    assert early.answer is None
    it.thaw()
    early.join(20)
    assert early.answer.body == b"from the laptop"
    assert visit(way).status == 200
    until(lambda: "live" in tunnels(way), "its return")


def test_a_stop_takes_no_name_from_an_agent_that_hears_of_it(way, app, agent):
    """It is told to come back, and nothing that it answers is a goodbye."""
    it = agent(way, app.port, "as", "myapp", token=create_token(way, "--owner", "alice"))
    until(lambda: kept(way) == {"myapp"}, "the name to be kept")
    way.stop()
    assert kept(way) == {"myapp"}
    begin(way)
    assert visit(way).body == b"from the laptop"
    assert it.running()


def test_a_random_name_of_nobody_in_particular_comes_back(way, app, agent):
    it = agent(way, app.port)
    name = it.name.split(".")[0]
    until(lambda: kept(way) == {name}, "the name to be kept")
    it.freeze()
    kill(way)
    begin(way)
    early = Visitor(way, name)
    it.thaw()
    early.join(20)
    assert early.answer.body == b"from the laptop"
    assert it.name.split(".")[0] == name


def test_visitors_of_a_port_wait_as_well(edge, agent):
    """The port is open before its agent is back."""
    with socket.create_server(("127.0.0.1", 0)) as service:
        service.settimeout(WAIT)
        public = str(free_port())
        way = edge(**{**zone(tunnels={"ports": public}), "listen": [f"127.0.0.1:{free_port()}"]})
        token = create_token(way, "--owner", "alice", "--ports", public)
        it = agent(way, f"tcp {service.getsockname()[1]}", token=token)
        port = it.public_at[1]
        until(lambda: kept(way) == {f"tcp:{port}"}, "the port to be kept")
        it.freeze()
        kill(way)
        begin(way)

        def connect():
            try:
                return socket.create_connection(("127.0.0.1", port), WAIT)
            except OSError:
                return None
        with until(connect, "an open port") as visitor:
            visitor.settimeout(WAIT)
            visitor.sendall(b"hello")
            it.thaw()
            with service.accept()[0] as local:
                local.settimeout(WAIT)
                assert local.recv(5) == b"hello"
                local.sendall(b"hi")
            assert visitor.recv(2) == b"hi"


def test_who_said_goodbye_is_not_waited_for(way, app, agent):
    it = agent(way, app.port, "as", "myapp", token=create_token(way, "--owner", "alice"))
    until(lambda: kept(way) == {"myapp"}, "the name to be kept")
    it.stop()
    until(lambda: not kept(way), "the name to be forgotten")
    kill(way)
    begin(way)
    assert visit(way).status == 404


def test_who_does_not_come_back_is_forgotten(edge, app, agent):
    way = edge(**{**zone(tunnels={"park": "1s"}), "listen": [f"127.0.0.1:{free_port()}"]})
    it = agent(way, app.port, "as", "myapp", token=create_token(way, "--owner", "alice"), expect_exit=None)
    until(lambda: kept(way) == {"myapp"}, "the name to be kept")
    kill(way)
    it.kill()
    begin(way)
    began = time.monotonic()
    until(lambda: visit(way).status == 404, "the end of the park")
    assert time.monotonic() - began < 8
    until(lambda: not kept(way), "the name to be forgotten")
    assert way.running()


def test_lists_name_the_listeners_that_there_are(way, app, agent):
    """After a restart with another one in front, and after a reload, live or parked."""
    old, moved = way.port, free_port()
    it = agent(way, app.port, "as", "myapp", token=create_token(way, "--owner", "alice"))
    until(lambda: kept(way) == {"myapp"}, "the name to be kept")
    assert f"http://myapp.{ZONE}:{old}" in tunnels(way)
    it.freeze()
    kill(way)
    listen = [f"127.0.0.1:{moved}", f"127.0.0.1:{old}"]
    way.write(**{**zone(workers=2), "listen": listen})
    way.expected = 2
    begin(way)
    until(lambda: f"http://myapp.{ZONE}:{moved}" in tunnels(way), "the new listener")
    assert "parked" in tunnels(way)
    it.thaw()
    until(lambda: "parked" not in tunnels(way), "the agent that is back")
    assert f"http://myapp.{ZONE}:{moved}" in tunnels(way)
    way.reload(**{**zone(workers=2), "listen": listen[1:]})
    until(lambda: f"http://myapp.{ZONE}:{old}" in tunnels(way), "the listener that is left")


def test_a_worker_that_dies_takes_no_name_out_of_the_state(way, app, agent):
    """The worker after it, and the edge after that, know the name as well."""
    it = agent(way, app.port, "as", "myapp", token=create_token(way, "--owner", "alice"))
    until(lambda: kept(way) == {"myapp"}, "the name to be kept")
    it.freeze()
    worker = way.worker_pid
    os.kill(worker, 9)
    until(lambda: way.worker_pid not in (0, worker), "another worker")
    until(lambda: "parked" in tunnels(way), "the parked name")
    kill(way)
    begin(way)
    early = Visitor(way)
    it.thaw()
    early.join(20)
    assert early.answer.body == b"from the laptop"
