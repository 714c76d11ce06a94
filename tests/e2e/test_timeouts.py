# SPDX-License-Identifier: Apache-2.0
"""Slow and silent peers meet deadlines; patient ones with something to say do not."""
import socket
import threading
import time

import pytest

from harness import Cut, reply, until

FAST = {"header": "400ms", "idle": "400ms", "body": "400ms", "write": "600ms", "connect": "400ms",
        "response": "400ms", "read": "400ms", "tunnel": "400ms"}


def with_only(**named):
    """Generous timeouts but for those named, so that a test knows which one it met."""
    return {name: named.get(name, "30s") for name in FAST}


def test_a_head_that_never_ends_is_408(edge, origin):
    app = origin()
    with edge(proxy=app, timeouts=with_only(header="400ms")).client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow")
        assert client.refused().status == 408
    assert app.raw == b""


def test_a_head_that_drips_is_408_all_the_same(edge, origin):
    """The deadline is for the whole head: a byte now and then does not move it (slowloris)."""
    with edge(proxy=origin(), timeouts=with_only(header="700ms")).client() as client:
        client.send(b"GET / HTTP/1.1\r\n")
        client.sock.settimeout(0.05)
        for i in range(1000):
            try:
                client.send(b"X-%d: y\r\n" % i if i < 50 else b"")
                if not client.fill():
                    break
            except socket.timeout:
                continue
            except OSError:
                break
        client.sock.settimeout(5)
        assert client.refused().status == 408


def test_a_connection_that_says_nothing_is_closed(edge, origin):
    way = edge(proxy=origin(), timeouts={"header": "400ms", "idle": "400ms"})
    with way.client() as client:
        said = client.read_to_end()
        assert said == b"" or said.startswith(b"HTTP/1.1 408 ")
    assert way.get().status == 200


def test_a_request_body_that_stops_is_408(edge, origin):
    app = origin()
    with edge(proxy=app, timeouts=with_only(body="400ms")).client() as client:
        client.ask("PUT", "/", [("Content-Length", "10")]).send(b"abc")
        assert client.refused().status == 408
    assert not app.requests
    until(lambda: not app.open_conns(), "the origin connection's end")


def test_a_request_body_that_drips_is_too_slow(edge, origin):
    """A byte every while never meets the gap timeout, but the rate is looked at after 10 s; here
    a rate is asked for that no dripping client reaches."""
    timeouts = {**with_only(), "body_rate": 100000}
    with edge(proxy=origin(), timeouts=timeouts).client(timeout=30) as client:
        client.ask("PUT", "/", [("Content-Length", "1000000")])
        client.sock.settimeout(0.1)
        end = time.monotonic() + 25
        while time.monotonic() < end:
            try:
                client.send(b"x")
                if client.fill():
                    break
            except socket.timeout:
                continue
        client.sock.settimeout(5)
        assert client.refused().status == 408


def test_a_client_that_does_not_read_is_dropped(edge, origin, tmp_path):
    gone = threading.Event()

    def play(conn):
        conn.read_request()
        conn.send(reply(200, length=False, fields=[("Content-Length", "100000000")]))
        try:
            while True:
                conn.send(b"x" * 65536)
        except OSError:
            gone.set()
    way = edge(proxy=origin(play=play), listen=f"unix:{tmp_path}/l",
               timeouts=with_only(write="600ms"))
    with way.client() as client:
        client.ask("GET")
        assert gone.wait(15), "the origin still is made to wait for a client that is dead"


def test_an_origin_that_does_not_answer_is_504(edge, origin):
    hold = threading.Event()

    def play(conn):
        conn.read_request()
        conn.wait(hold)
    way = edge(proxy=origin(play=play), timeouts=with_only(response="400ms"))
    with way.client() as client:
        assert client.exchange("POST", "/", body=b"x").status == 504
        hold.set()
    way.wait_log("response-timeout|no response head")


def test_an_origin_that_cannot_be_reached_is_504(edge):
    """A listener whose queue is full answers no SYN, like a host that is not there."""
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
        fillers.append(filler)
    way = edge(proxy="127.0.0.1:%d" % full.getsockname()[1], timeouts=with_only(connect="400ms"))
    assert way.get().status == 504
    for filler in fillers:
        filler.close()
    full.close()


def test_an_answer_that_stops_is_cut(edge, origin):
    hold = threading.Event()

    def play(conn):
        conn.read_request()
        conn.send(reply(200, length=False, fields=[("Content-Length", "10")]) + b"abc")
        conn.wait(hold)
    with edge(proxy=origin(play=play), timeouts=with_only(read="400ms")).client() as client:
        client.ask("GET")
        with pytest.raises((Cut, ConnectionResetError)):
            client.answer()
    hold.set()


def test_idle_origin_connections_are_closed(edge, origin):
    app = origin()
    way = edge(proxy=app, timeouts={"upstream_idle": "300ms"})
    assert way.get().status == 200
    until(lambda: app.conns[0].ended, "the end of the idle connection")
    assert way.get().status == 200
    assert len(app.conns) == 2


def test_slow_but_steady_is_fine(edge, origin):
    """Every gap is shorter than the deadline, the whole is longer."""
    def play(conn):
        conn.read_request()
        conn.send(reply(200, length=False, fields=[("Content-Length", "16")]))
        for _ in range(16):
            pause.wait(0.1)
            conn.send(b"x")
    pause = threading.Event()
    way = edge(proxy=origin(play=play), timeouts={**with_only(read="1200ms", body="1200ms"),
                                                  "body_rate": 0})
    with way.client() as client:
        client.ask("PUT", "/", [("Content-Length", "16")])
        for _ in range(16):
            pause.wait(0.1)
            client.send(b"y")
        assert client.answer().body == b"x" * 16


def test_timeouts_of_a_route_hold_on_it_alone(edge, origin):
    hold = threading.Event()

    def play(conn):
        while conn.read_request().target == "/quick":
            conn.send(reply(200, b"ok"))
        conn.wait(hold)
        conn.send(reply(200, b"late"))
    app = origin(play=play)
    way = edge({"sites": {"default": {"routes": [
        {"path": "/slow", "proxy": app.at, "timeouts": {"response": "300ms"}},
        {"path": "/patient", "proxy": app.at}]}}, "timeouts": with_only()})
    with way.client() as patient:
        patient.ask("GET", "/patient")
        assert way.exchange("POST", "/slow").status == 504
        hold.set()
        assert patient.answer().body == b"late"
