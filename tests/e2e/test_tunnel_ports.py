# SPDX-License-Identifier: Apache-2.0
"""TCP and UDP through tunnels: public ports of the edge, `adit tcp` and `adit udp` (issue 5)."""
import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading

import dnslib
import pytest

from harness import WAIT, until
from harness.apps import MIB, blob
from harness.ports import free_port
from harness.proc import rss
from harness.sockets import TcpServer, UdpServer, connect, echo, read_all
from harness.tunnel import Agent, create_token, zone

pytestmark = pytest.mark.usefixtures("tunnels")


@pytest.fixture
def local():
    running = []

    def start(serve=echo, **options):
        running.append(TcpServer(serve, **options))
        return running[-1]
    yield start
    for one in running:
        one.stop()


class Public:
    """An edge with one public port, and the token for it."""

    def __init__(self, edge, workers=1, ports=None, **top):
        self.port = free_port()
        self.zone = dict(workers=workers, tunnels={"ports": ports or str(self.port)}, **top)
        self.way = edge(**zone(**self.zone))
        self.token = create_token(self.way, "--ports", "1-65535")

    @property
    def at(self):
        return "127.0.0.1", self.port


@pytest.fixture(params=[1, 2], ids=["one", "two"])
def public(request, edge):
    return Public(edge, request.param)


@pytest.fixture
def opened(edge, agent, local):
    """opened(serve, *words, ...) is a public port with an agent for a local service behind it."""
    def start(serve=echo, *words, workers=1, **options):
        way = Public(edge, workers)
        way.local = local(serve)
        words = [str(way.port) if word == "PORT" else word for word in words]
        way.agent = agent(way.way, f"tcp {way.local.port}", *words, token=way.token, **options)
        return way
    return start


def is_small(pid):
    """What passes through is not kept. A sanitizer keeps what was freed, so it says nothing there."""
    with open(f"/proc/{pid}/maps", "rb") as file:
        if b"libasan" in file.read():
            return True
    return rss(pid) < 64 * MIB


def is_reset(at):
    try:
        with connect(at) as sock:
            return sock.recv(1) == b""
    except (ConnectionResetError, ConnectionRefusedError):
        return True


# ---- bytes ---------------------------------------------------------------------------------------


def test_a_hundred_megabytes_both_ways_at_once(public, agent, local):
    """Compared by hash, on one core and over the bridge."""
    size = 100 * MIB
    got = {}

    def serve(sock):
        got["local"] = swap(sock, size, seed=1)
    it = agent(public.way, f"tcp {local(serve).port}", token=public.token)
    assert it.public_at[1] == public.port
    with connect(public.at) as sock:
        came = swap(sock, size, seed=2)
    until(lambda: "local" in got, "the local service's end")
    assert came == blob_sha256(size, 1) and got["local"] == blob_sha256(size, 2)
    assert is_small(it.pid)


def swap(sock, size, seed):
    """Sends a blob, reads what comes meanwhile, and returns its hash."""
    def send():
        for part in blob(size, seed=seed):
            sock.sendall(part)
        sock.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send)
    sender.start()
    total = hashlib.sha256()
    while data := sock.recv(1 << 18):
        total.update(data)
    sender.join(WAIT)
    return total.hexdigest()


def blob_sha256(size, seed):
    total = hashlib.sha256()
    for part in blob(size, seed=seed):
        total.update(part)
    return total.hexdigest()


def test_a_half_close_either_way(opened):
    def sums(sock):
        sock.sendall(hashlib.sha1(read_all(sock)).hexdigest().encode())
        sock.shutdown(socket.SHUT_WR)
    with connect(opened(sums).at) as sock:
        sock.sendall(b"x" * 1_000_000)
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == hashlib.sha1(b"x" * 1_000_000).hexdigest().encode()
    got = []

    def ends_first(sock):
        sock.shutdown(socket.SHUT_WR)
        got.append(read_all(sock))
    with connect(opened(ends_first).at) as sock:
        assert sock.recv(10) == b""
        sock.sendall(b"still here")
        sock.shutdown(socket.SHUT_WR)
        until(lambda: got == [b"still here"], "what was sent after the end")


