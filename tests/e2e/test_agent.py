# SPDX-License-Identifier: Apache-2.0
"""The agent against edges of which every byte is the test's (issue 5): what it asks, what it does when
it is refused, lost or told to go, and what a broken or hostile edge gets."""
import re
import signal
import socket
import ssl
import struct
import threading

import pytest

from harness import reply, until
from harness.ports import free_port
from harness.proc import rss
from harness.scripted_edge import GRANT, ScriptedEdge

pytestmark = pytest.mark.usefixtures("tunnels")


@pytest.fixture
def way():
    with ScriptedEdge() as made:
        yield made


@pytest.fixture
def call_from(way, agent, origin):
    """call_from(*words) starts an agent for an origin that says hello; gives it and its first call."""
    def start(*words, handler=None, **options):
        app = origin(handler or (lambda request: reply(200, b"hello")))
        it = agent(None, app.port, *words, server=way.url, trust=None, wait=False, **options)
        it.app = app
        return it, way.call()
    return start


# ---- the handshake --------------------------------------------------------------------------------


def test_what_it_asks(call_from, way):
    it, call = call_from("as", "MyApp", "--join", "--wildcard", token="adit_k_secret")
    assert call.line == "GET /.well-known/adit/tunnel HTTP/1.1"
    assert call.get("Host") == f"localhost:{way.port}"
    assert (call.get("Connection"), call.get("Upgrade")) == ("Upgrade", "adit-tunnel/1")
    assert call.get("Authorization") == "Bearer adit_k_secret"
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", call.get("Adit-Instance"))
    assert (call.slot, call.sequence) == (0, 1)
    assert (call.get("Adit-Name"), call.get("Adit-Join"), call.get("Adit-Wildcard")) \
        == ("myapp", "?1", "?1")
    assert call.get("Adit-Secret") is None and call.get("Adit-Ticket") is None
    assert call.get("Adit-Kind") is None
    call.let_in()
    ready = it.wait_event("ready")
    assert ready["urls"] == [value for name, value in GRANT if name == "Adit-Url"]
    assert ready["name"] == "myapp"


@pytest.mark.parametrize("behind", [True, False])
def test_serves_what_the_edge_asks(call_from, behind):
    """Also when the edge's first bytes of HTTP/2 stand right behind its 101."""
    it, call = call_from()
    call.let_in(behind=behind)
    answer = call.request("/a?b", fields=[("x-own", "1")])
    assert (answer.status, answer.body) == (200, b"hello")
    request = it.app.last
    assert request.target == "/a?b" and request.get("x-own") == "1"
    assert request.get("host") == "myapp.tunnel.localhost"
    assert request.get("x-forwarded-for") == "203.0.113.9"
    event = it.wait_event("request")
    assert (event["target"], event["status"], event["client"]) == ("/a?b", 200, "203.0.113.9")
    assert event["bytes_out"] == 5


def test_no_name_chooses_where_it_connects(call_from):
    """Whatever host is asked for, the target is the one of the command line."""
    it, call = call_from()
    call.let_in()
    for authority in ("127.0.0.1:1", "t1.tunnel", "other.localhost:22", "[::1]:80"):
        assert call.request("/", authority=authority).body == b"hello"
        assert it.app.last.get("host") == authority


def test_requests_to_the_agent_itself(call_from, way):
    it, call = call_from()
    call.let_in()
    for number in ("0", "5", "x", None):
        fields = [("adit-connections", number)] if number else []
        assert call.request("/connections", "POST", "agent.invalid", fields).status == 400
    assert call.request("/", "GET", "agent.invalid").status == 404
    assert call.request("/connections", "GET", "agent.invalid").status == 405
    ask = ("/connections", "POST", "agent.invalid", [("adit-connections", "3")])
    assert call.request(*ask).status == 204
    more = sorted((way.call() for _ in range(2)), key=lambda one: one.slot)
    assert [one.slot for one in more] == [1, 2]
    for one in more:
        assert one.get("Adit-Secret") == "c2VjcmV0" and one.get("Adit-Name") == "myapp"
        assert one.get("Adit-Instance") == call.get("Adit-Instance")
        one.let_in()
        assert one.request("/").body == b"hello"
    assert not it.app.requests[-1].get("adit-connections")
    assert [event["event"] for event in it.events].count("ready") == 1


def test_over_tls(agent, origin, pki):
    """ALPN http/1.1 alone, the edge's name, and an authority of the user's."""
    context = pki.origin_context("http/1.1", "h2")
    with ScriptedEdge(context) as way:
        it = agent(None, origin().port, server=way.url, trust=None, wait=False, expect_exit=1)
        it.wait_event("ended")
        assert it.wait_exit() == 1 and "not trusted" in it.events[-1]["text"]
        it = agent(None, origin().port, server=way.url, wait=False)
        call = way.call()
        assert call.sock.selected_alpn_protocol() == "http/1.1"
        assert call.sock.version() == "TLSv1.3"
        call.let_in()
        assert call.request("/").status == 200


