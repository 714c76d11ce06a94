# SPDX-License-Identifier: Apache-2.0
"""What `adit status` counts of tunnels: handshakes and how they ended, agents, tunnels, who waits, and what
goes over a bridge."""
import socket
import threading
from contextlib import ExitStack

import pytest

from harness import WAIT, until
from harness.client import Client
from harness.other_agent import OtherAgent
from harness.tunnel import ZONE, create_token, zone

pytestmark = pytest.mark.usefixtures("tunnels")

REFUSED = "tunnel_refused_"


class Counted:
    """Counters of an edge, since it was made or asked the last time."""

    def __init__(self, way):
        self.way = way
        self.before = self.now()

    def now(self):
        return {name: value for name, value in self.way.status()["counters"].items()
                if name.startswith(("tunnel", "bridge"))}

    def value(self, name):
        return self.now()[name]

    def await_growth(self, **expected):
        """Waits until exactly these have grown, by so much: some of what a step counts is counted only after
        the step is seen."""
        grown = {}

        def as_expected():
            now = self.now()
            grown.clear()
            grown.update((name, now[name] - self.before[name]) for name in now if now[name] != self.before[name])
            return now if grown == expected else None
        try:
            self.before = until(as_expected, f"{expected}")
        except AssertionError as missing:
            raise AssertionError(f"{missing}, but {grown}") from None


@pytest.fixture
def way(edge):
    return edge(**zone(tunnels={"anonymous": "off", "per_owner": 2, "ports": "20000-20009"}))


def test_each_refusal_has_its_counter(way):
    counted = Counted(way)
    token = create_token(way, "--owner", "alice")

    def refused(expected, status, **options):
        it = OtherAgent(way, **{"token": token, **options})
        assert it.call().status == status
        it.stop()
        counted.await_growth(**{"tunnel_handshakes": 1, REFUSED + expected: 1})

    refused("no_token", 401, token=None)
    refused("token", 401, token="adit_nonsense")
    refused("scope", 403, name="www")
    refused("malformed", 400, fields=[("Adit-Kind", "smoke")])
    refused("host", 421, host=f"myapp.{ZONE}")

    it = OtherAgent(way, token=token, name="one")
    assert it.call().status == 101
    let_in = {"tunnel_handshakes": 1, "tunnel_handshakes_granted": 1, "tunnel_agents": 1, "tunnels_live": 1}
    counted.await_growth(**let_in)
    refused("taken", 409, name="one", token=create_token(way, "--owner", "bob"))
    other = OtherAgent(way, token=token, name="two")
    assert other.call().status == 101
    counted.await_growth(**let_in)
    refused("limit", 429, name="three")

    with way.client() as client:
        client.ask("GET", "/.well-known/adit/tunnel", [], None, host=ZONE)
        assert client.answer().status == 426
    counted.await_growth(**{"tunnel_handshakes": 1, REFUSED + "version": 1})
    text = way.command("status").stdout
    assert "tunnels      2 live on 2 connections of agents, 0 parked, 0 visitors wait" in text
    assert counted.value("tunnel_handshakes_pending") == 0
    it.stop()
    other.stop()


def test_tunnels_that_are_parked_and_who_waits(way):
    counted = Counted(way)
    it = OtherAgent(way, token=create_token(way), name="myapp")
    assert it.call().status == 101
    until(lambda: counted.value("tunnels_live") == 1, "the tunnel")
    it.peer.sock.shutdown(socket.SHUT_RDWR)
    until(lambda: counted.value("tunnels_parked") == 1, "the loss of its agent")
    assert counted.value("tunnels_live") == counted.value("tunnel_agents") == 0
    answers = []

    def visit():
        with Client(("127.0.0.1", way.port)) as client:
            answers.append(client.get("/", host=f"myapp.{ZONE}").status)
    visitors = [threading.Thread(target=visit) for _ in range(3)]
    for one in visitors:
        one.start()
    until(lambda: counted.value("tunnel_visitors_waiting") == 3, "those who wait")
    assert it.call().status == 101
    for one in visitors:
        one.join(WAIT)
    assert answers == [200] * 3
    assert counted.value("tunnel_visitors_waiting") == counted.value("tunnels_parked") == 0
    assert counted.value("tunnels_live") == counted.value("tunnel_agents") == 1
    with way.client() as client:
        assert client.get("/", host=f"nobody.{ZONE}").status == 404
    assert counted.value("tunnel_unknown") == 1
    it.stop()


def test_what_goes_over_a_bridge(edge):
    """Visitors of both cores, an agent of one."""
    way = edge(**zone(workers=2, tunnels={"anonymous": "on"}))
    counted = Counted(way)
    it = OtherAgent(way)
    host = it.call().get("adit-url").split("://")[1].split(":")[0]
    visitors = 0
    with ExitStack() as stay:   # the core that has fewer of them gets the next
        while counted.value("bridge_streams") == 0 and visitors < 40:
            client = stay.enter_context(way.client())
            assert client.get("/", host=host).status == 200
            visitors += 1
        assert 0 < counted.value("bridge_streams") <= visitors
    until(lambda: counted.value("bridge_streams_open") == 0, "the end of the exchanges")
    assert counted.value("bridges_open") >= 1
    it.stop()
    until(lambda: counted.value("bridges_open") == 0, "the end of the bridge")
