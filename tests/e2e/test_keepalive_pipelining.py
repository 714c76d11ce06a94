# SPDX-License-Identifier: Apache-2.0
"""Connections that carry many exchanges, one after another and all at once."""
import threading

from harness import reply, until


def test_both_connections_are_kept(edge, origin):
    app = origin()
    with edge(proxy=app).client() as client:
        for _ in range(5):
            answer = client.get()
            assert answer.get("connection", "").lower() != "close"
    assert len(app.requests) == 5
    assert len(app.conns) == 1


def test_clients_take_turns_on_one_origin_connection(edge, origin):
    app = origin()
    way = edge(proxy=app)
    for _ in range(5):
        assert way.get().status == 200
    assert len(app.conns) == 1, "an idle origin connection is for whoever comes next"


def test_pipelined_requests_are_answered_in_order(edge, origin):
    slow = threading.Event()

    def handler(request):
        if request.target == "/0":
            assert slow.wait(10)
        return reply(200, request.target.encode())
    with edge(proxy=origin(handler)).client() as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % i for i in range(50)))
        slow.set()
        assert [client.answer().body for _ in range(50)] == [b"/%d" % i for i in range(50)]


def test_pipelined_requests_with_bodies(edge, origin):
    app = origin(lambda request: reply(200, request.method.encode() + request.body))
    with edge(proxy=app).client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /"
                    b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"3\r\nabc\r\n0\r\n\r\nHEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
                    b"GET /last HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.answer("POST").body == b"POSTGET /"
        assert client.answer("PUT").body == b"PUTabc"
        assert client.answer("HEAD").body == b""
        assert client.answer("GET").body == b"GET"
    assert [r.target for r in app.requests] == ["/", "/", "/", "/last"]


def test_a_bad_request_in_a_pipeline_spoils_only_what_follows(edge, origin):
    app = origin(lambda request: reply(200, request.target.encode()))
    with edge(proxy=app).client() as client:
        client.send(b"GET /good HTTP/1.1\r\nHost: h\r\n\r\nGET /bad HTTP/1.1\r\nHost : h\r\n\r\n"
                    b"GET /never HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.answer().body == b"/good"
        assert client.refused().status == 400
    assert [r.target for r in app.requests] == ["/good"]


def test_connection_close_from_the_client(edge, origin):
    app = origin()
    way = edge(proxy=app)
    with way.client() as client:
        answer = client.get("/", [("Connection", "close")])
        assert answer.get("connection").lower() == "close"
        assert client.at_end()
    assert way.get().status == 200
    assert len(app.conns) == 1, "the client's close is not passed on to the origin's connection"


def test_connection_close_from_the_origin(edge, origin):
    app = origin(lambda request: reply(200, b"bye", close=True))
    with edge(proxy=app).client() as client:
        for _ in range(3):
            answer = client.get()
            assert answer.body == b"bye"
            assert answer.get("connection", "").lower() != "close"
    assert len(app.conns) == 3


def test_http_1_0_keep_alive(edge, origin):
    with edge(proxy=origin()).client() as client:
        answer = client.get("/", [("Connection", "keep-alive")], version="HTTP/1.0")
        if answer.get("connection", "").lower() == "keep-alive":
            assert client.get("/", version="HTTP/1.0").status == 200
        assert client.at_end()


def test_an_idle_client_connection_is_closed_without_a_word(edge, origin):
    with edge(proxy=origin(), timeouts={"idle": "1s"}).client() as client:
        assert client.get().status == 200
        assert client.at_end()


def test_a_connection_ends_after_its_share_of_requests(edge, origin):
    with edge(proxy=origin(), limits={"requests_per_connection": 3}).client() as client:
        said = [client.get().get("connection", "").lower() for _ in range(3)]
        assert said == ["", "", "close"] or said == ["keep-alive", "keep-alive", "close"]
        assert client.at_end()


def test_a_client_that_leaves_early_takes_nothing_with_it(edge, origin):
    leave = threading.Event()

    def handler(request):
        if request.target == "/slow":
            leave.wait(10)
        return reply(200, request.target.encode())
    app = origin(handler)
    way = edge(proxy=app)
    client = way.client().ask("GET", "/slow")
    app.wait_requests(1)
    client.reset()
    leave.set()
    assert way.get("/next").body == b"/next"
    until(lambda: len(app.requests) == 2, "the second request")


def test_half_close_after_a_request_still_gets_the_answer(edge, origin):
    """Scripts do this: printf ... | nc. The request is whole, so it is served."""
    with edge(proxy=origin()).client() as client:
        client.ask("GET")
        client.half_close()
        assert client.answer().body == b"hello"
        assert client.at_end()
