# SPDX-License-Identifier: Apache-2.0
"""The tunnels under test: each is two programs on one CPU, accounted for together. systems.py says in
which modes they are started.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess

from system import SEARCH, System, first_line, free_port, listens, spawn


class AditTunnel(System):
    """An edge and an agent beside the origin: one connection over TLS 1.3 when idle, more when busy."""

    name = "adit-tunnel"
    modes = ("tunnel", "tunnel-tls", "tunnel-tcp")
    own_rows = True
    workers = 1

    def find(self):
        return self.bench.adit

    def version(self):
        return "an edge with one worker and one agent"

    def config(self):
        self.edge_port = self.port if self.tls else free_port()
        clear = f'"127.0.0.1:{self.port}", ' if self.mode == "tunnel" else ""
        ports = f", ports: {self.port}-{self.port}" if self.mode == "tunnel-tcp" else ""
        return f"""\
listen: [{clear}{{at: "127.0.0.1:{self.edge_port}", tls: on}}]
workers: {self.workers}
control: {self.directory}/control
access_log: off
timeouts: {{idle: 600s}}
tls: {{redirect: off}}
sites:
  "*.test":
    tls: {{cert: {self.bench.certificate}, key: {self.bench.key}}}
    tunnels: {{at: 127.0.0.1, per_address: 20000, per_owner: 20000{ports}}}
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
            tcp = self.mode == "tunnel-tcp"
            ports = ["--ports", f"{self.port}-{self.port}"] if tcp else []
            token = self.admin("token", "create", "--owner", "bench", *ports)
            if token.returncode != 0:
                return False
            what, name = ("tcp", str(self.port)) if tcp else ("http", "bench")
            with open(os.path.join(self.directory, "agent.log"), "wb") as log:
                self.others.append(spawn(
                    [self.find(), what, f"127.0.0.1:{self.origin_port}", "as", name,
                     "--quiet", "--ca", self.bench.certificate, "--server",
                     f"https://127.0.0.1:{self.edge_port}", "--token", token.stdout.split()[0]],
                    self.bench.cpu_proxy, log, self.bench.nice))
        return super().ready()


class AditEdge(AditTunnel):
    """The edge alone: its agents are played by one program (bench/agents.c), which is not part of it."""

    name = "adit-edge"
    modes = ("tunnel",)
    agents_tls = True
    connections = 1  # of an agent
    agents = None  # the program that plays them, where it lives as long as the edge

    def version(self):
        return (f"an edge with workers: {self.workers}, and agents that bench/agents.c plays, "
                f"with connections: {self.connections}")

    def ready(self):
        token = self.admin("token", "create", "--owner", "bench")
        if token.returncode == 0:
            self.token = token.stdout.split()[0]
        return token.returncode == 0

    def open_agents(self, agents, count):
        """As many agents as that, over TLS 1.3 or in clear."""
        port = self.edge_port if self.agents_tls else self.port
        return agents.command(f"open {port} {count} {int(self.agents_tls)} {self.token}", 320)


    def stop(self):
        if self.agents:
            self.agents.stop()
            self.agents = None
        super().stop()


class AditTwo(AditEdge):
    """The edge with two workers on one CPU, and a connection of the agent at each: every visitor's
    requests stay where he came in."""

    name = "adit-two"
    workers = 2
    connections = 2


class AditBridge(AditTwo):
    """The same with one connection: it is at one worker, and the visitors who came in at the other,
    half of them, have their requests carried over a bridge."""

    name = "adit-bridge"
    connections = 1


class AditEdgeClear(AditEdge):
    """The same with agents in clear, as from the edge's own machine they may come."""

    agents_tls = False


class SshReverse(System):
    """OpenSSH's remote forwarding, as people use it for the same purpose: with its own defaults."""

    name = "ssh-r"
    program = "sshd"
    modes = ("tunnel", "tunnel-tcp")
    own_rows = True
    options = ()

    def version(self):
        ciphers = subprocess.run(["ssh", "-F", "none", *self.options, "-G", "127.0.0.1"], text=True,
                                 stdout=subprocess.PIPE, check=False, timeout=10).stdout
        cipher = next((line.split()[1].split(",")[0] for line in ciphers.splitlines()
                       if line.startswith("ciphers ")), "?")
        return f"{first_line(['ssh', '-V'])}, {cipher}"

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
                    ["ssh", "-F", "none", "-N", "-i", os.path.join(self.directory, "user"), "-p",
                     str(self.ssh_port), "-o", "StrictHostKeyChecking=no", "-o",
                     "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes",
                     *self.options, "-R",
                     f"127.0.0.1:{self.port}:127.0.0.1:{self.origin_port}", "127.0.0.1"],
                    self.bench.cpu_proxy, log, self.bench.nice))
        return super().ready()


