# SPDX-License-Identifier: Apache-2.0
"""Requests that two parsers could read in two ways, or that no parser should read at all.

Each row gets its 4xx and a closed connection, and the origin never sees a byte of it. One edge and
one origin serve the whole table, so a request that spoils what comes after it would show as well.
"""
import pytest

from harness import Cut, proc

H = b"Host: h\r\n"
END = b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + H
CODED = b"Transfer-Encoding: chunked\r\n"
CHUNKED = POST + CODED + END
MARK = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


def lengths(*values):
    return POST + b"".join(b"Content-Length: %s\r\n" % v for v in values) + END + b"abcde"


def field(line):
    return b"GET / HTTP/1.1\r\n" + H + line + b"\r\n\r\n"


def line(text):
    return text + b"\r\n" + H + END


FRAMING = {
    "length then coding": POST + b"Content-Length: 3\r\n" + CODED + b"\r\n0\r\n\r\n",
    "coding then length": POST + CODED + b"Content-Length: 3\r\n\r\n0\r\n\r\n",
    "two equal lengths": lengths(b"5", b"5"),
    "two lengths": lengths(b"5", b"6"),
    "listed lengths": lengths(b"5, 5"),
    "listed different lengths": lengths(b"5,6"),
    "length with plus": lengths(b"+5"),
    "negative length": lengths(b"-5"),
    "length with space inside": lengths(b"5 5"),
    "empty length": lengths(b""),
    "hex length": lengths(b"0x5"),
    "length with point": lengths(b"5.0"),
    "length with exponent": lengths(b"5e0"),
    "length with underscore": lengths(b"5_0"),
    "length with quotes": lengths(b'"5"'),
    "length of words": lengths(b"five"),
    "length beyond 64 bits": lengths(b"18446744073709551616"),
    "length far beyond 64 bits": lengths(b"9" * 100),
    "length with other digits": lengths("\u0665".encode()),
    "coding not final": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked in two fields": POST + CODED + CODED + b"\r\n0\r\n\r\n",
    "identity coding": POST + b"Transfer-Encoding: identity\r\n\r\n" + MARK,
    "coding alike": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding with vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding with parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "coding in quotes": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "empty coding": POST + b"Transfer-Encoding:\r\n\r\n" + MARK,
    "gzip then chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding in 1.0": b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}
