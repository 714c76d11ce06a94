# SPDX-License-Identifier: Apache-2.0
"""Proxies on an agent's way out: HTTP CONNECT and SOCKS5, and a middlebox that passes WebSocket alone.

Each listens on a free port, has a thread per connection, and notes what it was asked: `asked` is a list
of (host, port), `logins` what came as a login."""
import base64
import socket
import struct
import threading

from .sockets import Listener


class Way(Listener):
    """What they share: a pump between two sockets that `cut()` ends."""

    def __init__(self, login=None):
        self.login = login          # (user, password) that it wants
        self.refuse = None          # how it answers instead of connecting
        self.asked = []
        self.logins = []
        self.open = []
        super().__init__()

    def serve(self, sock):
        try:
            target = self.greet(sock)
            if target is not None:
                self.join(sock, target)
        except (OSError, ValueError, EOFError):
            pass
        finally:
            sock.close()

    def connect(self, host, port):
        self.asked.append((host, port))
        host = "127.0.0.1" if host.endswith("localhost") else host
        return socket.create_connection((host, port), timeout=10)

    def join(self, one, other):
        for sock in (one, other):
            sock.settimeout(None)
        self.open += [one, other]
        back = threading.Thread(target=self.pump, args=(other, one), daemon=True)
        back.start()
        self.pump(one, other)
        back.join()
        other.close()

    def pump(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for sock in (source, sink):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def cut(self):
        """Resets every connection there is."""
        cut, self.open = self.open, []
        for sock in cut:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.unlisten()
        self.cut()


def read_head(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(1)
        if not more:
            raise EOFError
        data += more
    return data


def exactly(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


class ConnectProxy(Way):
    def greet(self, sock):
        lines = read_head(sock).decode("latin-1").split("\r\n")
        method, target, version = lines[0].split(" ")
        assert (method, version) == ("CONNECT", "HTTP/1.1")
        assert f"Host: {target}" in lines
        given = [line.split(": ", 1)[1] for line in lines if line.startswith("Proxy-Authorization: ")]
        self.logins += given
        if self.login is not None:
            want = base64.b64encode(":".join(self.login).encode()).decode()
            if given != [f"Basic {want}"]:
                sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                             b"Proxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
                return None
        if self.refuse is not None:
            sock.sendall(self.refuse)
            return None
        host, port = target.rsplit(":", 1)
        other = self.connect(host.strip("[]"), int(port))
        sock.sendall(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
        return other


class SocksProxy(Way):
    def greet(self, sock):
        version, count = exactly(sock, 2)
        methods = exactly(sock, count)
        assert version == 5
        want = 2 if self.login is not None else 0
        if want not in methods:
            sock.sendall(b"\x05\xff")
            return None
        sock.sendall(bytes([5, want]))
        if want == 2:
            exactly(sock, 1)
            user = exactly(sock, exactly(sock, 1)[0]).decode()
            password = exactly(sock, exactly(sock, 1)[0]).decode()
            self.logins.append((user, password))
            right = (user, password) == tuple(self.login)
            sock.sendall(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return None
        _, command, _, kind = exactly(sock, 4)
        assert command == 1
        host = {1: lambda: socket.inet_ntop(socket.AF_INET, exactly(sock, 4)),
                4: lambda: socket.inet_ntop(socket.AF_INET6, exactly(sock, 16)),
                3: lambda: exactly(sock, exactly(sock, 1)[0]).decode()}[kind]()
        port = struct.unpack(">H", exactly(sock, 2))[0]
        if self.refuse is not None:
            sock.sendall(self.refuse)
            return None
        other = self.connect(host, port)
        sock.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        return other


class OnlyWebSocket(Way):
    """A reverse proxy in front of an edge in clear that knows of no switch but WebSocket's. What it does
    with another one: `answer` (bytes), or None: it takes the field away and passes the request on. The
    frames of a WebSocket are read strictly, and passed on in other pieces, with pings in between."""

    def __init__(self, edge_port, answer=None):
        self.edge_port = edge_port
        self.answer = answer
        self.upgrades = []      # what was asked for
        self.pongs = 0
        self.broken = []        # frames that are against RFC 6455
        super().__init__()

    def greet(self, sock):
        head = read_head(sock)
        lines = head.decode("latin-1").split("\r\n")[:-2]
        upgrade = next((line.split(": ")[1] for line in lines if line.startswith("Upgrade: ")), "")
        self.upgrades.append(upgrade)
        if upgrade != "websocket":
            if self.answer is not None:
                sock.sendall(self.answer)
                return None
            lines = [line for line in lines if not line.startswith(("Upgrade: ", "Connection: "))]
            head = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
        other = socket.create_connection(("127.0.0.1", self.edge_port), timeout=10)
        other.sendall(head)
        answer = read_head(other)
        sock.sendall(answer)
        self.frames = answer.startswith(b"HTTP/1.1 101")
        return other

    def join(self, one, other):
        if not self.frames:
            return super().join(one, other)
        for sock in (one, other):
            sock.settimeout(None)
        self.open += [one, other]
        threading.Thread(target=self.pass_frames, args=(other, one, False), daemon=True).start()
        return self.pass_frames(one, other, True)

    def pass_frames(self, source, sink, masked):
        rest = 0
        try:
            while True:
                first, second = exactly(source, 2)
                length = second & 127
                if length > 125:
                    length = int.from_bytes(exactly(source, 2 if length == 126 else 8), "big")
                if (second & 128 != 0) != masked or first & 0x70 or first & 15 not in (0, 2, 8, 9, 10):
                    self.broken.append((first, second))
                mask = exactly(source, 4) if masked else b"\0\0\0\0"
                payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(exactly(source, length)))
                if first & 15 == 10:
                    self.pongs += 1
                elif first & 15 in (8, 9):
                    self.put(sink, first, payload, masked)
                else:
                    self.put(sink, first & 15, payload[:len(payload) // 2], masked)   # a fragment
                    self.put(sink, 0x89, b"are you there?", masked)
                    self.put(sink, first & 128, payload[len(payload) // 2:], masked)
        except (OSError, EOFError):
            for sock in (source, sink):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def put(self, sink, first, payload, masked):
        length = len(payload)
        head = bytes([first, (128 if masked else 0) | (length if length < 126 else 126 if length < 65536
                                                         else 127)])
        if length > 125:
            head += length.to_bytes(2 if length < 65536 else 8, "big")
        if masked:
            mask = b"\x01\x02\x03\x04"
            head += mask
            payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        sink.sendall(head + payload)
