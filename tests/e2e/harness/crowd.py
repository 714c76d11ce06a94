# SPDX-License-Identifier: Apache-2.0
"""Crowds of clients that count every failure, and the servers they talk to, in processes of their own.

    servers = EchoServer()                       # .ws .tcp .udp: addresses
    crowd = Crowd("ws", way.at, sessions=100)    # or "tcp", "udp", "http", "h2"
    ...
    report = crowd.end()                         # Report(sessions=100, answered=..., failures=[...])

A session says a numbered word and waits for its echo, again and again until the end. What counts as a
failure of a session: a connection that is refused, closed or reset before its client wants that, bytes
that are not the echo, no echo within PATIENCE seconds. Nothing is asked twice, but for what the last
item says.

- ws: one WebSocket for all its life. tcp: one connection, whose bytes are echoed.
- udp: one socket. A datagram may be lost, and is counted as such; so is how often the server saw the
  session come from another port than before.
- http: GETs on a kept connection, each of which must be answered with 200. Another connection is made
  only when the answer before has said `Connection: close`.
- h2: GETs on a kept HTTP/2 connection. Another one is made only after a GOAWAY; what that says was not
  taken up (RFC 9113 6.8, 8.7) is asked again there.

Run as a module of its own this is either side; orders come as lines on standard input.
"""
import asyncio
import base64
import concurrent.futures
import hashlib
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field

from .beside import Program
from .h2 import H2Client, Reset
from .wait import WAIT as PATIENCE

PAUSE = 0.1             # between two words of a session
WORD = 32               # bytes of a word
TOLD = 10               # failures that are told in full


# ---- for tests ------------------------------------------------------------------------------------


@dataclass
class Report:
    kind: str
    sessions: int
    answered: int
    lost: int           # datagrams
    moved: int          # sessions of UDP to another port
    longest: float      # wait for an echo, seconds
    failed: int
    failures: list = field(default_factory=list)

    @property
    def row(self):
        return {"crowd": self.kind, "sessions": self.sessions, "echoes": self.answered,
                "lost datagrams": self.lost, "moved": self.moved, "failures": self.failed,
                "longest wait, ms": round(self.longest * 1000)}


class EchoServer(Program):
    def __init__(self):
        super().__init__("harness.crowd", "serve")
        ports = self.answer()
        self.ws, self.tcp, self.udp = (f"127.0.0.1:{ports[kind]}" for kind in ("ws", "tcp", "udp"))


class Crowd(Program):
    """Returns when every session has had its first echo."""

    def __init__(self, kind, at, sessions, pause=PAUSE):
        super().__init__("harness.crowd", "talk", kind, at[0], at[1], sessions, pause)
        self.begun = self.answer()["begun"]

    def end(self):
        """Every session says one more word, waits for its echo and goes."""
        self.order("end")
        found = Report(**self.answer())
        self.stop()
        return found


# ---- the servers ----------------------------------------------------------------------------------


def frame(payload, mask=None):
    """A WebSocket message of less than 126 bytes (RFC 6455 5.2)."""
    if mask is None:
        return bytes((0x82, len(payload))) + payload
    return bytes((0x82, 0x80 | len(payload))) + mask + bytes(b ^ mask[i % 4]
                                                           for i, b in enumerate(payload))


async def read_frame(reader):
    head = await reader.readexactly(2)
    size = head[1] & 0x7f
    if head[0] != 0x82 or size > 125:
        raise ValueError(f"unexpected frame {head.hex()}")
    mask = await reader.readexactly(4) if head[1] & 0x80 else bytes(4)
    payload = await reader.readexactly(size)
    return bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def accept_of(head):
    key = next(line.split(":", 1)[1].strip() for line in head.split("\r\n")
               if line.lower().startswith("sec-websocket-key:"))
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return base64.b64encode(digest).decode()


async def serve_ws(reader, writer):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept_of(head)}\r\n\r\n".encode())
        while True:
            writer.write(frame(await read_frame(reader)))
    except (EOFError, OSError, StopIteration):
        pass
    finally:
        writer.close()


