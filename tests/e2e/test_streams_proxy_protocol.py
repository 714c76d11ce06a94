# SPDX-License-Identifier: Apache-2.0
"""PROXY headers of and to those whose TCP is passed on as it is."""
import socket

import pytest

from harness import client_hello, reply, until
from test_proxy_header_out import read_header

LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"


def telling(origin):
    """A server that says for whom it takes each connection to be, and then echoes."""
    seen = []

    def play(conn):
        seen.append(read_header(conn))
        while True:
            conn.send(conn.read_some())
    app = origin(play=play)
    app.seen = seen
    return app


@pytest.fixture
def way(edge):
    """way(app, version, sources) starts an edge with one stream, of the address of which it waits."""
    def start(app, version=None, sources=None, routes=None):
        return edge(streams(app, version, sources, routes), listeners=1)
    return start


def streams(app, version, sources, routes):
    listen = {"at": "127.0.0.1:0", **({"proxy_protocol": sources} if sources else {})}
    upstream = {"servers": [app.at], **({"proxy_protocol": version} if version else {})}
    return {"upstreams": {"app": upstream}, "listen": None,
            "streams": [{"listen": listen, **({"routes": routes} if routes else {"proxy": "app"})}]}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_server_hears_whose_connection_it_is(way, origin, version):
    app = telling(origin)
    up = way(app, version)
    with up.client(source="127.0.0.7") as one, up.client(source="127.0.0.8") as other:
        for client in (one, other):
            client.send(b"hello")
            assert client.read(5) == b"hello"
        told = sorted((c.sock.getsockname(), up.at, {}) for c in (one, other))
        assert sorted(app.seen) == told


def test_a_header_goes_on(way, origin):
    app = telling(origin)
    up = way(app, "v1", ["127.0.0.1"])
    with up.client(first=LINE + b"hel") as client:
        client.send(b"lo")
        assert client.read(5) == b"hello"
    assert app.seen == [(("192.0.2.7", 56324), ("198.51.100.1", 443), {})]


def test_without_a_header_nothing_is_passed_on(way, origin):
    app = telling(origin)
    up = way(app, "v1", ["127.0.0.1"])
    with up.client(first=b"hello, who is there?") as client:
        client.at_end()
    until(lambda: up.status()["counters"]["proxy_header_missing"] == 1, "the reason")
    assert not app.seen


def test_the_name_of_a_client_whose_tls_passes(way, origin, pki):
    app = telling(origin)
    up = way(app, "v2", ["127.0.0.1"], [{"sni": "db.example.com", "proxy": "app"}])
    hello = client_hello(pki.context(), "db.example.com")
    with up.client(first=LINE + hello) as client:
        assert client.read(len(hello)) == hello
    (_, _, tlvs), = app.seen
    assert tlvs[0x02] == b"db.example.com"


def test_haproxy_before_and_after(way, haproxy, origin):
    app = origin(lambda request: reply(200, request.get("x-client").encode()))
    back = haproxy(f"""
frontend back
  mode http
  bind 127.0.0.1:{{port}} accept-proxy
  http-request set-header x-client %[src]
  default_backend app
backend app
  mode http
  server app {app.at}
""")
    back.at = f"127.0.0.1:{back.at[1]}"
    up = way(back, "v2", ["127.0.0.1"])
    front = haproxy(f"""
listen front
  mode tcp
  bind 127.0.0.1:{{port}}
  server adit 127.0.0.1:{up.port} send-proxy-v2
""")
    with socket.create_connection(front.at, 15, ("127.0.0.9", 0)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := sock.recv(4096):
            answer += piece
    assert answer.endswith(b"127.0.0.9"), answer
