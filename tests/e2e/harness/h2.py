# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 peers over python3-h2: a client, and an origin with a thread per stream.

    with edge.h2_client(context) as client:
        answer = client.get("/path")                   # .status .fields .body .trailers .interim
        stream = client.begin("POST", "/", body=None)  # then .send(), .end(), .answer(), .reset()

    app = h2_origin(lambda stream: stream.reply(200, b"hello"))     # h2c; tls=context: https

Both read in a thread of their own and give back flow-control credit as data comes, unless the
test holds a stream (`stream.hold = True`), as a reader that is slow on that stream alone would.
"""
import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.frame import GoAwayFrame

from .ports import free_port
from .tls import TlsSocket
from .wait import WAIT, until
from .wire import connect

HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}


class Reset(Exception):
    """The stream was reset, or its connection went away."""

    def __init__(self, code):
        super().__init__(f"stream reset: {code}")
        self.code = code


class Stream:
    def __init__(self, peer, number):
        self.peer = peer
        self.id = number
        self.head = None            # fields with pseudo-fields, once there
        self.interim = []           # heads of 1xx
        self.trailers = []
        self.content = bytearray()
        self.taken = 0
        self.done = False           # the other side has ended it
        self.ended = False          # this side has
        self.code = None            # of a reset
        self.hold = peer.hold
        self.unacked = 0
        self.priority = None

    # -- what came --------------------------------------------------------------------------

    def wait(self, condition, what="the stream"):
        with self.peer.changed:
            met = self.peer.changed.wait_for(
                lambda: condition() or self.code is not None or self.peer.gone, WAIT)
        if not condition():
            if self.code is not None or self.peer.gone:
                raise Reset(self.code if self.code is not None else self.peer.gone)
            assert met, f"{what} waited in vain: {self}"

    def wait_head(self):
        self.wait(lambda: self.head is not None, "a head")
        return self

    def read(self, n):
        """The next n bytes of the body, fewer at its end."""
        self.wait(lambda: len(self.content) >= self.taken + n or self.done, f"{n} bytes")
        data = bytes(self.content[self.taken:self.taken + n])
        self.taken += len(data)
        return data

    def wait_end(self):
        self.wait(lambda: self.done, "the end")
        return self

    def answer(self):
        """Waits for everything."""
        return self.wait_end()

    def wait_reset(self):
        """The code of the reset that must come."""
        with self.peer.changed:
            assert self.peer.changed.wait_for(lambda: self.code is not None, WAIT), "no reset"
        return self.code

    @property
    def body(self):
        return bytes(self.content)

    def pseudo(self, name):
        return next((v for n, v in self.head if n == ":" + name), None)

    @property
    def status(self):
        return int(self.pseudo("status"))

    @property
    def method(self):
        return self.pseudo("method")

    @property
    def target(self):
        return self.pseudo("path")

    @property
    def path(self):
        return self.target.split("?")[0]

    @property
    def fields(self):
        return [(n, v) for n, v in self.head if not n.startswith(":")]

    def all(self, name):
        return [v for n, v in self.head if n == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        assert len(values) <= 1, f"{name} is there {len(values)} times: {values}"
        return values[0] if values else default

    def names(self):
        return {n for n, _ in self.fields}

    def release(self):
        """Ends `hold`: gives back what was held."""
        with self.peer.changed:
            self.hold = False
            credit, self.unacked = self.unacked, 0
            if credit and not self.done:
                self.peer.conn.increment_flow_control_window(credit, self.id)
                self.peer.flush()

    # -- what goes --------------------------------------------------------------------------

    def send_head(self, head, end=False):
        with self.peer.changed:
            self.peer.conn.send_headers(self.id, head, end_stream=end)
            self.ended = end
            self.peer.flush()
        return self

    def room(self):
        try:
            return self.peer.conn.local_flow_control_window(self.id)
        except h2.exceptions.StreamClosedError:
            return 0

    def send(self, data, end=False):
        """Blocks while the window is shut."""
        view = memoryview(data)
        while True:
            self.wait(lambda: not view or self.room() > 0, "a window")
            if self.code is not None:
                raise Reset(self.code)
            with self.peer.changed:
                size = min(len(view), self.room(), self.peer.conn.max_outbound_frame_size)
                if size <= 0 and view:
                    continue
                last = size == len(view)
                self.peer.conn.send_data(self.id, view[:size].tobytes(), end_stream=end and last)
                self.ended = end and last
                self.peer.flush()
            view = view[size:]
            if last:
                return self

    def end(self, trailers=()):
        with self.peer.changed:
            if trailers:
                self.peer.conn.send_headers(self.id, list(trailers), end_stream=True)
            else:
                self.peer.conn.end_stream(self.id)
            self.ended = True
            self.peer.flush()
        return self

    def reset(self, code=h2.errors.ErrorCodes.CANCEL):
        with self.peer.changed:
            self.peer.conn.reset_stream(self.id, code)
            self.ended = True
            self.peer.flush()

    # -- an origin's words ------------------------------------------------------------------

    def reply(self, status=200, body=b"", fields=(), trailers=()):
        """A whole answer."""
        head = [(":status", str(status)), *fields]
        if body and not trailers and "content-length" not in {n for n, _ in fields}:
            head.append(("content-length", str(len(body))))
        bare = self.method == "HEAD" or not (body or trailers)
        self.send_head(head, end=bare)
        if not bare:
            self.send(body, end=not trailers)
            if trailers:
                self.end(trailers)

    def hint(self, status=103, fields=()):
        self.send_head([(":status", str(status)), *fields])

    def __repr__(self):
        return f"<stream {self.id} {self.head} {len(self.content)} bytes, " \
               f"done {self.done}, reset {self.code}>"


class Connection(h2.connection.H2Connection):
    """h2's own ends the connection when there are more streams than announced. RFC 9113 5.1.2
    wants the stream refused, for the other side may not know the limit yet: Peer does that."""

    open_inbound_streams = 0


class Peer:
    """One HTTP/2 connection with a reading thread. `changed` guards everything."""

    def __init__(self, sock, client_side, settings=None, hold=False):
        self.sock = sock
        self.changed = threading.Condition(threading.RLock())
        self.conn = Connection(h2.config.H2Configuration(
            client_side=client_side, header_encoding="utf-8", validate_inbound_headers=True,
            validate_outbound_headers=False, normalize_outbound_headers=False))
        initial = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100,
                   h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 20, **(settings or {})}
        if client_side:
            initial[h2.settings.SettingCodes.ENABLE_PUSH] = 0
        self.conn.local_settings = h2.settings.Settings(client_side, initial)
        self.conn.decoder.max_header_list_size = 1 << 20
        self.conn._frame_dispatch_table[GoAwayFrame] = self.take_goaway
        self.streams = {}
        self.hold = hold
        self.gone = None            # why the connection ended
        self.goaway = None          # (code, last stream)
        self.went = []              # ids of streams in the order in which their data came
        self.pongs = []
        self.remote = {}
        self.refused = 0            # streams above the announced limit
        self.wants = None           # called with every new stream of the other side

    def start(self, first=b""):
        """`first`: what has been read already."""
        self.sock.settimeout(None)
        with self.changed:
            self.conn.initiate_connection()
            for event in self.conn.receive_data(first) if first else ():
                self.take(event)
            self.flush()
        threading.Thread(target=self.read, daemon=True).start()
        return self

    def flush(self):
        data = self.conn.data_to_send()
        if data:
            try:
                self.sock.sendall(data)
            except OSError:
                pass    # The reader sees it, too.

    def read(self):
        why = "closed"
        try:
            while data := self.sock.recv(65536):
                with self.changed:
                    for event in self.conn.receive_data(data):
                        self.take(event)
                    self.flush()
                    self.changed.notify_all()
        except h2.exceptions.ProtocolError as wrong:
            why = wrong
            self.broken(wrong)
        except (OSError, ValueError) as failure:
            why = failure
        with self.changed:
            self.flush()
            self.gone = why
            self.changed.notify_all()

    def broken(self, wrong):
        """The other side broke the protocol."""

    def take(self, event):
        number = getattr(event, "stream_id", None)
        stream = self.streams.get(number)
        if isinstance(event, h2.events.RequestReceived):
            stream = self.streams[number] = Stream(self, number)
            stream.head = list(event.headers)
            live = sum(1 for s in self.streams.values() if s.code is None and not s.ended)
            if live > self.conn.local_settings.max_concurrent_streams:
                self.refused += 1
                stream.code = h2.errors.ErrorCodes.REFUSED_STREAM
                self.conn.reset_stream(number, stream.code)
            elif self.wants:
                self.wants(stream)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            stream.interim.append(dict(event.headers))
        elif isinstance(event, h2.events.ResponseReceived):
            stream.head = list(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = list(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.take_data(stream, event)
        elif isinstance(event, h2.events.StreamEnded):
            stream.done = True
        elif isinstance(event, h2.events.StreamReset):
            if stream:
                stream.code = event.error_code
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs.append(event.ping_data)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.remote.update({k: v.new_value for k, v in event.changed_settings.items()})

    def take_data(self, stream, event):
        size = event.flow_controlled_length
        if size:
            self.conn.increment_flow_control_window(size)
        if stream is None:
            return
        self.went.append(stream.id)
        stream.content += event.data
        if stream.hold:
            stream.unacked += size
        elif size and event.stream_ended is None:
            try:
                self.conn.increment_flow_control_window(size, stream.id)
            except h2.exceptions.ProtocolError:
                pass    # It has ended meanwhile.

    def take_goaway(self, frame):
        """In place of h2's own, after which it would take no frame of the streams that go on."""
        self.goaway = (frame.error_code, frame.last_stream_id)
        for stream in self.streams.values():
            if stream.id > frame.last_stream_id and self.conn.config.client_side:
                stream.code = h2.errors.ErrorCodes.REFUSED_STREAM
        return [], []

    def go_away(self, code=0, last=None):
        """Says so; what is there goes on (h2's own close_connection() would send nothing more)."""
        with self.changed:
            last = self.conn.highest_inbound_stream_id if last is None else last
            self.sock.sendall(GoAwayFrame(0, last_stream_id=last, error_code=code).serialize())

    def wait_goaway(self):
        with self.changed:
            assert self.changed.wait_for(lambda: self.goaway or self.gone, WAIT), "no GOAWAY"
        assert self.goaway, f"no GOAWAY, but: {self.gone}"
        return self.goaway

    def ping(self):
        """Waits until the other side has read everything sent up to now."""
        with self.changed:
            data = len(self.pongs).to_bytes(8, "big")
            self.conn.ping(data)
            self.flush()
            assert self.changed.wait_for(lambda: data in self.pongs or self.gone, WAIT), "no pong"
            assert data in self.pongs, f"the connection went away: {self.gone}"

    def wait_gone(self):
        with self.changed:
            assert self.changed.wait_for(lambda: self.gone, WAIT), "the connection lives on"
        return self.gone

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class H2Client(Peer):
    def __init__(self, at, context=None, name="example.com", settings=None, hold=False, window=0,
                 session=None, **options):
        """`window`: what to enlarge the connection's window by."""
        sock = connect(at, **options)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            sock = TlsSocket(sock, context, name, session=session).handshake()
            assert sock.tls.selected_alpn_protocol() == "h2", "h2 was not agreed on"
        super().__init__(sock, True, settings, hold)
        self.scheme = "https" if context else "http"
        self.authority = name
        self.start()
        if window:
            with self.changed:
                self.conn.increment_flow_control_window(window)
                self.flush()
        self.closing = False

    def broken(self, wrong):
        self.failure = wrong

    def begin(self, method="GET", path="/", fields=(), body=b"", authority=None, end=True,
              pseudo=()):
        """Asks and does not wait. `body=None`: the head alone, the stream stays open."""
        head = [(":method", method), (":scheme", self.scheme), (":path", path),
                (":authority", authority or self.authority), *pseudo, *fields]
        if body and "content-length" not in {n for n, _ in fields}:
            head.append(("content-length", str(len(body))))
        with self.changed:
            assert not self.gone, f"the connection is gone: {self.gone}"
            number = self.conn.get_next_available_stream_id()
            stream = self.streams[number] = Stream(self, number)
            self.conn.send_headers(number, head, end_stream=body is not None and not body and end)
            self.flush()
        if body:
            stream.send(body, end=end)
        return stream

    def exchange(self, method="GET", path="/", fields=(), body=b"", **options):
        return self.begin(method, path, fields, body, **options).answer()

    def get(self, path="/", fields=(), **options):
        return self.exchange("GET", path, fields, **options)

    @property
    def tls(self):
        return self.sock.tls


