# SPDX-License-Identifier: Apache-2.0
"""The agent against edges of which every byte is the test's (issue 5): what it asks, what it does when
it is refused, lost or told to go, and what a broken or hostile edge gets."""
import base64
import json
import re
import signal
import socket
import ssl
import struct
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (Encoding, NoEncryption, PrivateFormat,
                                                          PublicFormat)

from harness import reply, run_adit, until
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
    yield start
    way.close()     # an agent that leaves would wait for an edge that says nothing


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


def test_of_lost_connections_one_calls_first(call_from, way):
    """What it is given there, the others say: an edge that has forgotten its keys would give each of them
    another name."""
    it, call = call_from()
    call.let_in()
    ask = ("/connections", "POST", "agent.invalid", [("adit-connections", "4")])
    assert call.request(*ask).status == 204
    calls = [call, *(way.call().let_in() for _ in range(3))]
    for one in calls:
        assert one.request("/").body == b"hello"
    for one in calls:
        one.close()
    first = way.call()
    time.sleep(0.6)     # more than the longest pause after a loss
    assert way.calls.empty()
    first.let_in(instead=[(name, {"Adit-Name": "other", "Adit-Ticket": "b3RoZXI"}.get(name, value))
                          for name, value in GRANT])
    others = [way.call() for _ in range(3)]
    assert {one.slot for one in (first, *others)} == {0, 1, 2, 3}
    for one in others:
        assert (one.get("Adit-Name"), one.get("Adit-Ticket")) == ("other", "b3RoZXI")
        one.let_in()


def test_when_one_that_calls_fails_another_does(call_from, way):
    it, call = call_from()
    call.let_in()
    assert call.request("/connections", "POST", "agent.invalid", [("adit-connections", "2")]).status == 204
    calls = [call, way.call().let_in()]
    for one in calls:
        assert one.request("/").body == b"hello"
        one.close()
    first = way.call()
    first.close()
    second = way.call()
    second.let_in()
    third = way.call()
    third.let_in()
    assert {second.slot, third.slot} == {0, 1}


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
         (403, None), (404, None), (409, "taken"), (421, None), (426, "version"), (200, None), (302, None)]


@pytest.mark.parametrize("status,reason", STOPS)
def test_stops_when_it_is_refused(call_from, way, status, reason):
    """Once, in words; no second call."""
    code = 4 if status in (401, 403) and reason else 1     # without one it is no edge's
    it, call = call_from(expect_exit=code)
    text = b"this is why\x1b[31m\n" if status >= 400 else b""
    call.refuse(status, reason, text, [("Adit-Suggestion", "myapp-2")] if status == 409 else [])
    if status in (200, 426):    # maybe somebody on the way: once more, in WebSocket messages
        assert call.get("Upgrade") == "adit-tunnel/1"
        again = way.call()
        assert (again.get("Upgrade"), again.get("Sec-WebSocket-Protocol")) == ("websocket", "adit-tunnel.1")
        again.refuse(status, reason, text)
    event = it.wait_event("ended")
    assert it.wait_exit() == code
    if status >= 400:
        assert event["status"] == status and event.get("reason") == reason
        assert "this is why?[31m" in event["text"]
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
    it, call = call_from(expect_exit=4)
    call.let_in()
    it.wait_event("ready")
    call.goaway(b"end the token was \x1b[2Jrevoked")
    assert it.wait_event("ended")["text"] == "the token was ?[2Jrevoked"
    assert it.wait_exit() == 4 and way.calls.empty()


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


@pytest.mark.parametrize("others,code", [((403, "name"), 4), ((409, "taken"), 1)])
def test_what_the_exit_code_says_of_several(agent, origin, others, code):
    """Whether another start may help: it may, as soon as that is so for one of them."""
    with ScriptedEdge() as one, ScriptedEdge() as two:
        it = agent(None, origin().port, server=f"{one.url},{two.url}", trust=None, wait=False, expect_exit=code)
        one.call().refuse(401, "bad-token")
        two.call().refuse(*others)
        assert it.wait_exit() == code


# ---- files, keys, diagnoses --------------------------------------------------------------------------


