# SPDX-License-Identifier: Apache-2.0
"""Visitors who do not stop while everything around tunnels breaks, and the apps that they visit.

    apps = Apps(["one", "two"], prefix=house.inside)    # apps.ports["one"] and so on, in its own process
    storm = Storm(at, {"one": "one.tunnel.test", ..., "four": "10.0.0.1:2222"}, sessions=20, trust=pki.ca)
    with storm.event("agent killed"): ...               # when what happened, until all was well again
    report = storm.end()
    assert not report.unexcused

Every answer names its app and is a function of the app's name and of what was asked, so that a visitor
knows each byte that must come. A visitor's exchanges are

- get: a GET of some kilobytes; whoever is asked may repeat it as long as no answer has begun
- slow: a GET whose answer takes half a second, so that some are always under way
- post: a POST; an app must never see one twice

and each is on a kept connection (a third of them HTTP/2), until it is said to end or fails. An app whose host has a port
is visited there, by TCP: nobody on the way knows where an exchange ends, so nobody repeats one. What fails must be
excused by an event that it was under way in, and by what that event may do to it (EXCUSES).
"""
import asyncio
import concurrent.futures
import contextlib
import hashlib
import json
import os
import random
import ssl
import sys
import time
from dataclasses import dataclass, field

from h2.exceptions import H2Error

from .beside import Program
from .h2 import H2Client, Reset

REFUSED = 7
PATIENCE = 45       # seconds for an exchange: more than an edge lets one wait for an agent
SLOW_PARTS, SLOW_PAUSE = 5, 0.1
TOLD = 400          # failures that are told in full
GRACE = 0.25        # seconds between what a test did and when both sides have seen it


def content(app, word, size):
    """What an app answers."""
    return hashlib.shake_128(f"{app}/{word}".encode()).digest(size)


# ---- what may fail ---------------------------------------------------------------------------------

def agent_lost(failure):
    """What had begun to be answered is cut; what may not be repeated fails."""
    return failure["head"] or failure["kind"] == "post" or \
        (failure["by"] == PortSession.__name__ and failure["what"] == "cut")


def edge_lost(failure):
    """Its visitors' connections end. What comes later finds another worker, and waits there."""
    return failure["what"] == "cut"


def edge_gone(failure):
    """Nobody listens. The next edge knows the names, and lets visitors wait for the agents."""
    return failure["what"] in ("cut", "refused")


EXCUSES = {
    "agent killed": agent_lost, "connections broken": agent_lost, "house moved": agent_lost,
    "cable pulled": agent_lost,
    "worker killed": lambda failure: edge_lost(failure) or agent_lost(failure),
    "edge killed": lambda failure: edge_gone(failure) or agent_lost(failure),
    "edge upgraded": lambda failure: False,
}


@dataclass
class Report:
    answered: dict
    failed: int
    longest: float
    failures: list
    events: list
    unexcused: list = field(default_factory=list)

    @property
    def row(self):
        kinds = {kind for kind, *_ in self.events}
        return {"what": " and ".join(kinds) if len(kinds) < 3 else "all of it",
                **{kind: self.answered.get(kind, 0) for kind in ("get", "slow", "post", "by port")},
                "failed": self.failed, "not excused": len(self.unexcused),
                "longest, ms": round(self.longest * 1000), "events": len(self.events)}


def judge(report):
    for failure in report.failures:
        around = [kind for kind, start, end in report.events
                  if failure["start"] < end + GRACE and failure["end"] > start - GRACE]
        if failure["what"] == "wrong" or not any(EXCUSES[kind](failure) for kind in around):
            report.unexcused.append({**failure, "events": around})
    return report


# ---- for tests -------------------------------------------------------------------------------------


class StormProgram(Program):
    def __init__(self, *args, prefix=()):
        super().__init__("harness.storm", *args, prefix=prefix, ADIT_E2E_WAIT=str(PATIENCE))


class Apps(StormProgram):
    def __init__(self, names, prefix=()):
        super().__init__("serve", *names, prefix=prefix)
        self.ports = self.answer()

    def end(self):
        """The words that were posted more than once."""
        self.order("end")
        twice = self.answer()
        self.stop()
        return twice


class Storm(StormProgram):
    """Returns when every session has been answered once."""

    def __init__(self, at, hosts, sessions, trust=None):
        self.events = []
        super().__init__("visit", at[0], at[1], trust.file if trust else "-", sessions,
                         *(f"{app}={host}" for app, host in hosts.items()))
        self.answer()

    @contextlib.contextmanager
    def event(self, kind):
        """What is done inside, until all is well again."""
        assert kind in EXCUSES
        start = time.monotonic()
        yield
        self.events.append((kind, start, time.monotonic()))

    def end(self):
        self.order("end")
        found = judge(Report(events=self.events, **self.answer()))
        self.stop()
        return found


