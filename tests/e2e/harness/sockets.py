# SPDX-License-Identifier: Apache-2.0
"""Plain servers and clients of TCP and UDP, which say what a test tells them to.

    server = TcpServer(echo)            # server.port, server.at; serve(sock) has a thread per connection
    with connect(at) as sock: ...       # ("127.0.0.1", port)
    server = UdpServer(lambda data: [data, data])
"""
import socket
import threading

from .wait import WAIT


class Listener:
    """Listens on the loopback; `serve(sock)` of who inherits runs in a thread for each connection."""

    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.at = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def unlisten(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)    # who waits in accept() would take one more
        except OSError:
            pass
        self.listener.close()


class TcpServer(Listener):
    """What it does with a connection is a function. It ends with whatever that does wrong."""

    def __init__(self, talk, port=0):
        self.talk, self.socks = talk, []
        super().__init__(port)

    def serve(self, sock):
        sock.settimeout(WAIT)
        self.socks.append(sock)
        try:
            self.talk(sock)
        except OSError:
            pass
        sock.close()

    def stop(self):
        self.unlisten()
        for sock in self.socks:
            sock.close()


def echo(sock):
    while data := sock.recv(65536):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def connect(at):
    sock = socket.create_connection(at, WAIT)
    sock.settimeout(WAIT)
    return sock


def read_all(sock):
    return b"".join(iter(lambda: sock.recv(1 << 20), b""))


class UdpServer:
    """Answers each datagram with what `answers(data)` lists."""

    def __init__(self, answers=lambda data: [data], port=0):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", port))
        self.port = self.sock.getsockname()[1]
        self.at = f"127.0.0.1:{self.port}"
        self.answers = answers
        self.peers = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                data, peer = self.sock.recvfrom(70000)
            except OSError:
                return
            if data == b"stop":
                return
            self.peers.append(peer)
            for answer in self.answers(data):
                self.sock.sendto(answer, peer)

    def stop(self):
        if self.sock.fileno() < 0:
            return      # a test has stopped it
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"stop", self.sock.getsockname())
        self.thread.join(WAIT)
        self.sock.close()
