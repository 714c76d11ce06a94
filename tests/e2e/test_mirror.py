# SPDX-License-Identifier: Apache-2.0
"""Copies of requests: complete, without an effect on the real exchange, and counted when lost."""
import signal
import threading

import pytest

from harness import reply, until


def mirrored(edge, app, shadow, **mirror):
    return edge({"listen": "127.0.0.1:0",
                 "upstreams": {"app": {"servers": [app.at]}, "shadow": {"servers": [shadow.at]}},
                 "sites": {"default": {"proxy": "app", "mirror": {"to": "shadow", **mirror}}}})


def counted(way, name):
    return way.status()["counters"][name]


@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"four"),
                                          ("PUT", b"0123456789" * 20_000)],
                         ids=["get", "post", "put"])
def test_the_copy_is_the_same(edge, origin, method, body):
    app, shadow = origin(), origin(lambda request: reply(500, b"nobody sees this"))
    way = mirrored(edge, app, shadow)
    with way.client() as client:
        for i in range(3):
            answer = client.exchange(method, f"/p?i={i}", [("X-A", "b")], body)
            assert (answer.status, answer.body) == (200, b"hello")
    shadow.wait_requests(3)
    def in_order(requests):  # copies have connections of their own
        return sorted(requests, key=lambda request: request.raw.split(b"\r\n")[0])
    for one, other in zip(in_order(app.requests), in_order(shadow.requests)):
        assert one.raw.split(b"\r\n")[0] == other.raw.split(b"\r\n")[0]
        assert one.fields == other.fields
        assert one.body == other.body == (body or b"")
    until(lambda: counted(way, "mirror_requests") == 3, "the count of all copies")
    until(lambda: len(shadow.conns) <= 3, "connections to be reused")


def test_a_silent_mirror_holds_nobody_up(edge, origin):
    app = origin()
    shadow = origin(play=lambda conn: (conn.read_request(), conn.read_some()))
    way = mirrored(edge, app, shadow)
    with way.client() as client:
        for _ in range(20):
            assert client.get().body == b"hello"
    until(lambda: counted(way, "requests_active") == 0, "the end of all exchanges")


def test_a_mirror_that_reads_slowly_is_cut(edge, origin):
    done = threading.Event()
    app = origin(lambda request: reply(200, b"%d" % len(request.body)))
    shadow = origin(play=lambda conn: (conn.read_request_head(), done.wait(30)))
    way = mirrored(edge, app, shadow)
    body = b"0123456789" * 3_000_000
    assert way.exchange("PUT", "/", body=body).body == b"%d" % len(body)
    until(lambda: counted(way, "mirror_cut") == 1, "the copy to be cut")
    done.set()


def test_a_dead_mirror_is_counted(edge, origin):
    app, shadow = origin(), origin()
    way = mirrored(edge, app, shadow)
    shadow.stop()
    for _ in range(3):
        assert way.get().body == b"hello"
    until(lambda: counted(way, "mirror_failed") == 3, "three failures")


def test_a_share_of_them(edge, origin):
    app, shadow = origin(), origin()
    way = mirrored(edge, app, shadow, share="20%")
    with way.client() as client:
        for _ in range(200):
            client.get()
    until(lambda: counted(way, "mirror_requests") == len(shadow.requests), "all copies")
    assert 10 < len(shadow.requests) < 90


def test_a_drain_does_not_wait_for_copies(edge, origin):
    app = origin()
    shadow = origin(play=lambda conn: (conn.read_request(), conn.read_some()))
    way = mirrored(edge, app, shadow)
    assert way.get().body == b"hello"
    shadow.wait_requests(1)
    way.signal(signal.SIGTERM)
    assert way.wait_exit() == 0


def test_an_answer_without_end_does_not_matter(edge, origin):
    app = origin()

    def endless(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            conn.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
    way = mirrored(edge, app, origin(play=endless))
    for _ in range(3):
        assert way.get().body == b"hello"
    until(lambda: counted(way, "mirror_failed") == 3, "too long an answer is given up")
