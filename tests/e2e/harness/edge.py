# SPDX-License-Identifier: Apache-2.0
"""A running `adit serve` with a directory of its own.

The configuration is a Python dict (written out as JSON, which is YAML) or YAML text. The harness
adds what a test needs and most tests do not care about: a free port, a control socket, an access
log in a file, one worker thread, a short drain. stop() and check() fail the test on a sanitizer
report, a panic, a process left behind or an exit code that is not 0.
"""
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from . import proc
from .client import Client
from .h2 import H2Client
from .tls import TlsClient
from .wait import WAIT, until

LISTENING = re.compile(r"listening on (?:(https?|tcp|udp)://(?:\[([^\]]+)\]|([^:\s/]+)):(\d+)|(unix:\S+))")
TROUBLE = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|MemorySanitizer"
                     r"|UndefinedBehaviorSanitizer|runtime error:|\bpanic\b|ensure failed"
                     r"|Assertion .* failed|stack smashing|buffer overflow detected")


class Failure(AssertionError):
    """Something went wrong in the program under test, seen from outside."""


TLS = [{"at": "127.0.0.1:0", "tls": "on"}]
BOTH = ["127.0.0.1:0", {"at": "127.0.0.1:0", "tls": "on"}]


def certificates(cert):
    """What stands below `tls` for one Certificate or for several."""
    if isinstance(cert, (list, tuple)):
        return {"certs": [one.files for one in cert]}
    return cert.files


def program():
    """The adit to test: $ADIT, or build/adit of this tree."""
    root = os.path.dirname(os.path.abspath(__file__)) + "/../../.."
    return os.path.abspath(os.environ.get("ADIT") or root + "/build/adit")


def environment():
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
    env.setdefault("TSAN_OPTIONS", "exitcode=99")
    env["NO_COLOR"] = "1"
    return env