class H2Origin:
    """`handler(stream)` runs in a thread of its own for every request, once its head is there;
    stream.wait_end() waits for the body. It answers with stream.reply() or piece by piece."""

    def __init__(self, handler=None, tls=None, settings=None, hold=False, at="127.0.0.1:0",
                 connected=None):
        """`tls`: an ssl context that offers h2. `connected(peer)` is called for every connection
        before anything is said on it."""
        self.handler = handler or (lambda stream: stream.reply(200, b"hello"))
        self.context = tls
        self.settings = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1000,
                         **(settings or {})}
        self.hold = hold
        self.connected = connected
        self.peers = []
        self.requests = []
        self.failures = []
        self.bad_handshakes = []
        self.stopped = False
        self.bind = at
        self.start()

    def start(self):
        host, _, port = self.bind.rpartition(":")
        self.listener = socket.create_server((host, int(port) or free_port()), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.bind = f"{host}:{self.port}"
        self.at = ("https://" if self.context else "h2c://") + self.bind
        self.stopped = False
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.open, args=(sock,), daemon=True).start()

    def open(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.context:
                sock = TlsSocket(sock, self.context, server_side=True).handshake()
        except OSError as failure:
            self.bad_handshakes.append(failure)
            sock.close()
            return
        peer = Peer(sock, False, self.settings, self.hold)
        peer.broken = lambda wrong: self.failures.append(AssertionError(f"bad HTTP/2: {wrong!r}"))
        peer.wants = self.serve
        self.peers.append(peer)
        if self.connected:
            self.connected(peer)
        peer.start()

    def serve(self, stream):
        self.requests.append(stream)
        bad = stream.names() & HOP or [n for n in stream.names() if n != n.lower()]
        if bad:
            self.failures.append(AssertionError(f"fields that HTTP/2 forbids: {bad}"))
        threading.Thread(target=self.run, args=(stream,), daemon=True).start()

    def run(self, stream):
        try:
            self.handler(stream)
        except (Reset, OSError, h2.exceptions.ProtocolError):
            pass    # The edge went away from it: the tests see that otherwise.
        except BaseException as failure:    # pylint: disable=broad-except
            if not self.stopped:
                self.failures.append(failure)

    def stop(self):
        self.stopped = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for peer in self.peers:
            peer.close()

    @property
    def last(self):
        return self.requests[-1]

    def wait_requests(self, n):
        until(lambda: len(self.requests) >= n, f"request {n} at the origin")
        return self.requests[n - 1]

    def open_peers(self):
        return [peer for peer in self.peers if not peer.gone]

    def check(self):
        if self.failures:
            raise self.failures[0]
