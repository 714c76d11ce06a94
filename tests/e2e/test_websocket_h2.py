# SPDX-License-Identifier: Apache-2.0
"""WebSocket with HTTP/2 on either side (RFC 8441), to servers that know nothing of it."""
import asyncio
import os
import threading

import pytest
import websockets
from h2.exceptions import StreamClosedError
from websockets.frames import OP_BINARY, OP_CLOSE, OP_TEXT, Frame
from websockets.streams import StreamReader
from websockets.utils import accept_key

from harness import BOTH, Reset, until
from harness.h2 import Stream

CONNECT_PROTOCOL = 8        # SETTINGS_ENABLE_CONNECT_PROTOCOL


async def echo(connection, path=None):
    async for message in connection:
        await connection.send(message)


@pytest.fixture(params=["tls", "clear"])
def context(request, pki):
    return pki.context("h2") if request.param == "tls" else None


def front(edge, pki, at, upstream=None, **top):
    return edge({"listen": BOTH, "upstreams": {"app": {"servers": [at], **(upstream or {})}},
                 "sites": {"default": {"proxy": "app", "tls": {
                     **pki.server.files, "redirect": "off"}}}}, **top)


def connect(client, path="/chat", fields=()):
    """Extended CONNECT, once the edge has said that it knows it."""
    client.ping()
    assert client.remote.get(CONNECT_PROTOCOL) == 1
    return client.begin("CONNECT", path, [("sec-websocket-version", "13"), *fields], body=None,
                        pseudo=[(":protocol", "websocket")])


def frame(opcode, data, mask=True):
    return Frame(opcode, data).serialize(mask=mask)


def read_frame(stream):
    """One WebSocket frame from a stream, by websockets' own parser."""
    reader = StreamReader()
    parser = Frame.parse(reader.read_exact, mask=False)
    next(parser, None)
    while True:
        try:
            reader.feed_data(stream.read(1))
            next(parser)
        except StopIteration as done:
            return done.value


def talk(stream):
    for opcode, data in [(OP_TEXT, b"hello"), (OP_BINARY, os.urandom(1000)), (OP_TEXT, b"")]:
        stream.send(frame(opcode, data))
        got = read_frame(stream)
        assert (got.opcode, got.data) == (opcode, data)
    stream.send(frame(OP_CLOSE, b"\x03\xe8"))
    assert read_frame(stream).opcode == OP_CLOSE
    try:
        stream.wait_end()
        stream.end()
    except (Reset, StreamClosedError):
        pass    # Nobody waits for our end.


def test_h2_client_to_h1_origin(edge, websocket_server, pki, context):
    seen = []

    async def handler(connection, path=None):
        seen.append(connection.request_headers)
        await echo(connection)
    server = websocket_server(handler, subprotocols=["chat"])
    way = front(edge, pki, server.at)
    with way.h2_client(context) as client:
        stream = connect(client, "/chat?x=1", [("sec-websocket-protocol", "chat")]).wait_head()
        assert stream.status == 200
        assert stream.get("sec-websocket-protocol") == "chat"
        assert not stream.names() & {"connection", "upgrade", "sec-websocket-accept"}
        talk(stream)
        assert client.get("/").status in (400, 426), "plain requests share the connection"
    assert seen[0]["Host"] == "example.com" and seen[0]["Upgrade"].lower() == "websocket"


def test_large_messages_and_many_sockets(edge, websocket_server, pki, context):
    way = front(edge, pki, websocket_server(echo, max_size=None).at)
    data = os.urandom(1_000_000)
    with way.h2_client(context) as client:
        streams = [connect(client) for _ in range(20)]
        for stream in streams:
            assert stream.wait_head().status == 200
        for stream in streams:
            stream.send(frame(OP_TEXT, b"me"))
        for stream in streams:
            assert read_frame(stream).data == b"me"
        streams[0].send(frame(OP_BINARY, data))
        streams[0].wait(lambda: len(streams[0].content) >= streams[0].taken + len(data), "it all")
        assert data in streams[0].body


def test_an_origin_that_refuses(edge, origin, pki, context):
    app = origin()
    way = front(edge, pki, app.at)
    with way.h2_client(context) as client:
        answer = connect(client)
        answer.wait_head()
        assert answer.status in (200, 400, 426, 501, 502)
        assert answer.status != 200 or answer.get("content-length") is None, \
            "200 would mean that the tunnel is open"
        client.ping()


