# SPDX-License-Identifier: Apache-2.0
"""A fleet of devices behind one edge, each with a public port of its own: thousands are open at once,
bound to the address that the operator chose, and stay open while workers die and programs change."""
import os
import random
import signal
import socket
import time

import pytest

from harness import WAIT, until
from harness.fleet import Fleet
from harness.proc import rss
from harness.tunnel import create_token, zone

pytestmark = pytest.mark.usefixtures("tunnels")

MANY = 2000
FIRST = 20000
SOME = 30


@pytest.fixture
def address():
    """One of the loopback's that nobody else has."""
    return f"127.{random.randrange(100, 250)}.{random.randrange(250)}.{random.randrange(1, 250)}"


@pytest.fixture
def fleet():
    running = []

    def start(way):
        token = create_token(way, "--ports", "1-65535", "--tunnels", "5000")
        running.append(Fleet(way, token))
        return running[-1]
    yield start
    for one in running:
        one.stop()


def tunnels(ports, **more):
    return {"ports": ports, "per_owner": 10000, "per_address": 1000, **more}


def is_refused(at):
    try:
        socket.create_connection(at, WAIT).close()
    except ConnectionRefusedError:
        return True
    return False


def open_ports(way):
    return way.status()["tunnel_ports"]["tcp"]


def test_two_thousand_ports(edge, fleet, address):
    """Opened as devices come, in seconds; worker and program are replaced under them."""
    way = edge(**zone(workers=2, tunnels=tunnels(f"{address}:{FIRST}-{FIRST + 4999}", park="10m")))
    it = fleet(way)
    before = rss(way.worker_pid), rss(way.process.pid)
    begin = time.monotonic()
    it.call(range(FIRST, FIRST + MANY))
    took = time.monotonic() - begin
    worker, supervisor = rss(way.worker_pid) - before[0], rss(way.process.pid) - before[1]
    print(f"{MANY} devices in {took:.1f} s; the worker grew by {worker // MANY} bytes for each, the "
          f"supervisor by {supervisor // MANY}")
    assert way.status()["tunnel_ports"] == {"tcp": MANY, "udp": 0}
    assert len(way.status()["listeners"]) == 1
    some = random.sample(range(FIRST, FIRST + MANY), SOME)
    for port in some:
        assert it.ask(address, port) == b"device %d" % port
    assert is_refused((address, FIRST + MANY)), "a port that no tunnel has is not open"
    assert is_refused(("127.0.0.1", some[0])), "it is bound to its address alone"

    begin = time.monotonic()
    killed = way.worker_pid
    os.kill(killed, signal.SIGKILL)
    until(lambda: way.worker_pid not in (0, killed), "another worker")
    for port in some:
        assert not is_refused((address, port))
    it.call(some)
    print(f"back after {time.monotonic() - begin:.2f} s")
    for port in some:
        assert it.ask(address, port) == b"device %d" % port
    way.forgive()

    begin = time.monotonic()
    done = way.command("upgrade")
    assert done.returncode == 0, done.stderr
    print(f"upgraded in {time.monotonic() - begin:.2f} s")
    for port in some:
        assert not is_refused((address, port))
    it.call(some)
    for port in some:
        assert it.ask(address, port) == b"device %d" % port
    assert open_ports(way) == MANY


def test_a_reload_moves_ports(edge, fleet, address):
    """Another address: the same tunnels at the same ports there. A narrower range: the others end."""
    other = address.rsplit(".", 1)[0] + ".251"
    wide = f"{FIRST}-{FIRST + 99}"
    way = edge(**zone(workers=2, tunnels=tunnels(f"{address}:{wide}")))
    it = fleet(way)
    ports = list(range(FIRST, FIRST + 100))
    it.call(ports)
    way.reload(**zone(workers=2, tunnels=tunnels(f"{other}:{wide}")))
    until(lambda: open_ports(way) == 100 and not is_refused((other, ports[-1])), "the other address")
    for port in ports:
        assert it.ask(other, port) == b"device %d" % port
        assert is_refused((address, port))

    way.reload(**zone(workers=2, tunnels=tunnels(f"{other}:{FIRST}-{FIRST + 9}")))
    until(lambda: open_ports(way) == 10, "the others' end")
    for port in ports[:10]:
        assert it.ask(other, port) == b"device %d" % port
    assert is_refused((other, ports[10]))
    until(lambda: len(it.live) == 10, "the end of the tunnels that lost their ports")
    until(lambda: "the edge does not give this port any more" in way.log, "the reason")


def test_a_port_of_the_range_may_be_the_configurations(edge, fleet, address):
    """A listener takes it from the tunnels when the range leaves it out, without a moment when it is
    closed; while a tunnel has it, the reload is refused and says why."""
    ports = f"{address}:{FIRST}-{FIRST + 9}"
    way = edge(**zone(tunnels=tunnels(ports)))
    it = fleet(way)
    it.call([FIRST])
    listen = ["127.0.0.1:0", f"{address}:{FIRST}"]
    with pytest.raises(AssertionError, match="a tunnel has this port now"):
        way.reload(**{**zone(tunnels=tunnels(ports)), "listen": listen})
    assert it.ask(address, FIRST) == b"device %d" % FIRST
    way.reload(**{**zone(tunnels=tunnels(f"{address}:{FIRST + 1}-{FIRST + 9}")), "listen": listen})
    with socket.create_connection((address, FIRST), WAIT) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 421")      # no site has this name
    it.call([FIRST + 1])
    assert it.ask(address, FIRST + 1) == b"device %d" % (FIRST + 1)

    way.forgive()

def test_an_address_of_ipv6(edge, fleet):
    way = edge(**zone(tunnels=tunnels(f"[::1]:{FIRST}-{FIRST + 4999}")))
    it = fleet(way)
    port = FIRST + random.randrange(5000)
    it.call([port])
    assert it.ask("::1", port) == b"device %d" % port
    assert is_refused(("127.0.0.1", port))


def test_an_address_that_is_not_here(edge, fleet):
    way = edge(**zone(tunnels=tunnels(f"192.0.2.7:{FIRST}-{FIRST + 9}")))
    with pytest.raises(AssertionError, match="HTTP/1.1 503"):
        fleet(way).call([FIRST])
    until(lambda: "no interface of this machine has the address that `ports` says" in way.log, "the reason")
    way.forgive()


def test_the_limit_of_open_files(edge, fleet, address):
    """A quarter of the descriptors is for ports; who comes later is told, and the log says what to do."""
    way = edge(nofile=800, **zone(tunnels=tunnels(f"{address}:{FIRST}-{FIRST + 999}")))
    it = fleet(way)
    it.call(range(FIRST, FIRST + 200))
    assert open_ports(way) == 200
    with pytest.raises(AssertionError, match="HTTP/1.1 503.*full"):
        it.call([FIRST + 200])
    until(lambda: "the limit of open files (800) allows 200 at once; raise it" in way.log, "the reason")
    assert it.ask(address, FIRST + 199) == b"device %d" % (FIRST + 199)
    way.forgive()
