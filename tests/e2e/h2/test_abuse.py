# SPDX-License-Identifier: Apache-2.0
"""Attacks on HTTP/2 that have names, replayed: the worker's memory stays bounded, a well-behaved
client beside them gets all its answers, and who attacks loses the connection.

Each attack goes on for SECONDS (ADIT_ABUSE_SECONDS says another time), connection after connection, as fast as one
processor can send. What was measured is printed as a table at the end of the run: growth of the
worker's resident memory (asserted loosely), the neighbour's latency (never asserted: it says more of
the machine than of the edge), how connections ended.
"""
import contextlib
import itertools
import json
import os
import pathlib
import select
import socket
import ssl
import struct
import subprocess
import tempfile
import time

import pytest

import frames as f
import peers
from harness import WAIT, proc
from harness.peers import Nginx
from wire import H2

LONG = bool(os.environ.get("ADIT_LONG"))
SECONDS = float(os.environ.get("ADIT_ABUSE_SECONDS") or (10 if LONG else 0.15))
PATIENCE = 20 if LONG else 3    # how much longer a connection may live that should end
RSS_MOST = (48 if os.environ.get("ADIT_RELEASE") else 512) << 20
CONNECTION = 4 << 20    # limits: {connection_size}
STREAMS = 32
SMALL = f.block_of(f.request(path="/small"))
LARGE = f.block_of(f.request(path="/large"))
POST = f.block_of(f.request("POST", "/small"))
CALM = {"ENHANCE_YOUR_CALM"}
CALM_OR_PROTOCOL = CALM | {"PROTOCOL_ERROR"}


class Attacker:
    """Sends as fast as the edge takes it and keeps what comes back, unless it does not read at all.
    `ended`: the code of the GOAWAY, "closed" without one, or None while the connection lives."""

    def __init__(self, at, settings=(), reads=True, hello=True):
        self.sock = socket.create_connection(at, WAIT)
        self.sock.setblocking(False)
        self.reads, self.ended, self.sent = reads, None, 0
        self.received = bytearray()
        if hello:
            self.send(f.PREFACE + f.settings(*settings) + f.settings_ack())

    def send(self, data, patience=0.5):
        """All of it; False when the connection has ended or nothing more is taken."""
        view = memoryview(data)
        while view and not self.ended:
            readable, writable, _ = select.select([self.sock] if self.reads else [], [self.sock], [],
                                                  patience)
            if readable:
                self.read()
            if writable and not self.ended:
                try:
                    n = self.sock.send(view[:1 << 18])
                    view, self.sent = view[n:], self.sent + n
                except BlockingIOError:
                    pass
                except OSError:
                    self.drain()
            if not readable and not writable:
                return False
        return not self.ended

    def read(self):
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.received += data
        if not data:
            self.ended = self.code() or "closed"
        elif len(self.received) > 1 << 20:
            self.skip()

    def skip(self):
        """Forgets whole frames from the front, GOAWAY excepted."""
        at = 0
        while at + 9 <= len(self.received):
            size = 9 + int.from_bytes(self.received[at:at + 3], "big")
            if self.received[at + 3] == f.GOAWAY or at + size > len(self.received):
                break
            at += size
        del self.received[:at]

    def code(self):
        self.skip()
        if len(self.received) >= 17 and self.received[3] == f.GOAWAY:
            return f.code_name(struct.unpack(">I", self.received[13:17])[0])
        return None

    def drain(self, patience=1.0):
        """Reads what is left to the end of the connection, if it comes; then `ended` is true."""
        end = time.monotonic() + patience
        while not self.ended and select.select([self.sock], [], [], max(0, end - time.monotonic()))[0]:
            self.read()
        self.ended = self.ended or self.code()
        return self.ended

    def close(self):
        self.sock.close()


def numbers():
    return itertools.count(1, 2)


