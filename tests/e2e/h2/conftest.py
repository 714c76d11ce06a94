# SPDX-License-Identifier: Apache-2.0
"""`front`: the server under test with an HTTP/1.1 origin behind it, one for a module's table.

ADIT_H2_PEER=nghttpx or h2o puts another server in adit's place (README.md): a way to see that a row
can fail, and what others do with it.
"""
import os
import sys
import threading

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import peers  # noqa: E402
from harness import Origin, reply  # noqa: E402
from wire import H2  # noqa: E402


class App(Origin):
    """What is behind the front. The path says what a request gets:
    /hold: no answer; /stuck: no answer, and its body is not read; /size/N: N bytes; what `scripted`
    has for it; else an echo."""

    def __init__(self):
        self.scripted = {}      # bytes to answer a path with, before closing
        self.let_go = threading.Event()
        super().__init__(play=self.script)

    def script(self, conn):
        while True:
            request = conn.read_request_head()
            if request.path == "/stuck":
                self.let_go.wait(60)
                return
            conn.read_body(request, conn.framing_of(request) or 0)
            self.requests.append(request)
            if request.path == "/hold":
                conn.read_to_end()
                return
            if request.path in self.scripted:
                conn.send(self.scripted[request.path])
                return
            if request.path.startswith("/size/"):
                answer = reply(200, b"s" * int(request.path[6:]))
            else:
                answer = reply(200, request.body or b"hello", [("X-Seen", request.method)])
            conn.send(answer[:answer.index(b"\r\n\r\n") + 4] if request.method == "HEAD" else answer)

    def stop(self, hard=False):
        self.let_go.set()
        super().stop(hard)

    def asked(self):
        """Requests that came whole, but for those of the neighbour and those to /hold."""
        return [one for one in list(self.requests) if one.path not in ("/neighbour", "/hold")]


class Front:
    """`client()` connects; `neighbour()` shows that somebody else's connection is still served."""

    def __init__(self, at, app):
        self.at, self.app = at, app
        self.other = None

    def client(self, **options):
        return H2(self.at, **options)

    def neighbour(self):
        if self.other is None:
            self.other = H2(self.at)
        number = self.other.ask("GET", "/neighbour")
        try:
            answer = self.other.answer(number)
            assert answer.status == 200, f"the neighbour got {answer}"
        except BaseException:
            self.other = None
            raise
        del self.other.streams[number]

    def stop(self):
        if self.other is not None:
            self.other.close()
        self.app.stop()
        self.app.check()


@pytest.fixture(scope="module")
def front(module_edge):
    app = App()
    if peers.in_place_of_adit():
        peer = peers.in_place_of_adit()(app)
        one = Front(peer.at, app)
        yield one
        one.stop()
        peer.stop()
        return
    way = module_edge(proxy=app, limits={"streams": 16})
    one = Front(way.at, app)
    one.edge = way
    yield one
    one.stop()
