# SPDX-License-Identifier: Apache-2.0
"""Another agent, written from docs/design/tunnel.md alone, with python3-h2: the protocol is what that
page says, and not what adit's two ends have agreed upon.

    it = OtherAgent(way, handler, trust=pki.ca)         # handler(stream), as of H2Origin
    it.call()                                           # the answer; .peer is the HTTP/2 connection
    it.call(slot=1)                                     # another connection of the same instance
"""
import base64
import os
import socket
import threading
import urllib.parse

import h2.exceptions
import h2.settings

from .h2 import Peer, Reset
from .tls import TlsSocket
from .tunnel import ZONE, server_url
from .wait import WAIT
from .wire import Answer, Wire

STREAMS = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
CONNECT = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL


def unpadded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class OtherAgent:
    def __init__(self, way, handler=None, token=None, name=None, trust=None, host=ZONE, fields=(),
                 streams=100):
        """`fields` are further ones of the request, as `Adit-Join`."""
        self.streams = streams
        self.url = urllib.parse.urlsplit(server_url(way))
        self.handler = handler or (lambda stream: stream.reply(200, b"hello"))
        self.trust, self.host, self.token, self.name = trust, host, token, name
        self.more = list(fields)
        self.instance = os.urandom(16)
        self.sequence = 0
        self.secret = self.ticket = None
        self.peers, self.requests = [], []

    def fields(self, slot):
        self.sequence += 1
        found = [("Host", f"{self.host}:{self.url.port}"), ("Connection", "Upgrade"),
                 ("Upgrade", "adit-tunnel/1"), ("Adit-Instance", unpadded(self.instance)),
                 ("Adit-Connection", f"slot={slot}, sequence={self.sequence}"), *self.more]
        for name, value in (("Authorization", self.token and "Bearer " + self.token),
                            ("Adit-Name", self.name), ("Adit-Secret", self.secret),
                            ("Adit-Ticket", self.ticket)):
            if value:
                found.append((name, value))
        return found

    def open(self):
        sock = socket.create_connection(("127.0.0.1", self.url.port), WAIT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.url.scheme == "https":
            sock = TlsSocket(sock, self.trust.client_context(["http/1.1"]), self.host).handshake()
        return sock

    def call(self, slot=0, fields=None):
        """The edge's answer; when that is 101 there is one more of .peers, the last is .peer."""
        sock = self.open()
        fields = self.fields(slot) if fields is None else fields
        sock.sendall(("GET /.well-known/adit/tunnel HTTP/1.1\r\n"
                      + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n").encode())
        wire = Wire(sock)
        answer = wire.read_head(Answer)
        if answer.status != 101:
            answer = wire.read_body(answer, wire.framing_of(answer) or 0)
            wire.close()
            return answer
        assert (answer.get("upgrade"), answer.get("connection")) == ("adit-tunnel/1", "Upgrade")
        self.secret, self.ticket = answer.get("adit-secret"), answer.get("adit-ticket")
        self.peers.append(TunnelPeer(sock, bytes(wire.buffer), self.take, self.streams))
        return answer

    def take(self, stream):
        self.requests.append(stream)
        threading.Thread(target=self.run, args=(stream,), daemon=True).start()

    def run(self, stream):
        try:
            self.handler(stream)
        except (Reset, OSError, h2.exceptions.ProtocolError):
            pass    # The edge went away from it: the tests see that otherwise.

    @property
    def peer(self):
        return self.peers[-1]

    def stop(self):
        for peer in self.peers:
            peer.close()


class TunnelPeer(Peer):
    """The server of an HTTP/2 connection, of which some bytes have been read already."""

    def __init__(self, sock, first, wants, streams):
        super().__init__(sock, False, {STREAMS: streams, CONNECT: 1})
        self.failure = None
        self.wants = wants
        self.start(first)

    def allow(self, streams):
        with self.changed:
            self.conn.update_settings({STREAMS: streams})
            self.flush()

    def broken(self, wrong):
        self.failure = wrong
