# SPDX-License-Identifier: Apache-2.0
"""An origin under the test's full control.

    app = origin(lambda request: reply(200, b"hello"))      # handler form: one call per request
    app = origin(play=lambda conn: ...)                     # scripted form: one call per connection

A handler returns bytes (usually made by reply()), or None when it has written to request.conn
itself. A script has the bare connection: it reads, sends, waits for threading.Events, closes or
resets when it likes. Each connection has a thread of its own. Whatever was received is kept as
received; a handler or script that fails, and a request that is not strict HTTP/1.1, fail the test.
"""
import os
import socket
import ssl
import threading

from .ports import free_port
from .tls import TlsSocket
from .wait import WAIT, until
from .wire import Cut, Malformed, Request, Wire


class Reply(bytes):
    """Bytes of an answer, and whether the origin closes after them."""

    closes = False


def reply(status=200, body=b"", fields=(), *, reason="Fine", chunks=None, trailers=(), close=False,
          length=True, version="HTTP/1.1"):
    """The bytes of an answer. `chunks` (a list of parts) makes it chunked; `length=False` leaves
    the framing to `fields` or to the end of the connection."""
    lines = [f"{version} {status} {reason}"] + [f"{n}: {v}" for n, v in fields]
    if close:
        lines.append("Connection: close")
    if chunks is not None:
        lines.append("Transfer-Encoding: chunked")
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in chunks) + b"0\r\n"
        body += b"".join(f"{n}: {v}\r\n".encode() for n, v in trailers) + b"\r\n"
    elif length and status >= 200 and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    out = Reply("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
    out.closes = close
    return out


class OriginConn(Wire):
    """One connection that the edge made."""

    def __init__(self, sock, origin, number):
        super().__init__(sock, timeout=None)
        self.origin = origin
        self.number = number
        self.served = 0

    def read_request_head(self):
        request = self.read_head(Request)
        if len(request.all("host")) != 1:
            raise Malformed(f"Host fields: {request.fields}")
        request.conn = self
        return request

    def read_request(self):
        """The next request with its body, noted in origin.requests."""
        request = self.read_request_head()
        self.read_body(request, self.framing_of(request) or 0)
        self.origin.requests.append(request)
        return request

    def send_slowly(self, data):
        """Byte by byte, each in a packet of its own."""
        for i in range(len(data)):
            self.send(data[i:i + 1])

    def wait(self, event):
        assert event.wait(WAIT), "the origin waited in vain"


class Origin:
    def __init__(self, handler=None, play=None, at="127.0.0.1:0", backlog=1024, tls=None):
        """`tls`: an ssl context, to be an https origin."""
        self.handler = handler
        self.context = tls
        self.bad_handshakes = []
        self.play = play or self.serve
        self.requests = []
        self.conns = []
        self.failures = []
        self.stopped = False
        self.backlog = backlog
        self.start(at)

    # -- life -------------------------------------------------------------------------------

    def start(self, at=None):
        """Listens; called again after stop(), at the same address."""
        at = (at or self.at).replace("https://", "")
        if at.startswith("unix:"):
            self.listener = socket.socket(socket.AF_UNIX)
            if os.path.exists(at[5:]):
                os.unlink(at[5:])
            self.listener.bind(at[5:])
            os.chmod(at[5:], 0o777)
            self.at = at
        else:
            host, _, port = at.rpartition(":")
            host = host.strip("[]")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self.listener = socket.socket(family)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            until(lambda: self.try_bind((host, int(port) or free_port())), f"binding {at}")
            self.port = self.listener.getsockname()[1]
            self.at = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
            if self.context:
                self.at = "https://" + self.at
        self.listener.listen(self.backlog)
        self.stopped = False
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        return self

    def try_bind(self, address):
        try:
            self.listener.bind(address)
            return True
        except OSError:
            return False

    def stop(self, hard=False):
        """Closes the listener and every connection; `hard` with RSTs, as a kill -9 would."""
        self.stopped = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for conn in list(self.conns):
            try:
                if hard:
                    conn.reset()
                else:
                    conn.sock.shutdown(socket.SHUT_RDWR)
                    conn.close()
            except OSError:
                pass

    def accept(self, listener):
        while True:
            try:
                sock, source = listener.accept()
            except OSError:
                return
            conn = OriginConn(sock, self, len(self.conns))
            conn.source = source
            self.conns.append(conn)
            threading.Thread(target=self.run, args=(conn,), daemon=True).start()

    def shake_hands(self, conn):
        conn.sock = TlsSocket(conn.sock, self.context, server_side=True)
        try:
            conn.sock.handshake()
            return True
        except (OSError, ssl.SSLError) as failure:
            self.bad_handshakes.append(failure)
            return False

    def run(self, conn):
        try:
            if not self.context or self.shake_hands(conn):
                self.play(conn)
        except (OSError, EOFError, ValueError, Cut):
            pass    # The edge went away, or stop() closed under us: the tests see that otherwise.
        except BaseException as failure:    # pylint: disable=broad-except
            self.failures.append(failure)
        finally:
            conn.close()

    def serve(self, conn):
        while True:
            request = conn.read_request()
            answer = self.handler(request) if self.handler else reply(200, b"hello")
            conn.served += 1
            if answer is not None:
                if request.method == "HEAD" and isinstance(answer, Reply):
                    answer = answer[:answer.index(b"\r\n\r\n") + 4]
                conn.send(answer)
                if getattr(answer, "closes", False):
                    conn.close()

    # -- what it saw ------------------------------------------------------------------------

    @property
    def raw(self):
        """Every byte received, connection after connection."""
        return b"".join(bytes(conn.received) for conn in self.conns)

    @property
    def last(self):
        return self.requests[-1]

    def wait_conns(self, n):
        until(lambda: len(self.conns) >= n, f"connection {n} to the origin")
        return self.conns[n - 1]

    def wait_requests(self, n):
        until(lambda: len(self.requests) >= n, f"request {n} at the origin")
        return self.requests[n - 1]

    def open_conns(self):
        """Connections the edge holds open, pooled ones included."""
        return [c for c in self.conns if c.sock.fileno() >= 0 and not c.ended]

    def check(self):
        if self.failures:
            raise self.failures[0]
