# SPDX-License-Identifier: Apache-2.0
"""Upgraded connections: WebSocket by a real library, and pipes of bytes with half-close."""
import asyncio
import os
import socket
import threading

import pytest
import websockets

from harness import reply

UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "pipe/1")]
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: pipe/1\r\n\r\n"
ABOVE_KERNEL_BUFFERS = 2 << 20    # 256 KiB in adit and what four Unix socket buffers hold


async def echo(socket_, path=None):
    async for message in socket_:
        await socket_.send(message)


def test_a_websocket_library_talks_through(edge, websocket_server):
    way = edge(proxy=websocket_server(echo, max_size=None))
    big = os.urandom(3_000_000)

    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{way.port}/chat", max_size=None) as ws:
            for message in ["hello", "ünïcode", b"\0binary", "x" * 70000, big]:
                await ws.send(message)
                assert await ws.recv() == message
            await (await ws.ping())
        assert ws.close_code == 1000
    asyncio.run(talk())


def test_many_websockets_at_once(edge, websocket_server):
    way = edge(proxy=websocket_server(echo), workers=2)

    async def talk(me):
        async with websockets.connect(f"ws://127.0.0.1:{way.port}/") as ws:
            for turn in range(20):
                await ws.send(f"{me}:{turn}")
                assert await ws.recv() == f"{me}:{turn}"

    async def crowd():
        await asyncio.gather(*[talk(me) for me in range(50)])
    asyncio.run(crowd())


def test_the_upgrade_request_and_answer_arrive(edge, origin):
    def play(conn):
        conn.read_request()
        conn.send(SWITCHING + b"first words")
        conn.send(conn.read(4)[::-1])
        conn.read_to_end()
    app = origin(play=play)
    with edge(proxy=app).client() as client:
        answer = client.get("/up", UPGRADE)
        assert (answer.status, answer.get("upgrade")) == (101, "pipe/1")
        assert "upgrade" in answer.get("connection").lower()
        client.send(b"abcd")
        assert client.read(len(b"first wordsdcba")) == b"first wordsdcba"
    assert app.last.get("upgrade") == "pipe/1"
    assert "upgrade" in app.last.get("connection").lower()


def test_each_side_may_stop_talking_first(edge, origin):
    def play(conn):
        conn.read_request()
        conn.send(SWITCHING)
        question = conn.read_to_end()
        conn.send(b"heard " + question)
    with edge(proxy=origin(play=play)).client() as client:
        assert client.get("/", UPGRADE).status == 101
        client.send(b"everything")
        client.half_close()
        assert client.read_to_end() == b"heard everything"


def test_the_origin_may_stop_talking_first(edge, origin):
    heard = []
    done = threading.Event()

    def play(conn):
        conn.read_request()
        conn.send(SWITCHING + b"goodbye")
        conn.half_close()
        heard.append(conn.read_to_end())
        done.set()
    with edge(proxy=origin(play=play)).client() as client:
        assert client.get("/", UPGRADE).status == 101
        assert client.read_to_end() == b"goodbye"
        client.send(b"still here")
        client.half_close()
        assert done.wait(10)
    assert heard == [b"still here"]


def test_a_reset_passes_through(edge, origin):
    ended = threading.Event()

    def play(conn):
        conn.read_request()
        conn.send(SWITCHING)
        try:
            conn.read_to_end()
        except OSError:
            pass
        ended.set()
    client = edge(proxy=origin(play=play)).client()
    assert client.get("/", UPGRADE).status == 101
    client.reset()
    assert ended.wait(10)


def push_until_stuck(sock, give_up=1.0, most=64 << 20):
    """Sends until nothing is taken for a while; gives how much was."""
    sock.settimeout(give_up)
    sent = 0
    try:
        while sent < most:
            sent += sock.send(b"x" * 65536)
    except socket.timeout:
        pass
    return sent


@pytest.mark.parametrize("side", ["client", "origin"])
def test_a_reader_that_does_not_read_stops_the_writer(edge, origin, tmp_path, side):
    go_on = threading.Event()
    stuffed = []

    def play(conn):
        conn.read_request()
        conn.send(SWITCHING)
        if side == "origin":
            stuffed.append(push_until_stuck(conn.sock))
            conn.half_close()
        conn.wait(go_on)
        stuffed.append(len(conn.read_to_end()))
    way = edge(proxy=origin(play=play, at=f"unix:{tmp_path}/o"), listen=f"unix:{tmp_path}/l")
    with way.client() as client:
        assert client.get("/", UPGRADE).status == 101
        if side == "client":
            sent = push_until_stuck(client.sock)
            client.half_close()
            assert sent < ABOVE_KERNEL_BUFFERS
            go_on.set()
            client.at_end()
            assert stuffed == [sent]
        else:
            while not stuffed:
                assert go_on.wait(0.05) is False
            assert stuffed[0] < ABOVE_KERNEL_BUFFERS
            assert len(client.read_to_end()) == stuffed[0]
            client.half_close()
            go_on.set()


def test_an_origin_that_does_not_upgrade_just_answers(edge, origin):
    app = origin()
    with edge(proxy=app).client() as client:
        assert client.get("/", UPGRADE).body == b"hello"
        assert client.get("/again").body == b"hello"


def test_words_said_before_the_101_wait_for_it(edge, origin):
    accept = threading.Event()

    def play(conn):
        conn.read_request()
        conn.wait(accept)
        conn.send(SWITCHING)
        conn.send(b"got " + conn.read(5))
        conn.read_to_end()
    app = origin(play=play)
    with edge(proxy=app).client() as client:
        client.ask("GET", "/", UPGRADE).send(b"early")
        app.wait_requests(1)
        accept.set()
        assert client.answer().status == 101
        assert client.read(9) == b"got early"


def test_a_switch_nobody_asked_for_is_an_origin_fault(edge, origin):
    way = edge(proxy=origin(lambda request: SWITCHING + b"surprise"))
    with way.client() as client:
        assert client.get().status == 502
    with way.client() as client:
        assert client.get("/", [("Connection", "Upgrade"), ("Upgrade", "other")]).status == 502


def test_upgrade_without_connection_upgrade_is_not_one(edge, origin):
    app = origin()
    assert edge(proxy=app).get("/", [("Upgrade", "pipe/1")]).status in (200, 400)
    for request in app.requests:
        assert "upgrade" not in request.names()


def test_a_silent_tunnel_ends(edge, origin):
    def play(conn):
        conn.read_request()
        conn.send(SWITCHING)
        conn.read_to_end()
    with edge(proxy=origin(play=play), timeouts={"tunnel": "1s"}).client() as client:
        assert client.get("/", UPGRADE).status == 101
        assert client.at_end()


def test_plain_requests_and_tunnels_share_an_edge(edge, origin):
    def handler(request):
        if request.get("upgrade"):
            request.conn.send(SWITCHING)
            request.conn.send(request.conn.read(3))
            request.conn.read_to_end()
            return None
        return reply(200, b"plain")
    way = edge(proxy=origin(handler))
    with way.client() as tunnel:
        assert tunnel.get("/", UPGRADE).status == 101
        for _ in range(5):
            assert way.get().body == b"plain"
        tunnel.send(b"abc")
        assert tunnel.read(3) == b"abc"
