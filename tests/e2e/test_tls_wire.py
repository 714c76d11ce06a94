# SPDX-License-Identifier: Apache-2.0
"""TLS byte by byte: fragments, cuts, half-closes, record sizes, and clients that are no TLS."""
import asyncio
import hashlib
import os
import socket
import ssl
import subprocess
import threading

import pytest
import websockets

from harness import BOTH, Client, TlsClient, client_hello, proc, reply, until

MIB = 1 << 20


def bare(way, tls=True):
    return Client(way.tls_at if tls else way.at)


def refused(client):
    """What was said before the end: an alert or nothing; never HTTP in clear to a TLS client."""
    try:
        return client.read_to_end()
    except ConnectionResetError:
        return b""


def test_a_handshake_byte_by_byte(edge, origin, pki):
    """Each byte of the client's flights in a packet of its own."""
    way = edge(proxy=origin(), cert=pki.server)
    client = TlsClient(way.tls_at, pki.context("http/1.1"), handshake=False)
    send = client.sock.flight
    client.sock.flight = lambda data: [send(data[i:i + 1]) for i in range(len(data))]
    client.sock.handshake()
    with client:
        assert client.get().body == b"hello"


def test_requests_inside_the_last_flight(edge, origin, pki):
    """Finished, a request and a pipelined one in a single packet."""
    way = edge(proxy=origin(), cert=pki.server)
    client = TlsClient(way.tls_at, pki.context("http/1.1"), handshake=False)
    send, held = client.sock.flight, []
    client.sock.flight = send
    while not held:
        try:
            client.tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            client.sock.flush()
            client.sock.more()
    client.tls.write(b"GET /1 HTTP/1.1\r\nHost: example.com\r\n\r\n"
                     b"GET /2 HTTP/1.1\r\nHost: example.com\r\n\r\n")
    client.sock.flush()
    with client:
        assert [client.answer("GET").body, client.answer("GET").body] == [b"hello"] * 2


def test_plain_http_on_the_tls_port(edge, origin, pki):
    app = origin()
    way = edge(proxy=app, cert=pki.server)
    with bare(way) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        said = refused(client)
    assert b" 200 " not in said and not app.requests
    assert said == b"" or said[0] == 21 or said.startswith(b"HTTP/1.1 400"), said
    with way.tls_client(pki.context()) as client:
        assert client.get().status == 200


def test_tls_on_the_clear_port(edge, origin, pki):
    way = edge({"listen": BOTH}, proxy=origin(), cert=pki.server)
    with bare(way, tls=False) as client:
        client.send(client_hello(pki.context()))
        answer = client.answer("GET")
        assert answer.status == 400
        assert client.at_end()


