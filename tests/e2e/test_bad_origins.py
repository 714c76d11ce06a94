# SPDX-License-Identifier: Apache-2.0
"""Origins that break the rules: 502, or a visibly cut answer when it had begun, and never again on
that connection."""
import threading

import pytest

from harness import Cut, reply, until

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BAD_HEADS = {
    "HTTP/0.9": b"<html>just a page</html>",
    "garbage": b"\x00\x01\x02\x03\xff\xfe" * 50 + b"\r\n\r\n",
    "nothing": b"",
    "half a head": OK + b"Content-Le",
    "only a status line": OK,
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/3.1": b"HTTP/3.1 200 OK\r\n\r\n",
    "SMTP": b"220 mail.example.com ESMTP ready\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "two-digit status": b"HTTP/1.1 20 OK\r\n\r\n",
    "four-digit status": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status of letters": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "status 0": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "status 999": b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
    "both framings": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "listed lengths": OK + b"Content-Length: 3, 4\r\n\r\nabc",
    "negative length": OK + b"Content-Length: -1\r\n\r\n",
    "length with plus": OK + b"Content-Length: +3\r\n\r\nabc",
    "huge length": OK + b"Content-Length: 99999999999999999999\r\n\r\nabc",
    "unknown coding": OK + b"Transfer-Encoding: zip\r\n\r\nabc",
    "chunked not last": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "space before colon": OK + b"X : y\r\nContent-Length: 0\r\n\r\n",
    "folded field": OK + b"X: y\r\n z\r\nContent-Length: 0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare CR in a value": OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "control byte in the reason": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
    "no colon": OK + b"nonsense\r\nContent-Length: 0\r\n\r\n",
    "head too large": OK + b"X: " + b"a" * 300_000 + b"\r\n\r\n",
    "head without end": OK + b"X: aaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 20_000,
    "101 unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
}
CUT_BODIES = {
    "shorter than its length": (OK + b"Content-Length: 10\r\n\r\nabcd", b"abcd"),
    "chunk cut": (CHUNKED + b"8\r\nabcd", b"abcd"),
    "no last chunk": (CHUNKED + b"4\r\nabcd\r\n", b"abcd"),
    "bad chunk size": (CHUNKED + b"4\r\nabcd\r\nxyz\r\n", b"abcd"),
    "chunk overflow": (CHUNKED + b"4\r\nabcd\r\n" + b"f" * 17 + b"\r\nz", b"abcd"),
    "chunk without CRLF": (CHUNKED + b"4\r\nabcdX", b"abcd"),
    "bad trailer": (CHUNKED + b"4\r\nabcd\r\n0\r\nX : y\r\n\r\n", b"abcd"),
    "trailer cut": (CHUNKED + b"4\r\nabcd\r\n0\r\nX: y\r\n", b"abcd"),
}


def once(data, hold=None):
    """A script: the first request gets these bytes and a close, later connections are good."""
    def play(conn):
        conn.read_request()
        if conn.number == 0:
            conn.send(data)
            if hold:
                conn.wait(hold)
            conn.close()
        while True:
            conn.send(reply(200, b"good"))
            conn.read_request()
    return play


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_bad_head_is_502_and_its_connection_is_gone(edge, origin, name):
    app = origin(play=once(BAD_HEADS[name]))
    way = edge(proxy=app)
    with way.client() as client:
        answer = client.exchange("POST", "/", body=b"x")
        assert answer.status == 502, answer
        assert client.get("/next").body == b"good", "the client's connection is not to blame"
    assert len(app.conns) == 2
    way.wait_log(r"(?i)\b(up|origin|upstream)\b")


@pytest.mark.parametrize("name", CUT_BODIES)
def test_a_body_that_fails_is_visibly_cut(edge, origin, name):
    """What came passes; then the connection ends before the message does, so no cache keeps it."""
    data, body = CUT_BODIES[name]
    app = origin(play=once(data))
    way = edge(proxy=app)
    with way.client() as client:
        client.ask("GET")
        assert client.cut_body() == body
        assert client.at_end()
    assert way.get("/next").body == b"good"
    assert len(app.conns) == 2


