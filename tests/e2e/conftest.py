# SPDX-License-Identifier: Apache-2.0
"""Fixtures: what a test starts is stopped and checked after it, and kept when the test failed."""
import os
import pathlib
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import BOTH, Authority, Edge, H2Origin, Origin, program, reply, run_adit  # noqa: E402
from harness.dns import NameServer  # noqa: E402
from harness.peers import Haproxy, Nginx, WebSocketServer  # noqa: E402
from harness.ports import free_port  # noqa: E402
from harness.tunnel import ZONE, Agent, Road, zone  # noqa: E402

LIVE = []   # Edges that run now, those of module-wide fixtures included.


def pytest_sessionstart(session):
    if not session.config.option.collectonly and not os.access(program(), os.X_OK):
        pytest.exit(f"no program at {program()}: ./dev build, or set ADIT", 2)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("long") and not os.environ.get("ADIT_LONG"):
            item.add_marker(pytest.mark.skip(reason="long: set ADIT_LONG=1"))
        if item.get_closest_marker("release") and not os.environ.get("ADIT_RELEASE"):
            item.add_marker(pytest.mark.skip(reason="release builds only: set ADIT_RELEASE=1"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test's report carries configuration and logs of every edge that ran."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        item.failed = True
        for edge in LIVE:
            edge.keep = True
            report.sections.append((f"edge in {edge.dir}", edge.describe()))


def pytest_terminal_summary(terminalreporter):
    """A table of what tests measured: record_property("measured", {column: value}). Rows of the same
    columns stand together."""
    tables = {}
    for report in sum(terminalreporter.stats.values(), []):
        for name, row in getattr(report, "user_properties", []):
            if name == "measured" and report.when == "call":
                tables.setdefault(tuple(row), []).append(row)
    for columns, rows in tables.items():
        lines = [[str(row[column]) for column in columns] for row in rows]
        widths = [max(map(len, column)) for column in zip(columns, *lines)]
        terminalreporter.section("measured")
        for line in [columns, ["-" * width for width in widths], *sorted(lines)]:
            cells = (text.ljust(width) for text, width in zip(line, widths))
            terminalreporter.write_line("| " + " | ".join(cells) + " |")


@pytest.fixture(autouse=True)
def watch():
    """After each test every edge must be free of sanitizer reports and panics."""
    yield
    for edge in LIVE:
        edge.check()


def end_edges(edges):
    """Stops them all, then raises the first failure; what failed keeps its directory."""
    failures = []
    for edge in edges:
        try:
            edge.stop()
        except AssertionError as failure:
            failures.append(failure)
            edge.keep = True
        LIVE.remove(edge)
        if not getattr(edge, "keep", False):
            edge.clean()
    if failures:
        raise failures[0]


def start_edges(edges):
    def start(*args, **kwargs):
        edge = Edge.__new__(Edge)
        LIVE.append(edge)
        try:
            Edge.__init__(edge, *args, **kwargs)
        except BaseException:
            edge.kill_session()
            print(edge.describe())
            LIVE.remove(edge)
            raise
        edges.append(edge)
        return edge
    return start


@pytest.fixture
def tmp_path():
    """A folder that other users can enter, as pytest's own is not: a worker started as root has
    given that up and must reach the sockets in it. Its name is short enough for those, too."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="adit-tmp-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def edge():
    """edge(config, proxy=..., **top) starts an edge."""
    edges = []
    yield start_edges(edges)
    end_edges(edges)


@pytest.fixture(scope="module")
def module_edge():
    """The same, for a table of cases that share one edge."""
    edges = []
    yield start_edges(edges)
    end_edges(edges)


@pytest.fixture(scope="session")
def tunnels():
    """That the program has tunnels at all, said once and not by every test."""
    assert "tunnels" in run_adit("schema").stdout and run_adit("help", "login").returncode == 0


@pytest.fixture
def agent(pki, tunnels):    # pylint: disable=unused-argument
    """agent(edge, target, *words) starts `adit TARGET WORDS` that calls that edge, and waits until it
    is ready."""
    agents = []

    def start(*args, **options):
        it = Agent.__new__(Agent)
        LIVE.append(it)
        agents.append(it)
        Agent.__init__(it, *args, **{"trust": pki.ca, **options})
        return it
    yield start
    end_edges(agents)


ROADS = {   # over TLS, through a tunnel, workers
    "proxy": (False, False, 1), "proxy-tls": (True, False, 1), "tunnel": (False, True, 1),
    "tunnel-tls": (True, True, 1), "tunnel-tls-2": (True, True, 2)}


@pytest.fixture(params=ROADS)
def road(request, edge, pki):
    """road(target, *words) is a way from visitors to what listens at `target`: by a plain proxy, and by
    a tunnel, in clear and over TLS, on one worker and on two. What an app sees must be the same."""
    tls, tunnel, workers = ROADS[request.param]
    agents = request.getfixturevalue("agent") if tunnel else None
    ca = pki.ca if tls else None

    def build(target, *words, **site):
        cert = pki.zone if tls else None
        if tunnel:
            way = edge(**zone(cert, workers))
            it = agents(way, target, *words)
            made = Road(way, it.name, ca)
            made.agent = it
            return made
        at = f"127.0.0.1:{target}" if str(target).isdigit() else target
        proxied = {"proxy": at, **({"tls": cert.files} if cert else {}), **site}
        way = edge({"listen": BOTH if cert else ["127.0.0.1:0"], "sites": {f"app.{ZONE}": proxied}})
        return Road(way, f"app.{ZONE}", ca)
    return build


def start_origins(origins):
    def start(handler=None, **options):
        origins.append(Origin(handler, **options))
        return origins[-1]
    return start


def end_origins(origins):
    for one in origins:
        one.stop()
    for one in origins:
        one.check()


@pytest.fixture
def origin():
    """origin(handler) or origin(play=script) starts an origin; by default it says hello."""
    origins = []
    yield start_origins(origins)
    end_origins(origins)


@pytest.fixture
def app(origin):
    """What somebody shows by a tunnel."""
    return origin(lambda request: reply(200, b"from the laptop"))


@pytest.fixture(scope="module")
def module_origin():
    origins = []
    yield start_origins(origins)
    end_origins(origins)


@pytest.fixture
def h2_origin():
    """h2_origin(handler) starts one that speaks HTTP/2, in clear or with tls=context."""
    origins = []

    def start(handler=None, **options):
        origins.append(H2Origin(handler, **options))
        return origins[-1]
    yield start
    end_origins(origins)


@pytest.fixture(scope="session")
def pki():
    """An authority and what it signed: .ca .other, .server (example.com and localhost, ECDSA),
    .rsa (the same), .client."""
    folder = tempfile.mkdtemp(prefix="adit-pki-")
    os.chmod(folder, 0o755)
    yield Pki(folder)
    shutil.rmtree(folder, ignore_errors=True)


class Pki:
    NAMES = ("example.com", "*.example.com", "localhost", "127.0.0.1")

    def __init__(self, folder):
        self.folder = folder
        self.ca = Authority(folder)
        self.other = Authority(folder, "Other Root")
        self.server = self.ca.issue(*self.NAMES)
        self.rsa = self.ca.issue(*self.NAMES, key="rsa")
        self.client = self.ca.issue(client=True, common="alice")
        self.zone = self.ca.issue(ZONE, "*." + ZONE)

    def context(self, *alpn, **options):
        """A client's, that trusts .ca."""
        return self.ca.client_context(alpn, **options)

    def origin_context(self, *alpn, cert=None, **options):
        """An origin's, that shows .server or `cert`."""
        return self.ca.server_context(cert or self.server, alpn, **options)


@pytest.fixture
def dns():
    server = NameServer()
    yield server
    server.stop()


@pytest.fixture
def nginx():
    """nginx(folder) serves a folder."""
    running = []

    def start(root):
        running.append(Nginx(root))
        return running[-1]
    yield start
    for one in running:
        one.stop()


@pytest.fixture
def haproxy():
    """haproxy(conf) starts one; `{port}` in conf is where it is to listen (.at)."""
    running = []

    def start(conf):
        port = free_port()
        running.append(Haproxy(conf.replace("{port}", str(port)), port))
        return running[-1]
    yield start
    for one in running:
        one.stop()


@pytest.fixture
def websocket_server():
    """websocket_server(coroutine) starts a WebSocket server."""
    running = []

    def start(handler, **options):
        running.append(WebSocketServer(handler, **options))
        return running[-1]
    yield start
    for one in running:
        one.stop()