@pytest.mark.parametrize("junk", [
    b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"\x16\x03\x01\0\x04\x01\0\0\0",
    b"\x17\x03\x03\0\x05hello", b"\x15\x03\x03\0\x02\x02\x28", b"\x80\x2e\x01\x03\x01\0\x15\0\0",
    b"\0" * 512, os.urandom(512), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ids=["long", "empty hello", "data", "alert", "v2", "zeros", "random", "h2 preface"])
def test_junk_ends_the_connection_and_nothing_else(module_edge, module_origin, pki, junk,
                                                   shared={}):
    if "way" not in shared:
        shared["way"] = module_edge(proxy=module_origin(), cert=pki.server,
                                    timeouts={"handshake": "1s"})
    way = shared["way"]
    with bare(way) as client:
        client.send(junk)
        said = refused(client)
        assert said == b"" or said[0] == 21 or said.startswith(b"HTTP/1.1 400"), said
    with way.tls_client(pki.context()) as client:
        assert client.get().status == 200


def test_a_slow_handshake_is_ended(edge, origin, pki):
    """A client that says nothing, half a hello, or nothing after the hello."""
    way = edge(proxy=origin(), cert=pki.server, timeouts={"handshake": "500ms"})
    hello = client_hello(pki.context())
    clients = [bare(way), bare(way).send(hello[:50]), bare(way).send(hello)]
    for client in clients:
        refused(client)
        client.close()
    with way.tls_client(pki.context()) as client:
        assert client.get().status == 200


def test_clients_that_leave_in_the_middle(edge, origin, pki):
    way = edge(proxy=origin(), cert=pki.server)
    hello = client_hello(pki.context())
    for cut in range(1, len(hello) + 1, 37):
        client = bare(way).send(hello[:cut])
        client.reset() if cut % 2 else client.close()
    with way.tls_client(pki.context()) as client:
        assert client.get().status == 200


def test_renegotiation_is_refused(edge, origin, pki):
    """s_client's R asks for one; TLS 1.3 has none."""
    way = edge(proxy=origin(), cert=pki.server)
    process = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{way.tls_port}",
                                "-servername", "example.com", "-tls1_2"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = bytearray()
    while b"Verify return code" not in said:
        said += process.stdout.read1()
    process.stdin.write(b"R\n")
    process.stdin.flush()
    said = process.communicate(timeout=20)[0]
    assert b"RENEGOTIATING" in said
    assert b"no renegotiation" in said or b"handshake failure" in said \
        or b"unexpected message" in said, said
    with way.tls_client(pki.context()) as client:
        assert client.get().status == 200


# -- ends -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_the_edge_says_close_notify(edge, origin, pki, version):
    way = edge(proxy=origin(), cert=pki.server)
    with way.tls_client(pki.context("http/1.1", version=version)) as client:
        assert client.get(fields=[("Connection", "close")]).body == b"hello"
        assert client.at_end()
        assert client.sock.notified, "a cut and an end look alike"


def test_a_body_up_to_the_end_is_whole_only_with_close_notify(edge, origin, pki):
    """The origin ends it by closing; the client must see an end, not a cut."""
    way = edge(proxy=origin(lambda r: reply(200, b"x" * 100000, length=False, close=True)),
               cert=pki.server)
    with way.tls_client(pki.context("http/1.1")) as client:
        answer = client.exchange("GET", version="HTTP/1.0")
        assert len(answer.body) == 100000
        assert client.sock.notified


def test_a_cut_answer_is_no_clean_end(edge, origin, pki):
    def play(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        conn.close()
    way = edge(proxy=origin(play=play), cert=pki.server)
    with way.tls_client(pki.context("http/1.1")) as client:
        client.ask("GET")
        assert client.cut_body() == b"abc"


def test_a_client_that_half_closes_still_gets_its_answer(edge, origin, pki):
    """close_notify ends one direction only (RFC 8446 6.1)."""
    hold = threading.Event()
    app = origin(lambda request: hold.wait(20) and reply(200, b"late"))
    way = edge(proxy=app, cert=pki.server)
    with way.tls_client(pki.context("http/1.1", version="1.3")) as client:
        client.ask("GET")
        app.wait_requests(1)
        client.sock.close_notify()
        hold.set()
        assert client.answer().body == b"late"


def test_a_client_that_is_cut_in_a_request_body(edge, origin, pki):
    """No close_notify, just FIN: the origin must not take half a body for a whole one."""
    begun, seen = [], []

    def play(conn):
        begun.append(conn.read_request_head())
        try:
            seen.append(conn.read(100))
        except (EOFError, OSError) as cut:
            seen.append(cut)
    way = edge(proxy=origin(play=play), cert=pki.server)
    with way.tls_client(pki.context("http/1.1")) as client:
        client.ask("PUT", "/", [("Content-Length", "100")]).send(b"x" * 50)
        until(lambda: begun, "the request's way to the origin")
        client.sock.sock.shutdown(socket.SHUT_WR)
        until(lambda: seen, "the origin's view of it")
    assert isinstance(seen[0], (EOFError, OSError))


# -- bodies and records -----------------------------------------------------------------------------


def big_answer(request):
    size = int(request.target[1:])
    request.conn.send(reply(200, length=False, fields=[("Content-Length", str(size))]))
    block = bytes(range(256)) * 1024
    for _ in range(size // len(block)):
        request.conn.send(block)


def expected(size):
    return hashlib.sha256(bytes(range(256)) * (size // 256)).hexdigest()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("size", [8 * MIB, pytest.param(100 * MIB, marks=pytest.mark.long)])
def test_big_bodies_down(edge, origin, pki, version, size):
    way = edge(proxy=origin(big_answer), cert=pki.server)
    with way.tls_client(pki.context("http/1.1", version=version)) as client:
        client.ask("GET", f"/{size}")
        client.answer_head()
        digest, left = hashlib.sha256(), size
        while left:
            part = client.read_some()
            digest.update(part)
            left -= len(part)
    assert digest.hexdigest() == expected(size)


@pytest.mark.parametrize("size", [8 * MIB, pytest.param(100 * MIB, marks=pytest.mark.long)])
def test_big_bodies_up(edge, origin, pki, size):
    def play(conn):
        request = conn.read_request_head()
        digest, left = hashlib.sha256(), int(request.get("content-length"))
        while left:
            part = conn.read_some()
            digest.update(part)
            left -= len(part)
        conn.send(reply(200, digest.hexdigest().encode()))
    way = edge(proxy=origin(play=play), cert=pki.server)
    with way.tls_client(pki.context("http/1.1")) as client:
        client.ask("PUT", "/", [("Content-Length", str(size))])
        for _ in range(size // MIB):
            client.send(bytes(range(256)) * 4096)
        assert client.answer().body.decode() == expected(size)


def test_records_begin_small_and_grow(edge, origin, pki):
    """The first ones fit into a packet, so that their bytes can be used after one round trip;
    a bulk answer's are large in the end, for each costs."""
    way = edge(proxy=origin(big_answer), cert=pki.server)
    with way.tls_client(pki.context("http/1.1", version="1.3")) as client:
        before = len(client.sock.records)
        client.get(f"/{4 * MIB}")
        sizes = [size for kind, size in client.sock.records[before:] if kind == "data"]
    sizes = [size for size in sizes if size > 300]      # Session tickets are records, too.
    assert sizes[0] <= 1460, sizes[:20]
    assert max(sizes) > 16000, sizes[-20:]
    assert sum(sizes[:10]) < 64 * 1024, sizes[:20]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_keep_alive_and_pipelining(edge, origin, pki, version):
    app = origin(lambda request: reply(200, request.target.encode()))
    way = edge(proxy=app, cert=pki.server)
    with way.tls_client(pki.context("http/1.1", version=version)) as client:
        for i in range(20):
            assert client.get(f"/{i}").body == b"/%d" % i
        for i in range(20):
            client.ask("GET", f"/p{i}")
        assert [client.answer().body for _ in range(20)] == [b"/p%d" % i for i in range(20)]
    assert len(app.conns) == 1


def test_one_byte_records_both_ways(edge, origin, pki):
    app = origin(lambda request: reply(200, request.body, chunks=[request.body]))
    way = edge(proxy=app, cert=pki.server)
    with way.tls_client(pki.context("http/1.1")) as client:
        for byte in b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 20\r\n\r\n":
            client.send(bytes([byte]))
        for byte in b"0123456789abcdefghij":
            client.send(bytes([byte]))
        assert client.answer("POST").body == b"0123456789abcdefghij"


def test_a_client_that_does_not_read_stops_the_origin(edge, origin, pki, tmp_path):
    """Back-pressure passes through TLS: nothing is taken far ahead of who reads."""
    sent = []

    def play(conn):
        conn.read_request()
        conn.send(reply(200, length=False, fields=[("Content-Length", str(64 * MIB))]))
        conn.sock.settimeout(1)
        total = 0
        try:
            while total < 64 * MIB:
                total += conn.sock.send(b"x" * 65536)
        except socket.timeout:
            pass
        sent.append(total)
    app = origin(play=play, at=f"unix:{tmp_path}/o")
    way = edge(proxy=app, cert=pki.server)
    client = TlsClient(way.tls_at, pki.context("http/1.1"), rcvbuf=65536)
    with client:
        client.ask("GET")
        until(lambda: sent, "the origin being stopped")
        assert sent[0] < 16 * MIB


# -- many ---------------------------------------------------------------------------------------------


def test_a_storm_of_handshakes_does_not_stall_who_is_there(edge, origin, pki):
    """RSA handshakes without pause from eight threads; a client on the same core goes on."""
    way = edge(proxy=origin(), cert=pki.rsa)
    context = pki.context("http/1.1")
    stop, made = threading.Event(), []

    def newcomer():
        while not stop.is_set():
            with way.tls_client(context):
                made.append(1)
    with way.tls_client(context) as client:
        crowd = [threading.Thread(target=newcomer) for _ in range(8)]
        for one in crowd:
            one.start()
        until(lambda: len(made) >= 16, "the storm")
        count = 0
        while len(made) < 200:
            assert client.get().status == 200
            count += 1
        stop.set()
        for one in crowd:
            one.join()
    assert count >= 8, f"{count} requests in the time of 200 handshakes"


def test_idle_connections_hold_little(edge, origin, pki):
    way = edge(proxy=origin(), cert=pki.server)
    context, clients = pki.context("http/1.1"), []
    for _ in range(50):
        clients.append(way.tls_client(context))
    worker = way.worker_pid
    before = proc.rss(worker)
    for _ in range(200):
        clients.append(way.tls_client(context))
        clients[-1].get()
    per = (proc.rss(worker) - before) / 200
    print(f"{per:.0f} bytes for an idle connection")
    for client in clients:
        client.close()
    if os.environ.get("ADIT_RELEASE"):
        assert per < 40 * 1024


def test_drain_ends_with_the_last_answer(edge, origin, pki):
    hold = threading.Event()
    app = origin(lambda request: hold.wait(20) and reply(200, b"last"))
    way = edge(proxy=app, cert=pki.server, drain="10s")
    with way.tls_client(pki.context("http/1.1")) as busy, \
            way.tls_client(pki.context("http/1.1")) as idle:
        busy.ask("GET")
        app.wait_requests(1)
        way.signal(15)
        assert idle.at_end() and idle.sock.notified
        hold.set()
        answer = busy.answer()
        assert answer.body == b"last"
        assert answer.get("connection", "").lower() == "close"
        assert busy.at_end()
    assert way.wait_exit() == 0


def test_a_handshake_at_the_drain_gets_an_answer_or_an_end(edge, origin, pki):
    way = edge(proxy=origin(), cert=pki.server, drain="5s")
    client = TlsClient(way.tls_at, pki.context("http/1.1"), handshake=False)
    client.sock.flight(client_hello(pki.context())[:20])
    way.signal(15)
    client.close()
    assert way.wait_exit() == 0


# -- WebSocket ----------------------------------------------------------------------------------------


def test_websocket_over_tls(edge, websocket_server, pki):
    async def echo(connection, path=None):
        async for message in connection:
            await connection.send(message)
    way = edge(proxy=websocket_server(echo, max_size=None), cert=pki.server)

    async def talk():
        async with websockets.connect(f"wss://localhost:{way.tls_port}/", max_size=None,
                                      ssl=pki.context("http/1.1")) as ws:
            for message in ["hello", b"\0binary", os.urandom(1_000_000)]:
                await ws.send(message)
                assert await ws.recv() == message
    asyncio.run(talk())
