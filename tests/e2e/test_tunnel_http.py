# SPDX-License-Identifier: Apache-2.0
"""HTTP by real clients, on every road: a plain proxy, and a tunnel. What a client and an app agree on
must not depend on what lies between them (issue 5)."""
import asyncio
import gzip
import hashlib
import subprocess
import threading

import pytest
import websockets

from harness import WAIT, reply, until
from harness.apps import MIB, Store, blob, blob_hash
from harness.ports import free_port
from test_websocket_h2 import connect as connect_h2
from test_websocket_h2 import echo, talk

VERSIONS = pytest.mark.parametrize("version", [1, 2], ids=["h1", "h2"])


@pytest.fixture
def store():
    app = Store()
    yield app
    app.stop()


@VERSIONS
def test_curl_with_trailers(road, origin, version):
    app = origin(lambda request: reply(200, chunks=[b"some ", b"words"],
                                       fields=[("Trailer", "X-Sum")], trailers=[("X-Sum", "42")]))
    way = road(app.port)
    head = way.curl("/", "-D", "-", "-H", "TE: trailers", version=version).decode()
    assert head.endswith("some words") or "some words" in head
    assert "x-sum: 42" in head.lower(), head


@VERSIONS
def test_trailers_of_a_request(road, origin, version):
    app = origin(lambda request: reply(200, b"%d" % len(request.trailers)))
    way = road(app.port)
    if version == 2:
        with way.h2_client() as client:
            stream = client.begin("POST", "/", body=None)
            stream.send(b"body")
            stream.end([("x-sum", "42")])
            assert stream.answer().status == 200
    else:
        with way.client() as client:
            client.ask("POST", "/", [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")])
            client.send(b"4\r\nbody\r\n0\r\nX-Sum: 42\r\n\r\n")
            assert client.answer().status == 200
    assert app.last.body == b"body"
    assert [(n.lower(), v) for n, v in app.last.trailers] == [("x-sum", "42")]


@VERSIONS
def test_head_and_no_content(road, origin, version):
    app = origin(lambda request: reply(204, length=False) if request.path == "/none" else
                 reply(200, b"x" * 1234))
    way = road(app.port)
    said = way.curl("/", "-I", version=version).decode().lower()
    assert " 200" in said.split("\r\n")[0] and "content-length: 1234" in said
    assert " 204" in way.curl("/none", "-i", version=version).decode().split("\r\n")[0]


@VERSIONS
def test_not_modified(road, origin, version, tmp_path):
    def handler(request):
        if request.get("if-none-match") == '"one"':
            return reply(304, fields=[("ETag", '"one"')], length=False)
        return reply(200, b"the page", [("ETag", '"one"')])
    way = road(origin(handler).port)
    tag, page = tmp_path / "tag", tmp_path / "page"
    for status in (b"200", b"304"):
        options = ["--etag-save", tag, "--etag-compare", tag, "-o", page, "-w", "%{http_code}"]
        assert way.curl("/", *map(str, options), version=version) == status
    assert page.read_bytes() == b"the page"


def test_expect_100_continue(road, origin):
    """The body comes after the app's own 100, which curl waits for."""
    told = threading.Event()

    def play(conn):
        head = conn.read_request_head()
        assert head.get("expect", "").lower() == "100-continue"
        told.set()
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = conn.read_body(head, conn.framing_of(head)).body
        conn.send(reply(200, hashlib.sha256(body).hexdigest().encode()))
        conn.read_to_end()
    way = road(origin(play=play).port)
    data = b"".join(blob(2 * MIB))
    said = way.curl("/", "-T", "-", "-H", "Expect: 100-continue", "--expect100-timeout", str(WAIT),
                    "-H", f"Content-Length: {len(data)}", "-H", "Transfer-Encoding:", input=data)
    assert said.decode() == hashlib.sha256(data).hexdigest()
    assert told.is_set()


def test_a_refusal_instead_of_100(road, origin):
    """curl sends nothing of a body that the app does not want."""
    def play(conn):
        conn.read_request_head()
        conn.send(reply(413, b"too much", close=True))
    way = road(origin(play=play).port)
    said = way.curl("/", "-T", "-", "-H", "Expect: 100-continue", "--expect100-timeout", str(WAIT),
                    "-w", " %{http_code} %{size_upload}", input=b"x" * 100000)
    assert said == b"too much 413 0"


@VERSIONS
def test_an_upload_of_unknown_length_piece_by_piece(road, origin, version):
    """Each piece is seen by the app before the next one is sent."""
    heads = []

    def play(conn):
        head = conn.read_request_head()
        assert head.get("content-length") is None
        heads.append(head)
        while conn.read_chunk(head):
            pass
        conn.send(reply(200, head.body))
        conn.read_to_end()
    way = road(origin(play=play).port)
    client = subprocess.Popen(way.curl_command("/", "-T", "-", version=version),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for i in range(5):
        client.stdin.write(b"piece %d." % i)
        client.stdin.flush()
        until(lambda: heads and heads[0].body.endswith(b"piece %d." % i), f"piece {i} at the app")
    assert client.communicate(timeout=WAIT)[0] == b"".join(b"piece %d." % i for i in range(5))


@VERSIONS
def test_gzip_passes_untouched(road, origin, version):
    packed = gzip.compress(b"word " * 1000, mtime=0)
    way = road(origin(lambda request: reply(200, packed, [("Content-Encoding", "gzip")])).port)
    assert way.curl("/", "-H", "Accept-Encoding: gzip", version=version) == packed
    assert way.curl("/", "--compressed", version=version) == b"word " * 1000


@VERSIONS
def test_server_sent_events(road, origin, version):
    """Each event is on the visitor's screen before the app says the next one."""
    confirmed = threading.Semaphore(0)

    def play(conn):
        conn.read_request_head()
        conn.send(reply(200, length=False, fields=[("Content-Type", "text/event-stream"),
                                                   ("Connection", "close")]))
        for i in range(20):
            conn.send(b"id: %d\ndata: event %d\n\n" % (i, i))
            assert confirmed.acquire(timeout=WAIT), f"event {i} was not seen"
    way = road(origin(play=play).port)
    client = subprocess.Popen(way.curl_command("/events", "-N", version=version),
                              stdout=subprocess.PIPE)
    for i in range(20):
        event = [client.stdout.readline() for _ in range(3)]
        assert event == [b"id: %d\n" % i, b"data: event %d\n" % i, b"\n"]
        confirmed.release()
    assert client.stdout.read() == b"" and client.wait(WAIT) == 0
    client.stdout.close()


SIZES = pytest.mark.parametrize("size", [
    pytest.param(64 * MIB, id="64MiB"),
    pytest.param(1024 * MIB, id="1GiB", marks=[pytest.mark.long, pytest.mark.timeout(600)])])


@SIZES
@VERSIONS
def test_a_large_download(road, store, size, version):
    client = subprocess.Popen(road(store.port).curl_command(f"/{size}", version=version),
                              stdout=subprocess.PIPE)
    digest, count = hashlib.sha256(), 0
    while part := client.stdout.read(MIB):
        digest.update(part)
        count += len(part)
    client.stdout.close()
    assert (client.wait(WAIT), count) == (0, size)
    assert digest.hexdigest() == blob_hash(size)


@SIZES
@VERSIONS
def test_a_large_upload(road, store, size, version):
    """Of unknown length: what is read is sent."""
    client = subprocess.Popen(road(store.port).curl_command("/", "-T", "-", version=version),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for part in blob(size):
        client.stdin.write(part)
    said = client.communicate(timeout=WAIT * 4)[0].decode()
    assert said == f"{blob_hash(size)} {size}"


@VERSIONS
def test_an_upload_and_a_download_at_once(road, store, version):
    size = 16 * MIB
    way = road(store.port)
    down = subprocess.Popen(way.curl_command(f"/{size}", version=version), stdout=subprocess.PIPE)
    up = subprocess.Popen(way.curl_command("/", "-T", "-", version=version),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for part in blob(size):     # the download is not read meanwhile
        up.stdin.write(part)
    assert up.communicate(timeout=WAIT * 4)[0].decode() == f"{blob_hash(size)} {size}"
    assert hashlib.sha256(down.communicate(timeout=WAIT * 4)[0]).hexdigest() == blob_hash(size)


def connect(way, path, **options):
    if way.authority:
        options.update(ssl=way.authority.client_context(["http/1.1"]), server_hostname=way.name)
    return websockets.connect(f"{way.origin.replace('http', 'ws', 1)}{path}", host="127.0.0.1",
                              port=way.port, open_timeout=WAIT, **options)


def test_websocket_words_and_how_they_end(road, websocket_server):
    """Echoes of every size, subprotocols, pings, and close codes of either side."""
    closed = []

    async def handler(connection, path):
        if path == "/bye":
            await connection.close(4321, "it is late")
            return
        try:
            async for message in connection:
                await connection.send(message)
        finally:
            closed.append((connection.close_code, connection.close_reason))

    app = websocket_server(handler, subprotocols=["chat"], max_size=None)
    way = road(app.port)

    async def talk():
        async with connect(way, "/echo", subprotocols=["chat"], max_size=None) as line:
            assert line.subprotocol == "chat"
            for message in ("", "word", "ä" * 1000, b"", bytes(range(256)), b"x" * 3_000_000):
                await line.send(message)
                assert await line.recv() == message
            await asyncio.wait_for(await line.ping(), WAIT)
            await line.close(3456, "enough")
            assert (line.close_code, line.close_reason) == (3456, "enough")
        async with connect(way, "/bye") as line:
            await line.wait_closed()
            assert (line.close_code, line.close_reason) == (4321, "it is late")
    asyncio.run(talk())
    until(lambda: closed, "the close at the app")
    assert closed == [(3456, "enough")]


def test_websocket_over_h2(road, websocket_server):
    """RFC 8441 from the visitor; the app sees an ordinary WebSocket."""
    way = road(websocket_server(echo).port)
    with way.h2_client() as client:
        talk(connect_h2(client, "/chat"))


def test_an_app_that_is_away_is_said_at_once(road):
    """502, not a wait: the tunnel is there, what is behind it is not."""
    way = road(free_port())
    assert way.get("/").status == 502