def test_tunnels_of_a_file(agent, origin, tmp_path, way):
    apps = [origin(lambda request, n=n: reply(200, n)) for n in (b"one", b"two")]
    file = tmp_path / "agent.yaml"
    file.write_text(f"server: {way.url}\ntoken: $env(TOKEN_OF_MINE)\ntunnels:\n"
                    f"  first: {{http: {apps[0].port}, name: one}}\n"
                    f"  second: {apps[1].port}\n")
    it = agent(None, "start", "-c", file, server=way.url, trust=None, wait=False,
               env={"TOKEN_OF_MINE": "adit_f_x"})
    calls = sorted((way.call() for _ in apps), key=lambda call: call.get("Adit-Name") or "~")
    assert [call.get("Adit-Name") for call in calls] == ["one", None]
    assert {call.get("Authorization") for call in calls} == {"Bearer adit_f_x"}
    assert len({call.get("Adit-Instance") for call in calls}) == 2
    for call, says in zip(calls, (b"one", b"two")):
        call.let_in()
        for host in ("one.tunnel.localhost", "two.tunnel.localhost", "t0.tunnel", "t1.tunnel"):
            assert call.request("/", authority=host).body == says   # by its connection alone
    it.wait_event("request")


BAD_FILES = {
    "tunnels: {a: {htpp: 1}}": r":1:15: error: unknown key `htpp`.*did you mean `http`",
    "tunnels: {a: {tcp: 22, udp: 53}}": r"one of http, tcp and udp",
    "tunnels: {a: {http: 3000, name: -x}}": r":1:33: error: not a name",
    "tunnels: {a: {http: 3000, allow: 10.0.0.1/8}}": r":1:34: error: not a network",
    "tunnels: {a: {tcp: ./}}": r"write PORT or HOST:PORT",
    "tunnels: {a: {tcp: 22, basic_auth: {me: x}}}": r":1:11: error: .* are asked for by HTTP only",
    "tunnels: {a: {udp: 53, basic_auth: {me: x}}}": r"asked for by HTTP only",
    "tunnels: {a: {udp: 53, proxy_protocol: v1}}": r"knows no datagrams",
    "tunnels: {a: {tcp: 22, deny: example.com}}": r"not a network",
    "tunnels: {a: {tcp: 22, insecure: on}}": r"of HTTP alone",
    "token: a b\ntunnels: {a: 1}": r":1:8: error: not a token",
    "server: http://example.com\ntunnels: {a: 1}": r"--insecure-clear",
    "tunnels: {}": r"there is no tunnel",
    "server: x": r"tunnels",
    "[": r":1:",
}


@pytest.mark.parametrize("rule", [("--basic-auth", "me:x"), ("--insecure",), ("--wildcard",),
                                  ("--host-header", "x"), ("--no-qr",)])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_rules_that_nobody_would_keep(kind, rule):
    done = run_adit(kind, "22", *rule, "--server", "http://localhost:1")
    assert done.returncode == 2, done
    assert f"{rule[0]} is of `adit http` alone" in done.stderr, done.stderr


