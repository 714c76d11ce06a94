# SPDX-License-Identifier: Apache-2.0
"""Agents that were let in and then misbehave (issue 5): their visitors get an error, they lose their
connection where it cannot go on, and the tunnel next door notices nothing."""
import socket
import struct
from contextlib import ExitStack

import pytest

from harness import WAIT
from harness.other_agent import OtherAgent
from harness.tunnel import ZONE, Road, zone
from harness.wire import Answer, Wire

DATA, HEADERS, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4


class RawAgent(OtherAgent):
    """Lets the test write its frames itself."""

    def come(self, settings=(), acks=False):
        self.sock = self.open()
        self.sock.settimeout(WAIT)
        self.sock.sendall(("GET /.well-known/adit/tunnel HTTP/1.1\r\n"
                           + "".join(f"{n}: {v}\r\n" for n, v in self.fields(0)) + "\r\n").encode())
        wire = Wire(self.sock)
        answer = wire.read_head(Answer)
        assert answer.status == 101
        self.given, self.input = answer.get("adit-name"), bytes(wire.buffer)
        self.frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *one) for one in ((8, 1), *settings)))
        self.need(24)
        self.input = self.input[24:]
        if acks:
            self.await_frame(SETTINGS, 0)
            self.frame(SETTINGS, 1, 0)
        return self

    def need(self, count):
        while len(self.input) < count:
            data = self.sock.recv(65536)
            assert data, "the edge has gone"
            self.input += data

    def frame(self, kind, flags, stream, payload=b""):
        self.sock.sendall(struct.pack(">I", len(payload))[1:] + bytes([kind, flags])
                          + struct.pack(">I", stream) + payload)

    def next_frame(self):
        """Its kind and stream."""
        self.need(9)
        size, kind = int.from_bytes(self.input[:3], "big"), self.input[3]
        stream = int.from_bytes(self.input[5:9], "big")
        self.need(9 + size)
        self.input = self.input[9 + size:]
        return kind, stream

    def await_frame(self, kind, stream):
        while self.next_frame() != (kind, stream):
            pass

    def begin_head(self, stream):
        """The first bytes of an answer's head; OK[2:] follows."""
        self.sock.sendall(struct.pack(">I", len(OK))[1:] + bytes([HEADERS, END_HEADERS])
                          + struct.pack(">I", stream) + OK[:2])

    def request(self):
        """The stream of the next request."""
        kind = stream = None
        while kind != HEADERS:
            kind, stream = self.next_frame()
        return stream

    def closed(self):
        """Reads until the edge has closed."""
        try:
            while self.sock.recv(65536):
                pass
        except (ConnectionError, socket.timeout) as e:
            return isinstance(e, ConnectionError)
        return True

    def stop(self):
        self.sock.close()


def literal(name, value):
    """Without compression, never indexed."""
    name, value = name.encode(), value.encode("latin-1")
    assert len(name) < 127 and len(value) < 127
    return b"\x10" + bytes([len(name)]) + name + bytes([len(value)]) + value


def head(**fields):
    return b"".join(literal(name.replace("_", ":", 1) if name.startswith("_") else name, value)
                    for name, value in fields.items())


OK = head(_status="200")


def plain_text(it, _stream):
    it.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def too_long_a_frame(it, stream):
    it.sock.sendall(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 1000)


def absurd_settings(it, stream):
    it.frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0x80000000))


def tiny_frames_allowed(it, stream):
    it.frame(SETTINGS, 0, 0, struct.pack(">HI", 5, 0))


def flood_of_settings(it, stream):
    for _ in range(5000):
        it.frame(SETTINGS, 0, 0)


def flood_of_pings(it, stream):
    for _ in range(20000):
        it.frame(PING, 0, 0, b"12345678")


def flood_of_nothing(it, stream):
    it.frame(HEADERS, END_HEADERS, stream, OK)
    for _ in range(50000):
        it.frame(DATA, 0, stream)


def flood_of_interims(it, stream):
    for _ in range(20000):
        it.frame(HEADERS, END_HEADERS, stream, head(_status="103", link="</a>; rel=preload"))