@pytest.mark.parametrize("name", ["no last chunk", "shorter than its length"])
def test_an_http_1_0_client_sees_the_cut_too(edge, origin, name):
    """Without chunks, only a length or a RST can show that something is missing."""
    way = edge(proxy=origin(play=once(CUT_BODIES[name][0])))
    with way.client() as client:
        client.ask("GET", version="HTTP/1.0")
        with pytest.raises((Cut, ConnectionResetError)):
            client.answer()


@pytest.mark.parametrize("extra", [OK + b"Content-Length: 4\r\n\r\nevil", b"x", b"\r\n"],
                         ids=["second answer", "a byte", "a line"])
def test_what_nobody_asked_for_reaches_nobody(edge, origin, extra):
    """A second answer must not become the answer to somebody else's request."""
    sent = threading.Event()

    def play(conn):
        request = conn.read_request()
        conn.send(reply(200, request.target.encode()) + (extra if conn.number == 0 else b""))
        sent.set()
        conn.read_to_end()
    app = origin(play=play)
    way = edge(proxy=app)
    assert way.get("/1").body == b"/1"
    assert way.get("/2").body == b"/2"
    assert len(app.conns) == 2


def test_what_comes_late_on_an_idle_connection_reaches_nobody(edge, origin):
    def play(conn):
        conn.read_request()
        conn.send(reply(200, b"good"))
        if conn.number == 0:
            conn.wait(idle)
            conn.send(reply(200, b"evil"))
            conn.at_end()   # By a reset, which takes back what is on its way.
            closed.set()
        conn.read_to_end()
    idle, closed = threading.Event(), threading.Event()
    way = edge(proxy=origin(play=play))
    assert way.get().body == b"good"
    idle.set()
    assert closed.wait(10), "the edge kept a connection that spoke out of turn"
    assert way.get().body == b"good"


def test_an_origin_that_answers_too_early_and_stops_reading(edge, origin):
    """413 while the upload runs: the client gets the answer, not a reset."""
    def play(conn):
        conn.read_request_head()
        conn.send(reply(413, b"too much", close=True))
        conn.half_close()
        conn.read_to_end()
    way = edge(proxy=origin(play=play))
    with way.client() as client:
        client.ask("PUT", "/", [("Content-Length", "10000000")])
        client.send(b"x" * 1000)
        answer = client.answer()
        assert (answer.status, answer.body) == (413, b"too much")


@pytest.mark.parametrize("size", [0, 4, 16384, 200_000, 1 << 20])
def test_a_second_answer_behind_a_body_of_any_size_reaches_nobody(edge, origin, size):
    """However the body was taken from the socket, what follows it is not left there for the next
    client."""
    def play(conn):
        conn.read_request()
        if conn.number == 0:
            conn.send(reply(200, b"g" * size) + reply(200, b"evil"))
            conn.at_end()
        while True:
            conn.send(reply(200, b"good"))
            conn.read_request()
    way = edge(proxy=origin(play=play))
    assert way.get().body == b"g" * size
    for _ in range(3):
        assert way.get().body == b"good"


def test_nobody_is_listening(edge, origin):
    app = origin()
    app.stop()
    way = edge(proxy=app)
    with way.client() as client:
        assert client.get().status in (502, 503)
        app.start()
        until(lambda: client.get().status == 200, "the origin being back")


def test_a_reset_before_the_answer(edge, origin):
    def play(conn):
        conn.read_request()
        conn.reset()
    way = edge(proxy=origin(play=play))
    with way.client() as client:
        assert client.exchange("POST", "/", body=b"x").status == 502


def test_a_reset_in_the_middle_of_the_answer(edge, origin):
    def play(conn):
        conn.read_request()
        conn.send(OK + b"Content-Length: 10\r\n\r\nabcd")
        conn.wait(seen)
        conn.reset()
    seen = threading.Event()
    with edge(proxy=origin(play=play)).client() as client:
        client.ask("GET")
        head = client.answer_head()
        assert client.read(4) == b"abcd"
        seen.set()
        with pytest.raises((Cut, ConnectionResetError)):
            client.body_of(head)
