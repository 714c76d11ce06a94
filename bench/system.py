# SPDX-License-Identifier: Apache-2.0
"""What all systems under test have in common: a program is pinned to a CPU, waited for until it serves,
accounted for with all its processes, and ended with all of them.
"""

import ctypes
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

# Directories of system programs that a user's PATH may lack.
SEARCH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


class Invalid(Exception):
    """The run cannot be trusted: a wrong answer, an error, or a system that is not there. `why` is what
    a client saw of it, where one did."""

    def __init__(self, text, why=""):
        super().__init__(text)
        self.why = why


def free_port():
    """A TCP port nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def spawn(argv, cpu, log, nice=0, **kwargs):
    """Starts a program pinned to one CPU, in a group of its own, that ends when this one does."""

    def prepare():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        os.sched_setaffinity(0, {cpu})
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        if nice:
            os.nice(nice)
            # Where sessions are scheduled as groups, it is the group's niceness that counts.
            try:
                with open("/proc/self/autogroup", "w", encoding="ascii") as file:
                    file.write(str(nice))
            except OSError:
                pass

    kwargs.setdefault("stdout", log)
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(argv, stderr=log, start_new_session=True, preexec_fn=prepare, **kwargs)


def process_tree(root):
    """The process and all that descend from it."""
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="ascii", errors="replace") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue  # it has ended meanwhile
        children.setdefault(parent, []).append(int(entry))
    tree = [root]
    for pid in tree:
        tree.extend(children.get(pid, []))
    return tree


def cpu_ns(pid):
    """CPU time of all threads of a process in nanoseconds, by the scheduler's own account."""
    total = 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    except OSError:
        pass  # it has ended meanwhile
    return total


def memory_bytes(pid):
    """Private and resident bytes of a process."""
    private = rss = 0
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                if line.startswith("Private_"):
                    private += int(line.split()[1]) * 1024
                elif line.startswith("Rss:"):
                    rss = int(line.split()[1]) * 1024
    except OSError:
        pass
    return private, rss


class System:
    """A proxy under test. Subclasses say how it is called and configured."""

    name = "?"
    program = "?"
    workers_restart = False  # a killed worker comes back by itself
    bodies_only = False  # measured with bodies worth streaming only
    own_rows = False  # measured in scenarios that name it only
    start_seconds = 10  # until it must serve
    may_fail = False  # a wrong answer of it is a result, not the end of the run
    modes = ("clear", "tls", "grpc")  # it can be started in

    def __init__(self, bench, mode="clear"):
        self.bench = bench  # what the run knows: directory, CPUs, programs, origin's port
        self.mode = mode
        self.tls = mode in ("tls", "grpc", "tunnel-tls")
        self.process = None
        self.others = []  # further programs that are part of it
        self.port = 0
        self.directory = ""

    def find(self):
        """Path of the program, or None when it is not installed."""
        return shutil.which(self.program, path=SEARCH)

    def install(self):
        """Gets what it needs and no package of the system has; what went wrong, or None."""
        return None

    def version(self):
        """One line that says which program this is."""
        return ""

    @property
    def origin_port(self):
        """Port of the origin that this mode has."""
        if self.mode in ("tcp", "tunnel-tcp"):
            return self.bench.ends.tcp_port
        return self.bench.h2_origin.port if self.mode == "grpc" else self.bench.ends.port

    def config(self):
        """Text of the configuration file, if it takes one."""
        return ""

    def command(self, path):
        """The command line; `path` names the configuration file."""
        raise NotImplementedError

    def start(self):
        """Starts the system and waits until it answers."""
        self.port = free_port()
        # Its port may have been another start's before.
        self.directory = tempfile.mkdtemp(prefix=f"{self.name}-{self.mode}-", dir=self.bench.directory)
        os.chmod(self.directory, 0o755)
        path = os.path.join(self.directory, "config")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.config())
        with open(os.path.join(self.directory, "log"), "wb") as log:
            self.process = spawn(self.command(path), self.bench.cpu_proxy, log, self.bench.nice)
        self.bench.started.append(self)
        deadline = time.monotonic() + self.start_seconds
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Invalid(f"{self.name} ({self.mode}) did not start: {self.log_tail()}")
            time.sleep(0.02)

    def ready(self):
        """Whether it serves."""
        if self.mode == "grpc":  # its origin speaks no HTTP/1.1 to ask for; a handshake will do
            return shakes_hands(self.port)
        if self.mode in ("tcp", "tunnel-tcp"):
            return echoes(self.port)
        return answers(self.port, tls=self.tls)

    def log_tail(self):
        """The last lines the system wrote."""
        with open(os.path.join(self.directory, "log"), encoding="utf-8", errors="replace") as file:
            return " / ".join(file.read().strip().splitlines()[-4:])

    def pids(self):
        """All processes of the system."""
        roots = [self.process, *self.others]
        return [pid for root in roots for pid in process_tree(root.pid)]

    def cpu_ns(self):
        """CPU time of all threads of all processes of the system, in nanoseconds."""
        return sum(cpu_ns(pid) for pid in self.pids())

    def memory(self):
        """Private and resident bytes of all processes of the system."""
        each = [memory_bytes(pid) for pid in self.pids()]
        return sum(private for private, _ in each), sum(rss for _, rss in each)

    def worker(self):
        """The process that carries the traffic: of the children the one that worked most."""
        return max(self.pids()[1:], key=cpu_ns, default=self.process.pid)

    def stop(self):
        """Ends the system and everything it started."""
        if self.process is None:
            return
        tree = self.pids()
        for process in [*self.others, self.process]:
            stop_group(process, signal.SIGTERM)
        for pid in tree:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process = None
        self.others = []
        if self in self.bench.started:
            self.bench.started.remove(self)


def stop_group(process, first):
    """Sends the signal to a process's group, and SIGKILL when that does not end it soon."""
    for number in (first, signal.SIGKILL):
        if process.poll() is not None:
            return
        try:
            os.killpg(process.pid, number)
            process.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            pass


def make_certificate(certificate, key):
    """One that signs itself, with its key: for bench.test, every *.test and this machine."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=bench.test",
                    "-addext", "subjectAltName=DNS:bench.test,DNS:*.test,IP:127.0.0.1",
                    "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)


def client_tls():
    """What a client needs that trusts anyone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def shakes_hands(port):
    """Whether a TLS handshake is answered."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            with client_tls().wrap_socket(sock, server_hostname="bench.test"):
                return True
    except OSError:
        return False


def answers(port, timeout=5.0, tls=False):
    """Whether one small request gets its whole, right answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as plain:
            plain.settimeout(timeout)
            sock = client_tls().wrap_socket(plain, server_hostname="bench.test") if tls else plain
            sock.sendall(b"GET /128 HTTP/1.1\r\nHost: bench.test\r\nConnection: close\r\n\r\n")
            data = b""
            while True:
                head, separator, body = data.partition(b"\r\n\r\n")
                if separator and len(body) >= 128:
                    return head.startswith(b"HTTP/1.1 200")
                piece = sock.recv(65536)
                if not piece:
                    return False
                data += piece
    except OSError:
        return False


def echoes(port):
    """Whether bare TCP comes back from the origin."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.settimeout(5)
            sock.sendall(b"e!")
            return sock.recv(1) == b"!"
    except OSError:
        return False


def listens(port):
    """Whether somebody takes connections."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def first_line(argv):
    """The first line a program prints."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=10, check=False)
    lines = done.stdout.strip().splitlines()
    return lines[0] if lines else ""
