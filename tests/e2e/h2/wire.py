# SPDX-License-Identifier: Apache-2.0
"""One end of an HTTP/2 connection, made of raw frames.

It sends what it is told to, legal or not, and reads strictly: whatever the other side may not send
(a frame too large, DATA beyond the window, a field of the connection, an update of size 0, a push
nobody allowed...) fails the test, whichever test it is. It acknowledges SETTINGS and answers PINGs
unless told not to, and gives credit back for DATA unless told not to.

Waiting has the socket's deadline (harness.WAIT) and never a sleep.
"""
import re
import ssl
import struct

from hpack import Decoder
from hpack.exceptions import HPACKError

from harness import WAIT, Malformed, Wire
from harness.wire import connect

import frames as f

NAME = re.compile(rb"^[!#$%&'*+\-.^_`|~0-9a-z]+$")
VALUE = re.compile(rb"^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$")
OF_CONNECTION = {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
WINDOW = 65535


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload
        self.fields = None      # of a whole header block, on the frame that ends it

    @property
    def name(self):
        return f.TYPES[self.kind] if self.kind < len(f.TYPES) else f"type {self.kind:#x}"

    @property
    def code(self):
        """Of RST_STREAM or GOAWAY, as a name."""
        at = 4 if self.kind == f.GOAWAY else 0
        return f.code_name(struct.unpack(">I", self.payload[at:at + 4])[0])

    @property
    def number(self):
        """The first word of the payload: last stream, increment."""
        return struct.unpack(">I", self.payload[:4])[0] & f.WINDOW_MAX

    def has(self, flag):
        return bool(self.flags & flag)

    def __repr__(self):
        what = self.payload[:16].hex() + (f"... {len(self.payload)} bytes" if
                                          len(self.payload) > 16 else "")
        if self.kind in (f.RST_STREAM, f.GOAWAY) and len(self.payload) >= 4:
            what = self.code + (f" last {self.number} {self.payload[8:]!r}" if
                                self.kind == f.GOAWAY else "")
        if self.fields is not None:
            what = str(self.fields)
        return f"{self.name}({self.stream}, flags {self.flags:#x}, {what})"


class Stream:
    """What came on one stream."""

    def __init__(self, window):
        self.interim = []
        self.fields = None
        self.content = bytearray()
        self.trailers = None
        self.ended = False
        self.reset = None       # the code's name
        self.window = window    # what the other side may still send

    @property
    def status(self):
        return int(self.all(":status")[0]) if self.fields is not None else None

    @property
    def body(self):
        return bytes(self.content)

    @property
    def over(self):
        return self.ended or self.reset is not None

    def all(self, name):
        return [v for n, v in self.fields or () if n == name]

    def get(self, name, default=None):
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there {len(values)} times: {values}"
        return values[0] if values else default

    def __repr__(self):
        return f"<{self.fields} {len(self.content)} bytes {self.trailers or ''}" \
               f"{'ended' if self.ended else ''} {self.reset or ''}>"


class Frames(Wire):
    """What both roles share. `auto`: acknowledges SETTINGS and answers PINGs; `credit`: gives back
    the credit that DATA has used."""

    def __init__(self, sock, auto=True, credit=True, timeout=WAIT):
        super().__init__(sock, timeout)
        self.auto, self.credit = auto, credit
        self.decoder = Decoder()
        self.decoder.max_header_list_size = 1 << 24
        self.streams = {}
        self.first = True           # nothing has been received
        self.settings = {}          # the other side's
        self.settings_acks = 0
        self.goaway = None
        self.block = None           # the frames of a header block that is not whole
        self.window = WINDOW        # of the connection, for what comes
        self.stream_window = WINDOW
        self.frame_size = 16384     # the most that may come
        self.log = []
        self.pings = 0

    # -- reading ----------------------------------------------------------------------------

    def frame(self):
        """The next frame, noted in `streams`; None at the end of the connection."""
        try:
            head = self.read(9)
        except (EOFError, ConnectionResetError, BrokenPipeError, ssl.SSLError) as end:
            if isinstance(end, TimeoutError):
                raise
            self.ended = True
            return None
        except TimeoutError as late:
            raise AssertionError(f"nothing more came; so far: {self.log[-12:]}") from late
        high, low, kind, flags, stream = struct.unpack(">BHBBI", head)
        length = high << 16 | low
        if length > self.frame_size:
            raise Malformed(f"frame of {length} bytes, type {kind}")
        if stream >> 31:
            raise Malformed("the reserved bit is set")
        try:
            one = Frame(kind, flags, stream, self.read(length))
        except (EOFError, ConnectionResetError):
            self.ended = True
            return None
        self.log.append(one)
        del self.log[:-64]
        self.note(one)
        return one

    def note(self, one):
        if self.first and (one.kind != f.SETTINGS or one.has(f.ACK)):
            raise Malformed(f"the first frame is {one}")
        self.first = False
        if self.block and one.kind != f.CONTINUATION:
            raise Malformed(f"{one} inside a header block")
        handler = {f.DATA: self.on_data, f.HEADERS: self.on_headers, f.RST_STREAM: self.on_rst,
                   f.CONTINUATION: self.on_continuation, f.SETTINGS: self.on_settings,
                   f.PING: self.on_ping, f.GOAWAY: self.on_goaway,
                   f.WINDOW_UPDATE: self.on_window_update, f.PUSH_PROMISE: self.on_push}
        if one.kind in handler:
            handler[one.kind](one)

    def stream(self, number):
        if number not in self.streams:
            raise Malformed(f"a frame on stream {number}, which nobody opened")
        return self.streams[number]

    def unpadded(self, one):
        if not one.has(f.PADDED):
            return one.payload
        if not one.payload or one.payload[0] >= len(one.payload):
            raise Malformed(f"bad padding: {one}")
        return one.payload[1:len(one.payload) - one.payload[0]]

    def on_data(self, one):
        stream = self.stream(one.stream)
        if stream.fields is None or stream.ended:
            raise Malformed(f"{one} before HEADERS or after the end")
        self.window -= len(one.payload)
        stream.window -= len(one.payload)
        if self.window < 0 or (stream.window < 0 and one.payload):
            raise Malformed(f"beyond the window: {self.window}, {stream.window} after {one}")
        stream.content += self.unpadded(one)
        if one.has(f.END_STREAM):
            self.end(stream)
        if self.credit and one.payload:
            self.give(0, len(one.payload))
            if not stream.over:
                self.give(one.stream, len(one.payload))

    def on_headers(self, one):
        stream = self.open(one)
        if stream.ended:
            raise Malformed(f"{one} after the end")
        payload = self.unpadded(one)
        self.begin_block(one, payload[5:] if one.has(f.PRIORITIZED) else payload)

    def open(self, one):
        """The stream of a HEADERS frame; a server overrides it."""
        return self.stream(one.stream)

    def begin_block(self, one, payload):
        self.block = [one, bytearray(payload)]
        if one.has(f.END_HEADERS):
            self.end_block(one)

    def on_continuation(self, one):
        if not self.block or self.block[0].stream != one.stream:
            raise Malformed(f"{one} continues nothing")
        self.block[1] += one.payload
        if one.has(f.END_HEADERS):
            self.end_block(one)

    def end_block(self, one):
        head, block = self.block
        self.block = None
        try:
            fields = self.decoder.decode(bytes(block), raw=True)
        except HPACKError as bad:
            raise Malformed(f"header block: {bad!r} in {bytes(block)!r}") from bad
        one.fields = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in fields]
        self.block_bytes = bytes(block)
        stream = self.streams[head.stream]
        self.check_fields(fields)
        self.on_fields(stream, one.fields)
        if head.has(f.END_STREAM):
            self.end(stream)

    def check_fields(self, fields):
        regular = False
        for name, value in fields:
            pseudo = name.startswith(b":")
            if not NAME.match(name[1:] if pseudo else name) or not VALUE.match(value):
                raise Malformed(f"field {name!r}: {value!r}")
            if name in OF_CONNECTION or (name == b"te" and value != b"trailers"):
                raise Malformed(f"field of the connection {name!r}: {value!r}")
            if pseudo and regular:
                raise Malformed(f"{name!r} after a field that is no pseudo-header")
            regular = regular or not pseudo

    def on_fields(self, stream, fields):
        raise NotImplementedError

    def end(self, stream):
        stream.ended = True

    def on_rst(self, one):
        if len(one.payload) != 4:
            raise Malformed(f"{one}")
        self.stream(one.stream).reset = one.code

    def on_settings(self, one):
        if one.stream or len(one.payload) % 6 or (one.has(f.ACK) and one.payload):
            raise Malformed(f"{one}")
        if one.has(f.ACK):
            self.settings_acks += 1
            return
        for at in range(0, len(one.payload), 6):
            number, value = struct.unpack(">HI", one.payload[at:at + 6])
            self.settings[number] = value
            if (number == f.ENABLE_PUSH and value > 1) or \
                    (number == f.INITIAL_WINDOW_SIZE and value > f.WINDOW_MAX) or \
                    (number == f.MAX_FRAME_SIZE and not 16384 <= value < 1 << 24):
                raise Malformed(f"setting {number} = {value}")
        if self.auto:
            self.say(f.settings_ack())

    def on_ping(self, one):
        if one.stream or len(one.payload) != 8:
            raise Malformed(f"{one}")
        if not one.has(f.ACK):
            self.pings += 1
            if self.auto:
                self.say(f.ping(one.payload, ack=True))

    def on_goaway(self, one):
        if one.stream or len(one.payload) < 8:
            raise Malformed(f"{one}")
        if self.goaway and one.number > self.goaway.number:
            raise Malformed(f"last stream grows: {self.goaway}, {one}")
        self.goaway = one

    def on_window_update(self, one):
        if one.stream:
            self.stream(one.stream)
        if len(one.payload) != 4 or not one.number:
            raise Malformed(f"{one}")

    def on_push(self, one):
        raise Malformed(f"nobody allowed {one}")

    # -- sending ----------------------------------------------------------------------------

    def say(self, data):
        """Sends; what the other side does not take any more since it has closed is lost."""
        try:
            self.send(data)
        except (ConnectionError, ssl.SSLError):
            pass
        return self

    def give(self, stream, increment):
        """Credit, for DATA to come."""
        if stream:
            self.streams[stream].window += increment
        else:
            self.window += increment
        return self.say(f.window_update(stream, increment))

    # -- waiting ----------------------------------------------------------------------------

    def wait(self, condition, what="it"):
        """Reads frames until the condition holds; the end of the connection before that fails."""
        while not condition():
            if self.frame() is None:
                raise AssertionError(f"the connection ended before {what}: {self.log[-12:]}")
        return self

    def wait_frame(self, kind, stream=None, ack=False):
        """The next frame of a kind; others are noted and passed over."""
        while True:
            one = self.frame()
            if one is None:
                raise AssertionError(f"the connection ended without {kind}: {self.log[-12:]}")
            if one.kind == kind and stream in (None, one.stream) and \
                    (kind not in (f.PING, f.SETTINGS) or one.has(f.ACK) == ack):
                return one

    def round_trip(self):
        """A PING there and back: everything sent before has been seen by the other side."""
        self.pinged = getattr(self, "pinged", 0) + 1
        mark = struct.pack(">Q", 0x61646974 << 32 | self.pinged)
        self.say(f.ping(mark))
        while self.wait_frame(f.PING, ack=True).payload != mark:
            pass
        return self

    def at_close(self):
        """Reads to the end of the connection."""
        while self.frame() is not None:
            pass
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class H2(Frames):
    """A client. `hello`: sends preface and SETTINGS at once, and does not wait for the server's."""

    def __init__(self, at, *, settings=(), tls=None, name="localhost", hello=True, rcvbuf=None,
                 **options):
        sock = connect(at, rcvbuf=rcvbuf)
        if tls:
            sock = tls.wrap_socket(sock, server_hostname=name)
        super().__init__(sock, **options)
        self.next = 1
        self.scheme = "https" if tls else "http"
        for number, value in settings:
            if number == f.INITIAL_WINDOW_SIZE:
                self.stream_window = value
            elif number == f.MAX_FRAME_SIZE:
                self.frame_size = value
            elif number == f.HEADER_TABLE_SIZE:
                self.decoder.max_allowed_table_size = value
        if hello:
            self.send(f.PREFACE + f.settings(*settings))

    def opened(self, stream):
        """Notes that the test opened a stream by bytes of its own."""
        if stream % 2 and stream not in self.streams:
            self.streams[stream] = Stream(self.stream_window)
            self.next = max(self.next, stream + 2)
        return stream

    def stream(self, number):
        return self.streams[self.opened(number)] if number < self.next else super().stream(number)

    def send(self, data):
        """Notes the streams that well-formed HEADERS among the bytes open."""
        at = len(f.PREFACE) if data.startswith(f.PREFACE) else 0
        while at + 9 <= len(data):
            high, low, kind, _, stream = struct.unpack(">BHBBI", data[at:at + 9])
            if kind not in (f.PRIORITY, f.PRIORITY_UPDATE):
                self.opened(stream & f.WINDOW_MAX)
            at += 9 + (high << 16 | low)
        return super().send(data)

    def on_fields(self, stream, fields):
        statuses = [v for n, v in fields if n == ":status"]
        if stream.fields is not None:
            if statuses or any(n.startswith(":") for n, _ in fields):
                raise Malformed(f"pseudo-headers in trailers: {fields}")
            stream.trailers = fields
            return
        if [n for n, _ in fields if n.startswith(":")] != [":status"] or \
                not re.fullmatch("[1-5][0-9][0-9]", statuses[0]) or statuses[0] == "101":
            raise Malformed(f"head of a response: {fields}")
        if statuses[0][0] == "1":
            stream.interim.append(fields)
        else:
            stream.fields = fields

    def end(self, stream):
        super().end(stream)
        if stream.fields is None:
            raise Malformed("an end without a response")
        length = stream.get("content-length")
        if length is not None and stream.content and int(length) != len(stream.content):
            raise Malformed(f"content-length {length}, {len(stream.content)} bytes")

    # -- requests ---------------------------------------------------------------------------

    def ask(self, method="GET", path="/", fields=(), body=None, end=True, **pseudo):
        """Sends a request and gives its stream. `end=False` leaves it open."""
        number = self.opened(self.next)
        pseudo.setdefault("scheme", self.scheme)
        head = f.headers(number, f.request(method, path, fields, **pseudo),
                         end=end and body is None)
        for at in range(0, len(body or b""), 16384):
            head += f.data(number, body[at:at + 16384], end and at + 16384 >= len(body))
        self.say(head if body != b"" else head + f.data(number, b"", end))
        return number

    def answer(self, number=None):
        """The answer on a stream (the last one), whole; a reset of it fails."""
        stream = self.streams[number or self.next - 2]
        self.wait(lambda: stream.over, f"the answer on {number}")
        assert stream.reset is None or stream.ended, f"reset: {stream} {self.log[-12:]}"
        return stream

    def get(self, path="/", fields=(), **pseudo):
        return self.answer(self.ask("GET", path, fields, **pseudo))

    def fate(self, number=1, want=()):
        """What becomes of a stream from now on: "reset CODE", a status, "goaway CODE" (and closed
        behind it), "closed"; "alive" when a PING comes back without any of these and `want` has
        that word."""
        stream = self.stream(number) if number in self.streams else Stream(0)
        ended, reset = stream.ended, stream.reset
        mark = b"the fate"
        self.say(f.ping(mark))
        while True:
            one = self.frame()
            if self.goaway and self.goaway.code != "NO_ERROR":
                code = self.goaway.code
                self.at_close()
                return f"goaway {code}"
            if one is None:
                return "closed"
            if stream.reset != reset:
                return f"reset {stream.reset}"
            if stream.ended != ended:
                return str(stream.status)
            if one.kind == f.PING and one.payload == mark and "alive" in want:
                return "alive"
