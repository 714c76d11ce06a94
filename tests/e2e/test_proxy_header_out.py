# SPDX-License-Identifier: Apache-2.0
"""PROXY headers to origins, and the addresses that adit connects from."""
import socket
import struct
import threading

import pytest

from harness import TlsSocket, network, reply, until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def read_header(conn):
    """The header that a connection begins with: (client, destination, TLVs)."""
    first = conn.read(12)
    if first != SIGNATURE:
        line = (first + conn.read_until(b"\r\n")).decode().split()
        return (line[2], int(line[4])), (line[3], int(line[5])), {}
    command, family, length = struct.unpack("!BBH", conn.read(4))
    body = conn.read(length)
    if command == 0x20:
        return None, None, {}
    kind, size = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}[family]
    ports = struct.unpack("!HH", body[2 * size:2 * size + 4])
    client, to = (socket.inet_ntop(kind, body[i * size:(i + 1) * size]) for i in (0, 1))
    tlvs, rest = {}, body[2 * size + 4:]
    while rest:
        tag, size = struct.unpack("!BH", rest[:3])
        tlvs[tag] = rest[3:3 + size]
        rest = rest[3 + size:]
    return (client, ports[0]), (to, ports[1]), tlvs


def proxied(origin, **options):
    """An origin whose connections begin with a header; `app.seen` has (header, target)."""
    seen = []

    def play(conn):
        header = read_header(conn)
        while True:
            request = conn.read_request()
            seen.append((header, request.target))
            conn.send(reply(200, b"hello"))
    app = origin(play=play, **options)
    app.seen = seen
    return app


def to(app, version="v2", **more):
    return {"upstreams": {"app": {"servers": [app.at], "proxy_protocol": version, **more}}}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_origin_hears_whose_connection_it_is(edge, origin, version):
    app = proxied(origin)
    way = edge(to(app, version), proxy="app")
    with way.client(source="127.0.0.7") as client:
        assert client.get("/one").status == 200
        assert client.get("/two").status == 200
        mine = client.sock.getsockname()
    assert app.seen == [((mine, way.at, {}), "/one"), ((mine, way.at, {}), "/two")]
    assert len(app.conns) == 1


def test_nobody_uses_the_connection_of_another(edge, origin):
    app = proxied(origin)
    way = edge(to(app), proxy="app")
    clients = [way.client(source=f"127.0.0.{n}") for n in (2, 3, 4)]
    for turn in range(3):
        for client in clients:
            assert client.get(f"/{turn}").status == 200
    assert len(app.conns) == 3
    assert [header[0][0] for header, _ in app.seen] == ["127.0.0.2", "127.0.0.3", "127.0.0.4"] * 3
    for client in clients:
        client.close()


def test_many_at_once(edge, origin):
    app = proxied(origin)
    way = edge(to(app, connections=8), proxy="app", workers=2)
    clients = [way.client(source=f"127.0.1.{n}") for n in range(1, 41)]
    for _ in range(3):
        for number, client in enumerate(clients, 1):
            client.ask("GET", f"/{number}")
        assert [client.answer().status for client in clients] == [200] * 40
    for header, target in app.seen:
        assert header[0][0] == f"127.0.1.{target[1:]}"
    for client in clients:
        client.close()


def test_h2_clients_share_among_their_own_streams_only(edge, origin):
    app = proxied(origin)
    way = edge(to(app), proxy="app")
    with way.h2_client() as first, way.h2_client() as second:
        for client in (first, second):
            streams = [client.begin("GET", f"/{n}") for n in range(5)]
            assert [s.answer().status for s in streams] == [200] * 5
        ports = {first.sock.getsockname()[1], second.sock.getsockname()[1]}
    assert {header[0][1] for header, _ in app.seen} == ports


