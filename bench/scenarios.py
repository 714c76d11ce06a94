# SPDX-License-Identifier: Apache-2.0
"""What is measured: the rows of the benchmark, in the order of the report, and their targets."""

from dataclasses import dataclass

from measure import (sample_edge, sample_grpc, sample_h2, sample_handshakes, sample_load,
                     sample_tcp)


@dataclass
class Scenario:
    """One table. `take` takes a sample; the kinds without it have their own course in `run`."""

    title: str
    mode: str = "clear"  # of systems.py
    kind: str = "load"  # load, half, idle, agents or kill
    unit: str = "request"
    mib: float = 0  # of body in a unit, where that is what matters
    take: object = None
    bodies: bool = False  # streaming is worth the while: systems that differ in it take part
    floor: bool = True  # the relay can do it
    rounds_max: int = 1000
    systems: tuple = ()  # only these; empty: all that can take part
    rival: str = ""  # the system that the others' costs are shown relative to; else report.py knows


def load(body, connections=0):
    """Samples of answers of one size over HTTP/1.1."""
    return lambda bench, system: sample_load(bench, system, body, connections=connections)


def handshakes(version, resume):
    """Samples of handshakes."""
    return lambda bench, system: sample_handshakes(bench, system, version, resume)


def tcp(connections, message_bytes=0):
    """Samples of bare TCP: messages, or one stream without end."""
    return lambda bench, system: sample_tcp(bench, system, connections, message_bytes)


TUNNELS = ("adit-tunnel", "ssh-r", "ssh-r-gcm", "tunnelmole")

SCENARIOS = {
    "128": Scenario("128 B answers, keep-alive, 64 connections", take=load("128"), bodies=True),
    "10k": Scenario("10 KiB answers, keep-alive, 64 connections", take=load("10k"), bodies=True),
    "1m": Scenario("1 MiB answers, keep-alive, 16 connections", mib=1, take=load("1m"),
                   bodies=True),
    "balancing": Scenario("128 B answers of one server, and of four by two-choices",
                          take=load("128"), systems=("adit", "adit-four"), rival="adit"),
    "half": Scenario("128 B answers at half of what the floor can do", kind="half"),
    "idle": Scenario("Idle keep-alive connections, each after one answer", kind="idle",
                     rounds_max=2),
    "kill": Scenario("Time to service after `kill -9` of the worker", kind="kill"),
    "tls-128": Scenario("TLS, 128 B answers, keep-alive, 64 connections", "tls", take=load("128")),
    "tls-10k": Scenario("TLS, 10 KiB answers, keep-alive, 64 connections", "tls",
                        take=load("10k")),
    "tls-1m": Scenario("TLS, 1 MiB answers, keep-alive, 16 connections", "tls", mib=1,
                       take=load("1m"), bodies=True),
    "tls-half": Scenario("TLS, 128 B answers at half of what the floor can do", "tls", "half"),
    "h2-128": Scenario("HTTP/2 over TLS, 128 B answers, 16 connections x 32 streams", "tls",
                       take=lambda bench, system: sample_h2(bench, system, "/128"), floor=False),
    "grpc": Scenario("HTTP/2 over TLS to an HTTP/2 origin, 128 B messages, 16 x 32 streams", "grpc",
                     take=sample_grpc, floor=False),
    "full": Scenario("Full handshakes, TLS 1.3, ECDSA P-256", "tls", unit="handshake",
                     take=handshakes(13, False)),
    "resume": Scenario("Resumed handshakes, TLS 1.3", "tls", unit="handshake",
                       take=handshakes(13, True)),
    "full12": Scenario("Full handshakes, TLS 1.2, ECDSA P-256", "tls", unit="handshake",
                       take=handshakes(12, False), rounds_max=3),
    "resume12": Scenario("Resumed handshakes, TLS 1.2", "tls", unit="handshake",
                         take=handshakes(12, True), rounds_max=3),
    "tls-idle": Scenario("Idle TLS connections, each after one answer", "tls", "idle",
                         rounds_max=2),
    "tcp-bulk": Scenario("TCP, one stream from the origin", "tcp", unit="MiB", mib=1,
                         take=tcp(1)),
    "tcp-messages": Scenario("TCP, 128 B messages there and back, 1,000 connections", "tcp",
                             unit="message", take=tcp(1000, 128)),
    **{f"tunnel-{visitors}": Scenario(f"Tunnel, 128 B answers, {text} in clear", "tunnel",
                                      take=load("128", visitors), systems=TUNNELS, rival="ssh-r")
       for visitors, text in ((1, "one visitor"), (32, "32 visitors"), (256, "256 visitors"))},
    "tunnel-bulk": Scenario("Tunnel, 1 MiB answers, one visitor in clear", "tunnel", mib=1,
                            take=load("1m", 1), systems=TUNNELS, rival="ssh-r"),
    "tunnel-h2": Scenario("HTTP/2 over TLS, 128 B answers, proxied directly and over a tunnel",
                          "tunnel-tls", take=lambda bench, system: sample_h2(
                              bench, system, "/128", ["-H", ":authority: bench.test"]),
                          floor=False, systems=("adit", "adit-tunnel"), rival="adit"),
    "tunnel-bridge": Scenario("An edge alone, 128 B answers, 64 visitors: the cost of the bridge",
                              "tunnel", take=lambda bench, system: sample_edge(
                                  bench, system, "128", 64),
                              systems=("adit-edge", "adit-two", "adit-bridge"), rival="adit-two"),
    "tunnel-tcp-bulk": Scenario("TCP over a tunnel, one stream from the origin", "tunnel-tcp",
                                unit="MiB", mib=1, take=tcp(1), systems=TUNNELS, rival="ssh-r"),
    "tunnel-tcp-messages": Scenario("TCP over a tunnel, 128 B messages there and back, 32 visitors",
                                    "tunnel-tcp", unit="message", take=tcp(32, 128),
                                    systems=TUNNELS, rival="ssh-r"),
    "tunnel-idle": Scenario("Idle tunnels on an edge, one connection each over TLS", "tunnel",
                            "agents", rounds_max=2, systems=("adit-edge",)),
}

