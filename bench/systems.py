# SPDX-License-Identifier: Apache-2.0
"""The systems under test: how each is configured, started, accounted for and stopped.

Every system is a reverse proxy with one thread of traffic in front of the same origin. The peers'
configurations are what a careful operator would write for this case: keep-alive to the origin,
no access log, no disk, buffers large enough. A change here that makes a peer faster is welcome.
"""

import ctypes
import os
import resource
import shutil
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

# Directories of system programs that a user's PATH may lack.
SEARCH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


class Invalid(Exception):
    """The run cannot be trusted: a wrong answer, an error, or a system that is not there."""


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
    bodies_only = False  # measured under full load only

    def __init__(self, bench):
        self.bench = bench  # what the run knows: directory, CPUs, programs, origin's port
        self.process = None
        self.port = 0
        self.directory = ""

    def find(self):
        """Path of the program, or None when it is not installed."""
        return shutil.which(self.program, path=SEARCH)

    def version(self):
        """One line that says which program this is."""
        return ""

    def config(self):
        """Text of the configuration file, if it takes one."""
        return ""

    def command(self, path):
        """The command line; `path` names the configuration file."""
        raise NotImplementedError

    def start(self):
        """Starts the system and waits until it answers."""
        self.port = free_port()
        self.directory = os.path.join(self.bench.directory, f"{self.name}-{self.port}")
        os.mkdir(self.directory)
        os.chmod(self.directory, 0o755)
        path = os.path.join(self.directory, "config")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.config())
        with open(os.path.join(self.directory, "log"), "wb") as log:
            self.process = spawn(self.command(path), self.bench.cpu_proxy, log, self.bench.nice)
        self.bench.started.append(self)
        deadline = time.monotonic() + 10
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Invalid(f"{self.name} did not start: {self.log_tail()}")
            time.sleep(0.02)

    def log_tail(self):
        """The last lines the system wrote."""
        with open(os.path.join(self.directory, "log"), encoding="utf-8", errors="replace") as file:
            return " / ".join(file.read().strip().splitlines()[-4:])

    def pids(self):
        """All processes of the system."""
        return process_tree(self.process.pid)

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
        stop_group(self.process, signal.SIGTERM)
        for pid in tree:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process = None
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


def answers(port, timeout=5.0):
    """Whether one small request gets its whole, right answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as sock:
            sock.settimeout(timeout)
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


def first_line(argv):
    """The first line a program prints."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=10, check=False)
    lines = done.stdout.strip().splitlines()
    return lines[0] if lines else ""


class Floor(System):
    """The bare relay: it only moves bytes."""

    name = "floor"

    def find(self):
        return self.bench.tool("bench-relay")

    def version(self):
        return "bench/relay.c, one origin connection per client connection"

    def command(self, path):
        return [self.find(), f"127.0.0.1:{self.port}", f"127.0.0.1:{self.bench.ends.port}"]


class Adit(System):
    """This project."""

    name = "adit"
    workers_restart = True

    def find(self):
        return self.bench.adit

    def version(self):
        return first_line([self.find(), "--version"])

    def config(self):
        return f"""\
listen: "127.0.0.1:{self.port}"
workers: 1
control: off
access_log: off
timeouts: {{idle: 600s, upstream_idle: 600s}}
upstreams:
  origin:
    servers: ["127.0.0.1:{self.bench.ends.port}"]
    idle_connections: 256
sites:
  default:
    proxy: origin
"""

    def command(self, path):
        return [self.find(), "serve", "-c", path]


class Nginx(System):
    """nginx with one worker and a large pool to the origin, buffering as it does by default.

    16 buffers of 16 KiB were the cheapest of those tried that hold 256 KiB, as much as adit may.
    """

    name = "nginx"
    program = "nginx"
    workers_restart = True
    buffering = "proxy_buffer_size 16k; proxy_buffers 16 16k; proxy_busy_buffers_size 128k;"

    def version(self):
        return first_line([self.find(), "-v"]).replace("nginx version: ", "")

    def config(self):
        paths = "\n".join(f"  {kind}_temp_path {self.directory}/{kind};"
                          for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""\
worker_processes 1;
worker_rlimit_nofile {DESCRIPTORS};
daemon off;
pid {self.directory}/pid;
error_log {self.directory}/error.log;
events {{ worker_connections {min(30000, DESCRIPTORS - 500)}; use epoll; multi_accept on; }}
http {{
{paths}
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  upstream origin {{
    server 127.0.0.1:{self.bench.ends.port};
    keepalive 256;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_max_temp_file_size 0;
      {self.buffering}
    }}
  }}
}}
"""

    def command(self, path):
        return [self.find(), "-p", self.directory, "-e", f"{self.directory}/error.log", "-c", path]


class NginxStream(Nginx):
    """nginx with buffering switched off: far cheaper for large bodies, and not the default.

    Then nothing is read ahead of the client, so a slow one holds its origin connection longer.
    """

    name = "nginx-stream"
    workers_restart = False
    bodies_only = True
    buffering = "proxy_buffering off; proxy_buffer_size 32k; proxy_buffers 8 32k;"


class Haproxy(System):
    """HAProxy with one thread, connections to the origin always reused, splicing on."""

    name = "haproxy"
    program = "haproxy"

    def version(self):
        return first_line([self.find(), "-v"]).partition(" - ")[0]

    def config(self):
        return f"""\
global
    nbthread 1
    maxconn 12000
    no strict-limits
    tune.pipesize 262144
defaults
    mode http
    http-reuse always
    option splice-response
    option http-keep-alive
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
frontend edge
    bind 127.0.0.1:{self.port} backlog 4096
    default_backend origin
backend origin
    server one 127.0.0.1:{self.bench.ends.port} pool-purge-delay 600s
"""

    def command(self, path):
        return [self.find(), "-q", "-db", "-f", path]


class H2o(System):
    """h2o with one thread and its pool of origin connections kept."""

    name = "h2o"
    program = "h2o"

    def version(self):
        return first_line([self.find(), "-v"])

    def config(self):
        return f"""\
num-threads: 1
max-connections: 30000
http1-request-timeout: 600
user: {"root" if os.geteuid() == 0 else "''"}
listen: {{host: 127.0.0.1, port: {self.port}}}
hosts:
  default:
    paths:
      "/":
        proxy.reverse.url: "http://127.0.0.1:{self.bench.ends.port}/"
        proxy.preserve-host: ON
        proxy.timeout.keepalive: 600000
"""

    def command(self, path):
        return [self.find(), "-m", "worker", "-c", path]


SYSTEMS = {system.name: system for system in (Floor, Adit, Nginx, NginxStream, Haproxy, H2o)}
