# SPDX-License-Identifier: Apache-2.0
"""The measurements: each function takes one sample of one system and returns it as a dict."""

import json
import os
import select
import signal
import subprocess
import time

from systems import DESCRIPTORS, Invalid, answers, free_port, spawn, stop_group

# name: (path, bytes, connections, heading)
BODIES = {
    "128": ("/128", 128, 64, "128 B answers, keep-alive, 64 connections"),
    "10k": ("/10k", 10240, 64, "10 KiB answers, keep-alive, 64 connections"),
    "1m": ("/1m", 1024 * 1024, 16, "1 MiB answers, keep-alive, 16 connections"),
}
IDLE_CONNECTIONS = 10000
RESTART_SECONDS_MAX = 20


class Ends:
    """Both ends of every proxy: the origin and the client, one program (bench/ends.c)."""

    def __init__(self, bench):
        self.port = free_port()
        self.log_path = os.path.join(bench.directory, "ends.log")
        with open(self.log_path, "wb") as log:
            self.process = spawn([bench.tool("bench-ends"), f"127.0.0.1:{self.port}"],
                                 bench.cpu_load, log, bench.nice, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        deadline = time.monotonic() + 5
        while not answers(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Invalid("the origin did not start: " + self.log())
            time.sleep(0.02)

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
            raise Invalid(f"'{line}' had {result['errors']} errors: {self.log()}")
        return result

    def load(self, system, body, seconds, rate=0.0):
        """Closed loop, or open loop at a rate, of one of BODIES."""
        path, size, connections, _ = BODIES[body]
        return self.command(f"load {system.port} {path} {size} {connections} {seconds} {rate:.1f}",
                            seconds + 30)

    def hold(self, system, connections):
        """Opens connections that each get one answer, and keeps them."""
        result = self.command(f"hold {system.port} /128 128 {connections}", 60)
        if result["requests"] != connections:
            raise Invalid(f"{system.name}: not all idle connections had their answer")

    def release(self, system, connections):
        """Closes the connections that were kept; all must still have been open."""
        if self.command("release", 30)["open"] != connections:
            raise Invalid(f"{system.name}: idle connections were closed")

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


def sample_load(bench, system, body, rate=0.0):
    """One period of load: CPU per request, rate and latency."""
    bench.ends.load(system, body, bench.warm_seconds, rate)
    busy_before, cpu_before = busy_seconds(bench.cpu_proxy), system.cpu_ns()
    result = bench.ends.load(system, body, bench.seconds, rate)
    cpu, busy = system.cpu_ns() - cpu_before, busy_seconds(bench.cpu_proxy) - busy_before
    if result["requests"] == 0 or cpu <= 0:
        raise Invalid(f"{system.name}: nothing was measured")
    return {
        "cpu_us": cpu / 1e3 / result["requests"],
        "rate": result["rate"],
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
        "p999_us": result["p999_us"],
        "late_p99_us": result["late_p99_us"],
        "busy": cpu / 1e9 / result["seconds"],
        # What else ran on the proxy's CPU: above a few percent, the sample is a noisy one.
        "foreign": max(0.0, busy - cpu / 1e9) / result["seconds"],
        "requests": result["requests"],
    }


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