def test_secrets_are_not_in_the_list_of_processes(call_from):
    it, call = call_from("--token", "adit_k_secret", "--basic-auth=me:hush")
    assert call.get("Authorization") == "Bearer adit_k_secret"
    with open(f"/proc/{it.pid}/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    assert b"*" * 13 in words and b"--basic-auth=*******" in words, words
    assert not any(b"secret" in word or b"hush" in word for word in words)
    call.let_in()
    assert call.request("/").status == 401
    login = [("authorization", "Basic " + base64.b64encode(b"me:hush").decode())]
    assert call.request("/", fields=login).status == 200


def test_help_lists_what_a_command_takes():
    """And no more: each option that is listed is taken, the others of its kin are not."""
    def listed(kind):
        return set(re.findall(r"--[a-z-]+", run_adit(kind, "--help").stdout.split("options:")[1]))
    http = listed("http")
    assert {"--allow", "--deny", "--basic-auth", "--cert", "--no-qr"} <= http
    for kind in ("tcp", "udp", "diagnose", "start"):
        mine = listed(kind)
        assert mine - {"--config"} < http, kind
        for option in http:
            done = run_adit(kind, option + "=x", "--nonsense")    # one or the other is what it stops at
            says = f"unknown option {option}" in done.stderr or f"{option} is of `adit http` alone" in done.stderr
            assert says == (option not in mine), (kind, option, done.stderr)


def test_datagrams_have_no_header_of_version_1():
    done = run_adit("udp", "53", "--proxy-protocol", "v1", "--server", "http://localhost:1")
    assert done.returncode == 2 and "write v2" in done.stderr, done


@pytest.mark.parametrize("text", BAD_FILES)
def test_bad_files(tmp_path, text):
    (tmp_path / "agent.yaml").write_text(text)
    done = run_adit("start", "-c", tmp_path / "agent.yaml", "--server", "http://localhost:1")
    assert done.returncode == 3, done
    assert re.search(BAD_FILES[text], done.stderr, re.DOTALL), done.stderr


def test_a_key_signs(agent, origin, pki, tmp_path):
    """The nonce of the first answer, on the same connection."""
    file = tmp_path / "agent.key"
    key = ed25519.Ed25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    file.chmod(0o600)
    with ScriptedEdge(pki.origin_context("http/1.1")) as way:
        it = agent(None, origin().port, "--key", file, server=way.url, wait=False, expect_exit=4)
        call = way.call()
        assert call.get("Authorization") is None
        call.send(b"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nAdit-Reason: no-token\r\n"
                  b'WWW-Authenticate: Adit-Key nonce="bm9uY2U"\r\nContent-Length: 5\r\n\r\nkey?\n')
        again = call.next()
        value = again.get("Authorization")
        parts = dict(re.findall(r'(\w+)="([^"]*)"', value))
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        assert value.startswith("Adit-Key ") and parts["nonce"] == "bm9uY2U"
        assert base64.urlsafe_b64decode(parts["key"] + "=") == raw
        assert len(base64.urlsafe_b64decode(parts["signature"] + "==")) == 64
        assert again.get("Adit-Instance") == call.get("Adit-Instance")
        again.refuse(401, "bad-signature", b"that is not your key\n")
        assert it.wait_event("ended")["text"] == "that is not your key"
    file.chmod(0o644)
    done = run_adit("3000", "--key", file, "--server", "https://localhost:1")
    assert done.returncode == 2 and "others can read it" in done.stderr


def diagnose(url, *words):
    done = run_adit("diagnose", "--json", "--server", url, *words)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def answering(way, answer):
    """Answers the one handshake of a diagnosis; connections that only look are let go."""
    def play():
        answer(way.call())
    thread = threading.Thread(target=play)
    thread.start()
    return thread


def test_diagnoses(pki, way):
    thread = answering(way, lambda call: call.let_in())
    code, steps = diagnose(way.url)
    thread.join()
    assert code == 0 and [one["step"] for one in steps] == ["dns", "tcp", "upgrade", "token"], steps
    assert all(one["ok"] and one["ms"] >= 0 for one in steps)
    thread = answering(way, lambda call: call.refuse(401, "bad-token", b"no such token\n"))
    code, steps = diagnose(way.url)
    thread.join()
    assert code == 1 and [one["ok"] for one in steps] == [True, True, True, False]
    assert steps[-1]["text"] == "no such token" and "adit login" in steps[-1]["advice"]
    thread = answering(way, lambda call: call.refuse(404))
    code, steps = diagnose(way.url)
    thread.join()
    assert code == 1 and steps[-1]["step"] == "upgrade" and not steps[-1]["ok"]
    with ScriptedEdge(pki.origin_context("http/1.1")) as secure:
        code, steps = diagnose(secure.url)
        assert code == 1 and steps[-1]["step"] == "tls" and "not trusted" in steps[-1]["text"]
        thread = answering(secure, lambda call: call.let_in())
        code, steps = diagnose(secure.url, "--ca", pki.ca.file)
        thread.join()
        assert code == 0 and "TLSv1.3" in steps[2]["text"], steps
    code, steps = diagnose(f"http://localhost:{free_port()}")
    assert code == 1 and steps[-1]["step"] == "tcp" and "refused" in steps[-1]["text"]


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
