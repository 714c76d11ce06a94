# SPDX-License-Identifier: Apache-2.0
"""Who may visit what an agent serves: --allow, --deny and --basic-auth, judged by the agent (issue 5)."""
import base64

import pytest

from harness import reply
from harness.scripted_edge import ScriptedEdge
from harness.tunnel import Road, zone
from test_proxy_header_out import proxied

pytestmark = pytest.mark.usefixtures("tunnels")


@pytest.fixture
def road(edge, agent, origin):
    """road(*words) is the way to an agent that was started with them; road.app its origin."""
    def start(*words):
        app = origin(lambda request: reply(200, b"hello"))
        way = edge(**zone(trusted_proxies=["127.0.0.1"]))
        made = Road(way, agent(way, app.port, *words).name)
        made.app = app
        return made
    return start


@pytest.mark.parametrize("password", ["open sesame", "pa$word$$", "a:b", "$env(HOME)", "$match(1)", "\u00fc\""])
def test_a_password(road, password):
    way = road("--basic-auth", f"ann:{password}")
    login = base64.b64encode(f"ann:{password}".encode()).decode()
    refused = way.get("/")
    assert refused.status == 401 and refused.get("www-authenticate").startswith("Basic realm=")
    assert way.get("/", [("Authorization", "Basic YW5uOng=")]).status == 401
    assert not way.app.requests
    assert way.get("/", [("Authorization", f"Basic {login}")]).body == b"hello"
    assert "authorization" not in way.app.last.names()


def test_addresses_of_visitors(road):
    way = road("--allow", "192.0.2.0/24", "--deny", "192.0.2.7")
    for client, status in ("192.0.2.1", 200), ("192.0.2.7", 403), ("198.51.100.1", 403):
        assert way.get("/", [("X-Forwarded-For", client)]).status == status


@pytest.mark.parametrize("forwarded", ["x-forwarded", "rfc7239", "both", "off"])
def test_what_a_visitor_writes_in_front_of_his_address(edge, agent, origin, forwarded):
    """A proxy that the edge trusts passes on what the visitor said, and appends whom it saw."""
    app = origin(lambda request: reply(200, b"hello"))
    way = edge(**zone(trusted_proxies=["127.0.0.1"], forwarded=forwarded))
    way = Road(way, agent(way, app.port, "--allow", "192.0.2.0/24").name)
    rows = [("X-Forwarded-For", "{}, 203.0.113.9", "{}, 192.0.2.9"),
            ("Forwarded", "for={}, for=203.0.113.9", "for={}, for=192.0.2.9")]
    for name, stranger, friend in rows:
        assert way.get("/", [(name, stranger.format("192.0.2.1"))]).status == 403
        assert not app.requests
    for name, stranger, friend in rows:
        assert way.get("/", [(name, friend.format("203.0.113.1"))]).status == 200
        assert "203.0.113.1" not in str(app.last.fields)


@pytest.mark.parametrize("forwarded", ["x-forwarded", "rfc7239", "both", "off"])
def test_lists_hold_whatever_the_edge_forwards(edge, agent, origin, forwarded):
    """Who visits is told to the agent alone: the service behind it gets what the site says, no more."""
    app = origin(lambda request: reply(200, b"hello"))
    here, there = "127.0.0.0/8", "192.0.2.0/24"
    forged = [("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1"), ("X-Real-IP", "192.0.2.1"),
              ("Adit-Visitor", "192.0.2.1")]
    config = zone(forwarded=forwarded)
    config["sites"]["*.tunnel.localhost"]["headers"] = {"request": {"set": {
        "x-forwarded-for": "192.0.2.1", "forwarded": "for=192.0.2.1", "adit-visitor": "192.0.2.1"}}}
    for top in (zone(forwarded=forwarded), config):
        way = edge(**top)
        for words, status in ((("--allow", here), 200), (("--allow", there), 403), (("--deny", here), 403),
                              (("--deny", there), 200)):
            it = agent(way, app.port, *words)
            road = Road(way, it.name)
            for fields in ([], forged):
                assert road.get("/", fields).status == status, (words, fields)
            assert it.wait_event("request")["client"] == "127.0.0.1"
    assert "adit-visitor" not in app.last.names()
    if forwarded == "off":
        way = edge(**zone(forwarded="off"))
        Road(way, agent(way, app.port).name).get("/", forged)
        assert not any("192.0.2.1" in str(value) for _, value in app.last.fields)


def test_an_edge_that_does_not_say_who_visits(agent, origin):
    """Nobody is let in by a list that knows nothing of him."""
    app = origin(lambda request: reply(200, b"hello"))
    for words, status in ((), 200), (("--allow", "0.0.0.0/0,::/0"), 403), (("--deny", "192.0.2.0/24"), 403):
        for said in (None, "unknown", "_hidden", "192.0.2", "192.0.2.1, 203.0.113.9", "x" * 200):
            with ScriptedEdge() as way:
                agent(None, app.port, *words, server=way.url, trust=None, wait=False, expect_exit=None)
                call = way.call()
                call.let_in()
                assert call.request("/", visitor=said).status == status, (words, said)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_service_is_told_of_each_visitor(edge, agent, origin, version):
    """Over HTTP many visitors share the tunnel, and none of them another's connection to the service."""
    app = proxied(origin)
    way = edge(**zone(trusted_proxies=["127.0.0.1"]))
    road = Road(way, agent(way, app.port, "--proxy-protocol", version).name)
    visitors = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.1", "2001:db8::1", "192.0.2.2"]
    for i, visitor in enumerate(visitors):
        assert road.get(f"/{i}", [("X-Forwarded-For", visitor)]).body == b"hello"
    told = {target: header[0] for header, target in app.seen}
    assert told == {f"/{i}": (visitor, 0) for i, visitor in enumerate(visitors)}
