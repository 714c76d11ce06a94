# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 origins, in clear and over TLS: few connections, many streams, and what they refuse."""
import hashlib
import threading

import h2.errors
import pytest

from harness import Reset, reply, until

REFUSED = h2.errors.ErrorCodes.REFUSED_STREAM


@pytest.fixture(params=["h2c", "tls"])
def start(request, edge, h2_origin, pki):
    """start(handler): an h2 origin and an edge in front of it."""
    def begin(handler=None, count=1, upstream=None, settings=None, connected=None, hold=False,
              **top):
        context = pki.origin_context("h2", "http/1.1") if request.param == "tls" else None
        apps = [h2_origin(handler, tls=context, settings=settings, connected=connected, hold=hold)
                for _ in range(count)]
        way = edge({"upstreams": {"app": {
            "servers": [app.at for app in apps], **(upstream or {}),
            **({"tls": {"ca": pki.ca.file}} if context else {})}}}, proxy="app", **top)
        return (apps[0] if count == 1 else apps), way
    return begin


def echo(stream):
    stream.wait_end()
    stream.reply(200, stream.body)


def test_what_an_origin_gets(start):
    app, way = start(echo)
    answer = way.exchange("POST", "/p?q=1", [("X-Asked", "Yes"), ("Cookie", "a=1; b=2")], b"body")
    assert (answer.status, answer.body) == (200, b"body")
    got = app.last
    assert (got.method, got.target, got.pseudo("authority")) == ("POST", "/p?q=1", "example.com")
    assert got.pseudo("scheme") in ("http", "https")
    assert got.get("x-asked") == "Yes" and got.get("content-length") == "4"
    assert "; ".join(got.all("cookie")) == "a=1; b=2"
    assert got.get("via") == "1.1 adit" and answer.get("via") in ("2 adit", "2.0 adit")
    assert got.get("x-forwarded-for") == "127.0.0.1" and "host" not in got.names()


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_methods(start, method):
    app, way = start(echo)
    assert way.exchange(method, "/").status == 200
    assert app.last.method == method