def test_the_service_may_speak_first(opened):
    def greets(sock):
        sock.sendall(b"220 hello\r\n")
        echo(sock)
    with connect(opened(greets).at) as sock:
        assert sock.recv(100) == b"220 hello\r\n"


def test_resets_pass_on(opened):
    def resets(sock):
        sock.recv(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    with connect(opened(resets).at) as sock:
        sock.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            assert sock.recv(10) == b"never"
    seen = []

    def notes(sock):
        try:
            read_all(sock)
        except ConnectionResetError:
            seen.append("reset")
    way = opened(notes)
    with connect(way.at) as sock:
        sock.sendall(b"x")
        until(lambda: way.local.socks, "the connection")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: seen == ["reset"], "the reset")


def test_who_does_not_read_holds_up_nobody(opened):
    """One visitor asks for much and reads nothing; others go on, and memory stays as it is."""
    def serve(sock):
        if sock.recv(1) == b"m":
            while True:
                sock.sendall(b"x" * 65536)
        echo(sock)
    way = opened(serve)
    with connect(way.at) as stalled, connect(way.at) as other:
        stalled.sendall(b"m")
        other.sendall(b"e")
        for _ in range(200):
            other.sendall(b"hello")
            assert other.recv(100) == b"hello"
        assert is_small(way.agent.pid)


def test_many_at_once(opened):
    way = opened(workers=2)
    socks = [connect(way.at) for _ in range(100)]
    for i, sock in enumerate(socks):
        sock.sendall(b"%d" % i)
    for i, sock in enumerate(socks):
        assert sock.recv(100) == b"%d" % i
        sock.close()


# ---- who is who ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_service_is_told_who_the_visitor_is(opened, version):
    got = []

    def reads(sock):
        got.append(sock.recv(1000))
        sock.sendall(b"seen")
    way = opened(reads, "--proxy-protocol", version)
    with connect(way.at) as sock:
        sock.sendall(b"hello")
        assert sock.recv(10) == b"seen"
        port = sock.getsockname()[1]
    if version == "v1":
        words = got[0].split(b"\r\n")[0].split()
        assert words[:3] == [b"PROXY", b"TCP4", b"127.0.0.1"] and int(words[4]) == port
    else:
        assert got[0][:12] == b"\r\n\r\n\0\r\nQUIT\n" and got[0][12:14] == b"\x21\x11"
        assert socket.inet_ntoa(got[0][16:20]) == "127.0.0.1"
        assert struct.unpack(">H", got[0][24:26])[0] == port


def from_there(at, source="127.0.0.2"):
    sock = socket.create_connection(at, WAIT, source_address=(source, 0))
    sock.settimeout(WAIT)
    return sock


def is_turned_away(at, source):
    try:
        with from_there(at, source) as sock:
            return sock.recv(1) == b""
    except (ConnectionResetError, ConnectionRefusedError):
        return True


def test_who_may_come_by_address(opened):
    """Judged by the agent, by what the edge says; whoever is kept out takes nothing from the others."""
    for words, stranger, friend in ((("--deny", "127.0.0.2"), "127.0.0.2", "127.0.0.1"),
                                    (("--allow", "127.0.0.0/28", "--deny", "127.0.0.5"), "127.0.0.5", "127.0.0.9"),
                                    (("--allow", "127.0.0.9,2001:db8::/32"), "127.0.0.1", "127.0.0.9")):
        way = opened(echo, *words)
        for _ in range(20):
            assert is_turned_away(way.at, stranger)
        for _ in range(5):
            with from_there(way.at, friend) as sock:
                sock.sendall(b"hello")
                assert sock.recv(100) == b"hello"
        assert len(way.local.socks) == 5
        until(lambda: sum(event["event"] == "request" for event in way.agent.events) == 20, "a line for each")
        line = way.agent.wait_event("request")
        assert (line["method"], line["client"], line["status"]) == ("TCP", stranger, 403), line
        assert line["error"] == "address-refused"
        assert way.way.status()["counters"]["tcp_refused_address"] == 20
        way.agent.stop()


