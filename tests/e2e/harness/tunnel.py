# SPDX-License-Identifier: Apache-2.0
"""Agents, edges with a zone of tunnels, and the roads of visitors.

    way = edge(**zone(cert=pki.issue_zone()))           # https://*.tunnel.localhost
    it = agent(way, 3000)                               # adit 3000 --server https://tunnel.localhost:PORT --json
    it.urls                                             # once it is ready
    with Road(way, it.name, pki).client() as visitor: ...

A Road is one way from a visitor to an app, whether a tunnel or a plain proxy lies on it: what an app
does must be the same on all of them.
"""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import urllib.parse

from . import proc
from .client import Client
from .edge import BOTH, TROUBLE, Failure, environment, program
from .h2 import H2Client
from .tls import TlsClient
from .wait import WAIT, until

ZONE = "tunnel.localhost"   # below .localhost, so that every resolver finds it on this machine


def zone(cert=None, workers=1, tunnels=None, name=ZONE, **top):
    """Top-level directives of an edge with the zone *.tunnel.localhost: over TLS with a certificate."""
    site = {"tunnels": {"anonymous": "on", **(tunnels or {})}}
    if cert:
        site["tls"] = cert.files
    return {"listen": BOTH if cert else ["127.0.0.1:0"], "workers": workers,
            "sites": {f"*.{name}": site}, **top}


def server_url(way):
    """What an agent is told with --server."""
    if "https" in way.schemes:
        return f"https://{ZONE}:{way.tls_port}"
    return f"http://{ZONE}:{way.port}"


def visit(way, name="myapp"):
    """A visitor's request to a tunnel, in clear."""
    return way.get("/", [("Host", f"{name}.{ZONE}:{way.port}")])


def kept(way):
    """The names that the edge's next start would know."""
    path = os.path.join(way.dir, "state", "state.db")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as file:
        return {name for name, in file.execute("SELECT name FROM tunnels")}