def test_bodies_of_unknown_length(start):
    """Chunked on the one side, frames without a length on the other."""
    app, way = start(lambda s: (s.wait_end(), s.send_head([(":status", "200")]),
                                s.send(s.body, end=True)))
    with way.client() as client:
        client.ask("POST", "/", [("Transfer-Encoding", "chunked")])
        client.send(b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
        assert client.answer().body == b"abcdefg"
        assert client.get().body == b""
    assert app.requests[0].get("content-length") is None


def test_trailers_both_ways(start):
    def handler(stream):
        stream.wait_end()
        stream.reply(200, b"body", trailers=[("x-sum", "7")])
    app, way = start(handler)
    with way.client() as client:
        client.ask("POST", "/", [("Transfer-Encoding", "chunked"), ("TE", "trailers"),
                                 ("Trailer", "X-Up")])
        client.send(b"1\r\nx\r\n0\r\nX-Up: 8\r\n\r\n")
        answer = client.answer()
    assert answer.body == b"body" and ("x-sum", "7") in [(n.lower(), v) for n, v in answer.trailers]
    assert ("x-up", "8") in app.last.trailers


def test_hints_pass(start):
    def handler(stream):
        stream.hint(103, [("link", "</a.css>")])
        stream.reply(200, b"page")
    _, way = start(handler)
    answer = way.get()
    assert [i.get("link") for i in answer.interim] == ["</a.css>"]
    assert answer.body == b"page"


def test_100_continue(start):
    def handler(stream):
        assert stream.get("expect") == "100-continue"
        stream.hint(100)
        echo(stream)
    _, way = start(handler)
    with way.client() as client:
        client.ask("PUT", "/", [("Expect", "100-continue"), ("Content-Length", "4")])
        assert client.answer_head().status == 100
        client.send(b"body")
        assert client.answer().body == b"body"


def test_big_bodies_both_ways(start):
    _, way = start(echo)
    body = bytes(range(256)) * 16000
    answer = way.exchange("POST", "/", body=body)
    assert hashlib.sha256(answer.body).digest() == hashlib.sha256(body).digest()


def test_h2_on_both_sides(start, pki):
    app, way = start(echo, cert=pki.server)
    with way.h2_client(pki.context("h2")) as client:
        streams = [client.begin("POST", f"/{i}", body=b"%d" % i * 1000) for i in range(50)]
        assert [s.answer().body for s in streams] == [b"%d" % i * 1000 for i in range(50)]
    assert app.last.get("via") in ("2 adit", "2.0 adit")
    assert len(app.peers) <= 2


# -- few connections ------------------------------------------------------------------------------------


def test_two_hundred_requests_share_few_connections(start):
    """All are at the origin at the same time: none waited for another."""
    gate = threading.Barrier(200)

    def handler(stream):
        gate.wait(20)
        stream.reply(200, stream.path.encode())
    app, way = start(handler)
    clients = [way.client().ask("GET", f"/{i}") for i in range(200)]
    assert [c.answer().body for c in clients] == [b"/%d" % i for i in range(200)]
    assert len(app.peers) <= 4, f"{len(app.peers)} connections"


def test_one_after_the_other_is_one_connection(start):
    app, way = start()
    for _ in range(20):
        assert way.get().status == 200
    assert len(app.peers) == 1


def test_the_origins_limit_of_streams_is_kept(start):
    """It takes three at once. More wait or take another connection; only before the limit is
    known can some be refused, and those are asked again."""
    pause = threading.Event()
    app, way = start(lambda stream: (pause.wait(0.02), stream.reply(200)), settings={3: 3})
    assert way.get().status == 200
    until(lambda: app.peers[0].remote is not None, "the settings")
    clients = [way.client().ask("POST", f"/{i}", body=b"x") for i in range(40)]
    assert [c.answer().status for c in clients] == [200] * 40
    assert app.peers[0].refused == 0


def test_a_limit_of_ours(start):
    gate = threading.Barrier(8)
    app, way = start(lambda s: (gate.wait(20), s.reply(200)), upstream={"streams": 2})
    clients = [way.client().ask("GET") for _ in range(8)]
    assert [c.answer().status for c in clients] == [200] * 8
    assert len(app.peers) >= 4


# -- back-pressure, ends and refusals -------------------------------------------------------------------


def test_a_slow_client_does_not_block_its_neighbours(start, tmp_path):
    """The origin's connection is shared: what one client does not read must not stop another."""
    def handler(stream):
        stream.reply(200, b"x" * (8 << 20 if stream.path == "/large" else 100_000))
    _, way = start(handler, listen=f"unix:{tmp_path}/l")
    with way.client() as slow:
        slow.ask("GET", "/large")
        slow.answer_head()
        for _ in range(20):
            assert len(way.get("/small").body) == 100_000
        assert len(slow.read(8 << 20)) == 8 << 20


def test_a_client_that_leaves_cancels_its_stream(start):
    """RST_STREAM for that one; the connection and its other streams live."""
    codes = []

    def handler(stream):
        if stream.path == "/left":
            codes.append(stream.wait_reset())
        else:
            stream.reply(200)
    app, way = start(handler)
    client = way.client().ask("GET", "/left")
    app.wait_requests(1)
    client.reset()
    until(lambda: codes, "the reset")
    assert codes == [h2.errors.ErrorCodes.CANCEL]
    assert way.get("/stays").status == 200
    assert len(app.peers) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refused_stream_is_asked_again(start, method):
    """RFC 9113 8.7: REFUSED_STREAM means that nothing was done, also for POST."""
    def handler(stream):
        if len(app.requests) == 1:
            stream.reset(REFUSED)
        else:
            echo(stream)
    app, way = start(handler)
    body = b"once" if method == "POST" else None
    answer = way.exchange(method, "/", body=body)
    assert (answer.status, answer.body) == (200, body or b"")
    assert len(app.requests) == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_stream_above_goaway_is_asked_again(start, method):
    """RFC 9113 6.8: the same for streams above its last id."""
    def handler(stream):
        if len(app.requests) == 1:
            stream.peer.go_away(0, last=0)
            stream.peer.close()
        else:
            echo(stream)
    app, way = start(handler)
    assert way.exchange(method, "/", body=b"x" if method == "POST" else None).status == 200
    assert len(app.peers) == 2


def test_goaway_lets_what_began_end(start):
    go = threading.Event()

    def handler(stream):
        if stream.path == "/first":
            stream.peer.go_away(0)
            go.wait(20)
        stream.reply(200, stream.path.encode())
    app, way = start(handler)
    with way.client() as first:
        first.ask("GET", "/first")
        app.wait_requests(1)
        until(lambda: way.get("/next").body == b"/next" and len(app.peers) > 1, "a new connection")
        go.set()
        assert first.answer().body == b"/first"


def test_a_reset_after_the_head_cuts_the_answer(start):
    def handler(stream):
        stream.send_head([(":status", "200"), ("content-length", "10")])
        stream.send(b"abc")
        stream.reset(h2.errors.ErrorCodes.INTERNAL_ERROR)
    app, way = start(handler)
    with way.client() as client:
        client.ask("GET")
        assert client.cut_body() == b"abc"
    line = way.access()[0]
    assert line["side"] == "up", line
    assert len(app.requests) == 1


@pytest.mark.parametrize("code", ["INTERNAL_ERROR", "PROTOCOL_ERROR", "ENHANCE_YOUR_CALM"])
def test_a_reset_before_the_head_is_502(start, code):
    app, way = start(lambda stream: stream.reset(h2.errors.ErrorCodes[code]))
    assert way.exchange("POST", "/", body=b"x").status == 502
    assert len(app.requests) == 1, "a POST that may have been done is not done twice"


def test_a_connection_lost_with_many_streams(start):
    """Each gets an answer, be it that of another attempt, and the next requests are well."""
    def handler(stream):
        if len(app.peers) == 1:
            if len(app.requests) >= 20:
                stream.peer.close()
        else:
            stream.reply(200)
    app, way = start(handler)
    clients = [way.client().ask("GET", f"/{i}") for i in range(20)]
    assert {c.answer().status for c in clients} <= {200, 502}
    assert way.get().status == 200


def test_an_answer_before_the_upload_ends(start):
    """A whole answer and RST_STREAM(NO_ERROR): the answer counts (RFC 9113 8.1)."""
    def handler(stream):
        stream.reply(413, b"too much")
        stream.reset(h2.errors.ErrorCodes.NO_ERROR)
    _, way = start(handler)
    with way.client() as client:
        client.ask("PUT", "/", [("Content-Length", "5000000")]).send(b"x" * 1000)
        answer = client.answer()
    assert (answer.status, answer.body) == (413, b"too much")


def test_a_silent_origin_is_504(start):
    _, way = start(lambda stream: stream.wait_reset(), timeouts={"response": "300ms"})
    assert way.get().status == 504


# -- which protocol -------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol,agreed", [
    (None, "h2"), ("auto", "h2"), ("h2", "h2"), ("http/1.1", "http/1.1")])