def test_a_service_that_is_down(opened):
    """The visitor is turned away at once, the tunnel stays."""
    way = opened()
    port = way.local.port
    way.local.stop()
    assert is_reset(way.at)
    again = TcpServer(echo, port)
    try:
        def works():
            with connect(way.at) as sock:
                sock.sendall(b"x")
                return sock.recv(1) == b"x"
        until(works, "the service that is back")
    finally:
        again.stop()


# ---- ports ---------------------------------------------------------------------------------------


def refused(way, token, *words):
    it = Agent(way, "tcp 9", *words, token=token, wait=False, expect_exit=None)
    try:
        it.wait_exit()
        return next(event for event in it.events if event["event"] == "ended")["text"]
    finally:
        it.kill_session()
        it.clean()


def test_ports_that_are_not_to_be_had(public, agent, local):
    assert "port" in refused(public.way, public.token, "as", str(free_port()))     # of no range
    narrow = create_token(public.way, "--ports", "1-2")
    assert "port" in refused(public.way, narrow, "as", str(public.port))           # of another owner's
    with socket.create_server(("127.0.0.1", public.port)):
        assert "port" in refused(public.way, public.token, "as", str(public.port))  # of another program
    agent(public.way, f"tcp {local().port}", token=public.token)
    assert "port" in refused(public.way, public.token, "as", str(public.port))      # of another agent


def test_a_port_that_is_taken_and_one_that_is_free(edge, agent, local):
    free = free_port()
    way = Public(edge, ports=f"{min(free, 64000)}-{min(free, 64000) + 20}")
    first = min(free, 64000)
    it = agent(way.way, f"tcp {local().port}", "as", str(first + 3), token=way.token)
    assert it.public_at[1] == first + 3
    other = Agent(way.way, "tcp 9", "as", str(first + 3), token=way.token, wait=False,
                  expect_exit=None)
    try:
        assert other.wait_exit() != 0
        ended = next(event for event in other.events if event["event"] == "ended")
        assert ended["status"] == 409 and first <= int(ended["suggestion"]) <= first + 20
    finally:
        other.kill_session()
        other.clean()
    anything = agent(way.way, f"tcp {local().port}", token=way.token)
    assert first <= anything.public_at[1] <= first + 20 and anything.public_at[1] != first + 3
    with connect(("127.0.0.1", anything.public_at[1])) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"


def parked(way):
    """How many tunnels wait for their agents."""
    return way.status()["counters"]["tunnels_parked"]


def test_an_agent_that_was_killed_gets_its_port_again(public, agent, local):
    """It begins anew and names none; no other port is free."""
    it = agent(public.way, f"tcp {local().port}", token=public.token)
    for _ in range(2):
        it.kill()
        until(lambda: parked(public.way) == 1, "the port that waits")
        stranger = create_token(public.way, "--owner", "stranger", "--ports", "1-65535")
        assert "port" in refused(public.way, stranger)
        it.start()
        assert it.public_at[1] == public.port
        with connect(public.at) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
    assert "port" in refused(public.way, public.token)     # while it is live it is not the owner's other agent's


def test_another_agent_of_the_owner_leaves_alone_what_is_parked(edge, agent, local):
    """As long as another port is free."""
    first = min(free_port(), 64000)
    way = Public(edge, ports=f"{first}-{first + 3}")
    it = agent(way.way, f"tcp {local().port}", token=way.token)
    it.kill()
    until(lambda: parked(way.way) == 1, "the port that waits")
    others = [agent(way.way, f"tcp {local().port}", token=way.token) for _ in range(3)]
    ports = {other.public_at[1] for other in others}
    assert len(ports) == 3 and it.public_at[1] not in ports
    again = agent(way.way, f"tcp {local().port}", token=way.token)
    assert again.public_at[1] == it.public_at[1]


def test_an_address_that_the_edge_does_not_have(edge):
    """The agent is told what is wrong, the operator why."""
    way = Public(edge, ports="192.0.2.1:20000-20010")
    it = Agent(way.way, "tcp 9", token=way.token, wait=False, expect_exit=None)
    try:
        failed = it.wait_event("failed")
        assert "cannot open public ports" in failed["text"] and "192.0.2.1" not in failed["text"]
        assert failed["status"] == 503 and failed["retry_ms"] >= 30000
        way.way.wait_log("no interface of this machine has the address")
    finally:
        it.kill_session()
        it.clean()
    way.way.forgive()


