# SPDX-License-Identifier: Apache-2.0
"""The systems under test: how each is configured, started, accounted for and stopped.

Every system is a reverse proxy with one thread of traffic in front of the same origin. The peers'
configurations are what a careful operator would write for this case: keep-alive to the origin,
no access log, no disk, buffers large enough. A change here that makes a peer faster is welcome.

A system is started in one of six modes: "clear" and "tls" say how clients reach it, with an
HTTP/1.1 origin behind it; "grpc" is TLS in front and an HTTP/2 origin in clear (h2c) behind; "tcp" is
bare TCP, in front of an origin that echoes or sends without end. In "tunnel" and "tunnel-tls" it is two
programs, one where clients come and one beside the origin, which has called the other and is reached
over an encrypted connection; the first is what clients in clear meet, the second what those with TLS do. With
TLS, all use one ECDSA P-256 certificate and offer HTTP/2 beside HTTP/1.1 by ALPN.
"""

import ctypes
import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
DESCRIPTORS = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

# Connections to the origin that a pool keeps: more than any scenario has requests at once.
IDLE_KEPT = 600

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
    bodies_only = False  # measured with bodies worth streaming only
    own_rows = False  # measured in scenarios that name it only
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

    def version(self):
        """One line that says which program this is."""
        return ""

    @property
    def origin_port(self):
        """Port of the origin that this mode has."""
        if self.mode == "tcp":
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
        self.directory = os.path.join(self.bench.directory, f"{self.name}-{self.mode}-{self.port}")
        os.mkdir(self.directory)
        os.chmod(self.directory, 0o755)
        path = os.path.join(self.directory, "config")
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.config())
        with open(os.path.join(self.directory, "log"), "wb") as log:
            self.process = spawn(self.command(path), self.bench.cpu_proxy, log, self.bench.nice)
        self.bench.started.append(self)
        deadline = time.monotonic() + 10
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Invalid(f"{self.name} ({self.mode}) did not start: {self.log_tail()}")
            time.sleep(0.02)

    def ready(self):
        """Whether it serves."""
        if self.mode == "grpc":  # its origin speaks no HTTP/1.1 to ask for; a handshake will do
            return shakes_hands(self.port)
        if self.mode == "tcp":
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


class Floor(System):
    """The bare relay: it only moves bytes, between TLS and clear where there is TLS."""

    name = "floor"
    modes = ("clear", "tls", "tcp")
    release = False  # give OpenSSL's buffers back when idle

    def find(self):
        return self.bench.tool("bench-relay")

    def version(self):
        return "bench/relay.c, one origin connection per client connection"

    def command(self, path):
        tls = ["--tls", self.bench.certificate, self.bench.key] if self.tls else []
        return [self.find(), *(["--release"] if self.release else []), *tls,
                f"127.0.0.1:{self.port}", f"127.0.0.1:{self.origin_port}"]


class FloorIdle(Floor):
    """The relay that keeps no buffers while idle: how OpenSSL's share of memory is measured."""

    release = True


class Adit(System):
    """This project."""

    name = "adit"
    workers_restart = True
    modes = ("clear", "tls", "grpc", "tcp", "tunnel-tls")
    hosts = ("127.0.0.1",)  # of the origin

    def find(self):
        return self.bench.adit

    def version(self):
        return first_line([self.find(), "--version"])

    def config(self):
        if self.mode == "tcp":
            return f"""\
workers: 1
control: off
access_log: off
streams:
  - {{listen: "127.0.0.1:{self.port}", proxy: ["127.0.0.1:{self.origin_port}"]}}
"""
        listen, site = f'"127.0.0.1:{self.port}"', "proxy: origin"
        if self.tls:
            listen = f"[{{at: {listen}, tls: on}}]"
            site += f", tls: {{cert: {self.bench.certificate}, key: {self.bench.key}}}"
        scheme = "h2c://" if self.mode == "grpc" else ""
        servers = ", ".join(f'"{scheme}{host}:{self.origin_port}"' for host in self.hosts)
        return f"""\
listen: {listen}
workers: 1
control: off
access_log: off
timeouts: {{idle: 600s, upstream_idle: 600s}}
upstreams:
  origin:
    servers: [{servers}]
    balance: two-choices
    idle_connections: {IDLE_KEPT}
sites:
  default: {{{site}}}
"""

    def command(self, path):
        state = ["--state", os.path.join(self.directory, "state")] if self.tls else []
        return [self.find(), "serve", "-c", path, *state]


class AditFour(Adit):
    """adit in front of four servers, the same origin on four addresses: what choosing costs."""

    name = "adit-four"
    own_rows = True
    modes = ("clear",)
    hosts = tuple(f"127.0.0.{n}" for n in (1, 2, 3, 4))


