# SPDX-License-Identifier: Apache-2.0
"""Bodies flow: nothing waits for more, and nothing is taken far ahead of who reads it."""
import hashlib
import os
import socket
import threading

import pytest

from harness import proc, reply, until

MIB = 1 << 20
AHEAD = 2 * MIB    # 256 KiB in adit, and the buffers of four Unix sockets
HEADS = {
    "length": reply(200, length=False, fields=[("Content-Length", "9")]),
    "chunked": reply(200, length=False, fields=[("Transfer-Encoding", "chunked")]),
    "close": reply(200, length=False),
    "sse": reply(200, length=False, fields=[("Content-Type", "text/event-stream"),
                                            ("Transfer-Encoding", "chunked")]),
}


@pytest.mark.parametrize("framing", HEADS)
def test_any_byte_of_an_answer_passes_at_once(edge, origin, framing):
    """The origin goes on only when the client has what was sent: a byte kept back is a deadlock."""
    turns = [threading.Event() for _ in range(4)]

    def play(conn):
        conn.read_request()
        conn.send(HEADS[framing])
        for turn in turns[:3]:
            conn.wait(turn)
            conn.send(b"3\r\nabc\r\n" if b"chunked" in HEADS[framing] else b"abc")
        conn.wait(turns[3])
        conn.send(b"0\r\n\r\n" if b"chunked" in HEADS[framing] else b"")
    with edge(proxy=origin(play=play)).client() as client:
        client.ask("GET")
        answer = client.answer_head()
        seen = b""
        for turn in turns[:3]:
            turn.set()
            while not seen.endswith(b"abc"):
                if client.framing_of(answer) == "chunked":
                    seen += client.read_chunk(answer)
                else:
                    seen += client.read_some()
            seen = seen[:-3]
        turns[3].set()


def test_half_a_chunk_passes_too(edge, origin):
    rest = threading.Event()

    def play(conn):
        conn.read_request()
        conn.send(HEADS["chunked"] + b"10\r\n0123")
        conn.wait(rest)
        conn.send(b"456789abcdef\r\n0\r\n\r\n")
    with edge(proxy=origin(play=play)).client() as client:
        client.ask("GET")
        answer = client.answer_head()
        assert client.read_chunk(answer) == b"0123"
        rest.set()
        assert client.body_of(answer).body == b"0123456789abcdef"


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_any_byte_of_a_request_passes_at_once(edge, origin, framing):
    turns = [threading.Event() for _ in range(3)]

    def play(conn):
        request = conn.read_request_head()
        for turn in turns:
            part = conn.read_chunk(request) if framing == "chunked" else conn.read(3)
            assert part == b"abc"
            turn.set()
        conn.send(reply(200, b"done"))
    with edge(proxy=origin(play=play)).client() as client:
        fields = {"chunked": ("Transfer-Encoding", "chunked"), "length": ("Content-Length", "9")}
        client.ask("POST", "/", [fields[framing]])
        for turn in turns:
            client.send(b"3\r\nabc\r\n" if framing == "chunked" else b"abc")
            assert turn.wait(10), "the origin did not get what the client had sent"
        if framing == "chunked":
            client.send(b"0\r\n\r\n")
        assert client.answer().body == b"done"


def test_an_answer_before_the_request_is_whole(edge, origin):
    """A dialogue: both bodies run at the same time."""
    def play(conn):
        request = conn.read_request_head()
        conn.send(reply(200, length=False, fields=[("Transfer-Encoding", "chunked")]))
        while (part := conn.read_chunk(request)) is not None:
            conn.send(b"%x\r\n%s\r\n" % (len(part), part.upper()))
        conn.send(b"0\r\n\r\n")
    with edge(proxy=origin(play=play)).client() as client:
        client.ask("POST", "/", [("Transfer-Encoding", "chunked")])
        answer = client.answer_head()
        for word in (b"one", b"two", b"three"):
            client.send(b"%x\r\n%s\r\n" % (len(word), word))
            assert client.read_chunk(answer) == word.upper()
        client.send(b"0\r\n\r\n")
        assert client.read_chunk(answer) is None