def test_what_the_user_says_is_offered(edge, origin, h2_origin, pki, protocol, agreed):
    context = pki.origin_context("h2", "http/1.1")
    app = h2_origin(tls=context) if agreed == "h2" else origin(tls=context)
    upstream = {"servers": [app.at], "tls": {"ca": pki.ca.file}, "protocol": protocol}
    way = edge({"upstreams": {"app": {k: v for k, v in upstream.items() if v}}}, proxy="app")
    assert way.get().status == 200
    line = way.access()[0]
    assert line["status"] == 200


def test_an_origin_without_alpn_speaks_http_1_1(edge, origin, pki):
    app = origin(lambda request: reply(200, b"old"), tls=pki.origin_context())
    way = edge({"upstreams": {"app": {"servers": [app.at], "tls": {"ca": pki.ca.file}}}},
               proxy="app")
    assert way.get().body == b"old"


def test_h2_and_nothing_else_is_502_without_it(edge, origin, pki):
    app = origin(tls=pki.origin_context())
    way = edge({"upstreams": {"app": {"servers": [app.at], "tls": {"ca": pki.ca.file},
                                      "protocol": "h2"}}}, proxy="app")
    assert way.get().status == 502
    assert not app.requests


def test_h2c_by_the_word_protocol(edge, h2_origin):
    app = h2_origin()
    way = edge({"upstreams": {"app": {"servers": [app.bind], "protocol": "h2"}}}, proxy="app")
    assert way.get().body == b"hello"


def test_an_h2c_origin_that_speaks_http_1_1_is_502(edge, origin):
    app = origin(play=lambda conn: (conn.fill(), conn.send(reply(400)), conn.read_to_end()))
    assert edge(proxy="h2c://" + app.at).get().status == 502


def test_reset_is_known(start):
    """The harness itself: a reset is seen by a handler that waits for something else."""
    seen = []

    def handler(stream):
        try:
            stream.wait_end()
        except Reset as reset:
            seen.append(reset.code)
            raise
    app, way = start(handler)
    client = way.client().ask("PUT", "/", [("Content-Length", "10")])
    app.wait_requests(1)
    client.reset()
    until(lambda: seen, "the reset")