class AditTunnel(System):
    """An edge and an agent beside the origin: one connection over TLS 1.3 when idle, more when busy."""

    name = "adit-tunnel"
    modes = ("tunnel", "tunnel-tls")
    own_rows = True

    def find(self):
        return self.bench.adit

    def version(self):
        return "an edge with one worker and one agent"

    def config(self):
        self.edge_port = self.port if self.tls else free_port()
        clear = "" if self.tls else f'"127.0.0.1:{self.port}", '
        return f"""\
listen: [{clear}{{at: "127.0.0.1:{self.edge_port}", tls: on}}]
workers: 1
control: {self.directory}/control
access_log: off
timeouts: {{idle: 600s}}
tls: {{redirect: off}}
sites:
  "*.test":
    tls: {{cert: {self.bench.certificate}, key: {self.bench.key}}}
    tunnels: {{at: 127.0.0.1, per_address: 20000, per_owner: 20000}}
"""

    def command(self, path):
        return [self.find(), "serve", "-c", path, "--state", os.path.join(self.directory, "state")]

    def admin(self, *words):
        """The running edge is told or asked something."""
        return subprocess.run([self.find(), *words, "--control",
                               os.path.join(self.directory, "control")],
                              capture_output=True, text=True, timeout=20, check=False)

    def ready(self):
        if not self.others:
            token = self.admin("token", "create", "--owner", "bench")
            if token.returncode != 0:
                return False
            with open(os.path.join(self.directory, "agent.log"), "wb") as log:
                self.others.append(spawn(
                    [self.find(), "http", f"127.0.0.1:{self.origin_port}", "as", "bench", "--quiet",
                     "--no-qr", "--ca", self.bench.certificate, "--server",
                     f"https://127.0.0.1:{self.edge_port}", "--token", token.stdout.split()[0]],
                    self.bench.cpu_proxy, log, self.bench.nice))
        return answers(self.port, tls=self.tls)


class AditEdge(AditTunnel):
    """The edge alone: its agents are played by one program (bench/agents.c), which is not part of it."""

    name = "adit-edge"
    agents_tls = True

    def version(self):
        return "an edge with one worker; its agents are played by bench/agents.c"

    def ready(self):
        token = self.admin("token", "create", "--owner", "bench")
        if token.returncode == 0:
            self.token = token.stdout.split()[0]
        return token.returncode == 0

    def open_agents(self, agents, count):
        """As many agents as that, over TLS 1.3 or in clear."""
        port = self.edge_port if self.agents_tls else self.port
        return agents.command(f"open {port} {count} {int(self.agents_tls)} {self.token}", 320)


class AditEdgeClear(AditEdge):
    """The same with agents in clear, as from the edge's own machine they may come."""

    agents_tls = False


class SshReverse(System):
    """OpenSSH's remote forwarding, as people use it for the same purpose."""

    name = "ssh-r"
    program = "sshd"
    modes = ("tunnel",)
    own_rows = True

    def version(self):
        return first_line(["ssh", "-V"])

    def config(self):
        self.ssh_port = free_port()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                            os.path.join(self.directory, name)], check=True)
        shutil.copy(os.path.join(self.directory, "user.pub"),
                    os.path.join(self.directory, "authorized"))
        os.makedirs("/run/sshd", exist_ok=True)
        return f"""\
Port {self.ssh_port}
ListenAddress 127.0.0.1
HostKey {self.directory}/host
AuthorizedKeysFile {self.directory}/authorized
StrictModes no
PermitRootLogin yes
UsePAM no
AllowTcpForwarding yes
MaxSessions 1000
"""

    def command(self, path):
        return [self.find(), "-D", "-e", "-f", path]

    def ready(self):
        if not self.others:
            if not listens(self.ssh_port):
                return False
            with open(os.path.join(self.directory, "client.log"), "wb") as log:
                self.others.append(spawn(
                    ["ssh", "-N", "-i", os.path.join(self.directory, "user"), "-p",
                     str(self.ssh_port), "-o", "StrictHostKeyChecking=no", "-o",
                     "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes", "-c",
                     "aes128-gcm@openssh.com", "-R",
                     f"127.0.0.1:{self.port}:127.0.0.1:{self.origin_port}", "127.0.0.1"],
                    self.bench.cpu_proxy, log, self.bench.nice))
        return answers(self.port)


