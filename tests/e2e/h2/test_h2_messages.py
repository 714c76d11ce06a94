# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 8: requests and answers as HTTP/2 says them. What is malformed is refused by itself, the
connection goes on, and the origin never sees the request."""
import pytest

import frames as f
from cases import MALFORMED, run
from harness import reply

M, S, A, P = ((":method", "GET"), (":scheme", "http"), (":authority", "example.com"), (":path", "/"))
POST = (":method", "POST")
CONNECT = (":method", "CONNECT")
REFUSED = MALFORMED + " | 405 | 501"
TOO_LARGE = "431"       # told in HTTP; the connection goes on
X = ("x-a", "b")


def get(*fields):
    return f.headers(1, [M, S, A, P, *fields])


def bad(*fields):
    return (f.headers(1, list(fields)), MALFORMED)


PSEUDO = {
    "8.3 unknown pseudo-header": bad(M, S, A, P, (":unknown", "x")),
    "8.3 empty pseudo-header name": bad(M, S, A, P, (":", "x")),
    "8.3 pseudo-header of responses": bad(M, S, A, P, (":status", "200")),
    "8.3 pseudo-header of responses alone": bad((":status", "200")),
    "8.3 upper case pseudo-header": bad((":Method", "GET"), S, A, P),
    "8.3 behind a field: :method": bad(S, A, P, X, M),
    "8.3 behind a field: :path": bad(M, S, A, X, P),
    "8.3 behind a field: :scheme": bad(M, A, P, X, S),
    "8.3 behind a field: :authority": bad(M, S, P, X, A),
    "8.3.1 no :method": bad(S, A, P),
    "8.3.1 no :scheme": bad(M, A, P),
    "8.3.1 no :path": bad(M, S, A),
    "8.3.1 none of them": bad(X),
    "8.3.1 :method twice": bad(M, M, S, A, P),
    "8.3.1 :scheme twice": bad(M, S, S, A, P),
    "8.3.1 :path twice": bad(M, S, A, P, P),
    "8.3.1 :authority twice": bad(M, S, A, A, P),
    "8.3.1 different :path twice": bad(M, S, A, P, (":path", "/other")),
    "8.3.1 empty :path": bad(M, S, A, (":path", "")),
    "8.3.1 empty :method": bad((":method", ""), S, A, P),
    "8.3.1 empty :scheme": bad(M, (":scheme", ""), A, P),
    "8.3.1 :path without a slash": bad(M, S, A, (":path", "index.html")),
    "8.3.1 :path with an absolute URI": bad(M, S, A, (":path", "http://example.com/")),
    "8.3.1 :path of * for GET": bad(M, S, A, (":path", "*")),
    "8.3.1 :path with a fragment": bad(M, S, A, (":path", "/#x")),
    "8.3.1 :path of only a query": bad(M, S, A, (":path", "?x")),
    "8.3.1 :authority with user information": bad(M, S, (":authority", "u:p@example.com"), P),
    "8.3.1 :authority with only a user": bad(M, S, (":authority", "u@example.com"), P),
    "8.3.1 neither :authority nor host": bad(M, S, P),
    "8.3.1 empty :authority": bad(M, S, (":authority", ""), P),
    "8.3.1 empty host and no :authority": bad(M, S, P, ("host", "")),
    "8.3.1 :authority and another host": bad(M, S, A, P, ("host", "other.example")),
    "8.3.1 host twice": bad(M, S, P, ("host", "example.com"), ("host", "example.com")),
    "8.3.1 :authority and two hosts": bad(M, S, A, P, ("host", "example.com"), ("host", "b.example")),
    "8.3.1 :authority with a path": bad(M, S, (":authority", "example.com/x"), P),
    "8.3.1 :authority with a bad port": bad(M, S, (":authority", "example.com:x"), P),
    "8.5 CONNECT with :scheme": (f.headers(1, [CONNECT, S, (":authority", "a:1")], end=False), REFUSED),
    "8.5 CONNECT with :path": (f.headers(1, [CONNECT, P, (":authority", "a:1")], end=False), REFUSED),
    "8.5 CONNECT with both":
        (f.headers(1, [CONNECT, S, P, (":authority", "a:1")], end=False), REFUSED),
    "8.5 CONNECT without :authority": (f.headers(1, [CONNECT], end=False), REFUSED),
    "8.5 CONNECT": (f.headers(1, [CONNECT, (":authority", "a:1")], end=False),
                    "405 | 501 | reset PROTOCOL_ERROR | reset CONNECT_ERROR | 403 | 400"),
    "RFC 8441 4 :protocol without CONNECT": bad(M, S, A, P, (":protocol", "websocket")),
    "RFC 8441 4 :protocol without :path":
        (f.headers(1, [CONNECT, S, A, (":protocol", "websocket")], end=False), REFUSED),
    "RFC 8441 4 :protocol without :scheme":
        (f.headers(1, [CONNECT, P, A, (":protocol", "websocket")], end=False), REFUSED),
    "RFC 8441 4 :protocol twice":
        (f.headers(1, [CONNECT, S, P, A, (":protocol", "websocket"), (":protocol", "x")], end=False),
         REFUSED),
    "RFC 8441 4 :protocol that nobody speaks":
        (f.headers(1, [CONNECT, S, P, A, (":protocol", "gopher")], end=False),
         REFUSED + " | 404 | 502"),
    "RFC 8441 4 :protocol behind a field":
        (f.headers(1, [CONNECT, S, P, A, X, (":protocol", "websocket")], end=False), REFUSED),
    "RFC 8441 4 empty :protocol":
        (f.headers(1, [CONNECT, S, P, A, (":protocol", "")], end=False), REFUSED),
}

NAMES = {f"byte {byte:#04x}": b"x-" + bytes([byte]) + b"b" for byte in
         [0, 1, 9, 10, 13, 0x1f, *b' "(),/:;<=>?@[\\]{}', 0x7f, 0x80, 0xff]}
NAMES |= {"upper case": b"X-A", "one upper case letter": b"x-lonG", "empty": b"",
          "leading blank": b" x-a", "trailing blank": b"x-a ", "leading CRLF": b"\r\nx-a",
          "trailing colon": b"x-a:", "a whole field inside": b"x-a: b\r\nx-c"}
VALUES = {f"byte {byte:#04x}": b"a" + bytes([byte]) + b"b" for byte in [0, 10, 13]}
VALUES |= {"only NUL": b"\0", "CRLF": b"a\r\nx-smuggled: y", "trailing LF": b"a\n",
           "leading CR": b"\ra", "a whole request": b"a\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"}
# 8.2.1 lets these be refused, and adit's HTTP/1.1 does; or blanks around may be taken off.
DOUBTFUL_VALUES = {"leading blank": b" a", "trailing blank": b"a ", "leading tab": b"\ta",
                   "trailing tab": b"a\t", "control byte": b"a\x01b", "escape": b"\x1b[31m",
                   "DEL": b"a\x7fb", "vertical tab": b"a\x0bb"}
GOOD_VALUES = {"empty": b"", "inner blank": b"a b", "inner tab": b"a\tb", "obs-text": b"a\xe9\xff",
               "every sign": bytes(range(0x21, 0x7f)), "utf-8": "ä€".encode()}
OF_CONNECTION = {
    "connection": ("connection", "close"), "connection, keep-alive": ("connection", "keep-alive"),
    "connection that names a field": ("connection", "x-a"), "empty connection": ("connection", ""),
    "keep-alive": ("keep-alive", "timeout=5"), "proxy-connection": ("proxy-connection", "close"),
    "transfer-encoding": ("transfer-encoding", "chunked"),
    "transfer-encoding, identity": ("transfer-encoding", "identity"),
    "upgrade": ("upgrade", "websocket"), "upgrade to h2c": ("upgrade", "h2c"),
    "te other than trailers": ("te", "gzip"), "te with more": ("te", "trailers, deflate"),
    "te with a weight": ("te", "trailers;q=0.5"), "empty te": ("te", ""),
}
LENGTHS = {
    "of nothing, 1 told": ("1", [b""]), "less than told": ("3", [b"ab"]),
    "more than told": ("3", [b"abcd"]),
    "negative": ("-1", [b"a"]), "with plus": ("+1", [b"a"]),
    "of words": ("one", [b"a"]), "hex": ("0x1", [b"a"]), "empty": ("", [b""]),
    "a list": ("1, 1", [b"a"]), "beyond 64 bits": ("18446744073709551617", [b"a"]),
    "with a blank inside": ("1 0", [b"a"]), "with a point": ("1.0", [b"a"]),
}
ROWS = {}
ROWS |= {f"8.2.1 name: {k}": bad(M, S, A, P, (v, b"x")) for k, v in NAMES.items()}
ROWS |= {f"8.2.1 value: {k}": bad(M, S, A, P, (b"x-a", v)) for k, v in VALUES.items()}
ROWS |= {f"8.2.1 value: {k}": (get((b"x-a", v)), MALFORMED + " | 200")
         for k, v in DOUBTFUL_VALUES.items()}
ROWS |= {f"8.2.1 value: {k}": (get((b"x-a", v)), "200") for k, v in GOOD_VALUES.items()}
ROWS |= {f"8.2.2 {k}": (get(v), MALFORMED) for k, v in OF_CONNECTION.items()}
ROWS |= {f"8.2.2 {v[0]} in trailers":
         (f.headers(1, f.POST, end=False) + f.data(1, b"x") + f.headers(1, [v]), MALFORMED)
         for k, v in OF_CONNECTION.items() if k == v[0]}
ROWS |= {"8.2.2 te: trailers": (get(("te", "trailers")), "200"),
         "8.2.2 TE in another case": (get(("te", "Trailers")), MALFORMED + " | 200")}
ROWS |= {f"8.1.1 content-length {k}":
         (f.headers(1, [POST, S, A, P, ("content-length", told)], end=False)
          + b"".join(f.data(1, part, i == len(body)) for i, part in enumerate(body, 1)), MALFORMED)
         for k, (told, body) in LENGTHS.items()}
ROWS |= {
    "8.1.1 content-length twice, equal":
        (f.headers(1, [POST, S, A, P, *[("content-length", "1")] * 2], end=False)
         + f.data(1, b"a", True), MALFORMED),
    "8.1.1 content-length twice, different":
        (f.headers(1, [POST, S, A, P, ("content-length", "1"), ("content-length", "2")], end=False)
         + f.data(1, b"a", True), MALFORMED),
    "8.1.1 content-length without a body":
        (f.headers(1, [POST, S, A, P, ("content-length", "1")]), MALFORMED),
    "8.1.1 content-length of 0 without a body":
        (f.headers(1, [POST, S, A, P, ("content-length", "0")]), "200"),
    "8.1.1 content-length and trailers":
        (f.headers(1, [POST, S, A, P, ("content-length", "1")], end=False) + f.data(1, b"a")
         + f.headers(1, [X]), "200"),
    "8.1.1 content-length more than came before the trailers":
        (f.headers(1, [POST, S, A, P, ("content-length", "2")], end=False) + f.data(1, b"a")
         + f.headers(1, [X]), MALFORMED),
    "8.1.1 content-length and padding":
        (f.headers(1, [POST, S, A, P, ("content-length", "1")], end=False)
         + f.data(1, b"a", True, 99), "200"),
    "8.1.1 content-length in trailers":
        (f.headers(1, f.POST, end=False) + f.data(1, b"a")
         + f.headers(1, [("content-length", "1")]), MALFORMED + " | 200"),
    "8.1 trailers without END_STREAM":
        (f.headers(1, f.POST, end=False) + f.data(1, b"a") + f.headers(1, [X], end=False), MALFORMED),
    "8.1 trailers without END_STREAM, then DATA":
        (f.headers(1, f.POST, end=False) + f.headers(1, [X], end=False) + f.data(1, b"a", True),
         MALFORMED),
    "8.1 trailers with :path":
        (f.headers(1, f.POST, end=False) + f.data(1, b"a") + f.headers(1, [P]), MALFORMED),
    "8.1 trailers with :method behind a field":
        (f.headers(1, f.POST, end=False) + f.data(1, b"a") + f.headers(1, [X, M]), MALFORMED),
    "8.1 trailers with :status":
        (f.headers(1, f.POST, end=False) + f.headers(1, [(":status", "200")]), MALFORMED),
    "8.1 trailers with upper case":
        (f.headers(1, f.POST, end=False) + f.headers(1, [("X-A", "b")]), MALFORMED),
    "8.1 trailers with CRLF":
        (f.headers(1, f.POST, end=False) + f.headers(1, [("x-a", "b\r\nx-c: d")]), MALFORMED),
    "8.1 trailers": (f.headers(1, f.POST, end=False) + f.data(1, b"a") + f.headers(1, [X]), "200"),
    "8.1 empty trailers": (f.headers(1, f.POST, end=False) + f.data(1, b"a") + f.headers(1, b""), "200"),
    "8.1 trailers without a body": (f.headers(1, f.POST, end=False) + f.headers(1, [X]), "200"),
    "8.1 trailers in CONTINUATION": (f.headers(1, f.POST, end=False)
                                     + f.split(1, f.block_of([X] * 5), [1, 9]), "200"),
    "8.1 a second head":
        (f.headers(1, f.POST, end=False) + f.headers(1, f.POST), MALFORMED),
    "8.3.1 OPTIONS *": (f.headers(1, [(":method", "OPTIONS"), S, A, (":path", "*")]), "200"),
    "8.3.1 OPTIONS /": (f.headers(1, [(":method", "OPTIONS"), S, A, P]), "200"),
    "8.3.1 host in place of :authority": (f.headers(1, [M, S, P, ("host", "example.com")]), "200"),
    "8.3.1 :authority and the same host": (get(("host", "example.com")), "200"),
    "8.3.1 pseudo-headers in another order": (f.headers(1, [P, A, S, M]), "200"),
    "8.3.1 an unknown method": (f.headers(1, [(":method", "BREW"), S, A, P]), "200"),
    "8.3.1 a method with a blank": bad((":method", "GET /x"), S, A, P),
    "8.3.1 a method with CRLF": bad((":method", "GET / HTTP/1.1\r\nx: y\r\n"), S, A, P),
    "8.3.1 a path with a blank": bad(M, S, A, (":path", "/ HTTP/1.1")),
    "8.3.1 a path with CRLF": bad(M, S, A, (":path", "/ HTTP/1.1\r\nx: y")),
    "8.3.1 a path with NUL": bad(M, S, A, (":path", "/\0")),
    "8.3.1 an authority with CRLF": bad(M, S, (":authority", "a\r\nx: y"), P),
    "8.3.1 an authority with a blank": bad(M, S, (":authority", "a b"), P),
    "8.3.1 a scheme with CRLF": bad(M, (":scheme", "http\r\nx: y"), A, P),
    "8.3.1 a scheme with a slash": bad(M, (":scheme", "http://example.com/?"), A, P),
    "8.3.1 another scheme": (f.headers(1, [M, (":scheme", "gopher"), A, P]), MALFORMED + " | 200 | 421"),
    "10.5.1 a field beyond every limit":
        (f.split(1, f.GET + f.literal("x-big", "b" * 100000), range(16000, 100000, 16000)),
         TOO_LARGE + " | goaway COMPRESSION_ERROR"),
    "10.5.1 fields beyond the limit of bytes":
        (f.split(1, f.GET + f.block_of([("x-big", "b" * 8000)] * 10), range(16000, 80000, 16000)),
         TOO_LARGE),
    "10.5.1 fields beyond the limit of fields":
        (f.headers(1, f.GET + f.block_of([("x", "y")] * 1500)), TOO_LARGE),
    "10.5.1 crumbs of cookies beyond the limit":
        (f.headers(1, f.GET + f.block_of([("cookie", "a=b")] * 1000)), TOO_LARGE),
    "10.5.1 a target beyond the limit": (f.headers(1, [M, S, A, (":path", "/" + "x" * 12000)]),
                                         "414 | " + TOO_LARGE),
    "10.5.1 an indexed field beyond the limit":
        (f.headers(1, f.GET + f.literal("x-big", "b" * 4000, "keep") + f.indexed(62) * 20), TOO_LARGE),
}
ROWS |= PSEUDO


@pytest.mark.parametrize("name", ROWS)
def test_request(front, name):
    run(front, ROWS[name])


def test_8_2_3_cookie_crumbs_become_one(front):
    with front.client() as client:
        assert client.get("/", [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3"),
                                ("cookie", "d=4")]).status == 200
    assert front.app.last.all("cookie") == ["a=1; b=2; c=3; d=4"]


def test_8_1_trailers_reach_the_origin(front):
    with front.client() as client:
        client.send(f.headers(1, f.POST, end=False) + f.data(1, b"body") + f.headers(1, [X]))
        assert client.answer(1).body == b"body"
    if "trailer" in front.app.last.names() or front.app.last.trailers:
        assert [(n.lower(), v) for n, v in front.app.last.trailers] == [X]


def test_8_1_head(front):
    with front.client() as client:
        answer = client.answer(client.ask("HEAD", "/size/100"))
        assert answer.status == 200 and answer.body == b""
        assert answer.get("content-length") in ("100", None)


@pytest.mark.parametrize("told", [b"", b"abc"], ids=["0 told", "3 told"])
def test_8_1_1_more_than_told_behind_what_was_told(front, told):
    """The request is with the origin when it becomes malformed: nothing of the surplus gets there."""
    before = len(front.app.asked())
    with front.client() as client:
        number = client.ask("POST", "/", [("content-length", str(len(told)))], end=False)
        client.send(f.data(number, told) + f.data(number, b"d", True))
        assert client.fate(number) in (*MALFORMED.split(" | "), "200")
        client.round_trip()
    front.neighbour()
    assert all(one.body == told for one in front.app.asked()[before:])


def test_8_1_1_a_body_whose_length_is_told(front):
    with front.client() as client:
        number = client.ask("POST", "/", [("content-length", "5")], end=False)
        client.send(f.data(number, b"he") + f.data(number, b"llo", True))
        assert client.answer(number).body == b"hello"
    assert front.app.last.framing == 5


def test_8_3_1_what_the_origin_gets(front):
    """The request line and Host are made from the pseudo-headers, and nothing else."""
    with front.client() as client:
        assert client.get("/a/b?c=d&e=%20", authority="a.example:81").status == 200
    last = front.app.last
    assert (last.method, last.target) == ("GET", "/a/b?c=d&e=%20")
    assert last.get("host") == "a.example:81"
    assert not any(name.startswith(":") for name in last.names())


# -- answers: what comes from an origin of HTTP/1.1 ------------------------------------------------

ANSWERS = {
    "8.2.2 fields of the connection":
        (reply(200, b"x", [("Connection", "keep-alive, X-Private"), ("Keep-Alive", "timeout=5"),
                           ("X-Private", "secret"), ("Proxy-Connection", "close"),
                           ("Upgrade", "foo")]), 200),
    "8.2.2 chunks": (reply(200, chunks=[b"a", b"b"]), 200),
    "8.2.1 upper case": (reply(200, b"", [("X-UPPER", "Value")]), 200),
    "8.2.1 blanks around a value": (reply(200, b"", [("X-A", "  b  ")]), 200),
    "8.6 101 that nobody asked for":
        (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 502),
    "8.1 204": (reply(204), 204),
    "8.1 304 with a length": (reply(304, b"", [("Content-Length", "99"), ("ETag", '"x"')]), 304),
    "8.1 trailers": (reply(200, chunks=[b"a"], trailers=[("X-Sum", "1")]), 200),
    "8.1 trailers of the connection": (reply(200, chunks=[b"a"], trailers=[("Connection", "x")]), 200),
    "8.1 interim": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + reply(200, b"x"), 200),
    "8.1 several interim": (b"HTTP/1.1 103 E\r\nConnection: x\r\n\r\n" * 3 + reply(200, b"x"), 200),
    "8.3.2 status 599": (reply(599, b"x"), 599),
    "8.3.2 no reason": (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", 200),
    "8.2.3 set-cookie stays apart": (reply(200, b"", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]), 200),
    "8.1.1 body until the end of the connection": (b"HTTP/1.1 200 OK\r\n\r\nbody", 200),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer(front, name):
    """The strict reader refuses what HTTP/2 does not allow: upper case, fields of the connection,
    pseudo-headers in trailers, 101."""
    front.app.scripted["/scripted"], status = ANSWERS[name]
    with front.client() as client:
        answer = client.get("/scripted")
        assert answer.status == status, answer
        assert not {"x-private", "keep-alive"} & {n for n, _ in answer.fields}
        if "set-cookie" in name:
            assert answer.all("set-cookie") == ["a=1", "b=2"]
        if "8.1 trailers" in name:
            assert answer.trailers in ([("x-sum", "1")], None, [])


@pytest.mark.parametrize("cut", [b"Content-Length: 10\r\n\r\nabcd",
                                 b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n"],
                         ids=["length", "chunks"])
def test_8_1_1_a_cut_answer_is_reset(front, cut):
    """END_STREAM would make a whole answer of it."""
    front.app.scripted["/scripted"] = b"HTTP/1.1 200 OK\r\n" + cut
    with front.client() as client:
        number = client.ask("GET", "/scripted")
        client.wait(lambda: client.streams[number].over, "the end of the stream")
        assert not client.streams[number].ended
        assert client.streams[number].reset in ("INTERNAL_ERROR", "PROTOCOL_ERROR", "CANCEL")
        assert client.streams[number].body in (b"", b"abcd")
        client.round_trip()
