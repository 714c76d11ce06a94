# SPDX-License-Identifier: Apache-2.0
"""Origins that speak HTTP/2 and break its rules: the client gets 502 or 504, or an answer that is
visibly cut when it had begun; the next request finds a good connection, and nobody else notices."""
import threading

import pytest

from harness import Cut, proc, until

import frames as f
import peers
from origin import H2Origin

OK = [(":status", "200")]
OTHERS = []     # started in adit's place


@pytest.fixture
def raw_origin():
    running = []

    def start(script):
        running.append(H2Origin(script))
        return running[-1]
    yield start
    for one in running:
        one.stop()
    for one in running:
        one.check()


def way_to(edge, app, **top):
    if peers.in_place_of_adit():
        way = peers.in_place_of_adit()(app)
        OTHERS.append(way)
        return way
    timeouts = {"connect": "2s", "response": "3s", "read": "3s"}
    return edge({"upstreams": {"app": {"servers": [app.at]}},
                 "sites": {"default": {"proxy": "app"}}}, timeouts=timeouts, **top)


@pytest.fixture(autouse=True)
def others():
    yield
    while OTHERS:
        OTHERS.pop().stop()


def first_bad(misbehave, *pairs, hello=True):
    """A script: the first connection's first request meets `misbehave(conn, stream)`; every other
    connection is good."""
    def script(conn):
        if conn.number == 0:
            if hello:
                conn.hello(*pairs)
            misbehave(conn, conn.request() if hello else None)
            conn.at_close()
        else:
            conn.hello()
            conn.serve()
    return script


def head(n, fields=OK, **options):
    return f.headers(n, fields, **options)


