# SPDX-License-Identifier: Apache-2.0
"""Compression on the way out: when, when not, and that it never makes anybody wait."""
import gzip
import os
import threading
import zlib

import pytest

from harness import reply
from harness.client import chunked

TEXT = b"All work and no play makes a dull body. " * 500
GZIP = [("Accept-Encoding", "gzip")]
HTML = ("Content-Type", "text/html; charset=utf-8")


def packed(edge, origin, handler=None, **compress):
    app = origin(handler or (lambda request: reply(200, TEXT, [HTML])))
    return edge({"sites": {"default": {"proxy": app.at, "compress": compress or "on"}}})


def test_text_is_packed_for_who_takes_it(edge, origin):
    with packed(edge, origin).client() as client:
        answer = client.get("/", GZIP)
        assert answer.get("content-encoding") == "gzip"
        assert "accept-encoding" in answer.get("vary").lower()
        assert len(answer.body) < len(TEXT) / 4
        assert gzip.decompress(answer.body) == TEXT
        plain = client.get()
        assert plain.body == TEXT
        assert "content-encoding" not in plain.names()
        assert "accept-encoding" in plain.get("vary").lower(), "a cache must know it depends"


@pytest.mark.parametrize("accept, takes", [
    ("gzip", True), ("GZIP", True), ("x-gzip", True), ("deflate, gzip;q=0.5", True), ("*", True),
    ("br, gzip ; q=0.001", True), ("gzip;q=0", False), ("identity", False), ("", False),
    ("*;q=0", False), ("gzip;q=0, *", False), ("deflate", False), ("xgzip", False),
    ("identity;q=1, gzip;q=0.5", False)])
def test_accept_encoding(edge, origin, accept, takes):
    answer = packed(edge, origin).get("/", [("Accept-Encoding", accept)])
    if accept == "identity;q=1, gzip;q=0.5":
        assert answer.status == 200     # Either is allowed; plain is what the client prefers.
    else:
        assert ("gzip" in answer.get("content-encoding", "")) == takes
    body = gzip.decompress(answer.body) if answer.all("content-encoding") else answer.body
    assert body == TEXT


