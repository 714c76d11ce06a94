# SPDX-License-Identifier: Apache-2.0
"""A long link for TCP connections: tests/tools/slow_link.c, and bulk bytes that go over it.

What the bytes are is checked: both ends of a transfer repeat one block whose length is a prime number,
so that a byte lost or twice is seen."""
import os
import random
import socket
import subprocess

from .edge import program
from .sockets import Listener

BLOCK = random.Random(7).randbytes(65521)
TWICE = BLOCK + BLOCK


def slow_link_program():
    """The one of the tree whose adit is tested, else that of build/."""
    here = os.path.dirname(os.path.abspath(__file__))
    for build in (os.path.dirname(program()), here + "/../../../build"):
        path = build + "/tests/tools/slow-link"
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError("tests/tools/slow-link is not built: ninja -C build instruments")


class SlowLink:
    """Relays to `at` ("ADDRESS:PORT") at `rate` bytes per second each way, `delay_ms` one way. `late`: the
    share of packets that come a round trip later, and everything behind them with them."""

    def __init__(self, at, rate, delay_ms, late=0.0, seed=1):
        self.child = subprocess.Popen(
            [slow_link_program(), "--to", at, "--rate", str(rate), "--delay", str(delay_ms),
             "--late", str(late), "--seed", str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.at = f"127.0.0.1:{int(self.child.stdout.readline())}"

    def stop(self):
        self.child.stdin.close()  # it ends with its input
        self.child.wait()
        self.child.stdout.close()


class BulkOrigin(Listener):
    """HTTP/1.1 with bodies of any size: GET /N sends N bytes, anything else is read and checked."""

    def __init__(self):
        self.failures = []
        super().__init__()

    def serve(self, sock):
        try:
            with sock, sock.makefile("rb") as stream:
                while line := stream.readline():
                    method, path, _ = line.decode().split()
                    length = 0
                    while (field := stream.readline().strip().lower()):
                        if field.startswith(b"content-length:"):
                            length = int(field[15:])
                    if method == "GET":
                        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n"
                                     % path[1:].encode())
                        send_bulk(sock, int(path[1:]))
                    else:
                        read_bulk(stream.readinto1, length)
                        sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        except OSError:
            pass    # whoever asked has seen it as well
        except AssertionError as failure:
            self.failures.append(failure)

    def stop(self):
        self.unlisten()


def send_bulk(sock, size):
    sent = 0
    while sent < size:
        off = sent % len(BLOCK)
        sent += sock.send(memoryview(TWICE)[off:off + min(len(BLOCK), size - sent)])


def read_bulk(read_into, size):
    space = memoryview(bytearray(len(BLOCK)))
    done = 0
    while done < size:
        n = read_into(space[:min(len(BLOCK), size - done)])
        assert n, f"cut after {done} of {size} bytes"
        off = done % len(BLOCK)
        assert space[:n] == memoryview(TWICE)[off:off + n], f"wrong bytes after {done}"
        done += n


def transfer(at, size, upload=False, host="example.com", context=None):
    """One exchange of `size` bytes on a connection of its own, checked; inside TLS with a `context`."""
    address, _, port = at.rpartition(":")
    sock = socket.create_connection((address, int(port)))
    if context:
        sock = context.wrap_socket(sock, server_hostname=host.partition(":")[0])
    with sock, sock.makefile("rb") as stream:
        method, target = ("POST", "/") if upload else ("GET", f"/{size}")
        sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
                     f"Content-Length: {size if upload else 0}\r\n\r\n".encode())
        if upload:
            send_bulk(sock, size)
        status = stream.readline().split()[1]
        assert status in (b"200", b"204"), f"status {status}"
        while stream.readline().strip():
            pass
        if not upload:
            read_bulk(stream.readinto1, size)
