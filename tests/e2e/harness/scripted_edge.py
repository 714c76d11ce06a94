# SPDX-License-Identifier: Apache-2.0
"""An edge of which every byte is the test's: for what agents do when edges refuse, restart, or misbehave.

    with ScriptedEdge() as way:
        it = agent(None, 3000, server=way.url)
        call = way.call()               # an agent's handshake: call.get("Adit-Name"), call.slot
        call.refuse(401, "bad-token")   # or call.let_in(), then call.request("/"), call.goaway(...)
"""
import queue
import socket
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings

from .wait import WAIT

GRANT = [("Adit-Name", "myapp"), ("Adit-Url", "https://myapp.tunnel.localhost"),
         ("Adit-Url", "http://myapp.tunnel.localhost"), ("Adit-Secret", "c2VjcmV0"),
         ("Adit-Ticket", "dGlja2V0"), ("Adit-Connection", "id=1")]


def read_head(sock):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = sock.recv(4096)
        if not piece:
            raise ConnectionError("the agent has gone")
        head += piece
    return head


class Answer:
    def __init__(self):
        self.fields, self.body, self.reset, self.done = {}, b"", None, False

    @property
    def status(self):
        return int(self.fields[":status"])


class Call:
    """A connection of an agent, its handshake read."""

    def __init__(self, sock, head):
        self.sock = sock
        self.head = head
        lines = head.decode().split("\r\n")
        self.line = lines[0]
        self.fields = [tuple(line.split(": ", 1)) for line in lines[1:] if line]
        self.conn = None

    def get(self, name):
        values = [v for n, v in self.fields if n.lower() == name.lower()]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None

    @property
    def slot(self):
        return int(self.get("Adit-Connection").split(",")[0].removeprefix("slot="))

    @property
    def sequence(self):
        return int(self.get("Adit-Connection").split("sequence=")[1])

    # -- answers ----------------------------------------------------------------------------

    def send(self, data):
        self.sock.sendall(data)

    def refuse(self, status, reason=None, text=b"", fields=()):
        head = [("Content-Length", str(len(text))), *fields]
        if reason:
            head.append(("Adit-Reason", reason))
        lines = "".join(f"{n}: {v}\r\n" for n, v in head)
        self.send(f"HTTP/1.1 {status} No\r\n{lines}\r\n".encode() + text)
        self.close()

    def grant(self, fields=(), instead=None):
        """The bytes of a 101."""
        lines = "".join(f"{n}: {v}\r\n" for n, v in [*(instead or GRANT), *fields])
        return ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                f"Upgrade: adit-tunnel/1\r\n{lines}\r\n").encode()

    def let_in(self, fields=(), instead=None, behind=True):
        """101, and the connection preface behind it in the same write."""
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.conn.initiate_connection()
        preface = self.conn.data_to_send()
        if behind:
            self.send(self.grant(fields, instead) + preface)
        else:
            self.send(self.grant(fields, instead))
            self.send(preface)
        return self

    def next(self):
        """The next request of the agent on the same connection."""
        return Call(self.sock, read_head(self.sock))

    # -- HTTP/2 -----------------------------------------------------------------------------

    def request(self, path="/", method="GET", authority="myapp.tunnel.localhost", fields=(),
                visitor="203.0.113.9"):
        """A visitor's request to its end."""
        told = [("adit-visitor", visitor)] if visitor is not None else []
        stream = self.conn.get_next_available_stream_id()
        self.conn.send_headers(stream, [(":method", method), (":scheme", "https"),
                                        (":authority", authority), (":path", path),
                                        ("x-forwarded-for", "203.0.113.9"),
                                        ("x-forwarded-proto", "https"), *told, *fields],
                               end_stream=True)
        self.flush()
        answer = Answer()
        while not answer.done:
            for event in self.read():
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, h2.events.ResponseReceived):
                    answer.fields = dict(event.headers)
                elif isinstance(event, h2.events.DataReceived):
                    answer.body += event.data
                elif isinstance(event, h2.events.StreamReset):
                    answer.reset, answer.done = event.error_code, True
                elif isinstance(event, h2.events.StreamEnded):
                    answer.done = True
        return answer

    def read(self):
        data = self.sock.recv(65536)
        assert data, "the agent closed the connection"
        events = self.conn.receive_data(data)
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()
        return events

    def flush(self):
        self.send(self.conn.data_to_send())

    def goaway(self, text, code=0):
        self.conn.close_connection(error_code=code, additional_data=text)
        self.flush()

    def frame(self, kind, flags, stream, payload=b""):
        """A frame that need not be a good one."""
        self.send(len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
                  + payload)

    def wait_closed(self):
        """All that the agent still says until it is gone."""
        said = b""
        try:
            while data := self.sock.recv(65536):
                said += data
        except ConnectionError:
            pass
        return said

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        self.sock.close()


class ScriptedEdge:
    def __init__(self, tls=None):
        self.tls = tls
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.calls = queue.Queue()
        self.open = []
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    def accept(self):
        while True:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            sock.settimeout(WAIT)
            threading.Thread(target=self.receive, args=(sock,), daemon=True).start()

    def receive(self, sock):
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            head = read_head(sock)
        except OSError:
            return
        self.open.append(sock)
        self.calls.put(Call(sock, head))

    def call(self, timeout=WAIT):
        """The next handshake."""
        try:
            return self.calls.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError("no agent called") from None

    def __enter__(self):
        return self

    def close(self):
        """Nobody is there any more."""
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)    # ends accept(), which would keep it open
            self.listener.close()
        for sock in self.open:
            sock.close()

    def __exit__(self, *_):
        self.close()