def create_token(way, *options):
    """A token that the edge has just made."""
    done = way.command("token", "create", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(word for word in done.stdout.split() if word.startswith("adit_"))


class Agent:
    """`adit TARGET...` in the background. `words` follow the target; `way` is the edge it calls. `run`
    replaces what starts the program (a prefix of the command, and options of Popen)."""

    def __init__(self, way, target, *words, server=None, token=None, trust=None, env=None,
                 expect_exit=0, wait=True, prefix=(), **popen):
        self.dir = tempfile.mkdtemp(prefix="adit-agent-")
        self.expect_exit = expect_exit
        self.keep = False
        self.command = [*prefix, program(), *str(target).split(), *map(str, words), "--server",
                        server or server_url(way), *(["--ca", trust.file] if trust else []), "--json"]
        self.env = {**environment(), "HOME": self.dir, "XDG_CONFIG_HOME": self.dir,
                    "XDG_STATE_HOME": self.dir, **(env or {})}
        for name in ("ADIT_SERVER", "ADIT_TOKEN", "HTTPS_PROXY", "https_proxy"):
            if name not in (env or {}):
                self.env.pop(name, None)
        if token:
            self.env["ADIT_TOKEN"] = token
        self.popen = popen
        self.events, self.lines = [], []
        self.frozen = False
        self.start(wait)

    def start(self, wait=True):
        """Starts it, or another one of the same command after the end of this."""
        first = len(self.events)
        self.process = subprocess.Popen(self.command, cwd=self.dir, env=self.env,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, start_new_session=True, **self.popen)
        self.readers = [threading.Thread(target=self.read, args=args, daemon=True) for args in
                        ((self.process.stdout, self.take), (self.process.stderr, self.lines.append))]
        for reader in self.readers:
            reader.start()
        if wait:
            self.wait_event("ready", first)
        return self

    @staticmethod
    def read(stream, take):
        for raw in stream:
            take(raw.decode("utf-8", "replace").rstrip("\n"))

    def take(self, line):
        try:
            self.events.append(json.loads(line))
        except ValueError:
            self.lines.append("not JSON: " + line)

    # -- what it says -----------------------------------------------------------------------

    def wait_event(self, kind, since=0, timeout=None):
        """The first event of that kind, once it is there."""
        def found():
            over = self.process.poll() is not None
            for reader in self.readers if over else ():
                reader.join(WAIT)   # what it said last counts
            for event in self.events[since:]:
                if event.get("event") == kind:
                    return event
            return over and "over"
        try:
            event = until(found, f"the agent's {kind}", timeout)
        except AssertionError as missing:
            raise AssertionError(f"{missing}\n{self.describe()}") from None
        assert event != "over", f"the agent ended without {kind}\n{self.describe()}"
        return event

    @property
    def urls(self):
        return [event for event in self.events if event.get("event") == "ready"][-1]["urls"]

    @property
    def url(self):
        """The first: https before http."""
        return self.urls[0]

    @property
    def name(self):
        """The host of its public URL."""
        return urllib.parse.urlsplit(self.url).hostname

    @property
    def public_at(self):
        """Host and port of tcp:// and udp://."""
        parts = urllib.parse.urlsplit(self.url)
        return parts.hostname, parts.port

    @property
    def log(self):
        return "\n".join(self.lines)

    def describe(self):
        return f"# {' '.join(map(str, self.command))}\n# events\n" \
               + "\n".join(map(json.dumps, self.events[-30:])) + f"\n# stderr\n{self.log[-4000:]}"

    def check(self):
        bad = next((i for i, line in enumerate(self.lines)
                    if TROUBLE.search(line) or line.startswith("not JSON")), None)
        if bad is not None:
            raise Failure("the agent is broken:\n" + "\n".join(self.lines[max(0, bad - 2):bad + 60]))

    # -- life -------------------------------------------------------------------------------

    @property
    def pid(self):
        """Of the program itself, below what started it."""
        return ([self.process.pid] + proc.descendants(self.process.pid))[-1]

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:      # it ends by itself just now
            pass

    def freeze(self):
        self.frozen = True
        self.signal(signal.SIGSTOP)

    def thaw(self):
        """Of one that is frozen alone: to a program that looks for leaks at its end it would take away the
        stop that the look waits for."""
        if self.frozen:
            self.frozen = False
            self.signal(signal.SIGCONT)

    def kill(self):
        """As the power going off: the agent can do nothing about it."""
        self.kill_session()

    def wait_exit(self, timeout=None):
        code = self.process.wait(timeout or WAIT)
        for reader in self.readers:
            reader.join(WAIT)
        return code

    def stop(self):
        """Ctrl-C, and that it ends well."""
        if self.running():
            self.thaw()
            self.signal(signal.SIGINT)
            try:
                code = self.wait_exit()
            except subprocess.TimeoutExpired:
                raise Failure(f"the agent did not end\n{self.describe()}") from None
            finally:
                self.kill_session()
            if self.expect_exit is not None and code not in (self.expect_exit, 128 + signal.SIGINT):
                raise Failure(f"the agent ended with {code}\n{self.describe()}")
        self.check()

    def kill_session(self):
        for pid in proc.in_session(self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()

    def clean(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class Road:
    """`name` is the host that visitors ask for; over TLS with the authority that they trust."""

    def __init__(self, way, name, authority=None):
        self.way, self.name, self.authority = way, name, authority
        self.at = way.tls_at if authority else way.at
        self.port = self.at[1]
        self.scheme = "https" if authority else "http"
        self.origin = f"{self.scheme}://{name}:{self.port}"
        self.agent = None       # where there is one

    def client(self, **options):
        if self.authority:
            made = TlsClient(self.at, self.authority.client_context(["http/1.1"]), self.name, **options)
        else:
            made = Client(self.at, **options)
        made.host = f"{self.name}:{self.port}"
        return made

    def h2_client(self, **options):
        context = self.authority.client_context(["h2"]) if self.authority else None
        made = H2Client(self.at, context, self.name, **options)
        made.authority = f"{self.name}:{self.port}"
        return made

    def get(self, path="/", fields=()):
        with self.client() as client:
            return client.get(path, fields)

    def curl(self, path, *options, version=1, **popen):
        """curl to its end; `version` 1 or 2. Output is bytes."""
        done = subprocess.run(self.curl_command(path, *options, version=version), check=False,
                              stdin=popen.pop("stdin", subprocess.DEVNULL) if "input" not in popen else None,
                              capture_output=True, timeout=popen.pop("timeout", WAIT * 4), **popen)
        assert done.returncode == 0, f"curl: {done.returncode} {done.stderr}\n{self.describe()}"
        return done.stdout

    def curl_command(self, path, *options, version=1):
        how = {1: "--http1.1", 2: "--http2" if self.authority else "--http2-prior-knowledge"}[version]
        trust = ["--cacert", self.authority.file] if self.authority else []
        return ["curl", "-sS", "--noproxy", "*", how, *trust, "--resolve",
                f"{self.name}:{self.port}:127.0.0.1", *options, self.origin + path]

    def describe(self):
        return self.agent.describe() if self.agent else ""
