# SPDX-License-Identifier: Apache-2.0
"""TLS over a socket with every byte in the test's hands.

TlsSocket looks like a socket to Wire, Client and OriginConn. Below it are Python's ssl and two
memory buffers, so that a test can send half a record, see how large the records are that arrive,
close with or without a close_notify, and read in one thread while it writes in another.
"""
import select
import socket
import ssl
import threading

from .client import Client

RECORDS = {20: "change", 21: "alert", 22: "handshake", 23: "data"}


class TlsSocket:
    """`flight(data)` sends ciphertext; a test may replace it to delay or cut it."""

    def __init__(self, sock, context, name=None, server_side=False, session=None):
        self.sock = sock
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inward, self.outward, server_side=server_side,
                                    server_hostname=name, session=session)
        self.lock = threading.Lock()
        self.flight = sock.sendall
        self.records = []       # (kind, length) of every record received
        self.partial = bytearray()
        self.notified = False   # whether close_notify has come
        self.family = sock.family

    # -- ciphertext -------------------------------------------------------------------------

    def flush(self):
        data = self.outward.read()
        if data:
            self.flight(data)

    def take(self, raw):
        """Ciphertext that has come; empty for the end of the stream."""
        if not raw:
            self.inward.write_eof()
            return
        self.inward.write(raw)
        self.partial += raw
        while len(self.partial) >= 5:
            size = int.from_bytes(self.partial[3:5], "big")
            if len(self.partial) < 5 + size:
                break
            self.records.append((RECORDS.get(self.partial[0], self.partial[0]), size))
            del self.partial[:5 + size]

    def more(self):
        self.take(self.sock.recv(65536))

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                self.flush()
                return self
            except ssl.SSLWantReadError:
                self.flush()
                self.more()
            except ssl.SSLError:
                self.flush()    # The alert.
                raise

    # -- what a socket does -----------------------------------------------------------------

    def read_now(self, most):
        """Plaintext that is there: None when more must come, b"" at the end."""
        with self.lock:
            try:
                data = self.tls.read(most)
                self.notified = self.notified or not data   # A mere end is an SSLEOFError.
                return data
            except ssl.SSLWantReadError:
                return None
            except ssl.SSLZeroReturnError:
                self.notified = True
                return b""
            except ssl.SSLEOFError:
                return b""
            finally:
                self.flush()

    def recv(self, most):
        while (data := self.read_now(most)) is None:
            raw = self.sock.recv(65536)
            with self.lock:
                self.take(raw)
        return data

    def sendall(self, data):
        view = memoryview(data)
        for start in range(0, len(view), 262144):
            with self.lock:
                self.tls.write(view[start:start + 262144])
                self.flush()

    def send(self, data):
        """As much as fits into the socket's time-out: all of it or an error."""
        self.sendall(data[:16384])
        return min(len(data), 16384)

    def close_notify(self):
        """Says that nothing more will be sent; TCP stays open."""
        with self.lock:
            try:
                self.tls.unwrap()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                pass
            finally:
                self.flush()

    def shutdown(self, how):
        if how in (socket.SHUT_WR, socket.SHUT_RDWR):
            try:
                self.close_notify()
            except OSError:
                pass
        self.sock.shutdown(how)

    def close(self):
        """With a close_notify where it can be sent; a cut is made below, on `.sock`."""
        try:
            self.sock.settimeout(1)
            self.close_notify()
        except (OSError, ValueError):
            pass
        self.sock.close()

    def readable(self):
        """Whether plaintext or the end has come; takes what is there, does not wait."""
        while select.select([self.sock], [], [], 0)[0]:
            raw = self.sock.recv(65536)
            self.take(raw)
            if not raw:
                return True
        return self.inward.pending > 0 or self.tls.pending() > 0

    def __getattr__(self, name):
        return getattr(self.sock, name)     # settimeout, setsockopt, fileno, close, ...


class TlsClient(Client):
    """A Client inside TLS."""

    def __init__(self, at, context, name="example.com", session=None, handshake=True, **options):
        super().__init__(at, **options)
        self.sock = TlsSocket(self.sock, context, name, session=session)
        if handshake:
            try:
                self.sock.handshake()
            except BaseException:
                self.close()
                raise

    @property
    def tls(self):
        """Python's SSLObject: version(), cipher(), session, selected_alpn_protocol()."""
        return self.sock.tls

    @property
    def alpn(self):
        return self.tls.selected_alpn_protocol()

    @property
    def certificate(self):
        """The leaf that the edge showed, in DER."""
        return self.tls.getpeercert(binary_form=True)

    def is_open(self):
        if not self.buffer and self.sock.readable():
            data = self.sock.read_now(65536)
            self.buffer += data or b""
            return data != b""
        return True

    def is_readable(self):
        return bool(self.buffer or self.sock.readable())


def client_hello(context, name="example.com"):
    """The first bytes of a handshake, for tests that mistreat them."""
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(inward, outward, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outward.read()