def test_an_origin_that_closes(edge, origin, pki, context):
    def play(conn):
        request = conn.read_request()
        conn.send(accept(request))
        conn.send(frame(OP_TEXT, b"bye", mask=False))
        conn.close()
    way = front(edge, pki, origin(play=play).at)
    with way.h2_client(context) as client:
        stream = connect(client).wait_head()
        assert read_frame(stream).data == b"bye"
        stream.wait_end()


def accept(request):
    key = accept_key(request.get("sec-websocket-key"))
    return (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {key}\r\n\r\n").encode()


def test_a_wrong_accept_key_opens_nothing(edge, origin, pki, context):
    """RFC 6455 4.1: the edge is the client here, and it must look."""
    def play(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  b"Connection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"
                  b"\r\n")
        conn.read_to_end()
    way = front(edge, pki, origin(play=play).at)
    with way.h2_client(context) as client:
        assert connect(client).wait_head().status == 502


def test_a_client_that_resets_its_stream(edge, origin, pki, context):
    ended = threading.Event()

    def play(conn):
        conn.send(accept(conn.read_request()))
        try:
            conn.read_to_end()
        except OSError:
            pass
        ended.set()
    way = front(edge, pki, origin(play=play).at)
    with way.h2_client(context) as client:
        stream = connect(client).wait_head()
        assert stream.status == 200
        stream.reset()
        assert ended.wait(10)
        client.ping()


def bridge(stream):
    """An h2 origin's end: unmasks, masks not, echoes."""
    assert stream.method == "CONNECT" and stream.pseudo("protocol") == "websocket"
    assert not stream.names() & {"sec-websocket-key", "upgrade", "connection"}
    stream.send_head([(":status", "200")])
    while True:
        reader = StreamReader()
        parser = Frame.parse(reader.read_exact, mask=True)
        next(parser, None)
        got = None
        while got is None:
            byte = stream.read(1)
            if not byte:
                stream.end()
                return
            reader.feed_data(byte)
            try:
                next(parser)
            except StopIteration as done:
                got = done.value
        stream.send(frame(got.opcode, got.data, mask=False), end=got.opcode == OP_CLOSE)


def test_h2_client_to_h2_origin(edge, h2_origin, pki, context):
    app = h2_origin(bridge, settings={CONNECT_PROTOCOL: 1})
    way = front(edge, pki, app.at)
    with way.h2_client(context) as client:
        stream = connect(client).wait_head()
        assert stream.status == 200
        talk(stream)
    assert app.last.pseudo("authority") == "example.com"


def test_h1_client_to_h2_origin(edge, h2_origin, pki):
    app = h2_origin(bridge, settings={CONNECT_PROTOCOL: 1})
    way = front(edge, pki, app.at)

    async def talk_h1():
        async with websockets.connect(f"ws://localhost:{way.port}/chat") as ws:
            for message in ["hello", b"\0binary", "x" * 100000]:
                await ws.send(message)
                assert await ws.recv() == message
    asyncio.run(talk_h1())
    assert app.last.path == "/chat"


def test_an_h2_origin_that_does_not_know_it(edge, h2_origin, pki, context):
    """No ENABLE_CONNECT_PROTOCOL: the client is told, the origin not bothered."""
    app = h2_origin()
    way = front(edge, pki, app.at)
    with way.h2_client(context) as client:
        assert client.get().status == 200
        try:
            assert connect(client).wait_head().status in (400, 501, 502)
        except Reset:
            pass
        until(lambda: not [r for r in app.requests if r.method == "CONNECT"], "no CONNECT")


def test_a_plain_connect_is_refused(edge, origin, pki, context):
    """adit is no forward proxy."""
    app = origin()
    way = front(edge, pki, app.at)
    with way.h2_client(context) as client:
        with client.changed:
            number = client.conn.get_next_available_stream_id()
            stream = client.streams[number] = Stream(client, number)
            client.conn.send_headers(number, [(":method", "CONNECT"),
                                              (":authority", "example.com:443")])
            client.flush()
        try:
            assert stream.wait_head().status in (400, 405, 501)
        except Reset:
            pass
        client.ping()
    assert not app.requests