async def serve_tcp(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except OSError:
        pass
    finally:
        writer.close()


class UdpEcho(asyncio.DatagramProtocol):
    """Echoes, with the port that it saw in front."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(addr[1].to_bytes(2, "big") + data, addr)


async def serve():
    ws = await asyncio.start_server(serve_ws, "127.0.0.1", 0, backlog=4096)
    tcp = await asyncio.start_server(serve_tcp, "127.0.0.1", 0, backlog=4096)
    loop = asyncio.get_running_loop()
    udp, _ = await loop.create_datagram_endpoint(UdpEcho, ("127.0.0.1", 0))
    tell({"ws": port_of(ws.sockets[0]), "tcp": port_of(tcp.sockets[0]),
          "udp": udp.get_extra_info("sockname")[1]})
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def port_of(sock):
    return sock.getsockname()[1]


def tell(what):
    print(json.dumps(what), flush=True)


# ---- the clients ----------------------------------------------------------------------------------


class Broken(Exception):
    pass


class Talk:
    """What the sessions of a crowd have in common."""

    def __init__(self, kind, host, port, sessions, pause):
        self.kind, self.at, self.sessions, self.pause = kind, (host, int(port)), int(sessions), float(pause)
        self.over = asyncio.Event()
        self.first = set()      # sessions that have had an echo
        self.lock = threading.Lock()
        self.threads = concurrent.futures.ThreadPoolExecutor(self.sessions)
        self.answered = 0
        self.lost = self.moved = 0
        self.longest = 0.0
        self.failures = []
        self.began = time.monotonic()

    async def run(self):
        session = {"ws": self.ws, "tcp": self.tcp, "udp": self.udp, "http": self.http,
                   "h2": self.h2}[self.kind]
        tasks = [asyncio.create_task(self.guard(session, i)) for i in range(self.sessions)]
        while len(self.first) < self.sessions and len(self.failures) < self.sessions:
            await asyncio.sleep(0.01)
        tell({"begun": len(self.first)})
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        self.over.set()
        await asyncio.gather(*tasks)
        tell({"kind": self.kind, "sessions": self.sessions, "answered": self.answered,
              "lost": self.lost, "moved": self.moved, "longest": self.longest, "failed": len(self.failures),
              "failures": self.failures[:TOLD]})

    async def guard(self, session, number):
        """A session that fails is over, but for requests: their next connection is another one."""
        again = True
        while again and not self.over.is_set():
            try:
                await session(number)
            except (OSError, EOFError, ValueError, IndexError, AssertionError, Broken, Reset,
                    asyncio.TimeoutError) as failure:
                when = time.monotonic() - self.began
                self.failures.append(f"session {number} at {when:.3f} s: "
                                     f"{type(failure).__name__} {failure}")
            again = self.kind in ("http", "h2")

    async def open(self):
        return await asyncio.wait_for(asyncio.open_connection(*self.at), PATIENCE)

    async def words(self, number, exchange):
        """exchange(word) until the end; the last word is said after the order to end has come."""
        turn, last = 0, False
        while not last:
            last = self.over.is_set()
            word = f"{number}.{turn}.".encode().ljust(WORD, b"x")
            start = time.monotonic()
            await asyncio.wait_for(exchange(word), PATIENCE)
            self.note(number, start)
            turn += 1
            await self.rest(number, turn, last)

    async def rest(self, number, turn, last):
        if last:
            return
        # The first pause spreads the sessions.
        pause = self.pause * ((number * 7919 % 1000) / 1000 if turn == 1 else 1)
        try:
            await asyncio.wait_for(self.over.wait(), pause)
        except asyncio.TimeoutError:
            pass

    async def ws(self, number):
        reader, writer = await self.open()
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(f"GET /ws HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n"
                     f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     f"Sec-WebSocket-Key: {key}\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Broken(f"no WebSocket: {head[:60]!r}")

        async def exchange(word):
            writer.write(frame(word, os.urandom(4)))
            echo = await read_frame(reader)
            if echo != word:
                raise Broken(f"{word!r} came back as {echo!r}")
        await self.words(number, exchange)
        writer.close()

    async def tcp(self, number):
        reader, writer = await self.open()

        async def exchange(word):
            writer.write(word)
            echo = await reader.readexactly(len(word))
            if echo != word:
                raise Broken(f"{word!r} came back as {echo!r}")
        await self.words(number, exchange)
        writer.close()

    async def udp(self, number):
        queue, seen = asyncio.Queue(), []
        loop = asyncio.get_running_loop()

        class Client(asyncio.DatagramProtocol):
            def datagram_received(self, data, addr):
                queue.put_nowait(data)

            def error_received(self, exc):
                queue.put_nowait(exc)

        transport, _ = await loop.create_datagram_endpoint(Client, remote_addr=self.at)

        async def exchange(word):
            transport.sendto(word)
            while True:
                try:
                    came = await asyncio.wait_for(queue.get(), 1)
                except asyncio.TimeoutError:
                    self.lost += 1
                    transport.sendto(word)
                    continue
                if isinstance(came, Exception):
                    raise Broken(f"refused: {came}")
                if seen != [came[:2]]:
                    self.moved += bool(seen)
                    seen[:] = [came[:2]]
                if came[2:] == word:
                    return      # An older one: said twice, its echo came late.
        await self.words(number, exchange)
        transport.close()

    async def http(self, number):
        """One connection: until an answer says that it was the last, or the end."""
        reader, writer = await self.open()
        closing = []

        async def exchange(word):
            if closing:
                return
            writer.write(b"GET /word?" + word + b" HTTP/1.1\r\nHost: example.com\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            status = head.split(" ", 2)[1]
            size = int(head.split("\r\ncontent-length:", 1)[1].split("\r\n", 1)[0])
            await reader.readexactly(size)
            if status != "200":
                raise Broken(f"status {status}")
            if "\r\nconnection: close" in head:
                closing.append(True)
        try:
            turn = 0
            while not closing and not self.over.is_set():
                start = time.monotonic()
                word = f"{number}.{turn}".encode()
                await asyncio.wait_for(exchange(word), PATIENCE)
                self.note(number, start)
                turn += 1
                if not closing:
                    await self.rest(number, turn, False)
        finally:
            writer.close()

    async def h2(self, number):
        await asyncio.get_running_loop().run_in_executor(self.threads, self.h2_session, number)

    def h2_session(self, number):
        with H2Client(self.at) as client:
            turn = 0
            while not self.over.is_set() and client.goaway is None:
                start = time.monotonic()
                try:
                    status = client.get(f"/word?{number}.{turn}").status
                except Reset as reset:
                    last = client.goaway[1] if client.goaway else 1 << 31
                    if reset.code == 7 or 2 * turn + 1 > last:
                        return      # not taken up: asked again on another connection
                    raise
                except AssertionError:
                    if client.goaway:
                        return      # it went between the look and the asking
                    raise
                if status != 200:
                    raise Broken(f"status {status}")
                self.note(number, start)
                turn += 1
                time.sleep(self.pause)

    def note(self, number, start):
        with self.lock:
            self.longest = max(self.longest, time.monotonic() - start)
            self.answered += 1
            self.first.add(number)


async def talk(*args):
    await Talk(*args).run()


def main():
    role, *args = sys.argv[1:]
    asyncio.run({"serve": serve, "talk": talk}[role](*args))


if __name__ == "__main__":
    main()