def stuff(sock, data=b"x" * 65536, give_up=1.0, most=64 * MIB):
    """Sends until nothing is taken for a second; gives how much was."""
    sock.settimeout(give_up)
    sent = 0
    try:
        while sent < most:
            sent += sock.send(data[:most - sent])
    except socket.timeout:
        pass
    return sent


@pytest.mark.parametrize("framing", ["length", "close"])
def test_an_origin_waits_for_a_client_that_does_not_read(edge, origin, tmp_path, framing):
    sent = []

    def play(conn):
        conn.read_request()
        conn.send(reply(200, length=False, fields=[("Content-Length", str(64 * MIB))]
                        if framing == "length" else []))
        sent.append(stuff(conn.sock))
        conn.sock.settimeout(None)
        sent.append(stuff(conn.sock, give_up=None, most=64 * MIB - sent[0]))
    way = edge(proxy=origin(play=play, at=f"unix:{tmp_path}/o"), listen=f"unix:{tmp_path}/l")
    with way.client() as client:
        client.ask("GET")
        until(lambda: sent, "the origin being stuck")
        assert sent[0] < AHEAD
        assert len(client.answer().body) == 64 * MIB


def test_a_client_waits_for_an_origin_that_does_not_read(edge, origin, tmp_path):
    go_on = threading.Event()

    def play(conn):
        request = conn.read_request_head()
        conn.wait(go_on)
        conn.read_body(request, conn.framing_of(request))
        conn.send(reply(200, b"%d" % len(request.body)))
    way = edge(proxy=origin(play=play, at=f"unix:{tmp_path}/o"), listen=f"unix:{tmp_path}/l",
               timeouts={"body_rate": 0})
    with way.client() as client:
        client.ask("PUT", "/", [("Content-Length", str(64 * MIB))])
        sent = stuff(client.sock)
        assert sent < AHEAD
        go_on.set()
        client.sock.settimeout(60)
        client.send(b"x" * (64 * MIB - sent))
        assert client.answer().body == b"%d" % (64 * MIB)


def pump(size):
    """Parts of a body of this size that is the same each time and not one byte repeated."""
    block = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(8192))
    for at in range(0, size, len(block)):
        yield block[:min(len(block), size - at)]


def swallow(wire, size):
    """Reads so many bytes, keeping none; gives their hash."""
    check = hashlib.sha256()
    while size:
        part = wire.take(min(size, len(wire.buffer))) or wire.sock.recv(min(size, MIB))
        assert part, f"cut {size} bytes before the end"
        check.update(part)
        size -= len(part)
    return check.hexdigest()


def store(conn):
    """Answers a PUT with the hash of what came and GET /N with N bytes."""
    request = conn.read_request_head()
    if request.method == "PUT":
        conn.send(reply(200, swallow(conn, int(request.get("content-length"))).encode()))
    else:
        size = int(request.target[1:])
        conn.send(reply(200, length=False, fields=[("Content-Length", str(size))]))
        for part in pump(size):
            conn.send(part)
    conn.read_to_end()


def put(client, size):
    client.ask("PUT", "/", [("Content-Length", str(size))])
    for part in pump(size):
        client.send(part)


@pytest.mark.parametrize("size", [pytest.param(256 * MIB, id="256MiB"), pytest.param(
    4096 * MIB, id="4GiB", marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_gigabytes_pass_in_little_memory(edge, origin, size):
    """One upload and one download at the same time, every byte counted into a hash."""
    way = edge(proxy=origin(play=store))
    worker, peak, done = way.worker_pid, [], threading.Event()

    def measure():
        while not done.wait(0.05):
            peak.append(proc.rss(worker))
    watcher = threading.Thread(target=measure)
    watcher.start()
    with way.client() as up, way.client() as down:
        sender = threading.Thread(target=put, args=(up, size))
        sender.start()
        down.ask("GET", f"/{size}")
        assert down.answer_head().get("content-length") == str(size)
        hash_down = swallow(down, size)
        sender.join()
        assert up.answer().body == hash_down.encode()
    done.set()
    watcher.join()
    print(f"peak of the worker's RSS: {max(peak) / MIB:.1f} MiB")
    if os.environ.get("ADIT_RELEASE"):
        assert max(peak) < 64 * MIB, f"the worker took {max(peak) / MIB:.0f} MiB"