# No answer can be made of these. (What the origin sends on its first connection, or to a stream.)
NO_HELLO = {
    "3.4 HTTP/1.1 instead": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "3.4 garbage": bytes(range(256)),
    "3.4 PING before SETTINGS": f.ping(),
    "3.4 HEADERS before SETTINGS": f.headers(1, OK),
    "3.4 acknowledgement before SETTINGS": f.settings_ack(),
    "3.4 GOAWAY before SETTINGS": f.goaway(),
    "3.4 the end of the connection": b"",
}
BAD_SETTINGS = {
    "6.5.2 ENABLE_PUSH of 1": f.settings((f.ENABLE_PUSH, 1)),
    "6.5.2 ENABLE_PUSH of 2": f.settings((f.ENABLE_PUSH, 2)),
    "6.5.2 INITIAL_WINDOW_SIZE of 2^31": f.settings((f.INITIAL_WINDOW_SIZE, 1 << 31)),
    "6.5.2 MAX_FRAME_SIZE of 1": f.settings((f.MAX_FRAME_SIZE, 1)),
    "6.5.2 MAX_FRAME_SIZE of 2^24": f.settings((f.MAX_FRAME_SIZE, 1 << 24)),
    "6.5 of 7 bytes": f.frame(f.SETTINGS, 0, 0, bytes(7)),
    "6.5 on a stream": f.frame(f.SETTINGS, 0, 1),
    "6.5 acknowledgement with a payload": f.settings() + f.frame(f.SETTINGS, 1, 0, bytes(6)),
}
NO_ANSWER = {
    "4.1 frame too large": lambda n: f.frame(f.HEADERS, 4, n, bytes(20000)),
    "4.1 frame of 16 MiB, head only": lambda n: f.frame(f.DATA, 0, n, b"", 0xffffff),
    "4.3 block that cannot be decoded": lambda n: f.headers(n, b"\xff\xff\xff\xff\xff\xff\xff"),
    "4.3 other frame inside a block": lambda n: head(n, last=False) + f.ping(),
    "4.3 CONTINUATION of another stream": lambda n: head(n, last=False) + f.continuation(n + 2),
    "6.10 CONTINUATION without HEADERS": lambda n: f.continuation(n, f.block_of(OK)),
    "5.1 HEADERS on an idle stream": lambda n: head(n + 2),
    "5.1 HEADERS on a stream of its own": lambda n: head(2),
    "5.1 HEADERS on the connection": lambda n: head(0),
    "5.1 DATA on an idle stream": lambda n: f.data(n + 2, b"x"),
    "6.1 DATA on the connection": lambda n: f.data(0, b"x"),
    "8.1 DATA before HEADERS": lambda n: f.data(n, b"x", True),
    "8.1 DATA before HEADERS, then HEADERS": lambda n: f.data(n, b"x") + head(n),
    "8.1 DATA between interim and final": lambda n:
        head(n, [(":status", "100")], end=False) + f.data(n, b"x") + head(n),
    "6.1 bad padding": lambda n: f.frame(f.DATA, 8, n, b"\xff"),
    "6.4 RST_STREAM on an idle stream": lambda n: f.rst(n + 2),
    "6.4 RST_STREAM on the connection": lambda n: f.rst(0),
    "6.4 RST_STREAM of 3 bytes": lambda n: f.frame(f.RST_STREAM, 0, n, bytes(3)),
    "6.6 PUSH_PROMISE": lambda n: f.push_promise(n, 2, f.GET) + head(n),
    "6.7 PING of 7 bytes": lambda n: f.ping(bytes(7)),
    "6.7 PING on a stream": lambda n: f.frame(f.PING, 0, n, bytes(8)),
    "6.8 GOAWAY on a stream": lambda n: f.frame(f.GOAWAY, 0, n, bytes(8)),
    "6.8 GOAWAY of 7 bytes": lambda n: f.frame(f.GOAWAY, 0, 0, bytes(7)),
    "6.8 GOAWAY with an error": lambda n: f.goaway(n, "INTERNAL_ERROR"),
    "6.9 WINDOW_UPDATE of 0": lambda n: f.window_update(0, 0),
    "6.9 WINDOW_UPDATE of 0 on the stream": lambda n: f.window_update(n, 0),
    "6.9 WINDOW_UPDATE on an idle stream": lambda n: f.window_update(n + 2, 1),
    "6.9.1 WINDOW_UPDATE beyond 2^31-1": lambda n: f.window_update(0, f.WINDOW_MAX),
    "6.9.1 WINDOW_UPDATE beyond 2^31-1 on the stream": lambda n:
        f.window_update(n, f.WINDOW_MAX) * 2,
    "8.3.2 no :status": lambda n: head(n, [("x", "y")]),
    "8.3.2 empty block": lambda n: head(n, b""),
    "8.3.2 :status twice": lambda n: head(n, OK * 2),
    "8.3.2 :status behind a field": lambda n: head(n, [("x", "y"), *OK]),
    "8.3.2 :status of two digits": lambda n: head(n, [(":status", "20")]),
    "8.3.2 :status of four digits": lambda n: head(n, [(":status", "2000")]),
    "8.3.2 :status of letters": lambda n: head(n, [(":status", "abc")]),
    "8.3.2 :status with a blank": lambda n: head(n, [(":status", "200 ")]),
    "8.3.2 :status of 0": lambda n: head(n, [(":status", "000")]),
    "8.3.2 :status of 999": lambda n: head(n, [(":status", "999")]),
    "8.3.2 empty :status": lambda n: head(n, [(":status", "")]),
    "8.6 :status of 101": lambda n: head(n, [(":status", "101")], end=False),
    "8.3 :path in a response": lambda n: head(n, [*OK, (":path", "/")]),
    "8.3 unknown pseudo-header": lambda n: head(n, [*OK, (":x", "y")]),
    "8.2.1 upper case": lambda n: head(n, [*OK, ("X-A", "b")]),
    "8.2.1 CRLF in a value": lambda n: head(n, [*OK, ("x-a", "b\r\nset-cookie: evil=1")]),
    "8.2.1 LF in a value": lambda n: head(n, [*OK, ("x-a", "b\nset-cookie: evil=1")]),
    "8.2.1 NUL in a value": lambda n: head(n, [*OK, ("x-a", "b\0")]),
    "8.2.1 CRLF in a name": lambda n: head(n, [*OK, ("x\r\nset-cookie", "evil=1")]),
    "8.2.1 colon in a name": lambda n: head(n, [*OK, ("x:y", "z")]),
    "8.2.1 blank in a name": lambda n: head(n, [*OK, ("x y", "z")]),
    "8.2.1 empty name": lambda n: head(n, [*OK, ("", "z")]),
    "8.2.2 connection": lambda n: head(n, [*OK, ("connection", "close")]),
    "8.2.2 transfer-encoding": lambda n: head(n, [*OK, ("transfer-encoding", "chunked")]),
    "8.2.2 keep-alive": lambda n: head(n, [*OK, ("keep-alive", "timeout=1")]),
    "8.2.2 upgrade": lambda n: head(n, [*OK, ("upgrade", "h2c")]),
    "8.2.2 proxy-connection": lambda n: head(n, [*OK, ("proxy-connection", "close")]),
    "8.1.1 content-length without a body": lambda n: head(n, [*OK, ("content-length", "5")]),
    "8.1.1 content-length negative": lambda n: head(n, [*OK, ("content-length", "-1")]),
    "8.1.1 content-length of words": lambda n: head(n, [*OK, ("content-length", "x")]),
    "8.1.1 content-length beyond 64 bits": lambda n:
        head(n, [*OK, ("content-length", "9" * 30)], end=False),
    "8.1.1 content-length twice": lambda n:
        head(n, [*OK, ("content-length", "1"), ("content-length", "2")], end=False)
        + f.data(n, b"a", True),
    "8.1 END_STREAM on an interim response": lambda n: head(n, [(":status", "103")]),
    "8.1 only interim responses": lambda n:
        head(n, [(":status", "103")], end=False) + f.data(n, b"", True),
    "8.1 a flood of interim responses": lambda n:
        head(n, [(":status", "103"), ("link", "</a>")], end=False) * 20000,
    "7 reset with INTERNAL_ERROR": lambda n: f.rst(n, "INTERNAL_ERROR"),
    "7 reset with PROTOCOL_ERROR": lambda n: f.rst(n, "PROTOCOL_ERROR"),
    "7 reset with FLOW_CONTROL_ERROR": lambda n: f.rst(n, "FLOW_CONTROL_ERROR"),
    "7 reset with CANCEL": lambda n: f.rst(n, "CANCEL"),
    "7 reset with ENHANCE_YOUR_CALM": lambda n: f.rst(n, "ENHANCE_YOUR_CALM"),
    "7 reset with HTTP_1_1_REQUIRED": lambda n: f.rst(n, "HTTP_1_1_REQUIRED"),
    "7 reset with NO_ERROR before an answer": lambda n: f.rst(n, "NO_ERROR"),
    "7 reset with an unknown code": lambda n: f.rst(n, 0xdead),
    "10.5 head too large": lambda n: f.split(n, f.block_of([*OK, *[("x", "y" * 10000)] * 30]),
                                             range(10000, 300000, 10000)),
    "10.5 too many fields": lambda n: f.split(n, f.block_of([*OK, *[("x", "y")] * 6000]), [10000, 20000]),
    "10.5 a CONTINUATION flood": lambda n:
        head(n, last=False) + f.continuation(n, f.literal("x", "y" * 100), last=False) * 50000,
    "10.5 a flood of empty CONTINUATIONs": lambda n:
        head(n, last=False) + f.continuation(n, b"", last=False) * 200000,
    "10.5 a HPACK bomb": lambda n: f.split(
        n, f.block_of(OK) + f.literal("x-bomb", "b" * 4000, "keep") + f.indexed(62) * 16000, [16000]),
    "10.5 a PING flood": lambda n: f.ping() * 200000,
    "10.5 a SETTINGS flood": lambda n: f.settings() * 200000,
    "10.5 a flood of PRIORITY": lambda n: f.priority(n) * 200000,
    "10.5 a flood of WINDOW_UPDATE": lambda n: f.window_update(0, 1) * 200000,
    "10.5 a flood of RST_STREAM": lambda n: f.rst(n) * 200000,
    "10.5 a flood of unknown frames": lambda n: f.frame(0x42) * 200000,
    "no answer at all": lambda n: b"",
    "never an end of the head": lambda n: head(n, last=False),
}
# An answer has begun when it goes wrong.
CUTS = {
    "8.1.1 less than content-length": lambda n:
        head(n, [*OK, ("content-length", "9")], end=False) + f.data(n, b"abcd", True),
    "8.1.1 less than content-length, then trailers": lambda n:
        head(n, [*OK, ("content-length", "9")], end=False) + f.data(n, b"abcd") + head(n, [("x", "y")]),
    "8.1 trailers without END_STREAM": lambda n:
        head(n, end=False) + f.data(n, b"abcd") + head(n, [("x", "y")], end=False),
    "8.1 trailers with :status": lambda n: head(n, end=False) + f.data(n, b"abcd") + head(n, OK),
    "8.1 trailers with upper case": lambda n:
        head(n, end=False) + f.data(n, b"abcd") + head(n, [("X-A", "y")]),
    "8.1 trailers with CRLF": lambda n:
        head(n, end=False) + f.data(n, b"abcd") + head(n, [("x", "y\r\nx: z")]),
    "8.1 trailers with transfer-encoding": lambda n:
        head(n, end=False) + f.data(n, b"abcd") + head(n, [("transfer-encoding", "chunked")]),
    "6.4 reset in the middle": lambda n: head(n, end=False) + f.data(n, b"abcd") + f.rst(n, "CANCEL"),
    "6.4 reset with NO_ERROR in the middle": lambda n:
        head(n, end=False) + f.data(n, b"abcd") + f.rst(n, "NO_ERROR"),
    "6.8 GOAWAY that leaves it out, then a reset": lambda n:
        head(n, end=False) + f.data(n, b"abcd") + f.goaway(0) + f.rst(n, "REFUSED_STREAM"),
    "5.4.1 connection error in the middle": lambda n:
        head(n, end=False) + f.data(n, b"abcd") + f.ping(b"short"),
    "4.1 frame too large in the middle": lambda n:
        head(n, end=False) + f.data(n, b"abcd") + f.data(n, bytes(20000)),
    "10.5 a flood of empty DATA in the middle": lambda n:
        head(n, end=False) + f.data(n, b"abcd") + f.data(n) * 200000,
    "10.5 a flood of 1-byte DATA with 255 of padding": lambda n:
        head(n, end=False) + f.data(n, b"abcd") + f.data(n, b"", pad=255) * 100000,
    "never an end": lambda n: head(n, end=False) + f.data(n, b"abcd"),
}