class SshReverseGcm(SshReverse):
    """The same with the cipher that is fastest where the processor helps with AES."""

    name = "ssh-r-gcm"
    options = ("-c", "aes128-gcm@openssh.com")


class Tunnelmole(System):
    """The client of Tunnelmole from npm, and a stand-in for its service that speaks its protocol.

    Only one file of the client is ours, the one that its source has for this purpose: which service it
    calls is compiled in. It is called over TLS, as the public service is.
    """

    name = "tunnelmole"
    program = "node"
    modes = ("tunnel",)
    own_rows = True
    may_fail = True
    start_seconds = 30  # two programs on Node, one after the other
    peers = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
    endpoint = """\
// Written by adit's benchmark.
export default {hostip: {endpoint: process.env.ADIT_BENCH_SERVICE}, runtime: {enableLogging: true}};
"""

    def package(self):
        """The text of package.json: the versions that are measured."""
        with open(os.path.join(self.peers, "package.json"), encoding="utf-8") as file:
            return file.read()

    def folder(self):
        """Where the packages are kept, for all runs of this user that want these versions."""
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        digest = hashlib.sha256((self.package() + self.endpoint).encode()).hexdigest()
        return os.path.join(cache, "adit-bench", f"tunnelmole-{digest[:12]}")

    def install(self):
        npm, folder = shutil.which("npm", path=SEARCH), self.folder()
        if not npm:
            return "there is no npm"
        os.makedirs(folder, exist_ok=True)
        complete = os.path.join(folder, "complete")
        with open(os.path.join(folder, "lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.exists(complete):
                return None
            shutil.copy(os.path.join(self.peers, "package.json"), folder)
            # Its own script after an install tells its makers about it; nothing of it is needed.
            done = subprocess.run([npm, "install", "--ignore-scripts", "--no-package-lock",
                                   "--no-audit", "--no-fund", "--prefix", folder], text=True,
                                  cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=300, check=False)
            if done.returncode != 0:
                return f"npm: {' / '.join(done.stderr.strip().splitlines()[-2:])}"
            with open(self.client("config-instance.js"), "w", encoding="ascii") as file:
                file.write(self.endpoint)
            with open(complete, "w", encoding="ascii"):
                return None

    def client(self, path):
        """A file of the client."""
        return os.path.join(self.folder(), "node_modules", "tunnelmole", "dist", path)

    def version(self):
        wanted = json.loads(self.package())["dependencies"]
        return (f"tunnelmole {wanted['tunnelmole']} from npm; the service is "
                f"bench/peers/tunnelmole_service.mjs, ws {wanted['ws']}, "
                f"Node {first_line([self.find(), '--version'])}")

    def command(self, path):
        self.service_port = free_port()
        service = shutil.copy(os.path.join(self.peers, "tunnelmole_service.mjs"), self.directory)
        os.symlink(os.path.join(self.folder(), "node_modules"),
                   os.path.join(self.directory, "node_modules"))
        return [self.find(), service, str(self.port), str(self.service_port),
                self.bench.certificate, self.bench.key, "bench.test"]

    def ready(self):
        if not self.others:
            if not listens(self.service_port):
                return False
            # It writes a line for each request and cannot be told not to; nobody keeps them.
            with open(os.path.join(self.directory, "client.log"), "wb") as log:
                self.others.append(spawn(
                    [self.find(), self.client("bin/tunnelmole.js"), str(self.origin_port)],
                    self.bench.cpu_proxy, log, self.bench.nice, stdout=subprocess.DEVNULL, env={
                        **os.environ, "HOME": self.directory, "TUNNELMOLE_TELEMETRY": "0",
                        "TUNNELMOLE_QUIET_MODE": "1", "NODE_EXTRA_CA_CERTS": self.bench.certificate,
                        "ADIT_BENCH_SERVICE": f"wss://127.0.0.1:{self.service_port}"}))
        return super().ready()
