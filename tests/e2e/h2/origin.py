# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 origin under the test's full control.

    app = h2_origin(script)         # script(conn), once per connection

A script says hello when it likes, waits for requests and answers them by frames, legal or not. It
reads as strictly as the client of wire.py: whatever the edge may not send fails the test.
"""
import re

from harness import Malformed, Origin

import frames as f
import peers
from wire import Frames, Stream

PSEUDO = [":method", ":scheme", ":authority", ":path"]


class H2Conn(Frames):
    """The origin's end. Requests that came and were not looked at yet are in `waiting`."""

    def __init__(self, sock, origin, number):
        super().__init__(sock, timeout=None)
        self.origin, self.number = origin, number
        self.waiting = []
        self.last = 0

    def hello(self, *pairs):
        """Takes the preface and says SETTINGS."""
        preface = self.read(len(f.PREFACE))
        if preface != f.PREFACE:
            raise Malformed(f"preface {preface!r}")
        for number, value in pairs:
            if number == f.INITIAL_WINDOW_SIZE:
                self.stream_window = value
            elif number == f.MAX_FRAME_SIZE:
                self.frame_size = value
            elif number == f.HEADER_TABLE_SIZE:
                self.decoder.max_allowed_table_size = value
        return self.say(f.settings(*pairs))

    def open(self, one):
        if one.stream in self.streams:
            return self.streams[one.stream]
        if one.stream % 2 == 0 or one.stream < self.last:
            raise Malformed(f"stream {one.stream} after {self.last}")
        self.last = one.stream
        stream = self.streams[one.stream] = Stream(self.stream_window)
        stream.number, stream.conn = one.stream, self
        return stream

    def on_fields(self, stream, fields):
        pseudo = [(n, v) for n, v in fields if n.startswith(":")]
        if stream.fields is not None:
            if pseudo:
                raise Malformed(f"pseudo-headers in trailers: {fields}")
            stream.trailers = fields
            return
        names = [n for n, _ in pseudo]
        known = PSEUDO + [":protocol"] if dict(pseudo).get(":method") == "CONNECT" else PSEUDO
        needed = set(PSEUDO if not peers.in_place_of_adit() else PSEUDO[:2])
        if len(set(names)) != len(names) or not needed <= set(names) or set(names) - set(known):
            raise Malformed(f"pseudo-headers {names}")
        if not re.match(r"/|\*$", dict(pseudo)[":path"]):
            raise Malformed(f":path {dict(pseudo)[':path']!r}")
        if ":authority" in names and any(n == "host" for n, _ in fields):
            raise Malformed(f"host beside :authority: {fields}")
        stream.fields = fields
        self.waiting.append(stream)
        self.origin.requests.append(stream)

    def end(self, stream):
        super().end(stream)
        length = stream.get("content-length")
        if length is not None and int(length) != len(stream.content):
            raise Malformed(f"content-length {length}, {len(stream.content)} bytes")

    def request(self, whole=True):
        """The next request, with its body unless `whole` is False."""
        self.wait(lambda: self.waiting, "a request")
        stream = self.waiting.pop(0)
        if whole:
            self.wait(lambda: stream.over, "the request's end")
        return stream

    def reply(self, stream, status=200, body=b"good", fields=(), trailers=None):
        out = f.headers(stream.number, [(":status", str(status)), *fields],
                        end=not body and trailers is None)
        for at in range(0, len(body), 16384):
            out += f.data(stream.number, body[at:at + 16384],
                          trailers is None and at + 16384 >= len(body))
        if trailers is not None:
            out += f.headers(stream.number, trailers)
        return self.say(out)

    def serve(self):
        """Answers well to the end of the connection."""
        while True:
            self.reply(self.request())


class H2Origin(Origin):
    def __init__(self, script):
        super().__init__(play=self.run_script)
        self.script = script
        self.ends = []      # of each connection: what it was like when its script had ended

    def run_script(self, raw):
        conn = H2Conn(raw.sock, self, raw.number)
        conn.origin = self
        try:
            self.script(conn)
        except AssertionError as failure:
            # A connection that the edge gave up while the script waited is no failure of its own.
            if isinstance(failure, Malformed) or not conn.ended:
                raise
        finally:
            self.ends.append(conn)

    @property
    def at(self):
        return f"h2c://127.0.0.1:{self.port}"

    @at.setter
    def at(self, _):
        pass