def test_an_agent_comes_back_to_its_port(opened):
    way = opened(echo, "as", "PORT")
    worker = way.way.worker_pid
    for kill in (lambda: os.kill(worker, signal.SIGKILL), way.agent.kill):
        since = len(way.agent.events)
        kill()
        if not way.agent.running():
            way.agent.start()
        else:
            way.agent.wait_event("connected", since)
        assert way.agent.public_at[1] == way.port

        def works():
            try:
                with connect(way.at) as sock:
                    sock.sendall(b"x")
                    return sock.recv(1) == b"x"
            except OSError:
                return False
        until(works, "the port")
    way.way.forgive()


def test_visitors_wait_for_an_agent_that_was_lost(opened):
    way = opened(echo, "as", "PORT")
    way.agent.kill()
    with connect(way.at) as sock:
        sock.sendall(b"patience")
        way.agent.start()
        assert sock.recv(100) == b"patience"


def test_a_reload_keeps_ports_or_closes_them(opened, edge):
    way = opened()
    with connect(way.at) as sock:
        way.way.reload(**zone(workers=1, tunnels={"ports": str(way.port), "park": "30s"}))
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    with connect(way.at) as sock:
        sock.sendall(b"y")
        assert sock.recv(1) == b"y"
    way.agent.expect_exit = None
    way.way.reload(**zone(workers=1))
    until(lambda: is_reset(way.at), "the port's end")


def test_a_port_is_given_back(opened):
    way = opened()
    assert not is_reset_now(way.at)
    way.agent.stop()
    until(lambda: refuses(way.at), "the port's end", 60)
    with socket.create_server(("127.0.0.1", way.port)):
        pass


def is_reset_now(at):
    with connect(at) as sock:
        sock.sendall(b"x")
        return sock.recv(1) != b"x"


def refuses(at):
    try:
        connect(at).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:    # it is open, but nobody's
        return False
    return False


def test_an_upgrade_keeps_port_and_sessions(opened):
    way = opened()
    with connect(way.at) as old:
        old.sendall(b"before")
        assert old.recv(100) == b"before"
        done = way.way.command("upgrade")
        assert done.returncode == 0, done.stderr
        old.sendall(b"after")
        assert old.recv(100) == b"after"        # the session that was there lives on
        with connect(way.at) as new:
            new.sendall(b"new")
            assert new.recv(100) == b"new"
    assert way.agent.public_at[1] == way.port


# ---- UDP -----------------------------------------------------------------------------------------


@pytest.fixture
def datagrams(public, agent):
    running = []

    def start(*args, words=()):
        running.append(UdpServer(*args))
        public.agent = agent(public.way, f"udp {running[-1].port}", *words, token=public.token)
        assert public.agent.url.startswith("udp://") and public.agent.public_at[1] == public.port
        public.app = running[-1]
        return public
    yield start
    for one in running:
        one.stop()


def udp_client(at, source="127.0.0.1"):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(WAIT)
    sock.bind((source, 0))
    sock.connect(at)
    return sock


def test_datagrams_of_each_visitor_are_a_flow(datagrams):
    way = datagrams()
    with udp_client(way.at) as one, udp_client(way.at) as two:
        for i in range(20):
            for sock in (one, two):
                word = b"%d %d" % (i, sock.getsockname()[1])
                sock.send(word)
                assert sock.recv(100) == word
    assert len(set(way.app.peers)) == 2


def test_each_port_is_read_by_some_core(edge, agent):
    """Neighbouring ports are read by different cores; their agents' connections are on any."""
    first = free_port()
    way = Public(edge, workers=3, ports=f"{first}-{first + 200}")
    apps = [UdpServer(lambda data, i=i: [b"%d %s" % (i, data)]) for i in range(6)]
    agents = [agent(way.way, f"udp {app.port}", token=way.token) for app in apps]
    assert way.way.status()["tunnel_ports"] == {"tcp": 0, "udp": 6}
    for _ in range(3):
        for i, it in enumerate(agents):
            with udp_client(("127.0.0.1", it.public_at[1])) as sock:
                sock.send(b"who?")
                assert sock.recv(100) == b"%d who?" % i
    for app in apps:
        app.stop()