CHUNKS = {
    "size overflow": CHUNKED + b"10000000000000000\r\nabc\r\n0\r\n\r\n",
    "size overflow that wraps to 3": CHUNKED + b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    "size of 64 ones": CHUNKED + b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "size with sign": CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n",
    "negative size": CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
    "size with 0x": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "empty size": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "size with space before": CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n",
    "size not hex": CHUNKED + b"g\r\nabc\r\n0\r\n\r\n",
    "size with endless zeros": CHUNKED + b"0" * 70000 + b"3\r\nabc\r\n0\r\n\r\n",
    "extension without end": CHUNKED + b"3;" + b"x" * 70000 + b"\r\nabc\r\n0\r\n\r\n",
    "extension with bare CR": CHUNKED + b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "extension with NUL": CHUNKED + b"3;a\0b\r\nabc\r\n0\r\n\r\n",
    "size line with bare LF": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "size line with bare CR": CHUNKED + b"3\rabc\r\n0\r\n\r\n",
    "data longer than size": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "data with bare LF after": CHUNKED + b"3\r\nabc\n0\r\n\r\n",
    "data with CR and no LF": CHUNKED + b"3\r\nabc\rX0\r\n\r\n",
    "last chunk with bare LF": CHUNKED + b"0\n\r\n",
    "trailer with space before colon": CHUNKED + b"0\r\nX-A : b\r\n\r\n",
    "trailer folded": CHUNKED + b"0\r\nX-A: b\r\n c\r\n\r\n",
    "trailer with bare LF": CHUNKED + b"0\r\nX-A: b\n\r\n",
    "trailer with NUL": CHUNKED + b"0\r\nX-A: b\0\r\n\r\n",
    "trailer without colon": CHUNKED + b"0\r\n" + MARK,
    "trailers without end": CHUNKED + b"0\r\n" + b"X-A: bbbbbbbbbbbbbbbbbbb\r\n" * 5000 + END,
}
LINES = {
    "bare LF after the request line": b"GET / HTTP/1.1\nHost: h\r\n\r\n",
    "bare LF everywhere": b"GET / HTTP/1.1\nHost: h\n\n",
    "bare LF after a field": b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
    "bare CR in the request line": b"GET /\r HTTP/1.1\r\n" + H + END,
    "bare CR in a value": field(b"X: a\rb"),
    "bare CR before a field": field(b"\rX: a"),
    "CR CR LF": field(b"X: a\r"),
    "NUL in a value": field(b"X: a\0b"),
    "NUL in a name": field(b"X\0: a"),
    "NUL in the target": line(b"GET /\0 HTTP/1.1"),
    "NUL in the method": line(b"G\0T / HTTP/1.1"),
    "NUL first": b"\0GET / HTTP/1.1\r\n" + H + END,
    "control byte in a value": field(b"X: a\x01b"),
    "escape in a value": field(b"X: \x1b[31m"),
    "DEL in a value": field(b"X: \x7f"),
    "vertical tab in a value": field(b"X: a\x0bb"),
    "folded line with space": field(b"X: a\r\n b"),
    "folded line with tab": field(b"X: a\r\n\tb"),
    "folded framing": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "space before the first field": b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
    "space before colon": field(b"X : a"),
    "tab before colon": field(b"X\t: a"),
    "space before colon of length": POST + b"Content-Length : 5\r\n\r\nabcde",
    "space before colon of coding": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "space inside a name": field(b"X Y: a"),
    "no colon": field(b"nonsense"),
    "no name": field(b": a"),
    "name with parentheses": field(b"X(Y): a"),
    "name with obs-text": field(b"X\xfc: a"),
    "name in quotes": field(b'"X": a'),
    "length with underscore name": POST + b"Content_Length: 5\r\n\r\nabcde",
    "coding with underscore name": POST + b"Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
    "length and underscore length": POST + b"Content-Length: 0\r\nContent_Length: 5\r\n\r\n",
    "upgrade to h2c": field(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                            b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
    "upgrade to a list with h2c": field(b"Connection: Upgrade\r\nUpgrade: websocket, H2C"),
    "h2 preface with a field": b"PRI * HTTP/2.0\r\nHost: a.test\r\n\r\nSM\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 100,
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "random words": b"hello there\r\n\r\n",
}
STARTS = {
    "empty method": line(b" / HTTP/1.1"),
    "method with bad byte": line(b"G@T / HTTP/1.1"),
    "method with colon": line(b"GET: / HTTP/1.1"),
    "method with obs-text": line(b"G\xc3\x8bT / HTTP/1.1"),
    "two spaces": line(b"GET  / HTTP/1.1"),
    "two spaces before version": line(b"GET /  HTTP/1.1"),
    "tab instead of space": line(b"GET\t/ HTTP/1.1"),
    "space at the end": line(b"GET / HTTP/1.1 "),
    "space in the target": line(b"GET /a b HTTP/1.1"),
    "no target": line(b"GET HTTP/1.1"),
    "no version": line(b"GET /"),
    "target without slash": line(b"GET index.html HTTP/1.1"),
    "target of a star": line(b"GET * HTTP/1.1"),
    "target with fragment": line(b"GET /a#b HTTP/1.1"),
    "target with obs-text": line(b"GET /\xfc HTTP/1.1"),
    "target with bad scheme": line(b"GET ftp://h/ HTTP/1.1"),
    "target with user": line(b"GET http://user:pw@h/ HTTP/1.1"),
    "target with empty host": line(b"GET http:///x HTTP/1.1"),
    "target is a host": line(b"GET h:80 HTTP/1.1"),
    "version 2": line(b"GET / HTTP/2.0"),
    "version 1.2 and more": line(b"GET / HTTP/1.10"),
    "version 0.9": line(b"GET / HTTP/0.9"),
    "version of words": line(b"GET / HTTP/x.y"),
    "version in small letters": line(b"GET / http/1.1"),
    "version of another protocol": line(b"GET / ICAP/1.0"),
    "RTSP": line(b"OPTIONS * RTSP/1.0"),
}
HOSTS = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": field(b"Host: other"),
    "the same host twice": field(b"Host: h"),
    "listed hosts": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "host with space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host with path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with query": b"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n",
    "host with user": b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n",
    "host with bad port": b"GET / HTTP/1.1\r\nHost: a:port\r\n\r\n",
    "host with huge port": b"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
    "host with two ports": b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
    "host with scheme": b"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n",
    "host with quotes": b'GET / HTTP/1.1\r\nHost: "a"\r\n\r\n',
    "host with backslash": b"GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n",
    "host of obs-text": b"GET / HTTP/1.1\r\nHost: \xfc\xfc\r\n\r\n",
    "host with open bracket": b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "host with empty brackets": b"GET / HTTP/1.1\r\nHost: []\r\n\r\n",
    "host with bad address": b"GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n",
    "host too long": b"GET / HTTP/1.1\r\nHost: " + b"a" * 5000 + b"\r\n\r\n",
    "underscore forwarded-like host twice": b"GET / HTTP/1.1\r\nHost : a\r\nHost: b\r\n\r\n",
}
SIZES = {
    "target too long": (line(b"GET /" + b"a" * 9000 + b" HTTP/1.1"), 414),
    "target without end": (b"GET /" + b"a" * 100000, 414),
    "method without end": (b"G" * 100000, (400, 414, 431)),
    "one field too long": (field(b"X: " + b"a" * 40000), 431),
    "one field without end": (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 100000, 431),
    "name without end": (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"a" * 100000, (400, 431)),
    "many fields": (field(b"\r\n".join(b"X%d: a" % i for i in range(101))), 431),
    "thousands of fields": (field(b"\r\n".join(b"X:" for _ in range(6000))), 431),
    "empty lines without end": (b"\r\n" * 50000, (400, 408, 431)),
    "head too large in sum": (field(b"\r\n".join(b"X: " + b"a" * 500 for _ in range(80))), 431),
}
TABLE = {**FRAMING, **CHUNKS, **LINES, **STARTS, **HOSTS, **SIZES}
# What may be answered otherwise than with 400 in the tables above.
OTHERS = {"gzip then chunked": 501, "coding alike": 501, "identity coding": 501,
          "coding with parameter": 501, "coding in quotes": 501, "version 2": 505,
          "version 0.9": 505, "version 1.2 and more": 505, "h2 preface with a field": 505, "no version": 505,
          "coding not final": 501, "upgrade to h2c": 426,
          "trailers without end": 431, "host too long": 431, "RTSP": 505,
          "version of another protocol": 505}