def test_before_tls_and_of_tls(edge, origin, pki):
    seen = []
    context = pki.origin_context("http/1.1")

    def play(conn):
        # Byte by byte, so that nothing of the handshake is read with it.
        conn.read = lambda n: b"".join(conn.sock.recv(1) for _ in range(n))
        seen.append(read_header(conn))
        del conn.read
        conn.sock = TlsSocket(conn.sock, context, server_side=True)
        conn.sock.handshake()
        conn.read_request()
        conn.send(reply(200, b"hello"))
    app = origin(play=play)
    way = edge({"upstreams": {"app": {"servers": ["https://" + app.at], "proxy_protocol": "v2",
                                      "tls": {"ca": pki.ca.file, "name": "localhost"}}}},
               proxy="app", cert=pki.server)
    with way.tls_client(pki.context("http/1.1")) as client:
        assert client.get().body == b"hello"
        mine = client.sock.getsockname()
    (source, _, tlvs), = seen
    assert source == mine
    assert tlvs[0x02] == b"example.com"
    assert tlvs[0x20][:5] == b"\x01\0\0\0\1" and b"TLSv1.3" in tlvs[0x20]


def test_what_came_with_a_header_goes_on(edge, origin):
    app = proxied(origin)
    way = edge({**to(app), "listen": [{"at": "127.0.0.1:0", "proxy_protocol": ["127.0.0.1"]}]},
               proxy="app")
    with way.client(first=b"PROXY TCP6 2001:db8::1 2001:db8::2 1234 443\r\n") as client:
        assert client.get().status == 200
    assert app.seen[0][0] == (("2001:db8::1", 1234), ("2001:db8::2", 443), {})


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_takes_them(edge, haproxy, version):
    back = haproxy("""
frontend back
  mode http
  bind 127.0.0.1:{port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst]"
""")
    way = edge({"upstreams": {"app": {"servers": [f"127.0.0.1:{back.at[1]}"],
                                      "proxy_protocol": version}}}, proxy="app")
    with way.client(source="127.0.0.7") as client:
        port = client.sock.getsockname()[1]
        assert client.get().body.decode() == f"127.0.0.7:{port} 127.0.0.1"


# -- addresses to connect from --------------------------------------------------------------

def test_sources_take_turns(edge, origin):
    app = origin()
    way = edge({"upstreams": {"app": {"servers": [app.at], "idle_connections": 0,
                                      "from": ["127.0.0.2", "::1", "127.0.0.3"]}}}, proxy="app")
    for _ in range(6):
        assert way.get().status == 200
    sources = {conn.source[0] for conn in app.conns}
    assert sources == {"127.0.0.2", "127.0.0.3"}


def test_ipv6_sources(edge, origin):
    app = origin(at="[::1]:0")
    way = edge({"upstreams": {"app": {"servers": [app.at], "from": ["::1"]}}}, proxy="app")
    assert way.get().status == 200


def test_a_source_that_is_not_here_is_said(edge, origin):
    way = edge({"upstreams": {"app": {"servers": [origin().at], "from": ["192.0.2.1"]}}},
               proxy="app")
    assert way.get().status == 503
    way.wait_log("`from` has no address of this machine")
    way.forgive()


PORTS = (40000, 40019)


@pytest.mark.parametrize("sources,served", [(["127.0.0.2"], 20), (["127.0.0.2", "127.0.0.3"], 40),
                                            (["127.0.0.2", "127.0.0.3", "127.0.0.4"], 50)])
def test_more_connections_than_one_address_has_ports(edge, origin, tmp_path, sources, served):
    """50 at once, 20 ports from each address to the origin."""
    release = threading.Event()

    def start():
        app = origin(lambda request: release.wait(20) and reply(200))
        way = edge({"upstreams": {"app": {"servers": [app.at], "from": sources, "retry": "off"}}},
                   proxy="app", listen=f"unix:{tmp_path}/in")
        return app, way
    try:
        app, way = network.alone(start, local_ports=PORTS)
    except PermissionError as denied:
        pytest.skip(f"no network of its own: {denied}")
    clients = [way.client().ask("GET") for _ in range(50)]
    until(lambda: sum(client.is_readable() for client in clients) == 50 - served, "refusals")
    until(lambda: len(app.conns) == served, "connections")
    release.set()
    ends = [client.answer().status for client in clients]
    assert (ends.count(200), ends.count(503)) == (served, 50 - served)
    assert {conn.source[0] for conn in app.conns} == set(sources)
    if served < 50:
        way.wait_log(f"no local port is left for another connection to it, {served} are open")
    for client in clients:
        client.close()
