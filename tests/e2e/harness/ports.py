# SPDX-License-Identifier: Apache-2.0
"""Ports for those who must know theirs before they listen, or listen on it again after a pause.

Each process of pytest-xdist has ports of its own, so that none is given to another in such a pause.

They lie below the range from which the kernel takes the ports of clients. A port of that range that
nobody listens on may become some connection's own; and whoever connects to it may get itself.
"""
import os
import random
import socket

FIRST, LAST = 10000, 32000

MINE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

given = set()


def is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def free_port():
    """One that nobody uses, for TCP and UDP, and that this process has not been given before."""
    while True:
        port = random.SystemRandom().randrange(FIRST + MINE, LAST, PROCESSES)
        if port not in given and is_free(port):
            given.add(port)
            return port
