# SPDX-License-Identifier: Apache-2.0
"""Layer 4: TCP and UDP that is passed on as it is."""
import hashlib
import os
import socket
import ssl
import struct
import subprocess
import threading

import dnslib
import pytest

from harness import reply
from harness.ports import free_port
from harness.proc import fds, rss
from harness.sockets import TcpServer, UdpServer, connect, echo, read_all
from harness.wait import WAIT, until


@pytest.fixture
def server():
    servers = []

    def start(serve=echo, **options):
        servers.append(TcpServer(serve, **options))
        return servers[-1]
    yield start
    for one in servers:
        one.stop()


@pytest.fixture
def way(edge):
    """way(streams) starts an edge with streams only; their addresses are .addresses in order."""
    def start(*streams, **top):
        return edge({"listen": None, "streams": list(streams)}, listeners=len(streams), **top)
    return start


def stream(to, **more):
    return {"listen": "127.0.0.1:0", "proxy": getattr(to, "at", to), **more}


def test_a_message_passes_and_is_logged(way, server):
    app = server()
    up = way(stream(app))
    with connect(up.at) as sock:
        sock.sendall(b"hello")
        assert sock.recv(100) == b"hello"
        port = sock.getsockname()[1]
    line = up.access()[0]
    assert (line["bytes_in"], line["bytes_out"], line["upstream"]) == (5, 5, app.at)
    assert (line["client"], line["client_port"], line["protocol"]) == ("127.0.0.1", port, "tcp")
    assert "error" not in line
    until(lambda: up.status()["counters"]["tcp_sessions_open"] == 0, "the session's end")
    assert up.status()["counters"]["tcp_sessions"] == 1


def test_who_may_come_by_address(way, server):
    """TCP is closed at once with a line of its own, a datagram dropped."""
    app, udp = server(), UdpServer()
    lists = {"allow": ["127.0.0.0/24", "not 127.0.0.3"], "deny": ["127.0.0.2"]}
    up = way(stream(app, **lists), {**stream(udp, **lists), "listen": "udp://127.0.0.1:0"})
    tcp_at, udp_at = up.addresses
    for source, comes in (("127.0.0.1", True), ("127.0.0.2", False), ("127.0.0.3", False), ("127.0.1.1", False)):
        try:
            with socket.create_connection(tcp_at, WAIT, source_address=(source, 0)) as sock:
                sock.settimeout(WAIT)
                sock.sendall(b"hello")
                got = sock.recv(100)
        except ConnectionError:
            got = b""
        assert got == (b"hello" if comes else b""), source
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((source, 0))
            sock.connect(udp_at)
            sock.settimeout(WAIT if comes else 0.1)
            sock.send(b"hello")
            try:
                got = sock.recv(100)
            except (TimeoutError, ConnectionRefusedError):
                got = b""
            assert got == (b"hello" if comes else b""), source
    assert len(app.socks) == 1 and len(udp.peers) == 1
    udp.stop()
    lines = [line for line in up.access(4) if line.get("error") == "address-refused"]
    assert sorted(line["client"] for line in lines) == ["127.0.0.2", "127.0.0.3", "127.0.1.1"]
    assert up.status()["counters"]["tcp_refused_address"] == 3
    until(lambda: up.status()["counters"]["udp_refused_address"] == 3, "the last datagram's count")


def test_half_close_passes_both_ways(way, server):
    """A server that answers only at the end of what it was sent, and a client that goes on
    sending after the server has ended."""
    def sums(sock):
        sock.sendall(hashlib.sha1(read_all(sock)).hexdigest().encode())
        sock.shutdown(socket.SHUT_WR)

    with connect(way(stream(server(sums))).at) as sock:
        sock.sendall(b"x" * 100_000)
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock) == hashlib.sha1(b"x" * 100_000).hexdigest().encode()

    got = []

    def ends_first(sock):
        sock.shutdown(socket.SHUT_WR)
        got.append(read_all(sock))

    with connect(way(stream(server(ends_first))).at) as sock:
        assert sock.recv(10) == b""
        sock.sendall(b"still here")
        sock.shutdown(socket.SHUT_WR)
        until(lambda: got == [b"still here"], "what was sent after the end")


def test_a_bulk_transfer_both_ways_at_once(way, server):
    data = os.urandom(1 << 20) * 24
    with connect(way(stream(server())).at) as sock:
        def send():
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        assert hashlib.sha1(read_all(sock)).digest() == hashlib.sha1(data).digest()
        sender.join()