def endless_head(it, stream):
    it.frame(HEADERS, 0, stream, OK)
    for _ in range(200):
        it.frame(CONTINUATION, 0, stream, head(x="y" * 100) * 100)


def empty_continuations(it, stream):
    it.frame(HEADERS, 0, stream, OK)
    for _ in range(20000):
        it.frame(CONTINUATION, 0, stream)


def pushes(it, stream):
    it.frame(PUSH, END_HEADERS, stream, struct.pack(">I", 2) + OK)


def opens_a_stream(it, stream):
    it.frame(HEADERS, END_HEADERS | END_STREAM, stream + 2, OK)


def answers_on_an_even_stream(it, stream):
    it.frame(HEADERS, END_HEADERS | END_STREAM, 2, OK)


def window_overflows(it, stream):
    for _ in range(2):
        it.frame(WINDOW, 0, 0, struct.pack(">I", 0x7fffffff))


def bad_compression(it, stream):
    it.frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\xff\xff\xff\xff\xff\xff")


def data_before_a_head(it, stream):
    it.frame(DATA, END_STREAM, stream, b"hello")


def resets(it, stream):
    it.frame(RST, 0, stream, struct.pack(">I", 2))


def refuses_for_ever(it, stream):
    """It is asked again, but not without end."""
    it.sock.settimeout(1)
    try:
        for _ in range(100):
            it.frame(RST, 0, stream, struct.pack(">I", 7))
            stream = it.request()
    except socket.timeout:
        return
    raise AssertionError("asked a hundred times")


def bad_head(fields):
    def misdeed(it, stream):
        it.frame(HEADERS, END_HEADERS | END_STREAM, stream, fields)
    return misdeed


HEADS = {
    "no status": head(server="x"), "status twice": OK + OK, "status 99": head(_status="99"),
    "status 1000": head(_status="1000"), "status 101": head(_status="101"), "status +200": head(_status="+200"),
    "upper case": OK + head(Server="x"), "a switch": OK + head(connection="upgrade"),
    "chunked": OK + literal("transfer-encoding", "chunked"),
    "line break": OK + head(x="a\r\nset-cookie: a=b"), "zero": OK + head(x="a\0b"),
    "a request": head(_method="GET", _path="/"), "pseudo last": head(server="x") + OK,
    "length and no body": OK + literal("content-length", "5"),
    "two lengths": OK + literal("content-length", "0") + literal("content-length", "1"),
}

ENDS = [plain_text, too_long_a_frame, absurd_settings, tiny_frames_allowed, flood_of_settings, flood_of_pings,
        flood_of_nothing, endless_head, empty_continuations, pushes, opens_a_stream,
        answers_on_an_even_stream, window_overflows, bad_compression]
GOES_ON = [flood_of_interims, data_before_a_head, resets, refuses_for_ever]


@pytest.fixture(scope="module")
def way(module_edge):
    return module_edge(**zone(workers=2, tunnels={"queue": {"timeout": "1s"}, "per_address": 1000}))


@pytest.fixture
def raw(way, tunnels):    # pylint: disable=unused-argument
    made = []

    def start(**options):
        made.append(RawAgent(way))
        return made[-1].come(**options)
    yield start
    for it in made:
        it.stop()


def neighbour_serves(way):
    it = OtherAgent(way)
    given = it.call()
    assert given.status == 101, given
    assert Road(way, f"{given.get('adit-name')}.{ZONE}").get().body == b"hello"
    it.stop()


@pytest.mark.parametrize("misdeed, ends", [
    *(pytest.param(m, True, id=m.__name__) for m in ENDS),
    *(pytest.param(m, False, id=m.__name__) for m in GOES_ON),
    *(pytest.param(bad_head(fields), False, id=name) for name, fields in HEADS.items())])
