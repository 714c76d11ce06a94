# SPDX-License-Identifier: Apache-2.0
"""Health checks of agents' services, over the agents' own connections: of several agents that share a
name those get requests whose services are well."""
import threading

import pytest

from harness import reply, until
from harness.rpc import GrpcServer, health_service
from harness.tunnel import ZONE, create_token, zone

pytestmark = pytest.mark.usefixtures("tunnels")

CHECK = "/healthz"


class App:
    """A local service whose health a test turns over; what visitors get does not depend on it."""

    def __init__(self, origin, name):
        self.name = name
        self.healthy = reply(200, b"all is well")
        self.checks = []
        self.origin = origin(self.handle)
        self.port = self.origin.port

    def handle(self, request):
        if request.target == CHECK:
            self.checks.append(request)
            return self.healthy
        return reply(200, self.name.encode())

    def has_been_checked(self):
        now = len(self.checks)
        until(lambda: len(self.checks) > now + 1, f"checks of {self.name}")


@pytest.fixture
def way(edge):
    """Nothing else than checks keeps visitors from an agent."""
    return edge(**zone(workers=2, tunnels={"health": {"path": CHECK, "every": "100ms", "timeout": "5s"},
                                           "eject": "off", "retry": "off"}))


@pytest.fixture
def two(way, agent, origin):
    """Two agents of one name."""
    token = create_token(way, "--owner", "alice")
    apps = [App(origin, name) for name in ("first", "second")]
    for app in apps:
        app.agent = agent(way, app.port, "as", "shared", "--join", token=token)
    until(lambda: answers(way) == {"first", "second"}, "answers of both")
    return apps


def answers(way, times=32):
    """Each visitor's agent is drawn at random: so many do not miss one by chance."""
    found = [way.get("/", [("Host", f"shared.{ZONE}:{way.port}")]) for _ in range(times)]
    assert all(answer.status in (200, 502) for answer in found)
    return {answer.body.decode() if answer.status == 200 else "502" for answer in found}


def test_an_agent_whose_service_is_not_well_is_skipped(way, two):
    first, second = two
    first.has_been_checked()
    second.has_been_checked()
    check = first.checks[-1]
    assert check.get("host") == f"shared.{ZONE}"
    assert check.get("user-agent").startswith("adit-health/")
    second.healthy = reply(503, b"not now")
    until(lambda: answers(way) == {"first"}, "the first one's answers alone")
    assert answers(way, 40) == {"first"}
    second.healthy = reply(200, b"again")
    until(lambda: answers(way) == {"first", "second"}, "the second one's return")


def test_an_agent_whose_service_is_gone_is_skipped(way, two):
    """Its agent is there, and says 502 to whoever asks: checks see it first."""
    first, second = two
    second.has_been_checked()
    second.origin.stop()
    until(lambda: answers(way) == {"first"}, "the first one's answers alone")
    assert answers(way, 40) == {"first"}
    assert second.agent.running() and first.agent.running()


def test_one_that_is_alone_is_left_in_peace_and_served(way, two):
    first, second = two
    first.has_been_checked()
    first.healthy = second.healthy = reply(503, b"not now")
    second.has_been_checked()
    second.agent.stop()
    until(lambda: answers(way) == {"first"}, "the first one's answers")
    until(lambda: not is_checked(first), "the end of its checks")
    assert answers(way, 20) == {"first"}


@pytest.mark.parametrize("option,status", [("--basic-auth me:secret", 401), ("--allow 192.0.2.0/24", 403)])
def test_an_agent_that_lets_in_only_some_is_well(way, agent, origin, option, status):
    """Its service is not asked; that it is kept from checks says nothing against it."""
    token = create_token(way, "--owner", "alice")
    open_one, closed = App(origin, "open"), App(origin, "closed")
    agent(way, open_one.port, "as", "shared", "--join", token=token)
    agent(way, closed.port, "as", "shared", "--join", *option.split(), token=token)

    def statuses():
        return {way.get("/", [("Host", f"shared.{ZONE}:{way.port}")]).status for _ in range(32)}
    until(lambda: statuses() == {200, status}, "answers of both")
    for _ in range(4):      # both are checked as often
        open_one.has_been_checked()
    assert statuses() == {200, status} and not closed.checks
    assert "is down" not in way.log


def is_checked(app):
    """Whether a check came within three times their interval."""
    now = len(app.checks)
    threading.Event().wait(0.3)
    return len(app.checks) != now


def test_an_agent_that_is_lost_and_comes_back_is_checked_on(way, two):
    first, second = two
    second.has_been_checked()
    second.agent.freeze()
    until(lambda: answers(way, 4) == {"first"}, "the first one's answers alone", 30)
    second.agent.thaw()
    until(lambda: answers(way) == {"first", "second"}, "the second one's return", 30)
    second.has_been_checked()
    assert first.agent.running()


def test_grpc(edge, agent):
    way = edge(**zone(tunnels={"health": {"type": "grpc", "service": "shop.Cart", "every": "100ms", "fall": 1,
                                          "rise": 1}}))
    token = create_token(way, "--owner", "alice")
    first, second = {"shop.Cart": 1}, {"shop.Cart": 1}
    servers = [GrpcServer({"Check": health_service(one)}) for one in (first, second)]
    try:
        for server in servers:
            agent(way, server.at, "as", "shared", "--join", token=token)
        second["shop.Cart"] = 2
        way.wait_log("is down: NOT_SERVING")
        second["shop.Cart"] = 1
        way.wait_log("is up again: SERVING")
    finally:
        for server in servers:
            server.stop()


def test_what_cannot_be_asked_through_a_tunnel_is_an_error(edge):
    for health in ({"type": "tcp"}, {"path": "/x", "port": 81}):
        way = edge({"sites": {f"*.{ZONE}": {"tunnels": {"health": health}}}}, listeners=0, expect_exit=3)
        assert way.wait_exit() == 3
        assert "agent" in way.log