# ---- refusals -------------------------------------------------------------------------------------

STOPS = [(400, "malformed"), (401, "bad-token"), (401, "no-token"), (401, "expired"), (403, "name"),
         (404, None), (409, "taken"), (421, None), (426, "version"), (200, None), (302, None)]


@pytest.mark.parametrize("status,reason", STOPS)
def test_stops_when_it_is_refused(call_from, way, status, reason):
    """Once, in words; no second call."""
    it, call = call_from(expect_exit=1)
    text = b"this is why\x1b[31m\n" if status >= 400 else b""
    call.refuse(status, reason, text, [("Adit-Suggestion", "myapp-2")] if status == 409 else [])
    if status in (200, 426):    # maybe somebody on the way: once more, in WebSocket messages
        assert call.get("Upgrade") == "adit-tunnel/1"
        again = way.call()
        assert (again.get("Upgrade"), again.get("Sec-WebSocket-Protocol")) == ("websocket", "adit-tunnel.1")
        again.refuse(status, reason, text)
    event = it.wait_event("ended")
    assert it.wait_exit() == 1
    if status >= 400:
        assert event["status"] == status and event.get("reason") == reason
        assert event["text"] == "this is why?[31m"
    else:
        assert "no edge" in event["text"]
    assert event.get("suggestion") == ("myapp-2" if status == 409 else None)
    assert way.calls.empty()


@pytest.mark.parametrize("status,reason", [(429, "handshakes"), (503, "draining"), (502, None)])
def test_waits_when_it_is_asked_to(call_from, way, status, reason):
    it, call = call_from()
    call.refuse(status, reason, fields=[("Retry-After", "1")])
    assert it.wait_event("failed")["retry_ms"] >= 1000
    again = way.call()
    assert again.sequence == 2 and again.get("Adit-Instance") == call.get("Adit-Instance")
    again.let_in()
    it.wait_event("ready")


BAD_ANSWERS = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "no URL": b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: adit-tunnel/1\r\n\r\n",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a long head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20000,
    "a bare LF": b"HTTP/1.1 200 OK\nX: y\n\n",
}


@pytest.mark.parametrize("what", BAD_ANSWERS)
def test_bad_answers(call_from, way, what):
    """They are no reason to end: it comes back, with growing pauses."""
    it, call = call_from()
    call.send(BAD_ANSWERS[what])
    call.close()
    it.wait_event("failed")
    way.call().let_in()
    it.wait_event("ready")


# ---- losses ---------------------------------------------------------------------------------------


def test_comes_back_after_a_loss(call_from, way):
    it, call = call_from()
    call.let_in()
    assert call.request("/").status == 200
    call.close()
    again = way.call()
    assert again.get("Adit-Secret") == "c2VjcmV0" and again.get("Adit-Ticket") == "dGlja2V0"
    assert again.get("Adit-Name") == "myapp" and again.sequence > call.sequence
    assert it.wait_event("lost")["retry_ms"] <= 250
    again.let_in()
    it.wait_event("connected")
    assert again.request("/").status == 200


def test_comes_back_within_the_window(call_from, way):
    it, call = call_from()
    call.let_in([("Adit-Retry", "within=400")])
    it.wait_event("ready")
    call.close()
    assert it.wait_event("lost")["retry_ms"] <= 400
    way.call()


def test_an_edge_that_restarts(call_from, way):
    """GOAWAY with a window: the new connection comes while the old one still serves."""
    it, call = call_from()
    call.let_in()
    stream = call.conn.get_next_available_stream_id()
    call.conn.send_headers(stream, [(":method", "POST"), (":scheme", "https"), (":path", "/"),
                                    (":authority", "a.b"), ("content-length", "1")])
    call.flush()
    call.goaway(b"reconnect within=100")
    again = way.call()
    again.let_in()
    assert again.request("/").status == 200
    call.frame(0, 1, stream, b"x")                  # the end of the old request's body
    assert b"hello" in call.wait_closed()
    assert not [event for event in it.events if event["event"] in ("lost", "failed")]


def test_an_edge_that_ends_it(call_from, way):
    it, call = call_from(expect_exit=1)
    call.let_in()
    it.wait_event("ready")
    call.goaway(b"end the token was \x1b[2Jrevoked")
    assert it.wait_event("ended")["text"] == "the token was ?[2Jrevoked"
    assert it.wait_exit() == 1 and way.calls.empty()


def test_hup_calls_anew(call_from, way):
    """Beside the connection there is, which is left when the new one is in."""
    it, call = call_from()
    call.let_in()
    it.wait_event("ready")
    it.signal(signal.SIGHUP)
    again = way.call()
    assert again.sequence > call.sequence and call.request("/").status == 200
    again.let_in()
    assert again.request("/").status == 200
    call.wait_closed()
    assert not [event for event in it.events if event["event"] == "lost"]