def test_a_slow_reader_holds_up_the_server_and_not_the_others(way, server):
    sent = []

    def pours(sock):
        sock.settimeout(None)
        for _ in range(2000):
            sock.sendall(b"x" * 65536)
            sent.append(65536)

    up = way(stream(server(pours)), stream(server()))
    before = rss(up.worker_pid)
    with connect(up.addresses[0]) as slow, connect(up.addresses[1]) as other:
        seen = []

        def stands():
            seen.append(sum(sent))
            return len(seen) > 20 and seen[-1] == seen[-20]
        until(stands, "the server held up")
        assert sum(sent) < 64 << 20
        for _ in range(20):
            other.sendall(b"ping")
            assert other.recv(10) == b"ping"
        assert rss(up.worker_pid) - before < 16 << 20
        assert len(read_all(slow)) == 2000 * 65536


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_reset_goes_on_as_a_reset(way, server, who):
    reset, seen = threading.Event(), []

    def abort(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def serve(sock):
        sock.recv(10)
        if who == "server":
            reset.wait(WAIT)
            abort(sock)
            return
        sock.sendall(b"go")
        try:
            sock.recv(10)
        except ConnectionResetError:
            seen.append("reset")

    up = way(stream(server(serve)))
    sock = connect(up.at)
    sock.sendall(b"x")
    if who == "server":
        reset.set()
        with pytest.raises(ConnectionResetError):
            sock.recv(10)
        sock.close()
    else:
        assert sock.recv(10) == b"go"
        abort(sock)
        until(lambda: seen == ["reset"], "the reset at the server")
    line = up.access()[0]
    assert (line["error"], line["side"]) == ("reset", "client" if who == "client" else "origin")


def test_the_server_may_speak_first(way, server):
    with connect(way(stream(server(lambda sock: sock.sendall(b"220 ready\r\n")))).at) as sock:
        assert sock.recv(100) == b"220 ready\r\n"


def test_another_server_when_one_cannot_be_reached(way, server):
    app, dead = server(), f"127.0.0.1:{free_port()}"
    up = way(stream([dead, app.at]))

    def has_met_the_dead_one():     # which of the two is asked first is drawn
        with connect(up.at) as sock:
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"
        return up.status()["counters"]["upstream_connect_errors"] >= 1
    until(has_met_the_dead_one, "a draw of the dead one")
    assert up.status()["counters"]["tcp_refused_server"] == 0


def test_no_server_is_a_reset_and_counted(way):
    up = way(stream({"servers": [f"127.0.0.1:{free_port()}"], "retry": {"attempts": 1}}))
    with connect(up.at) as sock, pytest.raises(ConnectionResetError):
        sock.sendall(b"x")
        sock.recv(1)
    assert up.access()[0]["error"] == "refused"
    assert up.status()["counters"]["tcp_refused_server"] == 1


@pytest.mark.parametrize("limit", ["idle", "total"])
def test_limits_of_time(way, server, limit):
    up = way(stream(server(), timeouts={limit: "1s"}))
    with connect(up.at) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        try:
            while limit == "total":
                sock.sendall(b"y")
                assert sock.recv(1) in (b"y", b"")
        except OSError:
            pass
        else:
            assert sock.recv(1) == b""
    line = up.access()[0]
    assert line["error"] == f"{limit}-timeout" and line["total_ms"] >= 999
    assert up.status()["counters"][f"tcp_{limit}"] == 1


def test_a_busy_session_is_not_idle(way, server):
    with connect(way(stream(server(), timeouts={"idle": "1200ms"})).at) as sock:
        tick = threading.Event()
        for _ in range(16):
            tick.wait(0.1)
            sock.sendall(b"x")
            assert sock.recv(1) == b"x"


def test_idle_sessions_are_small(way, server):
    up = way(stream({"servers": server().at, "connections": 2000}), nofile=8192)
    socks = []
    for _ in range(100):   # so that what is made once is made
        socks.append(connect(up.at))
    until(lambda: up.status()["counters"]["upstream_connects"] == 100, "100 sessions")
    before, open_before = rss(up.worker_pid), fds(up.worker_pid)
    for _ in range(1000):
        socks.append(connect(up.at))
    for sock in socks:
        sock.sendall(b"x" * 40_000)     # enough to have used a pipe
    for sock in socks:
        got = 0
        while got < 40_000:
            got += len(sock.recv(65536))
    assert fds(up.worker_pid) - open_before < 2000 + 80
    if not os.environ.get("ADIT_SANITIZED") and b"asan" not in up_program():
        assert (rss(up.worker_pid) - before) / 1000 < 8 << 10
    for sock in socks:
        sock.close()


def up_program():
    from harness import program
    return program().encode()


def test_reload_keeps_sessions_and_changes_where_new_ones_go(way, server):
    one, two = server(), server(lambda sock: sock.sendall(b"two"))
    up = way(stream(one), stream(one))
    with connect(up.addresses[0]) as kept, connect(up.addresses[1]) as lost:
        for sock in (kept, lost):
            sock.sendall(b"a")
            assert sock.recv(1) == b"a"
        up.reload(listen=None, streams=[stream(two)])
        kept.sendall(b"b")
        assert kept.recv(1) == b"b"
        with connect(up.addresses[0]) as new:
            assert new.recv(10) == b"two"
        with pytest.raises(ConnectionResetError):
            read_all(lost)                 # its stream is gone: until `drain` is over
        with pytest.raises(ConnectionRefusedError):
            connect(up.addresses[1])
        kept.sendall(b"c")
        assert kept.recv(1) == b"c"


def test_a_stopping_edge_lets_sessions_end(way, server):
    up = way(stream(server()), drain="20s")
    with connect(up.at) as sock:
        sock.sendall(b"a")
        assert sock.recv(1) == b"a"
        up.signal(15)
        up.wait_log("stopping")
        sock.sendall(b"b")
        assert sock.recv(1) == b"b"
    assert up.wait_exit() == 0


def test_without_privileges(way, server):
    if os.getuid() != 0:
        pytest.skip("needs root to become somebody else")
    with connect(way(stream(server()), uid=65534).at) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"


# ---- TLS that is routed ---------------------------------------------------------------------------


def tls_echo(context, name):
    def serve(sock):
        with context.wrap_socket(sock, server_side=True) as tls:
            tls.sendall(name.encode())
    return serve


def ask(at, pki, name, alpn=()):
    context = pki.context(*alpn)
    with connect(at) as sock, context.wrap_socket(sock, server_hostname=name) as tls:
        return tls.recv(100).decode()


def test_routes_by_name_and_protocol(way, server, pki):
    cert = pki.ca.issue("a.test", "*.b.test", "c.test")
    context = pki.ca.server_context(cert, ("h2", "http/1.1"))
    apps = [server(tls_echo(context, str(i))) for i in range(4)]
    up = way({"listen": "127.0.0.1:0", "routes": [
        {"sni": "a.test", "proxy": apps[0].at},
        {"sni": "*.b.test", "alpn": "h2", "proxy": apps[1].at},
        {"sni": "*.b.test", "proxy": apps[2].at},
        {"sni": "plain.test", "proxy": apps[3].at}]})
    assert ask(up.at, pki, "a.test") == "0"
    assert ask(up.at, pki, "A.TEST") == "0"
    assert ask(up.at, pki, "x.b.test", ("h2",)) == "1"
    assert ask(up.at, pki, "x.b.test", ("http/1.1",)) == "2"
    assert [line["server_name"] for line in up.access(3)][:2] == ["a.test", "a.test"]
    with pytest.raises(ConnectionResetError):
        ask(up.at, pki, "c.test")
    assert up.status()["counters"]["tcp_refused_route"] == 1


def test_openssl_through_a_route(way, server, pki, tmp_path):
    """The bytes that were looked at are those that the server gets, with any version of TLS."""
    app = server(tls_echo(pki.ca.server_context(pki.ca.issue("a.test"), ()), "real"))
    up = way({"listen": "127.0.0.1:0", "routes": [{"sni": "a.test", "proxy": app.at}]})
    for version in ("-tls1_2", "-tls1_3"):
        done = subprocess.run(["openssl", "s_client", "-connect", "127.0.0.1:%d" % up.port,
                               "-servername", "a.test", version, "-quiet"], input=b"",
                              capture_output=True, timeout=WAIT, check=False)
        assert b"real" in done.stdout, done.stderr


def hello_of(name):
    """The ClientHello that Python's ssl sends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_a_hello_in_pieces(way, server):
    got = []

    def serve(sock):
        while len(b"".join(got)) < len(hello):
            got.append(sock.recv(4096))
        sock.sendall(b"all")

    hello = hello_of("a.test")
    records = b"".join(b"\x16\x03\x01" + struct.pack(">H", len(hello[5 + i:5 + i + 60]))
                       + hello[5 + i:5 + i + 60] for i in range(0, len(hello) - 5, 60))
    hello = records
    up = way({"listen": "127.0.0.1:0", "routes": [{"sni": "a.test", "proxy": server(serve).at}]})
    with connect(up.at) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(0, len(hello), 7):
            sock.sendall(hello[i:i + 7])
        assert sock.recv(10) == b"all"
    assert b"".join(got) == hello


BAD = {
    "not tls, and no route for it": (b"GET / HTTP/1.0\r\n\r\n", "tcp_refused_route"),
    "a record of nothing": (b"\x16\x03\x01\0\0", "tcp_refused_route"),
    "not a ClientHello": (b"\x16\x03\x01\0\x04\x02\0\0\0", "tcp_refused_hello"),
    "a message without end": (b"\x16\x03\x01\0\x04\x01\xff\xff\xff", "tcp_refused_hello"),
    "data in the middle": (b"\x16\x03\x01\0\x04\x01\0\x01\0\x17\x03\x03\0\x01x", "tcp_refused_hello"),
    "slivers": (b"\x16\x03\x01\0\x01\x01" + b"\x16\x03\x01\0\x01\0" * 40, "tcp_refused_hello"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_first_messages(way, server, what):
    sent, counter = BAD[what]
    up = way({"listen": "127.0.0.1:0", "routes": [{"sni": "a.test", "proxy": server().at}]})
    with connect(up.at) as sock:
        sock.sendall(sent)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert up.status()["counters"][counter] == 1


def test_a_silent_client_is_closed(way, server):
    up = way({"listen": "127.0.0.1:0", "timeouts": {"hello": "200ms"},
              "routes": [{"sni": "a.test", "proxy": server().at}]})
    with connect(up.at) as sock:
        sock.sendall(b"\x16\x03")
        assert read_all_or_reset(sock) == b""
    assert up.status()["counters"]["tcp_refused_silent"] == 1


def read_all_or_reset(sock):
    try:
        return read_all(sock)
    except ConnectionResetError:
        return b""


def test_one_port_for_names_passed_through_and_sites(edge, server, pki):
    app = server(tls_echo(pki.ca.server_context(pki.ca.issue("db.test"), ()), "db"))
    up = edge({"listen": "127.0.0.1:0",
               "streams": [{"listen": "127.0.0.1:0", "routes": [
                   {"sni": "db.test", "proxy": app.at}, {"sites": True}]}],
               "sites": {"example.com": {"respond": "site", "tls": pki.server.files}}},
              listeners=2)
    at = up.addresses[up.schemes.index("tcp")]
    assert ask(at, pki, "db.test") == "db"
    with connect(at) as sock, \
            pki.context().wrap_socket(sock, server_hostname="example.com") as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
        assert read_all(tls).endswith(b"site")
    with connect(at) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
        assert read_all(sock).startswith(b"HTTP/1.1 ")


def test_tls_to_the_server(way, server, pki):
    app = server(tls_echo(pki.ca.server_context(pki.ca.issue("127.0.0.1"), ()), "inside"))
    up = way(stream({"servers": ["tls://" + app.at], "tls": {"ca": pki.ca.file}}))
    with connect(up.at) as sock:
        assert sock.recv(100) == b"inside"


def test_tls_to_a_server_that_is_added(way, server, pki, tmp_path):
    """What is written with tls:// is never spoken to in clear, wherever it is written."""
    app = server(tls_echo(pki.ca.server_context(pki.ca.issue("db.test"), ()), "inside"))
    path = tmp_path / "list.yaml"
    path.write_text(f"- tls://{app.at}\n")
    of = {"tls": {"ca": pki.ca.file, "name": "db.test"}}
    up = way(stream({"servers": [{"file": str(path)}], **of}))
    with connect(up.at) as sock:
        assert sock.recv(100) == b"inside"


def test_tls_to_a_server_whose_name_is_not_said(way, server, tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text("- tls://127.0.0.1:1\n")
    with pytest.raises(Exception, match="needs the name in its certificate"):
        way(stream({"servers": [{"file": str(path)}]}))


# ---- UDP ------------------------------------------------------------------------------------------


@pytest.fixture
def datagrams():
    servers = []

    def start(*args, **options):
        servers.append(UdpServer(*args, **options))
        return servers[-1]
    yield start
    for one in servers:
        one.stop()


def udp(to, listen="127.0.0.1:0", **more):
    return {"listen": "udp://" + listen, "proxy": getattr(to, "at", to), **more}


def udp_client(at):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(WAIT)
    sock.connect(at)
    return sock


def test_datagrams_and_sessions(way, datagrams):
    app = datagrams()
    up = way(udp(app), workers=2)
    with udp_client(up.at) as one, udp_client(up.at) as two:
        for i in range(20):
            for sock in (one, two):
                sock.send(b"%d" % i)
                assert sock.recv(100) == b"%d" % i
    assert len(set(app.peers)) == 2      # a socket for each client, kept
    # What has just been sent is counted a moment later.
    until(lambda: up.status()["counters"]["udp_datagrams_out"] == 40, "the last datagram's count")
    counters = up.status()["counters"]
    assert counters["udp_sessions"] == 2 and counters["udp_sessions_open"] == 2
    assert counters["udp_datagrams_in"] == 40


def test_datagrams_of_every_size(way, datagrams):
    up = way(udp(datagrams()))
    with udp_client(up.at) as sock:
        for size in (0, 1, 512, 1472, 9000, 65507):
            sock.send(b"x" * size)
            assert len(sock.recv(70000)) == size


def test_the_answer_comes_from_the_address_that_was_asked(way, datagrams):
    up = way(udp(datagrams(), listen=f":{free_port()}"))
    with udp_client(("127.0.0.3", up.port)) as sock:    # connected: from elsewhere nothing comes
        sock.send(b"x")
        assert sock.recv(10) == b"x"


def test_responses_end_a_session(way, datagrams):
    up = way(udp(datagrams(lambda data: [data, data]), responses=2))
    with udp_client(up.at) as sock:
        sock.send(b"x")
        assert sock.recv(10) == sock.recv(10) == b"x"
    line = up.access()[0]
    assert (line["protocol"], line["datagrams_in"], line["datagrams_out"]) == ("udp", 1, 2)
    until(lambda: up.status()["counters"]["udp_sessions_open"] == 0, "the session's end")


def test_an_idle_session_ends(way, datagrams):
    up = way(udp(datagrams(), timeouts={"idle": "1s"}))
    with udp_client(up.at) as sock:
        sock.send(b"x")
        assert sock.recv(10) == b"x"
        assert "error" not in up.access()[0]
        sock.send(b"y")                 # and a new one begins
        assert sock.recv(10) == b"y"


def test_the_idlest_makes_room(way, datagrams):
    app = datagrams()
    up = way(udp(app, sessions=2))
    with udp_client(up.at) as one, udp_client(up.at) as two, udp_client(up.at) as three:
        for sock in (one, two, one, three, one):
            sock.send(b"x")
            assert sock.recv(10) == b"x"
    assert len(set(app.peers)) == 3     # `one` was kept: `two` had been idle for longer
    counters = up.status()["counters"]
    assert counters["udp_evicted"] == 1 and counters["udp_sessions_open"] == 2


def test_a_server_that_is_not_there(way, datagrams):
    """The host says that nobody listens: the next datagram goes elsewhere."""
    app = datagrams()
    up = way(udp([f"127.0.0.1:{free_port()}", app.at]))
    with udp_client(up.at) as sock:
        sock.settimeout(0.2)

        def answered():
            sock.send(b"x")
            try:
                return sock.recv(10) == b"x"
            except TimeoutError:
                return False
        until(answered, "an answer of the server that is there")


def test_reload_keeps_udp_sessions(way, datagrams):
    one, two = datagrams(), datagrams(lambda data: [b"two"])
    up = way(udp(one))
    with udp_client(up.at) as kept, udp_client(up.at) as new:
        kept.send(b"a")
        assert kept.recv(10) == b"a"
        up.reload(listen=None, streams=[udp(two)])
        kept.send(b"b")
        assert kept.recv(10) == b"b"
        new.send(b"c")
        assert new.recv(10) == b"two"


def test_a_name_server_behind_it(way, dns):
    dns.records["www.example"] = ["192.0.2.7"]
    up = way(udp(dns.at, responses=1))
    for _ in range(5):
        answer = dnslib.DNSRecord.question("www.example").send("127.0.0.1", up.port, timeout=WAIT)
        assert str(dnslib.DNSRecord.parse(answer).rr[0].rdata) == "192.0.2.7"
    done = subprocess.run(["dig", "@127.0.0.1", "-p", str(up.port), "+short", "www.example"],
                          capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.stdout == "192.0.2.7\n", done.stderr
    until(lambda: up.status()["counters"]["udp_sessions_open"] == 0, "no session left")


def test_http_and_streams_in_one_edge(edge, origin, server):
    up = edge({"streams": [stream(server())]}, proxy=origin(lambda request: reply(200, b"hello")),
              listeners=2)
    tcp = up.addresses[up.schemes.index("tcp")]
    with connect(tcp) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    with up.client(up.addresses[up.schemes.index("http")]) as client:
        assert client.get().body == b"hello"
