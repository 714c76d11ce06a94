# SPDX-License-Identifier: Apache-2.0
"""An agent that reaches its edge only through a proxy: HTTP CONNECT or SOCKS5, named by the environment
as curl reads it (issue 5)."""
import pytest

from harness import reply, until
from harness.tunnel import ZONE, Road, zone
from harness.ways import ConnectProxy, SocksProxy

pytestmark = pytest.mark.usefixtures("tunnels")

KINDS = {"http": ConnectProxy, "socks5h": SocksProxy}


@pytest.fixture
def proxy():
    made = []

    def start(kind, **options):
        made.append(KINDS[kind](**options))
        return made[-1]
    yield start
    for one in made:
        one.close()


def no_proxies():
    return {name: "" for name in ("HTTPS_PROXY", "https_proxy", "http_proxy", "ALL_PROXY", "all_proxy",
                                  "NO_PROXY", "no_proxy")}


@pytest.fixture
def call(edge, agent, origin, pki):
    """call(**env) starts an edge, in clear unless `secure`, and an agent that has these variables."""
    def start(wait=True, secure=False, **env):
        app = origin(lambda request: reply(200, b"from the laptop"))
        way = edge(**zone(pki.zone if secure else None))
        it = agent(way, app.port, wait=wait, env={**no_proxies(), **env})
        it.ask = lambda: Road(way, it.name, pki.ca if secure else None).get("/").body
        it.edge_port = way.tls_port if secure else way.port
        it.way = way
        return it
    return start


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("login", [None, ("ann", "p@ss:word")])
def test_a_proxy_leads_to_the_edge(call, proxy, kind, login):
    """The edge's name is for the proxy to look up; the login stands in the URL."""
    via = proxy(kind, login=login)
    user = "ann:p%40ss%3Aword@" if login else ""
    it = call(http_proxy=f"{kind}://{user}{via.at}")
    assert via.asked == [(ZONE, it.edge_port)]
    assert it.ask() == b"from the laptop"
    assert len(via.logins) == (1 if login else 0)
    via.cut()
    it.wait_event("connected")
    assert via.asked == 2 * [(ZONE, it.edge_port)]
    assert it.ask() == b"from the laptop"


def test_no_proxy_is_for_who_needs_none(call, proxy):
    via = proxy("http")
    call(ALL_PROXY=f"http://{via.at}", NO_PROXY="example.com,.localhost")
    assert not via.asked


@pytest.mark.parametrize("kind, answer, words", [
    ("http", b"HTTP/1.1 403 Forbidden\r\n\r\n", "403"),
    ("http", b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502"),
    ("http", b"SSH-2.0-x\r\n", "proxy"),
    ("socks5h", b"\x05\x02", "not allowed"),
    ("socks5h", b"\x05\x05", "connection refused"),
    ("http", b"", "closed"),
])
def test_a_proxy_that_refuses_is_named(call, proxy, kind, answer, words):
    via = proxy(kind)
    via.refuse = answer
    it = call(wait=False, ALL_PROXY=f"{kind}://{via.at}")
    text = str(it.wait_event("failed"))
    assert "proxy" in text and words in text
    via.refuse = None
    it.wait_event("ready")
    assert it.ask() == b"from the laptop"


def test_a_login_that_is_wrong(call, proxy):
    via = proxy("http", login=("ann", "right"))
    it = call(wait=False, http_proxy=f"http://ann:wrong@{via.at}")
    text = str(it.wait_event("failed"))
    assert "login" in text and "407" in text and "ann" not in text
    until(lambda: len(via.logins) > 1, "another attempt")   # it goes on trying, with pauses


@pytest.mark.parametrize("kind", KINDS)
def test_tls_is_spoken_with_the_edge_through_the_proxy(call, proxy, kind):
    via = proxy(kind)
    it = call(secure=True, https_proxy=f"{kind}://{via.at}", http_proxy="http://127.0.0.1:1")
    assert via.asked == [(ZONE, it.edge_port)]
    assert it.ask() == b"from the laptop"
