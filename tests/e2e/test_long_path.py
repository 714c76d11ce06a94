# SPDX-License-Identifier: Apache-2.0
"""One stream over a link of 100 ms, beside plain TCP over one that is its like: bytes per second in the
ratio of both, which run at the same time so that they have the same machine."""
import threading
import time

import pytest

from harness.link import BulkOrigin, SlowLink, transfer

RATE = 16_000_000   # bytes per second each way
DELAY = 50          # ms one way
SIZE = 80_000_000   # five seconds' worth
LEAST = 0.8         # of what plain TCP reaches


@pytest.fixture
def bulk():
    origin = BulkOrigin()
    yield origin
    origin.stop()
    assert not origin.failures


@pytest.fixture
def links():
    """links(at): the place to connect to for one that is far away."""
    made = []

    def make(at, late):
        made.append(SlowLink(at, RATE, DELAY, late))
        return made[-1].at
    yield make
    for link in made:
        link.stop()


# What lies between a client and the origin, `far` included: each gives the address to ask.


def h1(edge, bulk, far, _pki):
    """A client that is far away."""
    return far(f"127.0.0.1:{edge(proxy=bulk.at).port}")


def h2c(edge, bulk, far, _pki):
    """Two edges, HTTP/2 between them: one is its client, the other its server."""
    server = edge(proxy=bulk.at)
    return f"127.0.0.1:{edge(proxy='h2c://' + far(f'127.0.0.1:{server.port}')).port}"


def h2(edge, bulk, far, pki):
    """The same inside TLS."""
    server = edge(proxy=bulk.at, cert=pki.server)
    app = {"servers": ["https://" + far(f"127.0.0.1:{server.port}")],
           "tls": {"ca": pki.ca.file, "name": "example.com"}}
    return f"127.0.0.1:{edge({'upstreams': {'app': app}}, proxy='app').port}"


PATHS = {"HTTP/1.1": h1, "h2c": h2c, "h2": h2}


def timed(*args):
    begin = time.monotonic()
    transfer(*args)
    return time.monotonic() - begin


def both(plain, through, upload):
    """How long each took."""
    took = {}

    def run(name, at):
        took[name] = timed(at, SIZE, upload)
    threads = [threading.Thread(target=run, args=row)
               for row in (("plain", plain), ("through", through))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(took) == 2, "a transfer failed"
    return took["plain"], took["through"]


@pytest.mark.parametrize("late", [0, 0.01], ids=["calm", "stalls"])
@pytest.mark.parametrize("upload", [False, True], ids=["download", "upload"])
@pytest.mark.parametrize("path", PATHS)
def test_one_stream_fills_a_long_path(edge, bulk, links, pki, record_property, path, upload, late):
    def far(at):
        return links(at, late)
    at = PATHS[path](edge, bulk, far, pki)
    transfer(at, 1)  # the connection stands, as a tunnel's does
    for _ in range(2):  # another program may have had the machine
        plain, through = both(far(bulk.at), at, upload)
        ratio = plain / through
        if ratio >= LEAST:
            break
    record_property("measured", {
        "path": path, "direction": "upload" if upload else "download",
        "late packets": f"{late:.0%}", "plain TCP, MB/s": f"{SIZE / plain / 1e6:.1f}",
        "through adit, MB/s": f"{SIZE / through / 1e6:.1f}", "ratio": f"{ratio:.2f}"})
    assert ratio >= LEAST