# Names that stand for several.
GROUPS = {
    "clear": [name for name, scenario in SCENARIOS.items() if scenario.mode == "clear"],
    "tls": [name for name, scenario in SCENARIOS.items() if scenario.mode in ("tls", "grpc")],
    "tunnel": [name for name, scenario in SCENARIOS.items() if scenario.mode.startswith("tunnel")],
    "tcp": [name for name, scenario in SCENARIOS.items() if scenario.mode == "tcp"],
}


@dataclass
class Target:
    """A figure of adit's that is wanted, relative to another system or as it is."""

    scenario: str
    column: str
    reference: str  # a system, "best" peer, or "" for the value itself
    limit: float
    text: str
    at_least: bool = False  # reference / adit is to be that much; else adit / reference at most
    system: str = "adit"  # whose figure it is


TARGETS = [
    Target("128", "cpu_us", "floor", 1.12, "128 B: CPU per request / floor"),
    Target("128", "cpu_us", "nginx", 0.85, "128 B: CPU per request / nginx"),
    Target("10k", "cpu_us", "floor", 1.12, "10 KiB: CPU per request / floor"),
    Target("10k", "cpu_us", "nginx", 0.85, "10 KiB: CPU per request / nginx"),
    Target("1m", "cpu_us", "nginx", 0.70, "1 MiB: CPU per request / nginx"),
    Target("idle", "private_bytes", "", 1024, "idle connection: bytes of user memory"),
    Target("half", "p99_us", "floor", 1.30, "half load: p99 / floor"),
    Target("tls-128", "cpu_us", "floor", 1.15, "TLS 128 B: CPU per request / floor"),
    Target("tls-128", "cpu_us", "best", 0.85, "TLS 128 B: CPU per request / best peer"),
    Target("h2-128", "cpu_us", "best", 0.85, "HTTP/2 128 B: CPU per request / best peer"),
    Target("full", "cpu_us", "best", 0.97, "full handshakes per CPU second / best peer", True),
    Target("resume", "cpu_us", "best", 0.97, "resumptions per CPU second / best peer", True),
    Target("tls-idle", "own_bytes", "", 2048, "idle TLS connection: bytes beside OpenSSL's"),
    Target("tls-idle", "private_bytes", "nginx", 0.9, "idle TLS connection: bytes / nginx"),
    Target("tcp-bulk", "cpu_us", "best", 0.9, "TCP, one stream: CPU per byte / best peer"),
    Target("tcp-messages", "cpu_us", "best", 0.9, "TCP, messages: CPU per message / best peer"),
    Target("tunnel-32", "rate", "ssh-r", 3, "tunnel, 32 visitors: requests/s / ssh -R", True,
           "adit-tunnel"),
    Target("tunnel-256", "rate", "ssh-r", 3, "tunnel, 256 visitors: requests/s / ssh -R", True,
           "adit-tunnel"),
    Target("tunnel-1", "p99_us", "ssh-r", 0.1, "tunnel, 1 visitor: p99 / ssh -R",
           system="adit-tunnel"),
    Target("tunnel-bulk", "cpu_us", "ssh-r", 2, "tunnel, 1 MiB: bytes per CPU second / ssh -R",
           True, "adit-tunnel"),
    Target("tunnel-h2", "cpu_us", "adit", 2.2, "tunnel: CPU per request / proxied directly",
           system="adit-tunnel"),
    Target("tunnel-idle", "own_bytes", "", 8192, "idle tunnel: bytes beside OpenSSL's",
           system="adit-edge"),
    Target("tunnel-idle", "idle_ms", "", 1000, "10,000 idle tunnels: CPU ms per second",
           system="adit-edge"),
    Target("balancing", "cpu_us", "one server", 1.01, "four servers: CPU per request / one server"),
]
