# SPDX-License-Identifier: Apache-2.0
"""The measurements: each function takes one sample of one system and returns it as a dict."""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import time

from system import DESCRIPTORS, SEARCH, Invalid, answers, free_port, spawn, stop_group

# name: (path, bytes, connections)
BODIES = {"128": ("/128", 128, 64), "10k": ("/10k", 10240, 64), "1m": ("/1m", 1024 * 1024, 16)}
IDLE_CONNECTIONS = 10000
IDLE_AGENTS_BEFORE = 100
IDLE_SECONDS = 20
HANDSHAKES_AT_ONCE = 32
H2_CONNECTIONS, H2_STREAMS = 16, 32
RESTART_SECONDS_MAX = 20
MESSAGE_BYTES = 128


class Tool:
    """A program that gets commands by lines and answers each with a line of JSON."""

    def __init__(self, bench, name, *arguments):
        self.log_path = os.path.join(bench.directory, f"{name}.log")
        with open(self.log_path, "wb") as log:
            self.process = spawn([bench.tool(name), *arguments], bench.cpu_load, log, bench.nice,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def log(self):
        """What the program complained of."""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()

    def command(self, line, timeout):
        """Gives a command and returns its result; an error of any kind is Invalid."""
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        answer = self.process.stdout.readline() if ready else b""
        if not answer:
            raise Invalid(f"'{line}' has no result: {self.log()}")
        result = json.loads(answer)
        if result["errors"]:
            raise Invalid(f"'{line}' had {result['errors']} errors: {self.log()}",
                          self.log().rpartition("\n")[2].partition(": ")[2])
        return result

    def stop(self):
        """Ends the program."""
        stop_group(self.process, signal.SIGKILL)


class Ends(Tool):
    """Both ends of every proxy: the origin and the client, one program (bench/ends.c)."""

    def __init__(self, bench):
        self.port = free_port()
        self.tcp_port = free_port()
        super().__init__(bench, "bench-ends", f"127.0.0.1:{self.port}",
                         f"127.0.0.1:{self.tcp_port}")
        deadline = time.monotonic() + 5
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Invalid("the origin did not start: " + self.log())
            time.sleep(0.02)

    def load(self, system, body, seconds, rate=0.0, connections=0):
        """Closed loop, or open loop at a rate, of one of BODIES; on so many connections as is usual
        for it unless said."""
        path, size, usual = BODIES[body]
        connections = connections or usual
        verb = "tls-load" if system.tls else "load"
        return self.command(f"{verb} {system.port} {path} {size} {connections} {seconds} {rate:.1f}",
                            seconds + 30)

    def handshakes(self, system, seconds, version, resume):
        """TLS handshakes, nothing else."""
        return self.command(f"handshakes {system.port} {HANDSHAKES_AT_ONCE} {seconds} {version} "
                            f"{int(resume)}", seconds + 30)

    def tcp(self, system, seconds, connections, message_bytes):
        """Messages there and back, or one stream without end on each connection."""
        return self.command(f"tcp {system.port} {connections} {seconds} {message_bytes}",
                            seconds + 30)

    def hold(self, system, connections):
        """Opens connections that each get one answer, and keeps them."""
        verb = "tls-hold" if system.tls else "hold"
        result = self.command(f"{verb} {system.port} /128 128 {connections}", 120)
        if result["requests"] != connections:
            raise Invalid(f"{system.name}: not all idle connections had their answer")

    def release(self, system, connections):
        """Closes the connections that were kept; all must still have been open."""
        if self.command("release", 60)["open"] != connections:
            raise Invalid(f"{system.name}: idle connections were closed")


class H2Origin:
    """nghttpd: an origin that speaks HTTP/2 in clear and echoes what it is sent, with trailers."""

    def __init__(self, bench):
        self.port = free_port()
        path = shutil.which("nghttpd", path=SEARCH)
        if not path:
            raise Invalid("nghttpd is not installed")
        with open(os.path.join(bench.directory, "nghttpd.log"), "wb") as log:
            self.process = spawn([path, "--no-tls", "--echo-upload", "-m", "1000", "--address",
                                  "127.0.0.1", "--trailer", "grpc-status: 0", str(self.port)],
                                 bench.cpu_load, log, bench.nice)
        time.sleep(0.3)
        if self.process.poll() is not None:
            raise Invalid("nghttpd did not start")

    def stop(self):
        """Ends the program."""
        stop_group(self.process, signal.SIGKILL)


def busy_seconds(cpu):
    """Time one CPU has been busy or stolen since boot."""
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if fields[0] == f"cpu{cpu}":
                user, nice, system, _, _, irq, softirq, steal = (int(x) for x in fields[1:9])
                ticks = user + nice + system + irq + softirq + steal
                return ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def sample(bench, system, warm_up, work):
    """One period of work: CPU per unit, rate and latency, where the client knows it."""
    warm = warm_up()
    busy_before, cpu_before = busy_seconds(bench.cpu_proxy), system.cpu_ns()
    result = work(warm)
    cpu, busy = system.cpu_ns() - cpu_before, busy_seconds(bench.cpu_proxy) - busy_before
    if result["requests"] == 0 or cpu <= 0:
        raise Invalid(f"{system.name}: nothing was measured")
    latencies = ("p50_us", "p99_us", "p999_us", "late_p99_us")
    return {
        "cpu_us": cpu / 1e3 / result["requests"],
        "rate": result["rate"],
        "busy": cpu / 1e9 / result["seconds"],
        # What else ran on the proxy's CPU: above a few percent, the sample is a noisy one.
        "foreign": max(0.0, busy - cpu / 1e9) / result["seconds"],
        "requests": result["requests"],
        **{name: result[name] for name in latencies if name in result},
    }


def sample_load(bench, system, body, rate=0.0, connections=0):
    """One period of requests over HTTP/1.1."""
    return sample(bench, system,
                  lambda: bench.ends.load(system, body, bench.warm_seconds, rate, connections),
                  lambda _: bench.ends.load(system, body, bench.seconds, rate, connections))


def sample_edge(bench, system, body, connections):
    """The same with an edge alone: its one agent is played by a program that is not part of it."""
    if system.agents is None:
        system.agents = Tool(bench, "bench-agents")
        system.open_agents(system.agents, 1)
        for slot in range(1, system.connections):
            system.agents.command(f"also {slot}", 20)
    return sample_load(bench, system, body, connections=connections)


def sample_handshakes(bench, system, version, resume):
    """One period of handshakes, full or resumed."""
    return sample(bench, system,
                  lambda: bench.ends.handshakes(system, bench.warm_seconds, version, resume),
                  lambda _: bench.ends.handshakes(system, bench.seconds, version, resume))


def sample_tcp(bench, system, connections, message_bytes):
    """One period of bare TCP."""
    return sample(bench, system,
                  lambda: bench.ends.tcp(system, bench.warm_seconds, connections, message_bytes),
                  lambda _: bench.ends.tcp(system, bench.seconds, connections, message_bytes))


def run_h2load(bench, system, count, path, options):
    """Runs h2load for so many requests; every one must be answered rightly and in full size."""
    program = shutil.which("h2load", path=SEARCH)
    if not program:
        raise Invalid("h2load is not installed")
    command = [program, "-n", str(count), "-c", str(H2_CONNECTIONS), "-m", str(H2_STREAMS),
               "--tls13-ciphers=TLS_AES_128_GCM_SHA256", *options,
               f"https://127.0.0.1:{system.port}{path}"]
    log_path = os.path.join(bench.directory, "h2load.log")
    with open(log_path, "wb") as log:
        process = spawn(command, bench.cpu_load, log, bench.nice)
        try:
            process.wait(bench.seconds + 60)
        except subprocess.TimeoutExpired:
            pass
        finally:
            stop_group(process, signal.SIGKILL)
    with open(log_path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    took = re.search(r"finished in ([0-9.]+)(us|ms|s), ([0-9.]+) req/s", text)
    good = re.search(r"status codes: (\d+) 2xx", text)
    data = re.search(r"\((\d+)\) data", text)
    protocol = "Application protocol: h2\n" in text
    if (not took or not good or not data or int(good[1]) != count or not protocol
            or int(data[1]) != count * MESSAGE_BYTES):
        raise Invalid(f"{system.name}: h2load had errors: {' / '.join(text.splitlines()[-12:])}")
    seconds = float(took[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1}[took[2]]
    return {"requests": count, "seconds": seconds, "rate": count / seconds}


def sample_h2(bench, system, path, options=()):
    """One period of h2load over TLS, as long as a sample is by the rate of its warm-up."""
    return sample(bench, system, lambda: run_h2load(bench, system, 8192, path, options),
                  lambda warm: run_h2load(bench, system,
                                          max(8192, int(warm["rate"] * bench.seconds)), path, options))


def sample_grpc(bench, system):
    """As sample_h2, with small messages both ways as gRPC sends them; the origin speaks HTTP/2."""
    return sample_h2(bench, system, "/bench.Echo/Unary",
                     ["-d", bench.message, "-H", "content-type: application/grpc",
                      "-H", "te: trailers"])


def idle_count(system):
    """How many idle connections there is room for; the relay needs two descriptors for each."""
    room = (DESCRIPTORS - 100) // (2 if system.name == "floor" else 1)
    return min(IDLE_CONNECTIONS, room)


def sample_idle(bench, system):
    """Memory that idle keep-alive connections cost, each having had one answer."""
    bench.ends.load(system, "128", bench.warm_seconds)
    time.sleep(0.5)
    private_before, rss_before = system.memory()
    count = idle_count(system)
    bench.ends.hold(system, count)
    time.sleep(1.0)
    private, rss = system.memory()
    bench.ends.release(system, count)
    return {
        "connections": count,
        "private_bytes": (private - private_before) / count,
        "rss_bytes": (rss - rss_before) / count,
        "total_private_bytes": private,
    }


def sample_agents(bench, system):
    """Memory and CPU time that idle tunnels cost an edge, and how long its agents need to come back
    after its worker was killed. What it takes for the first hundred is not counted."""
    agents = Tool(bench, "bench-agents")
    try:
        system.open_agents(agents, IDLE_AGENTS_BEFORE)
        bench.ends.load(system, "128", bench.warm_seconds, connections=1)
        time.sleep(0.5)
        private_before, rss_before = system.memory()
        took = system.open_agents(agents, IDLE_CONNECTIONS)["seconds"]
        time.sleep(1.0)
        private, rss = system.memory()
        count = IDLE_CONNECTIONS - IDLE_AGENTS_BEFORE
        before, busy, cpu = (agents.command("look", 10), busy_seconds(bench.cpu_proxy),
                             system.cpu_ns())
        begun = time.monotonic()
        time.sleep(IDLE_SECONDS)
        seconds = time.monotonic() - begun
        cpu, busy = system.cpu_ns() - cpu, busy_seconds(bench.cpu_proxy) - busy
        after = agents.command("look", 10)
        if after["losses"] != before["losses"] or after["open"] != IDLE_CONNECTIONS:
            raise Invalid(f"{system.name}: idle tunnels were closed")
        sample = {
            "connections": count,
            "private_bytes": (private - private_before) / count,
            "rss_bytes": (rss - rss_before) / count,
            "total_private_bytes": private,
            "open_rate": count / took,
            "idle_ms": cpu / 1e6 / seconds,
            "pings": (after["pings"] - before["pings"]) / seconds,
            "foreign": max(0.0, busy - cpu / 1e9) / seconds,
        }
        os.kill(system.worker(), signal.SIGKILL)
        back = agents.command("back", 130)
        if not answers(system.port):
            raise Invalid(f"{system.name}: no service after all agents came back")
        sample.update({key: back[key] for key in ("window_ms", "back_p50_ms", "back_p99_ms",
                                                  "back_max_ms")},
                      refused=back["refusals"] - after["refusals"])
        return sample
    finally:
        agents.stop()


def sample_kill(bench, system):
    """Time from the worker's death by SIGKILL to the first whole answer, on a new connection."""
    bench.ends.load(system, "128", bench.warm_seconds)
    victim = system.worker()
    begun = time.perf_counter()
    os.kill(victim, signal.SIGKILL)
    while not answers(system.port, 1.0):
        if time.perf_counter() - begun > RESTART_SECONDS_MAX:
            raise Invalid(f"{system.name}: no service after the worker was killed")
        time.sleep(0.0005)
    return {"service_ms": (time.perf_counter() - begun) * 1e3}