def batches(make, per=200, most=60000):
    """make(n) for stream after stream, `per` at a time."""
    count = numbers()
    for _ in range(most // per):
        yield b"".join(make(next(count)) for _ in range(per))


def again(data, times=2000):
    return itertools.repeat(data, times)


def hpack_bomb():
    """4000 bytes once, then a byte for each time they come again."""
    block = SMALL + f.literal("x-bomb", "b" * 4000, "keep")
    yield f.headers(1, block)
    for n in itertools.islice(numbers(), 1, 2000):
        yield f.split(n, SMALL + f.indexed(62) * 16000, [16000])


def crumbs():
    block = SMALL + f.literal(32, "a=", "keep")
    yield f.headers(1, block)
    for n in itertools.islice(numbers(), 1, 3000):
        yield f.split(n, SMALL + f.indexed(62) * 16000, [16000])


def continuations(block, most=40000, per=100):
    yield f.headers(1, SMALL, last=False)
    for _ in range(most // per):
        yield f.continuation(1, block, last=False) * per


def opened(block, data, end=True, most=2000):
    """One stream, then these bytes on it for ever."""
    yield f.headers(1, block, end=end)
    for _ in range(most):
        yield data


def toggles(number, low, high):
    return again((f.settings((number, low)) + f.settings((number, high))) * 100)


def held(more):
    """As many streams as may be that wait for credit, then these bytes."""
    yield b"".join(f.headers(n * 2 + 1, LARGE) for n in range(STREAMS))
    yield from more


STUCK = [(f.INITIAL_WINDOW_SIZE, 0)]
# name: (what is sent, how it may end, options of the Attacker). None in the set: it may live on.
FLOODS = {
    "rapid reset": (lambda: batches(lambda n: f.headers(n, SMALL) + f.rst(n)), CALM),
    "rapid reset of POSTs": (lambda: batches(lambda n: f.headers(n, POST, end=False) + f.rst(n)), CALM),
    "reset behind the answer's beginning": (lambda: batches(lambda n: f.headers(n, LARGE) + f.rst(n), 8),
                                            CALM),
    "made you reset: update of 0":
        (lambda: batches(lambda n: f.headers(n, LARGE) + f.window_update(n, 0)), CALM_OR_PROTOCOL),
    "made you reset: window overflow":
        (lambda: batches(lambda n: f.headers(n, LARGE) + f.window_update(n, f.WINDOW_MAX)),
         CALM | {"FLOW_CONTROL_ERROR"}),
    "made you reset: DATA on a half-closed stream":
        (lambda: batches(lambda n: f.headers(n, LARGE) + f.data(n, b"x")), CALM | {"STREAM_CLOSED"}),
    "made you reset: HEADERS on a half-closed stream":
        (lambda: batches(lambda n: f.headers(n, LARGE) + f.headers(n, SMALL)), CALM | {"STREAM_CLOSED"}),
    "made you reset: PRIORITY on itself":
        (lambda: batches(lambda n: f.headers(n, LARGE) + f.priority(n, n)), CALM_OR_PROTOCOL),
    "made you reset: PRIORITY of 6 bytes":
        (lambda: batches(lambda n: f.headers(n, LARGE) + f.frame(f.PRIORITY, 0, n, bytes(6))),
         CALM | {"FRAME_SIZE_ERROR"}),
    "made you reset: HEADERS that depend on themselves":
        (lambda: batches(lambda n: f.headers(n, LARGE, priority=(n, 16, False))), CALM_OR_PROTOCOL),
    "made you reset: content-length mismatch":
        (lambda: batches(lambda n: f.headers(n, POST + f.literal("content-length", "1"), end=False)
                         + f.data(n, b"xx")), CALM_OR_PROTOCOL),
    "made you reset: bad trailers":
        (lambda: batches(lambda n: f.headers(n, POST, end=False)
                         + f.headers(n, f.literal(":path", "/"))), CALM_OR_PROTOCOL),
    "made you reset: malformed heads":
        (lambda: batches(lambda n: f.headers(n, SMALL + f.literal("X-A", "b"))), CALM_OR_PROTOCOL),
    "streams beyond the limit":
        (lambda: held(batches(lambda n: f.headers(n + 2 * STREAMS, LARGE))), CALM_OR_PROTOCOL,
         {"settings": STUCK}),
    "CONTINUATION flood": (lambda: continuations(f.literal("x", "y" * 8000), 4000),
                           CALM | {"COMPRESSION_ERROR"}),
    "CONTINUATION flood, small": (lambda: continuations(f.literal("x", "y")), CALM | {"COMPRESSION_ERROR"}),
    "CONTINUATION flood, empty": (lambda: continuations(b""), CALM | {"COMPRESSION_ERROR"}),
    "SETTINGS flood": (lambda: again(f.settings() * 200), CALM),
    "SETTINGS flood, full frames":
        (lambda: again(f.settings(*[(f.MAX_CONCURRENT_STREAMS, 1)] * 2730), 4000), CALM),
    "SETTINGS flood, table sizes": (lambda: toggles(f.HEADER_TABLE_SIZE, 0, 4096), CALM),
    "SETTINGS flood, windows": (lambda: held(toggles(f.INITIAL_WINDOW_SIZE, 0, 1)), CALM),
    "SETTINGS flood, unread": (lambda: again(f.settings() * 200), CALM, {"reads": False}),
    "PING flood": (lambda: again(f.ping() * 200), CALM),
    "PING flood, unread": (lambda: again(f.ping() * 200), CALM, {"reads": False}),
    "acknowledgements that nobody asked for": (lambda: again(f.ping(ack=True) * 200), CALM_OR_PROTOCOL),
    "empty DATA": (lambda: opened(POST, f.data(1) * 500, end=False), CALM),
    "padding without DATA":
        (lambda: opened(POST, f.data(1, b"", pad=255) * 50, end=False, most=8000),
         CALM | {"FLOW_CONTROL_ERROR"}),
    "a byte of DATA with padding":
        (lambda: opened(POST, f.data(1, b"x", pad=255) * 50, end=False, most=8000),
         CALM | {"FLOW_CONTROL_ERROR", None}),
    "DATA on the dead stream":
        (lambda: itertools.chain([f.headers(1, POST, end=False) + f.rst(1)],
                                 again(f.data(1, b"x" * 100) * 100)),
         CALM | {"STREAM_CLOSED", "FLOW_CONTROL_ERROR"}),
    "empty HEADERS": (lambda: batches(lambda n: f.headers(n, b"")), CALM_OR_PROTOCOL),
    "fields without a name":
        (lambda: batches(lambda n: f.headers(n, SMALL + f.literal("", "") * 500), 20), CALM_OR_PROTOCOL),
    "PRIORITY flood": (lambda: again(b"".join(f.priority(n) for n in range(1, 400, 2))), CALM),
    "PRIORITY flood, far streams":
        (lambda: batches(lambda n: f.priority(f.WINDOW_MAX - 2 * n, n), 500, 400000), CALM),
    "PRIORITY_UPDATE flood":
        (lambda: batches(lambda n: f.priority_update(n, b"u=0"), 500, 400000), CALM_OR_PROTOCOL),
    "WINDOW_UPDATE flood": (lambda: again(f.window_update(0, 1) * 500, 1000), CALM),
    "WINDOW_UPDATE flood, stream": (lambda: held(again(f.window_update(1, 1) * 500, 1000)), CALM,
                                    {"settings": STUCK}),
    "unknown frames": (lambda: again(f.frame(0x42) * 500), CALM),
    "unknown frames, full": (lambda: again(f.frame(0x42, 0, 0, bytes(16384)) * 16), CALM),
    "RST_STREAM flood, dead stream":
        (lambda: itertools.chain([f.headers(1, SMALL)], again(f.rst(1) * 500)), CALM | {"STREAM_CLOSED"}),
    "GOAWAY flood": (lambda: again(f.goaway() * 200), CALM | {"closed", "NO_ERROR"}),
    "HPACK bomb": (hpack_bomb, CALM | {"COMPRESSION_ERROR", "PROTOCOL_ERROR"}),
    "cookie crumbs": (crumbs, CALM | {"COMPRESSION_ERROR", "PROTOCOL_ERROR"}),
    "requests and no reading": (lambda: batches(lambda n: f.headers(n, LARGE), 10), CALM | {None, "closed"},
                                {"reads": False, "settings": [(f.INITIAL_WINDOW_SIZE, f.WINDOW_MAX)]}),
}


class Scene:
    """The edge, an nginx behind it, and what is measured on them."""

    def __init__(self, edge, pki=None, streams=STREAMS):
        self.context = pki.context("h2") if pki else None
        self.root = tempfile.mkdtemp(prefix="adit-abuse-")
        os.chmod(self.root, 0o755)
        pathlib.Path(self.root, "small").write_bytes(b"s" * 128)
        pathlib.Path(self.root, "large").write_bytes(bytes(4 << 20))
        self.nginx = Nginx(self.root)
        self.peer = None
        if peers.in_place_of_adit():
            self.peer = way = peers.in_place_of_adit()(self.nginx)
        else:
            # So many connections that streams which are held do not keep others from the origin.
            origin = {"servers": [self.nginx.at], "connections": 2000}
            way = edge({"upstreams": {"app": origin}}, proxy="app", limits={"streams": streams},
                       access_log="off", log="warn",
                       timeouts={"header": "5s", "handshake": "5s"} if pki else {"header": "5s"},
                       cert=pki.server if pki else None)
        self.at, self.worker = way.at, way.worker_pid
        self.look()
        self.neighbour = Neighbour(self.at[1], self.context)

    def look(self):
        with H2(self.at, tls=self.context) as client:
            assert client.get("/small").status == 200

    def stop(self):
        self.neighbour.stop()
        self.nginx.stop()
        if self.peer:
            self.peer.stop()

    def measure(self, attack):
        """Runs attack(deadline) beside a well-behaved client; gives its ends and what was seen."""
        clear_peak(self.worker)
        before = proc.rss(self.worker)
        with self.neighbour:
            begin, cpu = time.monotonic(), proc.cpu_seconds(self.worker)
            ends = attack(begin + SECONDS)
            spent = time.monotonic() - begin
            cpu = proc.cpu_seconds(self.worker) - cpu
        peak = peak_rss(self.worker)
        return {"ends": ends, "seconds": round(spent, 2), "cpu": round(cpu / spent * 100),
                "rss": before, "growth": max(0, peak - before), "neighbour": self.neighbour.said}


class Neighbour:
    """The well-behaved client; inside `with` it asks, and afterwards `said` is what it saw."""

    def __init__(self, port, tls):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", os.path.join(os.path.dirname(__file__), "neighbour.py"), str(port),
             "/small", *(["tls"] if tls else [])], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n", "the neighbour did not start"

    def tell(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def __enter__(self):
        self.tell()

    def __exit__(self, *_):
        self.tell()
        self.said = json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait(WAIT)
        self.process.stdout.close()


def clear_peak(pid):
    """Sets the peak of resident memory to what it is now."""
    try:
        with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass


def peak_rss(pid):
    return int(proc.status(pid)["VmHWM"].split()[0]) * 1024


@pytest.fixture(scope="module")
def scene(module_edge):
    one = Scene(module_edge)
    yield one
    one.stop()


def report(record_property, name, seen, most=RSS_MOST):
    """For the table at the end of the run, and the loose assertions."""
    ends = {}
    for end in seen["ends"]:
        ends[str(end)] = ends.get(str(end), 0) + 1
    near = seen["neighbour"]
    record_property("measured", {
        "attack": name, "connections": len(seen["ends"]), "worker CPU %": seen["cpu"],
        "RSS before, MiB": round(seen["rss"] / 2**20, 1),
        "RSS growth, MiB": round(seen["growth"] / 2**20, 1),
        "neighbour answers": near["n"], "p50 ms": near["p50"], "p99 ms": near["p99"],
        "max ms": near["max"], "ended by": ", ".join(f"{k} {v}" for k, v in ends.items())})
    assert near["failure"] is None and near["n"] > 0, f"the neighbour: {near}"
    assert seen["growth"] < most, f"{name}: the worker grew by {seen['growth'] >> 20} MiB"


def test_calm(scene, record_property):
    """No attack: what the other rows are to be compared with."""
    def nothing(deadline):
        while time.monotonic() < deadline:
            select.select([], [], [], max(0, deadline - time.monotonic()))
        return []
    report(record_property, "none", scene.measure(nothing))


@pytest.mark.parametrize("name", FLOODS)
def test_flood(scene, record_property, name):
    make, allowed, options = (*FLOODS[name], {})[:3]

    def attack(deadline):
        ends = []
        while not ends or time.monotonic() < deadline:
            attacker = Attacker(scene.at, **options)
            for data in make():
                if not attacker.send(data) or time.monotonic() > deadline + PATIENCE:
                    break
            ends.append(attacker.ended or attacker.drain())
            attacker.close()
        return ends
    seen = scene.measure(attack)
    report(record_property, name, seen)
    ends = set(seen["ends"])
    if options.get("reads", True) is False:
        allowed = allowed | {"closed"}      # its GOAWAY cannot reach who does not read
    assert ends <= allowed | {"closed"}, f"ended by {ends}, not {allowed}"
    assert ends & allowed or ends == {"closed"}, ends


# -- crowds: many connections that each do little -----------------------------------------------------

CROWD = 400 if LONG else 60


def crowd(scene, begin, more=None, **options):
    """An attack: CROWD connections that send begin() and stay; then more(n) again and again."""
    def attack(deadline):
        everybody = []
        for _ in range(CROWD):
            attacker = Attacker(scene.at, **options)
            attacker.send(begin)
            everybody.append(attacker)
        for n in itertools.count():
            for attacker in everybody:
                if more and not attacker.ended:
                    attacker.send(more(n), 0)
            if time.monotonic() > deadline:
                break
            if not more:
                select.select([], [], [], max(0, deadline - time.monotonic()))
        ends = [attacker.ended or attacker.drain(0) for attacker in everybody]
        for attacker in everybody:
            attacker.close()
        return ends
    return attack


ALL_STREAMS = b"".join(f.headers(n * 2 + 1, LARGE) for n in range(STREAMS))
HALF = f.headers(1, SMALL + f.block_of([("x", "y" * 12000)]), last=False)
CROWDS = {
    "zero window, all streams": ((ALL_STREAMS,), {"settings": STUCK}),
    "zero window, a byte at a time":
        ((ALL_STREAMS, lambda n: f.window_update(n % STREAMS * 2 + 1, 1)), {"settings": STUCK}),
    "the connection's window shut":
        ((ALL_STREAMS,), {"settings": [(f.INITIAL_WINDOW_SIZE, f.WINDOW_MAX)]}),
    "windows open, TCP not read":
        ((f.window_update(0, f.WINDOW_MAX - 65535) + ALL_STREAMS,),
         {"settings": [(f.INITIAL_WINDOW_SIZE, f.WINDOW_MAX)], "reads": False}),
    "half a header block": ((HALF,), {}),
    "header block dribbled":
        ((HALF, lambda n: f.continuation(1, b"\x00\x01x\x01y" if n % 7 else b"", last=False)), {}),
    "preface and nothing more": ((b"",), {}),
    "half a preface": ((f.PREFACE[:20],), {"hello": False}),
    "half a frame head": ((b"\0\0",), {}),
    "half a frame of DATA":
        ((f.headers(1, POST, end=False) + f.frame(f.DATA, 0, 1, b"x" * 8000, 16384),), {}),
    "bodies that never end":
        ((b"".join(f.headers(n * 2 + 1, POST, end=False) + f.data(n * 2 + 1, b"x" * 1000)
                   for n in range(STREAMS)),), {}),
}


@pytest.mark.parametrize("name", CROWDS)
def test_crowd(scene, record_property, name):
    """Streams that cannot go on and heads that never end: nobody is served less, memory is bounded
    per connection, and when they go everything is given back."""
    args, options = CROWDS[name]
    report(record_property, f"{CROWD} × {name}", scene.measure(crowd(scene, *args, **options)),
           RSS_MOST + CROWD * CONNECTION)
    scene.look()


@pytest.mark.release
def test_a_connection_has_one_budget(module_edge, record_property):
    """Streams that wait hold what their connection may, not what each of them might."""
    scene = Scene(module_edge, streams=128)
    begin = b"".join(f.headers(n * 2 + 1, LARGE) for n in range(128))
    everybody = 12

    def attack(deadline):
        attackers = [Attacker(scene.at, settings=STUCK) for _ in range(everybody)]
        for attacker in attackers:
            attacker.send(begin)
        select.select([], [], [], max(0.5, deadline - time.monotonic()))
        ends = [attacker.ended for attacker in attackers]
        for attacker in attackers:
            attacker.close()
        return ends
    seen = scene.measure(attack)
    scene.stop()
    report(record_property, f"{everybody} × zero window, 128 streams", seen,
           everybody * 2 * CONNECTION + (16 << 20))


def test_a_header_block_that_never_ends_is_ended(edge, origin):
    """The header time-out counts for HEADERS without END_HEADERS too, however it is dribbled."""
    way = edge(proxy=origin(), timeouts={"header": "300ms", "idle": "60s"})
    attacker = Attacker(way.at)
    attacker.send(f.headers(1, SMALL, last=False))
    end = time.monotonic() + WAIT
    while not attacker.ended and time.monotonic() < end:
        attacker.send(f.continuation(1, b"", last=False) if attacker.sent % 3 == 0 else b"")
        attacker.drain(0.05)
    assert attacker.ended, "a header block may take for ever"


# -- TLS ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secure(module_edge, pki):
    one = Scene(module_edge, pki)
    yield one
    one.stop()


def client_hello():
    """The first flight of a client that offers h2."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2"])
    out = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


HELLO = client_hello()
RECORD = struct.pack(">BHH", 22, 0x0303, 16384)
TLS_CROWDS = {
    "ClientHello and nothing more": HELLO,
    "half a ClientHello": HELLO[:len(HELLO) // 2],
    "a byte of TLS": b"\x16",
    "a record of 16 KiB begun": RECORD + b"\x01\x00\xff\xff" + bytes(8000),
    "nothing": b"",
    "a ClientHello that says it has 16 MiB": RECORD + b"\x01\xff\xff\xff" + bytes(16380),
    "HTTP in clear": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", TLS_CROWDS)
def test_slow_handshakes(secure, record_property, name):
    attack = crowd(secure, TLS_CROWDS[name], hello=False)
    report(record_property, f"TLS, {CROWD} × {name}", secure.measure(attack))
    secure.look()


def test_handshakes_and_nothing_else(secure, record_property):
    """As fast as one client can; none is resumed."""
    def attack(deadline):
        ends = []
        while time.monotonic() < deadline:
            H2(secure.at, tls=secure.context, hello=False).close()
            ends.append("client")
        return ends
    report(record_property, "TLS, handshake after handshake", secure.measure(attack))


def s_client(at, *options, commands=(), answers=()):
    """openssl s_client that is given commands when the handshake is done; what it said up to one of the
    answers or, where none is awaited, to a silence."""
    process = subprocess.Popen(["openssl", "s_client", "-connect", f"{at[0]}:{at[1]}", *options],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = b""
    while b"Verify return code" not in said and (more := os.read(process.stdout.fileno(), 65536)):
        said += more
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(b"".join(command + b"\n" for command in commands))
        process.stdin.flush()
    while len(said) < 1 << 20 and not any(answer in said for answer in answers):
        if not select.select([process.stdout], [], [], WAIT if answers else 1)[0]:
            break
        more = os.read(process.stdout.fileno(), 65536)
        if not more:
            break
        said += more
    process.kill()
    process.wait()
    process.stdout.close()
    return said


def test_renegotiation(secure, record_property):
    """RFC 9113 9.2.1: not even once."""
    said = []
    # Refused; or a frame of ours met the client in the middle of asking, which is its end.
    refusals = b"no renegotiation", b"unexpected record"
    seen = secure.measure(lambda deadline: said.append(
        s_client(secure.at, "-tls1_2", "-alpn", "h2", commands=[b"R"] * 3, answers=refusals)) or [])
    report(record_property, "TLS 1.2, renegotiation", seen)
    refused = any(refusal in said[0] for refusal in refusals)
    assert b"RENEGOTIATING" in said[0] and refused, said[0][-500:]
    secure.look()


def test_key_updates(secure, record_property):
    """TLS 1.3's way of asking the other side for work again and again."""
    seen = secure.measure(lambda deadline: s_client(
        secure.at, "-tls1_3", "-alpn", "h2", commands=[b"K"] * 3000) and [])
    report(record_property, "TLS 1.3, KeyUpdate flood", seen)
    secure.look()