@pytest.fixture(scope="module")
def table(module_edge):
    """One edge and one origin for the tables. `meet(bad, check)`: check(client) makes a request that
    meets the misbehaviour, somebody else a good one after it; memory stays bounded."""
    def script(conn):
        conn.hello()
        while True:
            stream = conn.request()
            if stream.get(":path") == "/bad":
                conn.say(app.bad(stream.number))
            else:
                conn.reply(stream)

    def meet(bad, check):
        app.bad = bad
        with way.client() as client:
            check(client)
        assert way.get("/next").body == b"good"
        assert proc.rss(worker) - before < 64 << 20, "memory grew"
    app = H2Origin(script)
    way = way_to(module_edge, app)
    OTHERS.clear()
    worker = way.worker_pid
    before = proc.rss(worker)
    yield meet
    if peers.in_place_of_adit():
        way.stop()
    app.stop()
    app.check()
    assert way.worker_pid == worker


def is_an_error(client):
    answer = client.exchange("POST", "/bad", body=b"x")
    assert answer.status in (502, 504), answer
    assert not answer.all("set-cookie"), answer


@pytest.mark.parametrize("name", NO_HELLO)
def test_no_beginning(edge, raw_origin, name):
    """A connection that was none took no request, so another one may be tried for it."""
    def script(conn):
        if conn.number == 0:
            conn.first = False
            conn.say(NO_HELLO[name])
            if not NO_HELLO[name]:
                return
            conn.sock.settimeout(5)
            conn.read_to_end()
        conn.hello()
        conn.serve()

    way = way_to(edge, raw_origin(script))
    assert way.exchange("POST", "/", body=b"x").status in (200, 502, 504)
    assert way.get("/next").body == b"good"


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_bad_settings(edge, raw_origin, name):
    def script(conn):
        if conn.number:
            conn.hello()
            conn.serve()
        conn.read(len(f.PREFACE))
        conn.say(BAD_SETTINGS[name])
        conn.at_close()

    app = raw_origin(script)
    way = way_to(edge, app)
    assert way.exchange("POST", "/", body=b"x").status in (200, 502, 504)
    assert way.get("/next").body == b"good"
    assert len(app.conns) >= 2, "the connection with the bad settings was used"