@pytest.fixture(scope="module")
def wall(module_edge, module_origin):
    """The edge that must refuse, and an origin that must not be reached by anything refused.

    Bodies that turn out bad after a good head may have been begun; the head is all that passes."""
    app = module_origin()
    return module_edge(proxy=app), app


@pytest.mark.parametrize("name", TABLE)
def test_it_is_refused(wall, name):
    way, app = wall
    row = TABLE[name]
    data, expected = row if isinstance(row, tuple) else (row, (400, OTHERS.get(name, 400)))
    seen = len(app.requests)
    with way.client() as client:
        try:
            client.send(data)
        except OSError:
            pass    # Refused before all was said.
        answer = client.refused()
    assert answer.status in (expected if isinstance(expected, tuple) else (expected,)), answer
    assert "close" in answer.get("connection", "").lower()
    assert len(app.requests) == seen, "the origin was given a request"
    assert b"smuggled" not in app.raw
    if name not in CHUNKS:
        assert len(app.conns) == 0 or not app.conns[-1].received.endswith(b"abcde")


@pytest.mark.parametrize("name", [n for n in TABLE if n not in CHUNKS and n not in SIZES])
def test_the_origin_sees_nothing_of_it(wall, name):
    """The same in two pieces, cut at a place that differs from row to row, with more behind it."""
    way, app = wall
    before = app.raw
    data = TABLE[name]
    cut = 1 + len(name) * 7 % max(1, len(data) - 1)
    with way.client() as client:
        try:
            client.send(data[:cut])
            client.send(data[cut:] + MARK)
        except OSError:
            pass
        answer = client.refused()
    assert 400 <= answer.status <= 505
    assert app.raw == before, "the origin saw bytes of a refused request"


@pytest.mark.parametrize("name", CHUNKS)
def test_a_body_that_turns_bad_ends_the_origin_connection(wall, name):
    """The head was good, so the origin may have it, but what it sees must never end well."""
    way, app = wall
    head, _, body = CHUNKS[name].partition(b"\r\n\r\n")
    seen = len(app.requests)
    with way.client() as client:
        client.send(head + b"\r\n\r\n5\r\nstart\r\n")
        try:
            client.send(body + MARK)
            client.answer()
        except (OSError, EOFError, Cut):
            pass
    assert len(app.requests) == seen
    for conn in app.conns:
        assert not conn.received.endswith(b"0\r\n\r\n"), "the origin took the body for complete"


def test_after_all_that_the_edge_still_serves(wall):
    way, app = wall
    assert way.get("/fine").body == b"hello"
    assert app.last.target == "/fine"


def test_the_log_says_which_rule_was_broken_and_by_whom(edge, origin):
    way = edge(proxy=origin())
    for data, rule in [(FRAMING["length then coding"], "length-and-coding"),
                       (LINES["space before colon"], "field-name-space"),
                       (LINES["folded line with space"], "obs-fold"),
                       (HOSTS["no host"], "no-host")]:
        with way.client() as client:
            client.send(data)
            client.refused()
        way.wait_log(rf"{rule} side=down")


def test_a_thousand_fields_are_cheap(edge, origin):
    """Where a thousand fields are let through, each costs what it would cost alone: half a million
    of them are done in a moment, all with different names or all with one."""
    app = origin()
    way = edge(proxy=app, limits={"header_count": 1000}, memory="64MiB")
    worker = way.worker_pid
    with way.client() as client:
        for fields in ([(f"X{i}", "a") for i in range(990)], [("X", "a")] * 990):
            for _ in range(5):
                assert client.get("/", fields).status == 200
            before = proc.cpu_seconds(worker)
            for _ in range(100):
                client.ask("GET", "/missing", fields).answer()
            spent = proc.cpu_seconds(worker) - before
            print(f"{spent / 100 * 1e3:.2f} ms for a request of 990 fields")
            assert spent < 2, f"{spent} s for a hundred requests"
    assert len(app.last.fields) >= 990


def test_too_many_fields_are_refused_cheaply(edge, origin):
    """Hundreds of requests with thousands of fields each: refused at the limit, long before the
    rest is looked at, so that an honest client hardly notices."""
    way = edge(proxy=origin())
    worker = way.worker_pid
    before = proc.cpu_seconds(worker)
    data = SIZES["thousands of fields"][0]
    for _ in range(300):
        with way.client() as client:
            try:
                client.send(data)
                client.answer()
            except OSError:
                pass
    assert proc.cpu_seconds(worker) - before < 3
    assert way.get().status == 200