def test_leaves_politely(call_from):
    it, call = call_from()
    call.let_in()
    assert call.request("/").status == 200
    it.signal(signal.SIGINT)
    said = b""
    while True:                 # python3-h2 takes no frames behind a GOAWAY, so the bytes are read
        data = call.sock.recv(65536)
        if not data:
            break
        said += data
        for at in re.finditer(rb"\x00\x00\x08\x06\x00\x00\x00\x00\x00", data):
            call.frame(6, 1, 0, data[at.end():at.end() + 8])
    assert b"\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00" in said     # GOAWAY, NO_ERROR
    assert it.wait_exit() == 0
    assert it.events[-1]["event"] == "leaving"


# ---- edges that misbehave -------------------------------------------------------------------------

def bad_frame(call):
    call.frame(0, 0, 0, b"data on stream 0")


def too_long_a_frame(call):
    call.send(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01")


def absurd_settings(call):
    call.frame(4, 0, 0, struct.pack(">HI", 4, 0x80000000))


def flood_of_settings(call):
    for _ in range(5000):
        call.frame(4, 0, 0)


def flood_of_pings(call):
    for _ in range(20000):
        call.frame(6, 0, 0, b"12345678")


def flood_of_resets(call):
    block = bytes.fromhex("82878401") + b"\x03a.b"
    for number in range(3, 6000, 2):
        call.frame(1, 5, number, block)
        call.frame(3, 0, number, b"\x00\x00\x00\x08")


def bad_compression(call):
    call.frame(1, 5, 3, b"\xff\xff\xff\xff\xff\xff")


def no_preface(call):
    call.send(b"GET / HTTP/1.1\r\n\r\n" * 4)


@pytest.mark.parametrize("misdeed", [bad_frame, too_long_a_frame, absurd_settings, flood_of_settings,
                                     flood_of_pings, flood_of_resets, bad_compression, no_preface])
def test_an_edge_that_misbehaves(call_from, way, misdeed):
    """It loses its connection with a reason, and is called again."""
    it, call = call_from()
    if misdeed is no_preface:
        call.send(call.grant())
    else:
        call.let_in()
    it.wait_event("ready")
    try:
        misdeed(call)
    except OSError:
        pass
    lost = it.wait_event("lost")
    assert lost["text"], lost
    way.call().let_in()
    it.wait_event("connected")


def test_an_edge_that_ends_whatever_it_lets_in(call_from, way):
    """Pauses grow although every handshake succeeds."""
    it, call = call_from()
    pauses = []
    for _ in range(5):
        seen = len(it.events)
        call.let_in()
        call.close()
        pauses.append(it.wait_event("lost", seen)["retry_ms"])
        call = way.call(timeout=30)
    assert pauses[0] <= 250
    call.let_in()


# ---- the target -----------------------------------------------------------------------------------


def test_the_target_is_down(agent, way):
    """The visitor is told at once, and served as soon as it is there."""
    port = free_port()
    it = agent(None, port, server=way.url, trust=None, wait=False)
    call = way.call().let_in()
    for _ in range(3):
        answer = call.request("/")
        assert answer.status == 502 and b"not running" in answer.body
        assert f"localhost:{port}".encode() in answer.body
    assert it.wait_event("request")["error"] == "refused"


def test_a_target_on_ipv6_alone(agent, way):
    """As development servers that listen on `localhost` do."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        agent(None, listener.getsockname()[1], server=way.url, trust=None, wait=False)
        call = way.call().let_in()

        def serve():
            with listener.accept()[0] as sock:
                assert sock.recv(65536).startswith(b"GET / HTTP/1.1")
                sock.sendall(reply(200, b"six"))
        thread = threading.Thread(target=serve)
        thread.start()
        assert call.request("/").body == b"six"
        thread.join()


def test_options_for_the_target(agent, way, origin, pki):
    app = origin(lambda request: reply(200, request.get("host").encode()),
                 tls=pki.origin_context("http/1.1"))
    words = ["--insecure", "--host-header", "local.example"]
    agent(None, f"https://127.0.0.1:{app.port}", *words, server=way.url, trust=None, wait=False)
    assert way.call().let_in().request("/").body == b"local.example"


def test_several_edges(agent, origin):
    with ScriptedEdge() as one, ScriptedEdge() as two:
        it = agent(None, origin().port, server=f"{one.url},{two.url}", trust=None, wait=False)
        for way in (one, two):
            call = way.call().let_in()
            assert call.request("/").status == 200
        until(lambda: len([e for e in it.events if e["event"] == "ready"]) == 2, "both")


@pytest.mark.release
def test_it_is_small(agent, origin, pki):
    """Under 10 MB, with TLS, after its first requests."""
    with ScriptedEdge(pki.origin_context("http/1.1")) as way:
        it = agent(None, origin().port, server=way.url, wait=False)
        call = way.call().let_in()
        for _ in range(200):
            assert call.request("/").status == 200
        assert rss(it.pid) < 10_000_000
        assert isinstance(call.sock, ssl.SSLSocket)
