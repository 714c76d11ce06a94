# SPDX-License-Identifier: Apache-2.0
"""Connections to the edge's own name that never become an agent: they are many, from one address, and
say nothing or half of a handshake. They displace one another; visitors and agents do not notice."""
import socket
import time

import pytest

from harness import until
from harness.client import Client
from harness.other_agent import OtherAgent
from harness.proc import rss
from harness.tls import TlsClient
from harness.tunnel import ZONE, create_token, zone

pytestmark = pytest.mark.usefixtures("tunnels")

ROOM = 64
FLOOD = 400
HALF = (f"GET /.well-known/adit/tunnel HTTP/1.1\r\nHost: {ZONE}\r\nConnection: Upgrade\r\n"
        f"Upgrade: adit-tunnel/1\r\n").encode()
HELLO = bytes.fromhex("1603010200010001fc0303")     # of TLS: the first bytes of a ClientHello


@pytest.fixture
def flood():
    socks = []

    def start(port, said, count=FLOOD, source="127.9.9.9"):
        for _ in range(count):
            sock = socket.socket()
            socks.append(sock)
            sock.setblocking(False)
            sock.bind((source, 0))
            sock.connect_ex(("127.0.0.1", port))
            until(lambda s=sock: sent(s, said), "the connection")
    yield start
    for sock in socks:
        sock.close()


def sent(sock, said):
    try:
        sock.send(said or b"")
    except BlockingIOError:
        return False
    except OSError:
        pass    # it has made room already
    return True


@pytest.mark.parametrize("said", [b"", HALF, HELLO], ids=["silent", "half", "hello"])
def test_visitors_do_not_notice(edge, flood, pki, said):
    way = edge(**zone(pki.zone, connections=ROOM))
    port = way.tls_port if said == HELLO else way.port
    it = OtherAgent(way, trust=pki.ca, name="myapp", token=create_token(way))
    assert it.call().status == 101
    host = f"myapp.{ZONE}"

    def visitor():
        return TlsClient(way.tls_at, context=pki.ca.client_context(["http/1.1"]), name=host)
    visitors = [visitor() for _ in range(16)]
    for one in visitors:
        assert one.get("/", host=host).status == 200
    before = way.status()["counters"]["connections_shed"]
    flood(port, said)
    until(lambda: way.status()["counters"]["connections_shed"] - before >= FLOOD - ROOM, "too many to be taken")
    for one in visitors:    # on the connections that they had
        assert one.get("/", host=host).status == 200
        one.close()
    for _ in range(20):
        with visitor() as one:
            assert one.get("/", host=host).status == 200
    newcomer = OtherAgent(way, trust=pki.ca, name="another", token=create_token(way))
    assert newcomer.call().status == 101
    assert it.peer.failure is None
    it.stop()
    newcomer.stop()


def test_who_is_about_to_ask_is_not_displaced(edge, flood):
    """Somebody else's connection waits a while with its request, and the flood goes on meanwhile."""
    way = edge(**zone(connections=ROOM))
    it = OtherAgent(way)
    host = it.call().get("adit-url").split("://")[1].split(":")[0]
    flood(way.port, b"")
    with Client(("127.0.0.1", way.port)) as slow:
        flood(way.port, b"")
        assert slow.get("/", host=host).status == 200
    it.stop()


def test_one_address_has_so_many(edge, flood, pki):
    """A quarter of the 8,192 that may be about to ask; what each costs is known."""
    way = edge(**zone(pki.zone))
    most = 2048
    before = rss(way.worker_pid)
    begin = time.monotonic()
    flood(way.tls_port, HELLO, most + 500)
    until(lambda: way.status()["counters"]["connections_shed"] >= 500, "the first ones to make room")
    assert way.status()["counters"]["connections_open"] <= most
    cost = (rss(way.worker_pid) - before) // most
    print(f"{cost} bytes for each, {time.monotonic() - begin:.1f} s")
    assert cost < 128 * 1024    # sanitizers take their share
    flood(way.tls_port, HELLO, 10, source="127.9.9.8")
    until(lambda: way.status()["counters"]["connections_open"] == most + 10, "those of another address")