def test_an_agent_that_misbehaves(way, raw, misdeed, ends):
    it = raw()
    pid = way.worker_pid
    with Road(way, f"{it.given}.{ZONE}").client() as visitor:
        visitor.ask("GET", "/")
        stream = it.request()
        try:
            misdeed(it, stream)
        except OSError:
            pass    # the edge has closed it meanwhile
        if misdeed is flood_of_nothing:
            head = visitor.answer_head()    # it was begun
            assert head.status in (200, 502), head
        else:
            answer = visitor.answer()
            # 503: it was asked again, and nobody was there to answer, or nobody who would
            again = ends or misdeed is refuses_for_ever
            assert answer.status == 502 or (again and answer.status == 503), answer
            assert answer.get("set-cookie") is None
    if ends:
        assert it.closed()
    neighbour_serves(way)
    assert way.worker_pid == pid


def test_an_agent_that_takes_no_streams(way, raw):
    """It is there and never has room: visitors wait as long as the queue lets them."""
    it = raw(settings=[(3, 0)], acks=True)
    pid = way.worker_pid
    road = Road(way, f"{it.given}.{ZONE}")
    with ExitStack() as stack:  # on either core
        visitors = [stack.enter_context(road.client()) for _ in range(12)]
        for visitor in visitors:
            visitor.ask("GET", "/")
        assert {visitor.answer().status for visitor in visitors} <= {502, 503}
    neighbour_serves(way)
    assert way.worker_pid == pid


WIDE = ("t=1; Domain=" + ZONE, "t=1; path=/; dOMAIN = ." + ZONE.upper(), f"t=1; Domain={ZONE}.",
        "t=1; Domain=localhost")
UPGRADE = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
           ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))


@pytest.mark.parametrize("where", ["answer", "interim", "switch", "trailer"])
def test_no_head_carries_a_cookie_for_the_neighbours(raw, way, where):
    """Browsers take cookies from the 101 of a WebSocket as well, curl from any 1xx."""
    it = raw()
    own = f"own=1; Domain={it.given}.{ZONE}"
    cookies = b"".join(literal("set-cookie", value) for value in (*WIDE, own))
    cookies += literal("clear-site-data", '"cookies"') + literal("clear-site-data", '"cache", "*"')
    with Road(way, f"{it.given}.{ZONE}").client() as visitor:
        visitor.ask("GET", "/", UPGRADE if where == "switch" else ())
        stream = it.request()
        if where == "interim":
            it.frame(HEADERS, END_HEADERS, stream, head(_status="103") + cookies)
        it.frame(HEADERS, END_HEADERS, stream, OK + (cookies if where in ("answer", "switch") else b""))
        if where == "switch":
            got = visitor.answer_head()
            assert got.status == 101
        else:
            it.frame(DATA, 0, stream, b"x")
            it.frame(HEADERS, END_HEADERS | END_STREAM, stream, cookies if where == "trailer" else head(x="y"))
            got = visitor.answer()
            assert got.status == 200
    heads = [*got.interim, got]
    assert [value for each in heads for value in each.all("set-cookie")] == ([] if where == "trailer" else [own])
    cleared = ['"cache", "storage"'] if where == "answer" else []     # what else is there is other tenants'
    assert [value for each in heads for value in each.all("clear-site-data")] == cleared
    assert where != "trailer" or not [n for n, _ in got.trailers if n.lower() == "set-cookie"]


def test_a_visitor_who_leaves_in_the_middle_of_a_head(raw, way):
    """He ends his own exchange. The tunnel, its connection and the other visitors live on."""
    it = raw(acks=True)
    road = Road(way, f"{it.given}.{ZONE}")
    with road.client() as visitor:
        visitor.ask("GET", "/")
        stream = it.request()
        it.begin_head(stream)
        visitor.reset()
    it.await_frame(RST, stream)
    with road.client() as other:
        other.ask("GET", "/")
        stream = it.request()   # on the same connection
        it.sock.sendall(OK[2:])
        it.frame(HEADERS, END_HEADERS | END_STREAM, stream, OK)
        assert other.answer().status == 200


def test_a_head_that_never_ends(raw, way):
    it = raw(acks=True)
    with Road(way, f"{it.given}.{ZONE}").client() as visitor:
        visitor.ask("GET", "/")
        stream = it.request()
        it.begin_head(stream)
        visitor.reset()
    it.await_frame(GOAWAY, 0)
    assert it.closed()
