# SPDX-License-Identifier: Apache-2.0
"""Thousands of devices, each an agent with one public port, as bare sockets of this process.

    fleet = Fleet(way, token)
    fleet.call(range(20000, 22000))     # one device for each port: all are let in, or it raises
    fleet.ask("127.0.0.1", 20007)       # b"device 20007", from the device, through the edge
    fleet.stop()

They say the bytes of docs/design/tunnel.md and no more: a device answers every visitor with its name.
They call from many addresses of the loopback, since one address has few handshakes a second.
"""
import base64
import os
import selectors
import socket
import struct
import threading
import time

from .tunnel import ZONE
from .wait import WAIT

AT_ONCE = 64            # handshakes under way
OF_AN_ADDRESS = 100     # calls from one address
PING_S = 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, ACK, END_HEADERS = 1, 1, 4
STATUS_200 = b"\x88"    # RFC 7541, appendix A


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Device:
    def __init__(self, port):
        self.port = port
        self.instance = base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()
        self.sequence = 0
        self.secret = self.sock = None
        self.bytes = b""

    def call(self, way, token, source):
        self.sequence += 1
        if self.sock:
            self.sock.close()
        self.sock = socket.create_connection(("127.0.0.1", way.port), WAIT, (source, 0))
        secret = f"Adit-Secret: {self.secret}\r\n" if self.secret else ""
        self.sock.sendall((f"GET /.well-known/adit/tunnel HTTP/1.1\r\nHost: {ZONE}\r\nConnection: Upgrade\r\n"
                           f"Upgrade: adit-tunnel/1\r\nAuthorization: Bearer {token}\r\n"
                           f"Adit-Instance: {self.instance}\r\nAdit-Kind: tcp\r\nAdit-Port: {self.port}\r\n"
                           f"Adit-Connection: slot=0, sequence={self.sequence}\r\n{secret}\r\n").encode())

    def welcome(self):
        """The answer, which is 101 or raises."""
        self.bytes = b""
        while b"\r\n\r\n" not in self.bytes:
            got = self.sock.recv(4096)
            assert got, f"device {self.port} was hung up on"
            self.bytes += got
        head, _, self.bytes = self.bytes.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), (self.port, head, self.bytes)
        self.secret = next(line.split(": ", 1)[1] for line in head.decode().split("\r\n")
                           if line.lower().startswith("adit-secret: "))
        self.sock.sendall(frame(SETTINGS, 0, 0, b""))
        self.sock.setblocking(False)

    def take(self):
        """Reads what came and answers it; False at the end."""
        try:
            got = self.sock.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.bytes = (self.bytes + got).removeprefix(PREFACE)
        while len(self.bytes) >= 9 and not PREFACE.startswith(self.bytes[:3]):
            end = 9 + int.from_bytes(self.bytes[:3], "big")
            if len(self.bytes) < end:
                break
            kind, flags, stream = self.bytes[3], self.bytes[4], int.from_bytes(self.bytes[5:9], "big")
            self.bytes = self.bytes[end:]
            if kind == HEADERS:
                self.sock.sendall(frame(HEADERS, END_HEADERS, stream, STATUS_200)
                                  + frame(DATA, END_STREAM, stream, b"device %d" % self.port))
            elif kind == SETTINGS and not flags & ACK:
                self.sock.sendall(frame(SETTINGS, ACK, 0, b""))
        return bool(got)


class Fleet:
    def __init__(self, way, token):
        self.way, self.token = way, token
        self.devices, self.live = {}, set()
        self.calls = 0
        self.selector = selectors.DefaultSelector()
        self.lock = threading.RLock()     # who holds it may read the devices' sockets
        self.over = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def source(self):
        number = self.calls // OF_AN_ADDRESS
        self.calls += 1
        return f"127.1.{number // 250}.{number % 250 + 1}"

    def call(self, ports):
        """A device for each port calls, the same one as before if there was one."""
        ports = list(ports)
        for first in range(0, len(ports), AT_ONCE):
            batch = [self.devices.setdefault(port, Device(port)) for port in ports[first:first + AT_ONCE]]
            for one in batch:
                self.forget(one)
                one.call(self.way, self.token, self.source())
            for one in batch:
                one.welcome()
                with self.lock:
                    self.selector.register(one.sock, selectors.EVENT_READ, one)
                    self.live.add(one)

    def forget(self, one):
        with self.lock:
            if one in self.live:
                self.live.remove(one)
                self.selector.unregister(one.sock)

    def run(self):
        pinged = time.monotonic()
        while not self.over:
            time.sleep(0.002)
            with self.lock:
                for key, _ in self.selector.select(0):
                    if not key.data.take():
                        self.forget(key.data)
            if time.monotonic() - pinged > PING_S:
                pinged = time.monotonic()
                with self.lock:
                    live = list(self.live)
                for one in live:
                    try:
                        one.sock.send(frame(PING, 0, 0, b"a fleet."))
                    except OSError:
                        pass

    @staticmethod
    def ask(host, port):
        with socket.create_connection((host, port), WAIT) as sock:
            sock.sendall(b"who are you?")
            data = b""
            while got := sock.recv(100):
                data += got
            return data

    def stop(self):
        self.over = True
        self.thread.join(WAIT)
        for one in self.devices.values():
            one.sock.close()