def tell(what):
    print(json.dumps(what), flush=True)


async def order():
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


# ---- the apps --------------------------------------------------------------------------------------


class App:
    def __init__(self, name):
        self.name = name
        self.posted = {}

    async def serve(self, reader, writer):
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                line, *fields = head.split("\r\n")
                method, target, _ = line.split(" ")
                length = next((int(f.split(":")[1]) for f in fields
                               if f.lower().startswith("content-length:")), 0)
                await self.answer(writer, method, target, await reader.readexactly(length))
        except (EOFError, OSError):
            pass
        finally:
            writer.close()

    async def answer(self, writer, method, target, body):
        _, kind, size, word = target.split("/")
        if method == "POST":
            self.posted[word] = self.posted.get(word, 0) + 1
            word += hashlib.sha256(body).hexdigest()
        data = content(self.name, word, int(size))
        writer.write(f"HTTP/1.1 200 OK\r\nX-Tunnel: {self.name}\r\n"
                     f"Content-Length: {len(data)}\r\n\r\n".encode())
        step = -(-len(data) // (SLOW_PARTS if kind == "slow" else 1)) or 1
        for start in range(0, len(data), step):
            writer.write(data[start:start + step])
            await writer.drain()
            if kind == "slow":
                await asyncio.sleep(SLOW_PAUSE)


async def serve(*names):
    apps = [App(name) for name in names]
    servers = [await asyncio.start_server(app.serve, "0.0.0.0", 0) for app in apps]
    tell({app.name: server.sockets[0].getsockname()[1] for app, server in zip(apps, servers)})
    await order()
    tell({f"{app.name}/{word}": count for app in apps for word, count in app.posted.items()
          if count > 1})


# ---- the visitors ----------------------------------------------------------------------------------


class Failed(Exception):
    def __init__(self, what, text=""):
        super().__init__(f"{what} {text}")
        self.what, self.text = what, text


@dataclass
class Question:
    kind: str
    app: str
    host: str
    word: str
    size: int
    body: bytes

    @property
    def method(self):
        return "POST" if self.kind == "post" else "GET"

    @property
    def path(self):
        return f"/{self.kind}/{self.size}/{self.word}"

    def check(self, status, app, got):
        """Raises Failed unless this is its answer."""
        if status != "200":
            raise Failed(f"status {status}", got[:200].decode("latin-1"))
        word = self.word + (hashlib.sha256(self.body).hexdigest() if self.body else "")
        if app != self.app or got != content(self.app, word, self.size):
            raise Failed("wrong", f"{self.app}: an answer of {app}, {len(got)} bytes")


class Session:
    """Asks one thing after the other."""

    counted_as = None       # by the kind of the exchange

    def __init__(self, crowd, number):
        self.crowd, self.number = crowd, number
        self.random = random.Random(number)
        self.line = None        # what it asks on
        self.head = False       # whether the answer under way has begun
        self.places = crowd.hosts   # whom it asks

    def question(self, turn):
        app, host = self.random.choice(self.places)
        kind = self.random.choices(("get", "slow", "post"), (6, 2, 2))[0]
        return Question(kind, app, host, f"{self.number}.{turn}",
                        self.random.choice((10, 1000, 20000, 100000)),
                        os.urandom(200) if kind == "post" else b"")

    async def run(self):
        turn = 0
        while not self.crowd.over.is_set():
            question, start = self.question(turn), time.monotonic()
            self.head = False
            try:
                await asyncio.wait_for(self.exchange(question), PATIENCE)
                self.crowd.note(self.number, self.counted_as or question.kind, start)
            except (Failed, asyncio.TimeoutError, EOFError, OSError) as failure:
                self.crowd.fail(self, question, start, failure)
                self.close()
                await asyncio.sleep(0.05)
            turn += 1
        self.close()


class H2Session(Session):
    """HTTP/2, in a thread."""

    async def exchange(self, question):
        await asyncio.get_running_loop().run_in_executor(self.crowd.threads, self.ask, question)

    def ask(self, question):
        again = True
        while again:
            try:
                again = not self.ask_once(question)
            except (Reset, H2Error) as failure:
                raise Failed("cut", repr(failure)) from failure
            except AssertionError as failure:
                raise Failed("timeout", str(failure)) from failure

    def ask_once(self, question):
        """False: it was not taken up (RFC 9113 6.8, 8.7), and is asked again."""
        if self.line is None or self.line.gone or self.line.goaway:
            self.close()
            try:
                self.line = H2Client(self.crowd.at, self.crowd.h2, question.host)
            except ConnectionRefusedError as refused:
                raise Failed("refused") from refused
        try:
            stream = self.line.begin(question.method, question.path, body=question.body,
                                     authority=question.host)
        except (AssertionError, Reset, H2Error):
            if self.line.gone or self.line.goaway:
                return False        # Nothing of it was sent, or it says that it takes no more.
            raise
        try:
            stream.wait_end()
        except Reset as reset:
            self.head = stream.head is not None
            went = self.line.goaway
            if reset.code == REFUSED or (went and stream.id > went[1]):
                return False
            raise
        question.check(str(stream.status), stream.get("x-tunnel"), stream.body)
        return True

    def close(self):
        if self.line:
            self.line.close()
            self.line = None


class H1Session(Session):
    async def exchange(self, question):
        if self.line is None:
            await self.open(question.host)
        reader, writer = self.line
        length = f"Content-Length: {len(question.body)}\r\n" if question.body else ""
        writer.write(f"{question.method} {question.path} HTTP/1.1\r\nHost: {question.host}\r\n"
                     f"{length}\r\n".encode() + question.body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.head = True
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        status = lines[0].split(" ")[1]
        got = await self.body(reader, fields)
        if fields.get("connection") == "close":
            self.close()
        self.head = self.head and status == "200"
        question.check(status, fields.get("x-tunnel"), got)

    @staticmethod
    async def body(reader, fields):
        if "content-length" not in fields:
            raise Failed("wrong", f"no length: {fields}")
        return await reader.readexactly(int(fields["content-length"]))

    async def open(self, host):
        try:
            self.line = await asyncio.open_connection(*self.crowd.at, ssl=self.crowd.tls,
                                                      server_hostname=host if self.crowd.tls else None)
        except ConnectionRefusedError as refused:
            raise Failed("refused") from refused

    def close(self):
        if self.line:
            self.line[1].close()
            self.line = None


class PortSession(H1Session):
    """By TCP, some exchanges on each connection."""

    EXCHANGES = 5
    counted_as = "by port"

    def __init__(self, crowd, number):
        super().__init__(crowd, number)
        self.places = crowd.ports
        self.left = 0

    async def exchange(self, question):
        if self.left == 0:
            self.close()
            self.left = self.EXCHANGES
        self.left -= 1
        await super().exchange(question)

    async def open(self, host):
        address, port = host.rsplit(":", 1)
        try:
            self.line = await asyncio.open_connection(address, int(port))
        except ConnectionRefusedError as refused:
            raise Failed("refused") from refused

    def close(self):
        super().close()
        self.left = 0


class Crowd:
    def __init__(self, host, port, trust, sessions, *hosts):
        self.at, self.sessions = (host, int(port)), int(sessions)
        places = [tuple(text.split("=")) for text in hosts]
        self.hosts = [it for it in places if ":" not in it[1]]
        self.ports = [it for it in places if ":" in it[1]]
        self.tls = self.h2 = None
        if trust != "-":
            self.tls, self.h2 = (ssl.create_default_context(cafile=trust) for _ in range(2))
            self.h2.set_alpn_protocols(["h2"])
        self.threads = concurrent.futures.ThreadPoolExecutor(self.sessions)
        self.over = asyncio.Event()
        self.first = set()
        self.answered, self.failures, self.longest, self.failed = {}, [], 0.0, 0

    def note(self, number, kind, start):
        self.first.add(number)
        self.answered[kind] = self.answered.get(kind, 0) + 1
        self.longest = max(self.longest, time.monotonic() - start)

    def fail(self, session, question, start, failure):
        what = failure.what if isinstance(failure, Failed) else \
            "timeout" if isinstance(failure, asyncio.TimeoutError) else "cut"
        self.failed += 1
        if len(self.failures) < TOLD:
            self.failures.append({
                "kind": question.kind, "app": question.app, "start": start, "end": time.monotonic(),
                "what": what, "head": session.head, "by": type(session).__name__,
                "text": str(failure)[:300]})

    def session(self, number):
        second = PortSession if self.ports else H1Session
        kinds = (H1Session, second, H2Session, H1Session, H1Session, H2Session)
        return kinds[number % len(kinds)](self, number)

    async def run(self):
        tasks = [asyncio.create_task(self.session(i).run()) for i in range(self.sessions)]
        while len(self.first) < self.sessions and not any(task.done() for task in tasks):
            await asyncio.sleep(0.01)
        tell({"begun": len(self.first)})
        await order()
        self.over.set()
        await asyncio.gather(*tasks)
        tell({"answered": self.answered, "failed": self.failed, "longest": self.longest,
              "failures": self.failures})


async def visit(*args):
    await Crowd(*args).run()


def main():
    role, *args = sys.argv[1:]
    asyncio.run({"serve": serve, "visit": visit}[role](*args))


if __name__ == "__main__":
    main()