@pytest.mark.parametrize("name", NO_ANSWER)
def test_no_answer(table, name):
    table(NO_ANSWER[name], is_an_error)


@pytest.mark.parametrize("name", CUTS)
def test_a_cut_answer(table, name):
    def check(client):
        client.ask("GET", "/bad")
        try:
            answer = client.answer()
        except (Cut, ConnectionResetError):
            return
        assert answer.status in (502, 504), f"the answer came whole: {answer}"
    table(CUTS[name], check)


def test_8_1_1_more_than_content_length(table):
    """What is too much reaches nobody."""
    def check(client):
        client.ask("GET", "/bad")
        try:
            answer = client.answer()
        except (Cut, ConnectionResetError):
            return
        assert answer.status in (502, 504) or answer.body == b"abc", answer
        if answer.status == 200:
            assert client.get("/again").body in (b"good",)
    table(lambda n: head(n, [*OK, ("content-length", "3")], end=False)
          + f.data(n, b"abcEVIL", True), check)


def test_5_2_data_beyond_the_window(edge, raw_origin):
    """An origin that does not care for windows fills no memory."""
    def flood(conn, stream):
        conn.say(head(stream.number, end=False))
        frame = f.data(stream.number, bytes(16384)) * 64
        for _ in range(512):                                    # 512 MiB
            try:
                conn.sock.sendall(frame)
            except OSError:
                return
        raise AssertionError("the edge took 512 MiB that its client did not read")
    app = raw_origin(first_bad(flood))
    way = way_to(edge, app)
    worker = way.worker_pid
    before = proc.rss(worker)
    with way.client(rcvbuf=4096) as client:
        client.ask("GET", "/")
        client.answer_head()
        until(lambda: app.ends, "the origin's connection being cut")
        assert proc.rss(worker) - before < 64 << 20
    assert way.get("/next").body == b"good"


