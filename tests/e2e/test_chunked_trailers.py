# SPDX-License-Identifier: Apache-2.0
"""The chunked coding and the fields after it."""
import pytest

from harness import reply
from harness.client import chunked

CHUNKED = [("Transfer-Encoding", "chunked")]


def test_chunked_both_ways(edge, origin):
    app = origin(lambda request: reply(200, chunks=[request.body, b"and", b"more"]))
    answer = edge(proxy=app).exchange("POST", "/", CHUNKED, chunked(b"some", b"thing" * 5000))
    assert app.last.body == b"some" + b"thing" * 5000
    assert app.last.framing == "chunked"
    assert answer.body == app.last.body + b"andmore"
    assert answer.framing == "chunked"


def test_trailers_of_the_answer(edge, origin):
    app = origin(lambda request: reply(200, fields=[("Trailer", "X-Sum, X-Time")], chunks=[b"data"],
                                       trailers=[("X-Sum", "abc"), ("X-Time", "3")]))
    answer = edge(proxy=app).get("/", [("TE", "trailers"), ("Connection", "TE")])
    assert answer.trailers == [("X-Sum", "abc"), ("X-Time", "3")] or \
        [(n.lower(), v) for n, v in answer.trailers] == [("x-sum", "abc"), ("x-time", "3")]
    assert answer.get("trailer") == "X-Sum, X-Time"


def test_trailers_of_the_request(edge, origin):
    app = origin()
    edge(proxy=app).exchange("PUT", "/", CHUNKED + [("Trailer", "X-Sum")],
                             chunked(b"data", trailers=[("X-Sum", "abc")]))
    assert [(n.lower(), v) for n, v in app.last.trailers] == [("x-sum", "abc")]
    assert "x-sum" not in app.last.names(), "a trailer does not become a field of the head"


@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Host", "Authorization",
                                  "Connection", "Content-Type", "X-Forwarded-For"])
def test_trailers_that_would_change_the_meaning_do_not_pass(edge, origin, name):
    """RFC 9110 6.5.1. They may be dropped or the request refused."""
    app = origin()
    with edge(proxy=app).client() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + chunked(b"data", trailers=[(name, "7")]))
        assert client.answer().status in (200, 400)
    for request in app.requests:
        assert not request.trailers


def test_chunk_extensions_do_not_pass(edge, origin):
    app = origin()
    with edge(proxy=app).client() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"4;name=value\r\ndata\r\n3;a;b=\"quoted\"\r\nend\r\n0;last\r\n\r\n")
        assert client.answer().status == 200
    assert app.last.body == b"dataend"
    assert b"name=value" not in app.raw


def test_a_head_and_chunks_of_one_byte_each(edge, origin):
    app = origin()
    with edge(proxy=app).client() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in chunked(*[b"%d" % i for i in range(10)], b"X" * 20):
            client.send(bytes([byte]))
        assert client.answer().status == 200
    assert app.last.body == b"0123456789" + b"X" * 20


@pytest.mark.parametrize("size", [b"A", b"a", b"00a", b"000000000000000a"])
def test_chunk_sizes_in_any_case_with_leading_zeros(edge, origin, size):
    app = origin()
    with edge(proxy=app).client() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + size + b"\r\n0123456789\r\n0\r\n\r\n")
        assert client.answer().status == 200
    assert app.last.body == b"0123456789"


def test_coding_names_are_not_case_sensitive(edge, origin):
    app = origin()
    answer = edge(proxy=app).exchange("PUT", "/", [("Transfer-Encoding", "Chunked")], chunked(b"x"))
    assert answer.status == 200
    assert app.last.body == b"x"


def test_an_empty_chunked_body(edge, origin):
    app = origin(lambda request: reply(200, chunks=[]))
    with edge(proxy=app).client() as client:
        assert client.exchange("PUT", "/", CHUNKED, chunked()).body == b""
        assert client.exchange("PUT", "/", CHUNKED, chunked()).body == b""
    assert app.last.body == b""


def test_many_small_chunks_arrive_whole(edge, origin):
    parts = [b"%05d" % i for i in range(20000)]
    app = origin(lambda request: reply(200, chunks=parts))
    answer = edge(proxy=app).exchange("PUT", "/", CHUNKED, chunked(*parts))
    assert answer.body == app.last.body == b"".join(parts)
