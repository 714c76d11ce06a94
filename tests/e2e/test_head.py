# SPDX-License-Identifier: Apache-2.0
"""Answers that have no body whatever their fields say."""
import pytest

from harness import Cut, reply


def test_head_keeps_the_length_and_sends_no_body(edge, origin):
    app = origin(lambda request: reply(200, b"x" * 12345))
    with edge(proxy=app).client() as client:
        for _ in range(3):
            answer = client.exchange("HEAD")
            assert (answer.status, answer.body) == (200, b"")
            assert answer.get("content-length") == "12345"
        assert client.get().body == b"x" * 12345
    assert app.requests[0].method == "HEAD"
    assert len(app.conns) == 1


def test_head_of_a_chunked_answer(edge, origin):
    app = origin(lambda request: reply(200, length=False, fields=[("Transfer-Encoding", "chunked")])
                 if request.method == "HEAD" else reply(200, b"after"))
    with edge(proxy=app).client() as client:
        assert client.exchange("HEAD").body == b""
        assert client.get().body == b"after"


def test_not_modified_keeps_its_validators(edge, origin):
    app = origin(lambda request: reply(304, fields=[("ETag", '"v1"'), ("Content-Length", "999")]))
    with edge(proxy=app).client() as client:
        for _ in range(2):
            answer = client.get("/", [("If-None-Match", '"v1"')])
            assert (answer.status, answer.get("etag")) == (304, '"v1"')


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nextra", b"HTTP/1.1 204 No\r\n\r\nextra",
    b"HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\nextra"], ids=["head", "204", "304"])
def test_a_body_where_none_may_be_reaches_nobody(edge, origin, answer):
    first = []

    def play(conn):
        request = conn.read_request()
        if first:
            conn.send(reply(200, request.target.encode()))
        else:
            first.append(1)
            conn.send(answer)
        conn.read_to_end()
    app = origin(play=play)
    way = edge(proxy=app)
    method = "HEAD" if b"200" in answer else "GET"
    assert way.exchange(method).body == b""
    assert way.get("/next").body == b"/next"
    assert len(app.conns) == 2, "a connection with bytes nobody asked for is not used again"


def test_204_with_a_length_is_not_passed_as_such(edge, origin):
    """RFC 9110 8.6: a server MUST NOT send Content-Length in a 204."""
    app = origin(lambda request: b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n")
    with edge(proxy=app).client() as client:
        answer = client.get()
        assert answer.status in (204, 502)
        assert answer.status == 502 or not answer.all("content-length")


def test_a_cut_answer_to_get_after_a_head(edge, origin):
    app = origin(lambda request: reply(200, b"x" * 10) if request.method == "HEAD" else
                 reply(200, b"xxx", [("Content-Length", "10")], length=False, close=True))
    with edge(proxy=app).client() as client:
        assert client.exchange("HEAD").status == 200
        with pytest.raises(Cut):
            client.get()
