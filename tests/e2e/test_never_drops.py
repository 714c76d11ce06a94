# SPDX-License-Identifier: Apache-2.0
"""The edge under real load while everything around it changes: reloads, upgrades, servers that are
killed, frozen and come back. No idempotent request may fail, no session of an unchanged route break.

The load is wrk, h2load and the crowds of harness/crowd.py, all at once. `./dev soak` runs the long form.
"""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest

from harness import BOTH, WAIT
from harness.crowd import Crowd, EchoServer
from harness.ports import free_port

SOAK = bool(os.environ.get("ADIT_SOAK"))
SERVERS = 4
NGINX = """
daemon off; master_process off; pid {dir}/pid; error_log stderr warn;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 1000000; keepalive_timeout 3600s; client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fcgi; uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "server {name}\n"; }} }}
}}
"""


class Server:
    """An nginx of one process that can be killed, frozen and started again at its port."""

    def __init__(self, name):
        self.dir = tempfile.mkdtemp(prefix="adit-nginx-")
        self.port = free_port()
        self.at = f"127.0.0.1:{self.port}"
        with open(self.dir + "/nginx.conf", "w", encoding="utf-8") as file:
            file.write(NGINX.format(dir=self.dir, port=self.port, name=name))
        self.start()

    def start(self):
        with open(self.dir + "/stderr", "ab") as log:
            self.process = subprocess.Popen(["/usr/sbin/nginx", "-p", self.dir, "-c",
                                             self.dir + "/nginx.conf"], stderr=log)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class Wrk:
    """wrk until end(): what it counts as failed must be nothing."""

    def __init__(self, url, connections=16):
        self.name = f"wrk {url[:5].rstrip(':')}"
        self.process = subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", "-d1h", "--timeout", f"{WAIT:g}s", url],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def end(self):
        """How many were answered, and what it says went wrong."""
        self.process.send_signal(signal.SIGINT)     # then it adds up
        said = self.process.communicate()[0]
        assert self.process.returncode == 0, said
        count = int(re.search(r"(\d+) requests in", said)[1])
        wrong = re.findall(r"Socket errors.*|Non-2xx.*", said)
        return count, wrong


class H2Load(threading.Thread):
    """h2load again and again: it has no way to be told to end."""

    def __init__(self, url, requests=2000):
        super().__init__(daemon=True)
        self.name = "h2load"
        self.command = ["h2load", "-c4", "-m8", f"-n{requests}", url]
        self.over = threading.Event()
        self.answered, self.wrong = 0, []
        self.start()

    def run(self):
        while not self.over.is_set():
            done = subprocess.run(self.command, capture_output=True, text=True, check=False)
            line = re.search(r"requests: .*", done.stdout)
            counts = [int(n) for n in re.findall(r"\d+", line[0])] if line else []
            # total, started, done, succeeded, failed, errored, timeout
            if done.returncode or len(counts) != 7 or counts[3] != counts[0]:
                self.wrong.append(done.stdout + done.stderr)
            else:
                self.answered += counts[3]
            if re.search(r"status codes: \d+ 2xx, 0 3xx, 0 4xx, 0 5xx", done.stdout) is None:
                self.wrong.append(done.stdout)

    def end(self):
        self.over.set()
        self.join()
        return self.answered, self.wrong


@pytest.fixture
def servers():
    running = [Server(i) for i in range(SERVERS)]
    yield running
    for one in running:
        one.stop()


@pytest.fixture
def echoes():
    server = EchoServer()
    yield server
    server.stop()


class Chaos(threading.Thread):
    """One server after the other is killed, or frozen, and comes back."""

    def __init__(self, servers, ways, pause):
        super().__init__(daemon=True)
        self.servers, self.ways, self.pause = servers, ways, pause
        self.over = threading.Event()
        self.done = []
        self.start()

    def run(self):
        turn = 0
        while not self.over.is_set():
            server, way = self.servers[turn % len(self.servers)], self.ways[turn % len(self.ways)]
            if way == "kill":
                server.kill()
            else:
                server.freeze()
            self.over.wait(self.pause)
            if way == "kill":
                server.start()
            else:
                server.thaw()
            self.over.wait(self.pause)
            self.done.append(way)
            turn += 1

    def end(self):
        self.over.set()
        self.join()
        return {way: self.done.count(way) for way in self.ways}


def configuration(around, turn):
    """Each turn another list of servers; what the sessions need is never touched."""
    servers, echoes, cert, stream = around
    absent = turn % (len(servers) + 1)
    some = [{"at": one.at, "weight": 1 + (turn + i) % 3} for i, one in enumerate(servers)
            if i != absent]
    return {
        "listen": BOTH,
        "workers": 2,
        "drain": "30m",     # whoever talks on does so on the worker it began with
        "upstreams": {"app": {"servers": some, "retry": {"timeout": "1s"}}},
        "streams": [{"listen": "%s:%d" % stream, "proxy": [echoes.tcp]},
                    {"listen": "udp://%s:%d" % stream, "proxy": [echoes.udp]}],
        "sites": {"default": {
            "tls": {**cert, "redirect": "off"},
            "routes": [{"path": "/ws", "proxy": echoes.ws}, {"path": "/*", "proxy": "app"}]}},
    }


def change(way, around, turns, upgrades, pause):
    """Reloads, and an upgrade after every so many of them."""
    for turn in range(1, turns + 1):
        way.reload(configuration(around, turn))
        time.sleep(pause)       # for load to pass, not for something to happen
        if upgrades and turn % (turns // upgrades) == 0:
            before = way.worker_pid
            done = way.command("upgrade")
            assert done.returncode == 0, done.stdout + done.stderr
            assert way.worker_pid != before
            time.sleep(pause)


def check_report(report, upgrades, record_property):
    """A new worker has sockets of its own towards the servers of UDP; but for that nothing moves, and
    nothing gets lost."""
    record_property("measured", report.row)
    assert not report.failed, report.failures
    assert not report.lost and report.moved <= upgrades * report.sessions
    assert report.answered > report.sessions


def check_tool(tool, record_property):
    answered, wrong = tool.end()
    record_property("measured", {"tool": tool.name, "answered": answered, "wrong": wrong})
    assert not wrong and answered > 100


@pytest.mark.parametrize("upgrades", [0, 20 if SOAK else 3], ids=["reloads", "upgrades"])
def test_nobody_is_dropped(edge, servers, echoes, pki, upgrades, record_property):
    stream = "127.0.0.1", free_port()
    around = servers, echoes, pki.server.files, stream
    turns, pause = (200, 0.3) if SOAK else (12, 0.2)
    way = edge(configuration(around, 0))
    crowds = [Crowd("ws", way.at, 500 if SOAK else 60), Crowd("http", way.at, 100 if SOAK else 20),
              Crowd("h2", way.at, 20 if SOAK else 8), Crowd("tcp", stream, 500 if SOAK else 60),
              Crowd("udp", stream, 200 if SOAK else 30)]
    tools = [Wrk(f"http://127.0.0.1:{way.port}/"), Wrk(f"https://127.0.0.1:{way.tls_port}/")]
    if not upgrades:    # h2load counts what it had not asked yet at a GOAWAY as failed
        tools.append(H2Load(f"https://127.0.0.1:{way.tls_port}/"))
    chaos = Chaos(servers, ["kill", "freeze"], 1)
    change(way, around, turns, upgrades, pause)
    done = chaos.end()
    for tool in tools:
        check_tool(tool, record_property)
    for crowd in crowds:
        check_report(crowd.end(), upgrades, record_property)
    assert done["kill"]
