# SPDX-License-Identifier: Apache-2.0
"""1xx: 100-continue asked for, hints sent ahead, and what must not be said to whom."""
import threading

from harness import reply

EXPECT = [("Expect", "100-continue"), ("Content-Length", "4")]


def continue_then_echo(conn):
    request = conn.read_request_head()
    if request.get("expect"):
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = conn.read(4)
    conn.send(reply(200, body))
    conn.read_to_end()


def test_a_client_waits_for_100_before_its_body(edge, origin):
    with edge(proxy=origin(play=continue_then_echo)).client() as client:
        client.ask("PUT", "/", EXPECT)
        assert client.answer_head().status == 100
        client.send(b"body")
        assert client.answer().body == b"body"


def test_an_origin_may_refuse_before_the_body(edge, origin):
    def refuse(conn):
        conn.read_request_head()
        conn.send(reply(403, b"no", close=True))
        conn.close()
    app = origin(play=refuse)
    with edge(proxy=app).client() as client:
        client.ask("PUT", "/", EXPECT)
        answer = client.answer()
        assert (answer.status, answer.body, answer.interim) == (403, b"no", [])


def test_a_client_that_does_not_wait(edge, origin):
    with edge(proxy=origin(play=continue_then_echo)).client() as client:
        client.ask("PUT", "/", EXPECT).send(b"body")
        assert client.answer().body == b"body"


def test_hints_pass_before_the_answer_is_ready(edge, origin):
    hinted = threading.Event()

    def play(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        conn.wait(hinted)
        conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n")
        conn.send(reply(200, b"page"))
    with edge(proxy=origin(play=play)).client() as client:
        client.ask("GET")
        hint = client.answer_head()
        assert (hint.status, hint.get("link")) == (103, "</a.css>; rel=preload")
        hinted.set()
        answer = client.answer()
        assert [i.get("link") for i in answer.interim] == ["</b.css>; rel=preload"]
        assert answer.body == b"page"


def test_http_1_0_never_hears_1xx(edge, origin):
    """RFC 9110 15.2: a server MUST NOT send a 1xx response to an HTTP/1.0 client."""
    def handler(request):
        request.conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        return reply(200, b"page")
    answer = edge(proxy=origin(handler)).get(version="HTTP/1.0")
    assert (answer.status, answer.interim) == (200, [])


def test_an_unknown_expectation_is_417(edge, origin):
    app = origin()
    answer = edge(proxy=app).exchange("PUT", "/", [("Expect", "a-miracle")], b"body")
    assert answer.status == 417
    assert not app.requests


def test_a_hint_does_not_confuse_the_connection(edge, origin):
    def handler(request):
        request.conn.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 3)
        return reply(200, b"page")
    app = origin(handler)
    with edge(proxy=app).client() as client:
        for _ in range(3):
            assert client.get().body == b"page"
    assert len(app.conns) == 1


def test_an_endless_row_of_1xx_ends_in_502(edge, origin):
    def play(conn):
        conn.read_request()
        while True:
            conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" * 100)
    app = origin(play=play)
    with edge(proxy=app, timeouts={"response": "2s"}).client() as client:
        client.ask("GET")
        assert client.answer().status in (502, 504)
    assert edge(proxy=origin()).get().status == 200


def test_hints_to_a_client_that_does_not_read(edge, origin, tmp_path):
    """They are worth less than the memory: the client that reads late gets the answers whole."""
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </" + b"a" * 600 + b">\r\n\r\n"

    def handler(request):
        if request.target == "/large":
            return reply(200, b"x" * 3_000_000)
        return hint * 16 + reply(200, b"page")
    app = origin(handler)
    way = edge(proxy=app, listen=f"unix:{tmp_path}/sock")
    with way.client() as client:
        client.ask("GET", "/large").ask("GET", "/hinted").ask("GET", "/hinted")
        app.wait_requests(1)
        assert len(client.answer().body) == 3_000_000
        assert client.answer().body == b"page"
        assert client.answer().body == b"page"


def test_the_body_of_a_refused_expectation_is_not_taken_for_a_request(edge, origin):
    """The origin says no, yet the client sends its body: it must never be read as a request."""
    def handler(conn):
        while True:
            conn.origin.requests.append(conn.read_request_head())
            conn.send(reply(403, b"no"))
    app = origin(play=handler)
    body = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
    with edge(proxy=app).client() as client:
        client.ask("PUT", "/", [("Expect", "100-continue"), ("Content-Length", str(len(body)))])
        assert client.answer().status == 403
        try:
            client.send(body)
            client.ask("GET", "/second")
            client.read_to_end()
        except OSError:
            pass
    assert "/smuggled" not in [r.target for r in app.requests]
