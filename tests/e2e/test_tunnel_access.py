# SPDX-License-Identifier: Apache-2.0
"""Who may visit what an agent serves: --allow, --deny and --basic-auth, judged by the agent (issue 5)."""
import base64

import pytest

from harness import reply
from harness.tunnel import Road, zone

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