def run_adit(*args, timeout=WAIT, **options):
    """Runs a command of adit to its end; gives the CompletedProcess with text output."""
    options.setdefault("env", environment())
    done = subprocess.run([program(), *map(str, args)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=timeout, check=False, **options)
    if TROUBLE.search(done.stderr) or done.returncode < 0:
        raise Failure(f"adit {args}: exit {done.returncode}\n{done.stderr}")
    return done


class Edge:
    def __init__(self, config=None, *, proxy=None, cert=None, args=None, nofile=None, env=None,
                 stdout=None, listeners=None, expect_exit=0, uid=None, **top):
        """`proxy` is an Origin (or an address) for everything; `cert` (a Certificate or a list of
        them) is the default site's, and the port speaks TLS; other keywords are top-level
        directives. `args` replaces `serve -c FILE`. `listeners`: how many addresses to wait for,
        0 not to wait at all; by default as many as the configuration lists. `stdout`: where that
        goes, by default to a file. `uid`: run as that user, which only root can do."""
        self.dir = tempfile.mkdtemp(prefix="adit-e2e-")
        os.chmod(self.dir, 0o755)
        self.file = self.dir + "/adit.yaml"
        self.cwd = self.dir + "/cwd"
        os.mkdir(self.cwd)
        self.control = self.dir + "/control"
        self.expect_exit = expect_exit
        self.forgiven = 0
        self.nofile = nofile
        self.uid = uid
        if uid is not None:
            for path in (self.dir, self.cwd):
                os.chown(path, uid, uid)
        self.stdout = stdout
        self.env = {**environment(), "ADIT_STATE": self.dir + "/state", **(env or {})}
        self.lines = []
        self.addresses = []
        self.schemes = []
        self.process = None
        self.top = {"listen": "127.0.0.1:0", "control": self.control, "workers": 1,
                    "access_log": {"to": self.dir + "/access.log", "format": "json"},
                    "drain": "500ms"}
        self.write(config, proxy=proxy, cert=cert, **top)
        self.args = args or ["serve", "-c", self.file]
        listen = self.config.get("listen") if isinstance(self.config, dict) else None
        self.expected = len(listen) if isinstance(listen, list) else 1
        if listeners is not None:
            self.expected = listeners
        self.start()

    # -- configuration ----------------------------------------------------------------------

    def write(self, config=None, *, proxy=None, cert=None, **top):
        """Writes the configuration file, as the constructor does with the same arguments."""
        if isinstance(config, str):
            self.config = config
        else:
            self.config = {**self.top, **({"listen": TLS} if cert else {}), **(config or {}), **top}
            if cert is not None:
                site = self.config.setdefault("sites", {}).setdefault("default", {})
                site["tls"] = {**certificates(cert), **site.get("tls", {})}
            if proxy is not None:
                site = self.config.setdefault("sites", {}).setdefault("default", {})
                site["proxy"] = getattr(proxy, "at", proxy)
            self.config = {k: v for k, v in self.config.items() if v is not None}
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(config if isinstance(config, str) else json.dumps(self.config, indent=1))

    def default_site(self, site, **top):
        """Rewrites the file so that the default site is `site`."""
        self.write({"sites": {"default": site}}, **top)

    # -- life -------------------------------------------------------------------------------

    def start(self):
        def limit():
            if self.nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile, self.nofile))
            if self.uid is not None:
                os.setgroups([])
                os.setgid(self.uid)
                os.setuid(self.uid)

        with open(self.dir + "/stdout", "wb") as stdout:
            self.process = subprocess.Popen([program(), *self.args], cwd=self.cwd, env=self.env,
                                            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                            stdout=self.stdout or stdout,
                                            start_new_session=True, preexec_fn=limit)
        self.reader = threading.Thread(target=self.read_stderr, daemon=True)
        self.reader.start()
        if self.expected:
            until(lambda: len(self.addresses) >= self.expected or not self.running(), "listening")
            if len(self.addresses) < self.expected:
                self.reader.join(WAIT)
                raise Failure(f"adit did not start, exit {self.process.returncode}:\n{self.log}")

    def read_stderr(self):
        for raw in self.process.stderr:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            self.lines.append(line)
            match = LISTENING.search(line)
            if match:
                self.schemes.append(match[1] or "http")
                self.addresses.append(match[5][5:] if match[5] else
                                      (match[2] or match[3], int(match[4])))

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, timeout=None):
        code = self.process.wait(timeout or WAIT)
        self.reader.join(WAIT)
        return code

    def stop(self):
        """Drains and checks that everything ended well. Safe to call twice."""
        session = self.process.pid
        if self.running():
            self.signal(signal.SIGTERM)
        try:
            code = self.wait_exit(WAIT * 2)
            left = proc.in_session(session)
            if left:
                until(lambda: not proc.in_session(session), f"the end of processes {left}")
        except (subprocess.TimeoutExpired, AssertionError) as stuck:
            raise Failure(f"adit did not end: {stuck}") from stuck
        finally:
            self.kill_session()
        self.check()
        if self.expect_exit is not None and code != self.expect_exit:
            raise Failure(f"adit ended with {code}, not {self.expect_exit}:\n{self.log[-3000:]}")

    def kill_session(self):
        if self.process is None:
            return
        for pid in proc.in_session(self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.running():
            self.process.kill()
        self.process.wait()

    def check(self):
        """Fails on anything in the log that must never be there."""
        bad = [i for i, line in enumerate(self.lines) if TROUBLE.search(line)]
        if len(bad) > self.forgiven:
            start = bad[self.forgiven]
            self.forgiven = len(bad)
            raise Failure("adit is broken:\n" + "\n".join(self.lines[max(0, start - 2):start + 60]))

    def forgive(self):
        """What is in the log up to now is what the test wanted to see."""
        self.forgiven = sum(bool(TROUBLE.search(line)) for line in self.lines)

    def clean(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def describe(self):
        access = "".join(open(self.dir + "/access.log", encoding="utf-8", errors="replace")
                         .readlines()[-30:]) if os.path.exists(self.dir + "/access.log") else ""
        return f"# {self.file}\n{open(self.file, encoding='utf-8').read()}\n" \
               f"# stderr\n{self.log[-6000:]}\n# access log\n{access}"

    # -- what it says -----------------------------------------------------------------------

    @property
    def log(self):
        return "\n".join(self.lines)

    def wait_log(self, pattern, since=0, timeout=None):
        """The first line of stderr that matches, once it is there."""
        def found():
            return next((ln for ln in self.lines[since:] if re.search(pattern, ln)), None)
        try:
            return until(found, f"a log line like {pattern!r}", timeout)
        except AssertionError as missing:
            raise AssertionError(f"{missing}; the log:\n{self.log[-3000:]}") from None

    def access(self, n=1):
        """The first n lines of the JSON access log, parsed, once they are there."""
        def lines():
            try:
                with open(self.dir + "/access.log", encoding="utf-8") as file:
                    whole = [line for line in file if line.endswith("\n")]
            except FileNotFoundError:
                return None
            return whole if len(whole) >= n else None
        return [json.loads(line) for line in until(lines, f"{n} lines of access log")]

    # -- control ----------------------------------------------------------------------------

    def command(self, *args):
        return run_adit(*args, "--control", self.control, env=self.env)

    def reload(self, config=None, *, proxy=None, cert=None, **top):
        """Writes a new configuration and waits until `adit reload` says it is in force."""
        if config is not None or proxy is not None or cert is not None or top:
            self.write(config, proxy=proxy, cert=cert, **top)
        done = self.command("reload")
        assert done.returncode == 0, f"reload: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def status(self):
        done = self.command("status", "--json")
        assert done.returncode == 0, f"status: {done.returncode}\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    @property
    def worker_pid(self):
        return self.status()["worker"]["pid"]

    def processes(self):
        """The supervisor and everything it started."""
        return [self.process.pid] + proc.descendants(self.process.pid)

    # -- clients ----------------------------------------------------------------------------

    @property
    def at(self):
        return self.addresses[0]

    @property
    def port(self):
        return self.at[1]

    def client(self, at=None, **options):
        return Client(at or self.at, **options)

    @property
    def tls_at(self):
        """The first address that speaks TLS."""
        return self.addresses[self.schemes.index("https")]

    @property
    def tls_port(self):
        return self.tls_at[1]

    def tls_client(self, context, name="example.com", **options):
        """A client that has shaken hands, with Python's ssl and this context."""
        return TlsClient(self.tls_at, context, name, **options)

    def h2_client(self, context=None, name="example.com", **options):
        """An HTTP/2 client: over TLS with a context, with prior knowledge without."""
        return H2Client(self.tls_at if context else self.at, context, name, **options)

    def exchange(self, method, target="/", fields=(), body=None, **options):
        """One exchange on a connection of its own."""
        with self.client() as client:
            return client.exchange(method, target, fields, body, **options)

    def get(self, target="/", fields=(), **options):
        return self.exchange("GET", target, fields, **options)

    def wait_connect(self):
        """Waits until the address accepts connections."""
        def attempt():
            try:
                socket.create_connection(self.at, 1).close()
                return True
            except OSError:
                return False
        until(attempt, "a connection to the edge")
