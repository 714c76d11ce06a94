# SPDX-License-Identifier: Apache-2.0
"""One stream over a link of 100 ms, beside plain TCP over one that is its like: bytes per second in the
ratio of both, which run at the same time so that they have the same machine."""
import contextlib
import socket
import threading
import time

import pytest

from harness.link import BulkOrigin, SlowLink, transfer
from harness.tunnel import ZONE, zone

RATE = 16_000_000   # bytes per second each way
DELAY = 50          # ms one way
SIZE = 96_000_000   # six seconds' worth
LEAST = 0.8         # of what plain TCP reaches


@pytest.fixture
def bulk():
    origin = BulkOrigin()
    yield origin
    origin.stop()
    assert not origin.failures


class Lie:
    """Of the land: what a path is made of. `far(at)` is where to connect to for one that is far away."""

    def __init__(self, request, bulk, late):
        self.bulk, self.late, self.links = bulk, late, []
        self.get = request.getfixturevalue
        self.edge, self.pki = self.get("edge"), self.get("pki")

    def far(self, at):
        self.links.append(SlowLink(at, RATE, DELAY, self.late))
        return self.links[-1].at


@pytest.fixture(params=[0, 0.01], ids=["calm", "stalls"])
def lie(request, bulk):
    it = Lie(request, bulk, request.param)
    yield it
    for link in it.links:
        link.stop()


# What is between a client and the origin: each gives what transfer() wants to know.


def h1(lie):
    """A client that is far away."""
    return {"at": lie.far(f"127.0.0.1:{lie.edge(proxy=lie.bulk.at).port}")}


def h2c(lie):
    """Two edges, HTTP/2 between them: one is its client, the other its server."""
    server = lie.edge(proxy=lie.bulk.at)
    there = lie.far(f"127.0.0.1:{server.port}")
    return {"at": f"127.0.0.1:{lie.edge(proxy='h2c://' + there).port}"}


def h2(lie):
    """The same inside TLS."""
    server = lie.edge(proxy=lie.bulk.at, cert=lie.pki.server)
    app = {"servers": ["https://" + lie.far(f"127.0.0.1:{server.port}")],
           "tls": {"ca": lie.pki.ca.file, "name": "example.com"}}
    return {"at": f"127.0.0.1:{lie.edge({'upstreams': {'app': app}}, proxy='app').port}"}


def tunnel(lie, workers=1):
    """An agent that is far from its edge."""
    way = lie.edge(**zone(cert=lie.pki.zone, workers=workers))
    there = lie.far(f"127.0.0.1:{way.tls_port}").rpartition(":")[2]
    it = lie.get("agent")(way, lie.bulk.at, server=f"https://{ZONE}:{there}")
    return {"at": f"127.0.0.1:{way.tls_port}", "host": it.name,
            "context": lie.pki.context("http/1.1")}


def bridged(lie):
    """The same, where the visitor may come to another worker than the agent did."""
    return tunnel(lie, workers=2)


PATHS = {"HTTP/1.1": h1, "h2c": h2c, "h2": h2, "tunnel": tunnel, "tunnel, 2 workers": bridged}


def stall(what):
    """A visitor that begins a large download and takes nothing of it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    address, _, port = what["at"].rpartition(":")
    sock.connect((address, int(port)))
    sock = what["context"].wrap_socket(sock, server_hostname=what["host"])
    sock.sendall(f"GET /{1 << 30} HTTP/1.1\r\nHost: {what['host']}\r\n\r\n".encode())
    assert sock.recv(12) == b"HTTP/1.1 200"
    return sock


def both(plain, through, upload):
    """How long each took."""
    took = {}

    def run(name, what):
        begin = time.monotonic()
        transfer(size=SIZE, upload=upload, **what)
        took[name] = time.monotonic() - begin
    threads = [threading.Thread(target=run, args=row)
               for row in (("plain", plain), ("through", through))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == 2, "a transfer failed"
    return took["plain"], took["through"]


@pytest.mark.parametrize("upload", [False, True], ids=["download", "upload"])
@pytest.mark.parametrize("path", PATHS)
def test_one_stream_fills_a_long_path(lie, record_property, path, upload):
    through_adit = PATHS[path](lie)
    transfer(size=1, **through_adit)  # the connection stands, as a tunnel's does
    for _ in range(2):  # another program may have had the machine
        plain, through = both({"at": lie.far(lie.bulk.at)}, through_adit, upload)
        ratio = plain / through
        if ratio >= LEAST:
            break
    record_property("measured", {
        "path": path, "direction": "upload" if upload else "download",
        "late packets": f"{lie.late:.0%}", "plain TCP, MB/s": f"{SIZE / plain / 1e6:.1f}",
        "through adit, MB/s": f"{SIZE / through / 1e6:.1f}", "ratio": f"{ratio:.2f}"})
    assert ratio >= LEAST


@pytest.mark.parametrize("path", [name for name in PATHS if "tunnel" in name])
def test_visitors_who_do_not_read_hold_up_nobody(request, bulk, path):
    """What thirty of them make an edge hold is more than a connection's budget, were it a client's."""
    lie = Lie(request, bulk, 0)
    lie.far = lambda at: at
    through = PATHS[path](lie)
    with contextlib.ExitStack() as stalled:
        for _ in range(30):
            stalled.enter_context(stall(through))
        for upload in (False, True):
            transfer(size=8_000_000, upload=upload, **through)