class Nginx(System):
    """nginx with one worker and a large pool to the origin, buffering as it does by default.

    16 buffers of 16 KiB were the cheapest of those tried that hold 256 KiB, as much as adit may.
    """

    name = "nginx"
    program = "nginx"
    workers_restart = True
    modes = ("clear", "tls", "grpc", "tcp")
    stream_module = "/usr/lib/nginx/modules/ngx_stream_module.so"
    buffering = "proxy_buffer_size 16k; proxy_buffers 16 16k; proxy_busy_buffers_size 128k;"

    def version(self):
        return first_line([self.find(), "-v"]).replace("nginx version: ", "")

    def stream_config(self):
        """As a proxy of bare TCP. 64 KiB of buffer were the cheapest for the one stream."""
        return f"""\
load_module {self.stream_module};
worker_processes 1;
worker_rlimit_nofile {DESCRIPTORS};
daemon off;
pid {self.directory}/pid;
error_log {self.directory}/error.log;
events {{ worker_connections {min(30000, DESCRIPTORS - 500)}; use epoll; multi_accept on; }}
stream {{
  access_log off;
  tcp_nodelay on;
  upstream origin {{ server 127.0.0.1:{self.origin_port}; }}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    proxy_pass origin;
    proxy_timeout 600s;
    proxy_buffer_size 64k;
  }}
}}
"""

    def config(self):
        if self.mode == "tcp":
            return self.stream_config()
        tls = (f"""ssl http2;
    ssl_certificate {self.bench.certificate};
    ssl_certificate_key {self.bench.key};
    ssl_protocols TLSv1.2 TLSv1.3""" if self.tls else "")
        forward = """grpc_pass grpc://origin""" if self.mode == "grpc" else f"""\
proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_max_temp_file_size 0;
      {self.buffering.rstrip(";")}"""
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
    server 127.0.0.1:{self.origin_port};
    keepalive {IDLE_KEPT};
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096 {tls};
    location / {{
      {forward};
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
    modes = ("clear", "tls")
    buffering = "proxy_buffering off; proxy_buffer_size 32k; proxy_buffers 8 32k;"


class Haproxy(System):
    """HAProxy with one thread, connections to the origin always reused, splicing on."""

    name = "haproxy"
    program = "haproxy"
    modes = ("clear", "tls", "grpc", "tcp")

    def version(self):
        return first_line([self.find(), "-v"]).partition(" - ")[0]

    def config(self):
        tls = (f"ssl crt {self.bench.pair} alpn h2,http/1.1 ssl-min-ver TLSv1.2"
               if self.tls else "")
        h2 = self.mode == "grpc"
        if self.mode == "tcp":
            return f"""\
global
    nbthread 1
    maxconn 12000
    no strict-limits
    tune.pipesize 262144
defaults
    mode tcp
    option splice-auto
    timeout connect 5s
    timeout client 600s
    timeout server 600s
listen edge
    bind 127.0.0.1:{self.port} backlog 4096
    server one 127.0.0.1:{self.origin_port}
"""
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
    option http-ignore-probes
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
frontend edge
    bind 127.0.0.1:{self.port} backlog 4096 {tls}
    default_backend origin
backend origin
    server one 127.0.0.1:{self.origin_port} pool-purge-delay 600s {"proto h2" if h2 else ""}
"""

    def command(self, path):
        return [self.find(), "-q", "-db", "-f", path]


class H2o(System):
    """h2o with one thread and its pool of origin connections kept."""

    name = "h2o"
    program = "h2o"
    modes = ("clear", "tls")

    def version(self):
        return first_line([self.find(), "-v"])

    def config(self):
        tls = (f", ssl: {{certificate-file: {self.bench.certificate}, "
               f"key-file: {self.bench.key}, minimum-version: TLSv1.2}}" if self.tls else "")
        return f"""\
num-threads: 1
max-connections: 30000
http1-request-timeout: 600
user: {"root" if os.geteuid() == 0 else "''"}
http2-idle-timeout: 600
listen: {{host: 127.0.0.1, port: {self.port}{tls}}}
hosts:
  default:
    paths:
      "/":
        proxy.reverse.url: "http://127.0.0.1:{self.origin_port}/"
        proxy.preserve-host: ON
        proxy.timeout.keepalive: 600000
"""

    def command(self, path):
        return [self.find(), "-m", "worker", "-c", path]


class Nghttpx(System):
    """nghttpx with one worker in one process, connections to the origin kept."""

    name = "nghttpx"
    program = "nghttpx"

    def version(self):
        return first_line([self.find(), "--version"])

    def config(self):
        files = (f"private-key-file={self.bench.key}\ncertificate-file={self.bench.certificate}\n"
                 if self.tls else "")
        return f"""\
frontend=127.0.0.1,{self.port}{"" if self.tls else ";no-tls"}
backend=127.0.0.1,{self.origin_port};;proto={"h2" if self.mode == "grpc" else "http/1.1"}
workers=1
single-process=yes
no-ocsp=yes
backlog=4096
errorlog-file={self.directory}/error.log
frontend-http2-read-timeout=600s
frontend-read-timeout=600s
frontend-keep-alive-timeout=600s
backend-keep-alive-timeout=600s
{files}"""

    def command(self, path):
        return [self.find(), f"--conf={path}"]


SYSTEMS = {system.name: system
           for system in (Floor, Adit, AditFour, AditTunnel, AditEdge, SshReverse, Nginx, NginxStream,
                          Haproxy, H2o, Nghttpx)}