def test_6_5_3_settings_that_are_never_acknowledged(edge, raw_origin):
    """Legal for a while; requests go on meanwhile."""
    def script(conn):
        conn.auto = False
        conn.hello()
        conn.serve()
    way = way_to(edge, raw_origin(script))
    assert [way.get().status for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("last, code, status", [
    (0, "NO_ERROR", 200), (0, "ENHANCE_YOUR_CALM", 200), (f.WINDOW_MAX, "NO_ERROR", 502)])
def test_6_8_goaway_instead_of_an_answer(edge, raw_origin, last, code, status):
    """What the origin says it did not take is asked elsewhere, whatever it is; what it may have
    taken is not, when it was a POST."""
    def misbehave(conn, _):
        conn.say(f.goaway(last, code))
        conn.half_close()
    app = raw_origin(first_bad(misbehave))
    way = way_to(edge, app)
    assert way.exchange("POST", "/", body=b"x").status == status
    assert way.get("/next").body == b"good"


def test_6_8_a_graceful_goaway_lets_the_answer_come(edge, raw_origin):
    def misbehave(conn, stream):
        conn.say(f.goaway(f.WINDOW_MAX))
        conn.round_trip()
        conn.say(f.goaway(stream.number))
        conn.reply(stream, body=b"late")
    app = raw_origin(first_bad(misbehave))
    way = way_to(edge, app)
    assert way.exchange("POST", "/", body=b"x").body == b"late"
    assert way.get("/next").body == b"good"
    assert len(app.conns) == 2, "no request goes behind a GOAWAY"


def test_6_8_goaway_while_idle(edge, raw_origin):
    gone = threading.Event()

    def misbehave(conn, stream):
        conn.reply(stream, body=b"first")
        conn.say(f.goaway(stream.number))
        conn.at_close()                     # the edge closes what it cannot use
        gone.set()
    way = way_to(edge, raw_origin(first_bad(misbehave)))
    assert way.get().body == b"first"
    assert gone.wait(15)
    assert way.get("/next").body == b"good"


def test_8_7_a_refused_stream_is_asked_again(edge, raw_origin):
    def misbehave(conn, stream):
        conn.say(f.rst(stream.number, "REFUSED_STREAM"))
        conn.serve()
    app = raw_origin(first_bad(misbehave))
    way = way_to(edge, app)
    assert way.exchange("POST", "/", body=b"x").body == b"good"


def test_8_7_refused_for_ever(edge, raw_origin):
    """Attempts are counted."""
    def script(conn):
        conn.hello()
        while True:
            conn.say(f.rst(conn.request().number, "REFUSED_STREAM"))
    app = raw_origin(script)
    way = way_to(edge, app)
    assert way.exchange("POST", "/", body=b"x").status in (502, 503)
    assert len(app.requests) <= 8


ALWAYS = {
    "closes at once": b"",
    "no HTTP/2": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "bad SETTINGS": f.settings((f.ENABLE_PUSH, 7)),
    "GOAWAY behind SETTINGS": f.settings() + f.goaway(),
    "GOAWAY with an error": f.settings() + f.goaway(0, "ENHANCE_YOUR_CALM"),
    "no streams": f.settings((f.MAX_CONCURRENT_STREAMS, 0)),
    "streams taken back": f.settings() + f.settings((f.MAX_CONCURRENT_STREAMS, 0)),
    "nothing said": None,
}


@pytest.mark.parametrize("protocols", ["request", "websocket"])
@pytest.mark.parametrize("name", ALWAYS)
def test_an_origin_that_is_always_like_that_is_not_stormed(edge, raw_origin, name, protocols):
    """One request, however it ends, costs a handful of connections."""
    def script(conn):
        conn.first = False
        if ALWAYS[name]:
            conn.say(ALWAYS[name])
        if ALWAYS[name] != b"":
            conn.sock.settimeout(5)
            conn.read_to_end()
    app = raw_origin(script)
    way = way_to(edge, app)
    fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
              ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")] if protocols == "websocket" else []
    assert way.get("/", fields).status in (502, 503, 504)
    assert len(app.conns) <= 8


def test_5_1_2_no_more_streams_than_the_origin_allows(edge, raw_origin):
    """The surplus waits or goes over other connections; the limit holds on each."""
    most = []

    def script(conn):
        conn.hello((f.MAX_CONCURRENT_STREAMS, 2))
        done = set()
        while True:
            stream = conn.request()
            most.append(len(conn.streams.keys() - done))
            conn.reply(stream)
            done.add(stream.number)
    app = raw_origin(script)
    way = way_to(edge, app)
    assert way.get().status == 200      # the limit is known from now on
    del most[:]
    clients = [way.client().ask("GET", f"/{n}") for n in range(12)]
    assert [client.answer().status for client in clients] == [200] * 12
    assert max(most) <= 2
    for client in clients:
        client.close()


def test_5_1_2_an_origin_that_allows_no_stream(edge, raw_origin):
    """Waiting has an end."""
    def script(conn):
        conn.hello((f.MAX_CONCURRENT_STREAMS, 0))
        conn.at_close()
    way = way_to(edge, raw_origin(script))
    assert way.exchange("POST", "/", body=b"x").status in (502, 503, 504)


def test_neighbours_on_the_same_connection_are_untouched(edge, raw_origin):
    """A stream error is that stream's: what else the connection carries comes whole."""
    both = threading.Event()

    def script(conn):
        conn.hello()
        streams = {}
        while len(streams) < 2:
            stream = conn.request()
            streams[stream.get(":path")] = stream
        both.set()
        good, bad = streams["/good"], streams["/bad"]
        conn.say(f.headers(good.number, OK, end=False) + f.data(good.number, b"one "))
        conn.say(f.headers(bad.number, [*OK, ("X-Upper", "y")]))
        conn.round_trip()
        conn.say(f.data(good.number, b"two", True))
        conn.serve()

    def play(conn):
        if conn.number == 0:
            script(conn)
        else:
            conn.hello()
            conn.serve()
    app = raw_origin(play)
    way = way_to(edge, app)
    first = way.client().ask("GET", "/good")
    app.wait_requests(1)
    second = way.client().ask("GET", "/bad")
    if len(app.conns) > 1:
        pytest.skip("each request got a connection of its own")
    assert second.answer().status == 502
    assert first.answer().body == b"one two"
    first.close()
    second.close()


def test_6_9_the_origins_window_is_respected(edge, raw_origin):
    """The strict reader fails on a byte too many."""
    def script(conn):
        conn.credit = False
        conn.hello((f.INITIAL_WINDOW_SIZE, 1000))
        conn.wait(lambda: conn.settings_acks)
        conn.stream_window = 1000
        while True:
            stream = conn.request(whole=False)
            while not stream.over:
                conn.wait(lambda: stream.over or len(stream.content) % 1000 == 0 and stream.content)
                if not stream.over:
                    conn.give(stream.number, 1000)
                    conn.give(0, 1000)
                    size = len(stream.content)
                    conn.wait(lambda: stream.over or len(stream.content) > size)
            conn.reply(stream, body=bytes(stream.content))
    app = raw_origin(script)
    way = way_to(edge, app)
    assert way.get().status == 200      # the origin's SETTINGS are known now
    body = bytes(range(256)) * 100
    assert way.exchange("POST", "/", body=body).body == body


def test_6_9_2_a_window_that_shrinks_below_zero(edge, raw_origin):
    def script(conn):
        conn.hello()
        conn.credit = False
        stream = conn.request(whole=False)
        conn.wait(lambda: len(stream.content) >= 1000)
        conn.say(f.settings((f.INITIAL_WINDOW_SIZE, 0)))
        conn.wait(lambda: conn.settings_acks == 2)
        stream.window = stream.window - 65535
        conn.window += 1 << 20
        conn.say(f.window_update(0, 1 << 20))
        conn.round_trip()
        stream.window += 1 << 20
        conn.say(f.window_update(stream.number, 1 << 20))
        conn.wait(lambda: stream.over)
        conn.reply(stream, body=b"%d" % len(stream.content))
    way = way_to(edge, raw_origin(script))
    assert way.exchange("POST", "/", body=bytes(300000)).body == b"300000"


def test_6_2_3_never_indexed_stays_never_indexed(edge, raw_origin):
    """RFC 7541 6.2.3: an intermediary must not put such a field into a table."""
    from wire import H2
    blocks = []

    def script(conn):
        conn.hello()
        while True:
            stream = conn.request()
            blocks.append(conn.block_bytes)
            conn.reply(stream)
    way = way_to(edge, raw_origin(script))
    with H2(way.at) as client:
        for _ in range(2):
            number = client.opened(client.next)
            client.say(f.headers(number, f.GET + f.literal("x-secret", "hunter2", "never")))
            assert client.answer(number).status == 200
    for block in blocks:
        at = block.find(f.string("x-secret"))
        at = at if at >= 0 else block.find(f.string("x-secret", True))
        assert at > 0 and block[at - 1] == 0x10, "it became " + hex(block[at - 1])


def test_5_1_a_client_that_goes_resets_its_stream_only(edge, raw_origin):
    """And the connection to the origin carries the next request."""
    reset = threading.Event()

    def script(conn):
        conn.hello()
        stream = conn.request()
        conn.say(f.headers(stream.number, OK, end=False) + f.data(stream.number, b"begun"))
        conn.wait(lambda: stream.reset)
        assert stream.reset in ("CANCEL", "NO_ERROR")
        reset.set()
        conn.serve()
    app = raw_origin(script)
    way = way_to(edge, app)
    client = way.client().ask("GET")
    client.answer_head()
    client.reset()
    assert reset.wait(15)
    assert way.get("/next").body == b"good"
    assert len(app.conns) == 1


def test_what_the_origin_gets(edge, raw_origin):
    """The strict reader has looked at names, order and pseudo-headers; here is the rest."""
    def script(conn):
        conn.hello()
        conn.serve()
    app = raw_origin(script)
    way = way_to(edge, app)
    way.get("/a?b", [("X-Mixed-Case", "Y"), ("Connection", "close, x-private"), ("X-Private", "s"),
                     ("Keep-Alive", "1"), ("TE", "trailers"), ("Cookie", "a=1; b=2")])
    last = app.last
    assert dict(last.fields)[":path"] == "/a?b" and dict(last.fields)[":authority"] == "example.com"
    assert dict(last.fields)[":scheme"] == "http" and last.get("x-mixed-case") == "Y"
    assert "; ".join(last.all("cookie")) == "a=1; b=2"
    assert not {"x-private", "keep-alive", "host", "connection"} & {n for n, _ in last.fields}