LEFT_ALONE = {
    "an image": reply(200, TEXT, [("Content-Type", "image/png")]),
    "no type": reply(200, TEXT),
    "too small": reply(200, b"small", [HTML]),
    "packed already": reply(200, TEXT, [HTML, ("Content-Encoding", "br")]),
    "no-transform": reply(200, TEXT, [HTML, ("Cache-Control", "public, No-Transform")]),
    "a part": reply(206, TEXT, [HTML, ("Content-Range", "bytes 0-19999/20000")]),
    "nothing changed": reply(304, b"", [HTML, ("ETag", '"v"')]),
    "no content": reply(204, b"", [HTML]),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_is_left_alone(edge, origin, name):
    answer = packed(edge, origin, lambda request: LEFT_ALONE[name]).get("/", GZIP)
    assert "gzip" not in answer.get("content-encoding", "")
    assert LEFT_ALONE[name].endswith(answer.body)
    if name == "a part":
        assert answer.get("content-range") == "bytes 0-19999/20000"


def test_validators_become_weak(edge, origin):
    """RFC 9110 8.8.3.3: packed bytes are another representation than those of a strong ETag."""
    tags = {"/strong": '"v1"', "/weak": 'W/"v1"'}
    way = packed(edge, origin, lambda request: reply(200, TEXT, [HTML, ("ETag", tags[request.path]),
                                                                 ("Accept-Ranges", "bytes")]))
    for path in tags:
        answer = way.get(path, GZIP)
        assert answer.get("etag") == 'W/"v1"'
        assert answer.get("accept-ranges", "none") == "none"
        assert not answer.all("content-length") or len(answer.body) < len(TEXT)
    assert way.get("/strong").get("etag") == '"v1"'


def test_vary_is_added_to(edge, origin):
    way = packed(edge, origin, lambda request: reply(200, TEXT, [HTML, ("Vary", "Cookie")]))
    vary = ", ".join(way.get("/", GZIP).all("vary")).lower()
    assert "cookie" in vary and "accept-encoding" in vary
    way = packed(edge, origin, lambda request: reply(200, TEXT, [HTML, ("Vary", "*")]))
    assert way.get("/", GZIP).all("vary")[0] == "*"


def test_head_says_what_get_would(edge, origin):
    with packed(edge, origin).client() as client:
        head = client.exchange("HEAD", "/", GZIP)
        assert head.get("content-length") != str(len(TEXT))
        assert "accept-encoding" in head.get("vary").lower()
        assert client.get("/", GZIP).status == 200


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_part_that_was_sent_can_be_read_at_once(edge, origin, framing):
    """The stage flushes when the origin pauses: server-sent events work through gzip."""
    turns = [threading.Event() for _ in range(3)]

    def play(conn):
        conn.read_request()
        fields = [("Content-Type", "text/event-stream")]
        fields += [("Transfer-Encoding", "chunked")] if framing == "chunked" else []
        conn.send(reply(200, length=False, fields=fields))
        for i, turn in enumerate(turns):
            conn.wait(turn)
            part = b"data: event %d\n\n" % i
            conn.send(b"%x\r\n%s\r\n" % (len(part), part) if framing == "chunked" else part)
        conn.send(b"0\r\n\r\n" if framing == "chunked" else b"")
    app = origin(play=play)
    way = edge({"sites": {"default": {"proxy": app.at, "compress": {
        "types": ["text/event-stream"], "min": 0}}}})
    with way.client() as client:
        client.ask("GET", "/", GZIP)
        answer, unpack, seen = client.answer_head(), zlib.decompressobj(31), b""
        assert answer.get("content-encoding") == "gzip"
        for i, turn in enumerate(turns):
            turn.set()
            while not seen.endswith(b"event %d\n\n" % i):
                seen += unpack.decompress(client.read_chunk(answer))


def test_large_and_incompressible_bodies_survive(edge, origin):
    body = os.urandom(2_000_000) + TEXT * 100
    way = packed(edge, origin, lambda request: reply(200, body, [HTML]))
    assert gzip.decompress(way.get("/", GZIP).body) == body
    way = packed(edge, origin, lambda request: reply(200, chunks=[body, TEXT], fields=[HTML]))
    assert gzip.decompress(way.get("/", GZIP).body) == body + TEXT


def test_http_1_0_and_request_bodies(edge, origin):
    way = packed(edge, origin, lambda request: reply(200, request.body, [HTML]))
    answer = way.exchange("POST", "/", GZIP, TEXT, version="HTTP/1.0")
    unpacked = gzip.decompress(answer.body) if answer.all("content-encoding") else answer.body
    assert unpacked == TEXT
    answer = way.exchange("POST", "/", GZIP + [("Transfer-Encoding", "chunked")],
                          chunked(TEXT, TEXT))
    assert gzip.decompress(answer.body) == TEXT * 2


def test_types_size_and_level_are_directives(edge, origin):
    short = reply(200, b"x" * 300, [("Content-Type", "app/own")])
    way = packed(edge, origin, lambda request: short, types=["app/own"], min=200, level=9)
    assert gzip.decompress(way.get("/", GZIP).body) == b"x" * 300


def test_a_cut_answer_is_cut_when_packed(edge, origin):
    def play(conn):
        conn.read_request()
        conn.send(reply(200, length=False, fields=[HTML, ("Content-Length", "50000")]) + TEXT)
        conn.close()
    app = origin(play=play)
    with edge({"sites": {"default": {"proxy": app.at, "compress": "on"}}}).client() as client:
        client.ask("GET", "/", GZIP)
        with pytest.raises(EOFError):
            gzip.decompress(client.cut_body())


def test_off_means_off(edge, origin):
    app = origin(lambda request: reply(200, TEXT, [HTML]))
    answer = edge(proxy=app).get("/", GZIP)
    assert answer.body == TEXT
    assert app.last.get("accept-encoding") == "gzip", "the origin may still pack by itself"
