# SPDX-License-Identifier: Apache-2.0
"""One end of a connection, and a strict HTTP/1.1 reader on top of it.

The reader shares nothing with adit and forgives nothing: what it accepts is what RFC 9112 lets a
sender generate, so that sloppy output of adit fails a test whichever side it is written to.
"""
import re
import select
import socket
import struct

from .wait import WAIT

TOKEN = re.compile(rb"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$")
VALUE = re.compile(rb"^[\t\x20-\x7e\x80-\xff]*$")
STATUS_LINE = re.compile(rb"^(HTTP/1\.[01]) ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)$")
REQUEST_LINE = re.compile(rb"^([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) (HTTP/1\.[01])$")


class Malformed(AssertionError):
    """The other side wrote something HTTP/1.1 does not allow."""


class Cut(Exception):
    """The connection ended inside a message. `message` is what was read of it, body included."""

    def __init__(self, message, why):
        super().__init__(why)
        self.message = message


class Message:
    """A request or an answer: `fields` in order as (name, value) text, `raw` head, body."""

    def __init__(self, raw, start, fields):
        self.raw = raw
        self.start = start
        self.fields = fields
        self.content = bytearray()
        self.trailers = []
        self.chunks = []
        self.framing = None

    @property
    def body(self):
        return bytes(self.content)

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name, default=None):
        """The only value of a field; a repeated one is an error, since most may not be."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there {len(values)} times: {values}"
        return values[0] if values else default

    def names(self):
        return {n.lower() for n, _ in self.fields}


class Answer(Message):
    def __init__(self, raw, start, fields):
        super().__init__(raw, start, fields)
        match = STATUS_LINE.match(start)
        if not match:
            raise Malformed(f"bad status line {start!r}")
        self.version = match[1].decode()
        self.status = int(match[2])
        self.reason = match[3].decode("latin-1")
        self.interim = []

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.fields} {len(self.content)} bytes>"


class Request(Message):
    def __init__(self, raw, start, fields):
        super().__init__(raw, start, fields)
        match = REQUEST_LINE.match(start)
        if not match:
            raise Malformed(f"bad request line {start!r}")
        self.method = match[1].decode()
        self.target = match[2].decode()
        self.version = match[3].decode()
        self.conn = None

    @property
    def path(self):
        return self.target.split("?")[0]

    def __repr__(self):
        return f"<{self.method} {self.target} {self.fields} {len(self.content)} bytes>"


def split_fields(block):
    fields = []
    for line in block.split(b"\r\n") if block else []:
        if b"\r" in line or b"\n" in line:
            raise Malformed(f"bare CR or LF in {line!r}")
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name):
            raise Malformed(f"bad field line {line!r}")
        if not VALUE.match(value):
            raise Malformed(f"control bytes in {line!r}")
        fields.append((name.decode(), value.strip(b" \t").decode("latin-1")))
    return fields


class Wire:
    """A connected socket with a read buffer. Keeps every byte received in `received`
    (the first `keep` of them, so that gigabytes can pass)."""

    keep = 1 << 20

    def __init__(self, sock, timeout=WAIT):
        self.sock = sock
        self.sock.settimeout(timeout)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.received = bytearray()
        self.ended = False

    # -- bytes ------------------------------------------------------------------------------

    def send(self, data):
        self.sock.sendall(data)
        return self

    def fill(self, most=65536):
        """Receives once. False at the end of the stream; a reset is an OSError."""
        if self.ended:
            return False
        data = self.sock.recv(most)
        self.ended = not data
        self.buffer += data
        if len(self.received) < self.keep:
            self.received += data
        return bool(data)

    def take(self, n):
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    def read(self, n):
        while len(self.buffer) < n:
            if not self.fill(max(65536, n - len(self.buffer))):
                raise EOFError(f"ended after {len(self.buffer)} of {n} bytes")
        return self.take(n)

    def read_until(self, mark, most=1 << 20):
        while (at := self.buffer.find(mark)) < 0:
            assert len(self.buffer) <= most, f"no {mark!r} in {most} bytes"
            if not self.fill():
                raise EOFError(f"ended before {mark!r}: {bytes(self.buffer[:200])!r}")
        return self.take(at + len(mark))

    def read_to_end(self):
        while self.fill():
            pass
        return self.take(len(self.buffer))

    def read_some(self):
        """Whatever is there, at least a byte; empty at the end."""
        if not self.buffer:
            self.fill()
        return self.take(len(self.buffer))

    def at_end(self):
        """Waits for the other side to close, by FIN or RST, with nothing more said."""
        try:
            while not self.buffer and self.fill():
                pass
        except ConnectionResetError:
            self.ended = True
        assert not self.buffer, f"more was said: {bytes(self.buffer[:200])!r}"
        return self.ended

    def is_open(self):
        """Whether the other side has not closed, as far as can be seen now."""
        if self.buffer:
            return True
        self.sock.setblocking(False)
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self.sock.settimeout(WAIT)

    def is_readable(self):
        """Whether something has come, be it the end."""
        return bool(self.buffer or select.select([self.sock], [], [], 0)[0])

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with a RST, as a killed peer's kernel does."""
        bare = getattr(self.sock, "sock", self.sock)    # Below TLS: no last words.
        bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        bare.close()

    # -- messages ---------------------------------------------------------------------------

    def read_head(self, kind):
        raw = self.read_until(b"\r\n\r\n")
        start, _, block = raw[:-4].partition(b"\r\n")
        return kind(raw, start, split_fields(block))

    def framing_of(self, message):
        lengths, codings = message.all("content-length"), message.all("transfer-encoding")
        if lengths and codings:
            raise Malformed("both Content-Length and Transfer-Encoding")
        if codings:
            if codings != ["chunked"]:
                raise Malformed(f"Transfer-Encoding {codings}")
            return "chunked"
        if lengths:
            if len(lengths) > 1 or not re.fullmatch("[0-9]+", lengths[0]):
                raise Malformed(f"Content-Length {lengths}")
            return int(lengths[0])
        return None

    def read_chunk(self, message):
        """One chunk of a chunked body: its bytes, or None after the last one and the trailers."""
        line = self.read_until(b"\r\n", 1024)[:-2]
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", line):
            raise Malformed(f"bad chunk line {line!r}")
        size = int(line, 16)
        if size:
            data = self.read(size)
            message.content += data
            message.chunks.append(size)
            if self.read(2) != b"\r\n":
                raise Malformed("no CRLF after a chunk")
            return data
        block = b""
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            block += line
        message.trailers = split_fields(block[:-2])
        return None

    def read_body(self, message, framing):
        message.framing = framing
        try:
            if framing == "chunked":
                while self.read_chunk(message) is not None:
                    pass
            elif framing == "close":
                message.content += self.read_to_end()
            elif framing:
                message.content += self.read(framing)
        except (EOFError, ConnectionResetError) as end:
            if framing != "chunked":
                message.content += self.take(len(self.buffer))
            raise Cut(message, f"{framing} body cut: {end}") from end
        return message


def connect(at, timeout=WAIT, rcvbuf=None, source=None, first=b""):
    """A socket connected to (host, port), or to the path of a Unix socket. `source`: the address to
    connect from; `first`: what is said before anything else, TLS included."""
    if isinstance(at, str):
        sock = socket.socket(socket.AF_UNIX)
    else:
        sock = socket.socket(socket.AF_INET6 if ":" in at[0] else socket.AF_INET)
    if rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    if source:
        sock.bind((source, 0))
    sock.settimeout(timeout)
    sock.connect(at)
    if first:
        sock.sendall(first)
    return sock