def test_datagrams_of_every_size(datagrams):
    with udp_client(datagrams().at) as sock:
        for size in (0, 1, 61, 62, 63, 1200, 1472, 1473, 16381, 16382, 16383, 40000, 65507):
            data = os.urandom(size)
            sock.send(data)
            assert sock.recv(65536) == data


def test_datagrams_of_who_may_not_come_are_dropped(datagrams):
    way = datagrams(words=["--deny", "127.0.0.2"])
    with udp_client(way.at, "127.0.0.2") as stranger, udp_client(way.at) as friend:
        for i in range(20):
            stranger.send(b"no %d" % i)
            friend.send(b"yes %d" % i)
            assert friend.recv(100) == b"yes %d" % i
        stranger.settimeout(0.1)
        with pytest.raises((TimeoutError, ConnectionRefusedError)):
            stranger.recv(1)
        port = friend.getsockname()[1]
    assert len(way.app.peers) == 20 and port
    line = way.agent.wait_event("request")
    assert (line["method"], line["client"], line["status"]) == ("UDP", "127.0.0.2", 403), line
    # The agent is asked once, not for every datagram.
    assert sum(event["event"] == "request" for event in way.agent.events) == 1
    assert way.way.status()["counters"]["udp_refused_address"] == 20


def test_each_datagram_says_who_the_visitor_is(datagrams):
    got = []

    def answers(data):
        got.append(data)
        return [data[28:]]
    way = datagrams(answers, words=["--proxy-protocol", "v2"])
    with udp_client(way.at, "127.0.0.3") as sock:
        for size in (0, 1, 1200, 9000, 65507 - 28):
            data = os.urandom(size)
            sock.send(data)
            assert sock.recv(65536) == data
        sock.send(bytes(65507))     # there is no room for the header: it is lost, and the flow lives on
        sock.send(b"after")
        assert sock.recv(100) == b"after"
        port = sock.getsockname()[1]
    for data in got:
        assert data[:16] == b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c"    # version 2, IPv4, datagrams
        assert socket.inet_ntoa(data[16:20]) == "127.0.0.3"
        assert struct.unpack(">H", data[24:26])[0] == port


def test_dig(datagrams):
    def answers(data):
        request = dnslib.DNSRecord.parse(data)
        reply = request.reply()
        reply.add_answer(*dnslib.RR.fromZone("tunnel.example. 60 A 192.0.2.7"))
        return [reply.pack()]
    way = datagrams(answers)
    if shutil.which("dig") is None:
        pytest.skip("no dig here")
    done = subprocess.run(["dig", "+short", "-p", str(way.port), "@127.0.0.1", "tunnel.example", "A"],
                          capture_output=True, text=True, timeout=WAIT, check=True)
    assert done.stdout.split() == ["192.0.2.7"]


def test_a_flood_of_datagrams_holds_up_nobody(datagrams):
    """More than can be carried is dropped, never kept."""
    way = datagrams()
    with udp_client(way.at) as flood, udp_client(way.at) as other:
        flood.setblocking(False)
        for _ in range(20000):
            try:
                flood.send(b"x" * 1400)
            except (BlockingIOError, ConnectionRefusedError):
                pass

        def answered():
            other.settimeout(1)
            other.send(b"hello")
            try:
                return other.recv(100) == b"hello"
            except TimeoutError:
                return False
        until(answered, "an answer")
    assert is_small(way.agent.pid)


def test_nobody_listens(datagrams):
    way = datagrams()
    way.app.stop()
    with udp_client(way.at) as sock:
        sock.send(b"x")
        sock.settimeout(0.3)
        with pytest.raises((TimeoutError, ConnectionRefusedError)):
            sock.recv(1)
    assert way.agent.running()
