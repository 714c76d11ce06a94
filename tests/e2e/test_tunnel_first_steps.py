# SPDX-License-Identifier: Apache-2.0
"""What somebody sees who uses tunnels for the first time: at a terminal, wide or narrow, or without
one; after mistakes; and when Ctrl-C is pressed at any moment (issue 5)."""
import re
import signal
import socket
import subprocess
import threading

import pytest

from harness import WAIT, reply, run_adit, until
from harness.edge import environment, program
from harness.ports import free_port
from harness.terminal import Terminal
from harness.tunnel import ZONE, Agent, Road, create_token, server_url, zone

CTRL_C = "\x03"


def server(way, pki):
    return ["--server", server_url(way), "--ca", pki.ca.file]


pytestmark = pytest.mark.usefixtures("tunnels")


def home(tmp_path, **more):
    """No settings of whoever runs the tests, and no proxies."""
    env = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path),
           **more}
    return {**{name: value for name, value in environment().items()
               if not name.lower().endswith("_proxy") and not name.startswith("ADIT_")}, **env}


@pytest.fixture
def screen(tmp_path):
    """screen(*args) is `adit ARGS` at a terminal."""
    running = []

    def start(*args, columns=80, **env):
        running.append(Terminal(program(), *args, columns=columns, env=home(tmp_path, **env)))
        return running[-1]
    yield start
    for one in running:
        one.__exit__()


def agent_run(tmp_path, *args, timeout=WAIT, **env):
    return run_adit(*args, timeout=timeout, env=home(tmp_path, **env))


# ---- the way that the README shows ---------------------------------------------------------------


def test_a_trial_on_one_machine(edge, origin, screen):
    """Two commands, no certificate, no token."""
    way = edge({"sites": {"*.localhost": {"tunnels": {"anonymous": "on"}}}})
    app = origin(lambda request: reply(200, b"from the laptop"))
    at = screen(app.port, "--server", f"http://localhost:{way.port}")
    url = at.wait_for(r"http://(\S+?)\.localhost:\d+")
    assert f":{way.port}" in url[0]
    assert at.wait_for(rf"{re.escape(url[0])}/? .*(→|->) .*{app.port}")
    road = Road(way, url[0].split("/")[2].split(":")[0])
    assert road.get("/page?x=1").body == b"from the laptop"
    line = at.wait_for(r".*GET.*/page.*")[0]
    assert "200" in line and re.search(r"\d ?(ms|µs|us|s)\b", line), line
    at.type(CTRL_C)
    assert at.wait_exit() in (0, 130)


def test_over_tls_with_a_token_and_a_name(edge, origin, pki, screen):
    way = edge(**zone(pki.zone, tunnels={"anonymous": "off"}))
    token = create_token(way)
    app = origin(lambda request: reply(200, b"from the laptop"))
    at = screen(app.port, "as", "myapp", *server(way, pki), ADIT_TOKEN=token)
    at.wait_for(rf"https://myapp\.{re.escape(ZONE)}:{way.tls_port}")
    assert Road(way, f"myapp.{ZONE}", pki.ca).get("/").body == b"from the laptop"
    assert token not in at.raw
    at.type(CTRL_C)
    assert at.wait_exit() in (0, 130)


# ---- what it looks like ---------------------------------------------------------------------------

BLOCKS = "█▀▄"


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_of_any_width(edge, origin, pki, screen, columns):
    """URLs stay whole, for they are copied; a QR code is there where it fits; requests take a line each."""
    way = edge(**zone(pki.zone))
    app = origin(lambda request: reply(200, b"x"))
    at = screen(app.port, "as", "myapp", *server(way, pki), columns=columns,
                ADIT_TOKEN=create_token(way))
    at.wait_for(rf"https://myapp\.{re.escape(ZONE)}:{way.tls_port}")
    at.wait_for(str(app.port))
    assert Road(way, f"myapp.{ZONE}", pki.ca).get("/" + "long/" * 60).status == 200
    at.wait_for(r"GET .*200|200 .*GET")
    code = [line for line in at.lines if any(block in line for block in BLOCKS)]
    assert all(len(line) <= columns for line in code), "a broken QR code"
    assert columns < 80 or code
    request = next(line for line in at.lines if "GET" in line)
    assert len(request) <= columns, request


def test_without_a_terminal(edge, origin, pki, tmp_path):
    """Plain lines: no colours, no QR code; the URL stands on a line that a program can find."""
    way = edge(**zone(pki.zone))
    app = origin(lambda request: reply(200, b"x"))
    with subprocess.Popen([program(), str(app.port), "as", "myapp", *server(way, pki)],
                          env=home(tmp_path, ADIT_TOKEN=create_token(way)), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        lines = [process.stdout.readline().decode() for _ in range(2)]
        assert any(f"https://myapp.{ZONE}:{way.tls_port}" in line for line in lines), lines
        assert Road(way, f"myapp.{ZONE}", pki.ca).get("/there").status == 200
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read().decode()
    assert process.returncode in (0, 130)
    said = "".join(lines) + rest
    assert "/there" in said
    assert "\x1b" not in said and not any(block in said for block in BLOCKS)


def test_quiet(edge, origin, pki, tmp_path):
    way = edge(**zone(pki.zone))
    app = origin(lambda request: reply(200, b"x"))
    with subprocess.Popen([program(), str(app.port), "as", "myapp", *server(way, pki)],
                          env=home(tmp_path, ADIT_TOKEN=create_token(way), ADIT_QUIET="1"),
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        road = Road(way, f"myapp.{ZONE}", pki.ca)
        until(lambda: road.get("/there").status == 200, "the tunnel")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WAIT)
    assert b"/there" not in out + err


# ---- mistakes --------------------------------------------------------------------------------------

MISTAKES = {
    "a typo": (["3000", "ass", "myapp"], "as"),
    "no port": (["300O"], "300O"),
    "a port too large": (["99999"], "99999"),
    "port 0": (["0"], "port"),
    "no name": (["3000", "as"], "NAME"),
    "no name for a host": (["3000", "as", "my_app"], "my_app"),
    "no folder": (["./no-such-folder"], "no-such-folder"),
    "no such option": (["3000", "--sever", "http://localhost:1"], "--server"),
    "no server": (["3000"], "--server"),
    "a server that is no URL": (["3000", "--server", "ftp://x"], "ftp"),
    "tcp without a port": (["tcp"], "tcp"),
    "two many words": (["3000", "as", "one", "two"], "two"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes_are_said_in_words(tmp_path, what):
    args, says = MISTAKES[what]
    more = [] if "--server" in args or what in ("no server", "no such option") else \
        ["--server", "http://localhost:1"]
    done = agent_run(tmp_path, *args, *more)
    assert done.returncode == 2, done
    assert says in done.stderr and len(done.stderr.splitlines()) <= 6, done.stderr
    assert not done.stdout


def test_a_wrong_token(edge, pki, tmp_path):
    """401 in words, once, and the end: a refused agent does not come again."""
    way = edge(**zone(pki.zone, tunnels={"anonymous": "off"}))
    for token in ("adit_AAAAAAAA_" + "B" * 32, "nonsense"):
        done = agent_run(tmp_path, "3000", *server(way, pki),
                         ADIT_TOKEN=token)
        assert done.returncode == 4, done
        assert "token" in done.stderr and token not in done.stderr, done.stderr
    done = agent_run(tmp_path, "3000", *server(way, pki))
    assert done.returncode == 4 and "token" in done.stderr and "adit login" in done.stderr, done


def test_a_taken_name_and_a_suggestion(edge, agent, pki, tmp_path):
    way = edge(**zone(pki.zone))
    agent(way, 3000, "as", "myapp", token=create_token(way, "--owner", "alice"))
    done = agent_run(tmp_path, "3000", "as", "myapp", *server(way, pki),
                     ADIT_TOKEN=create_token(way, "--owner", "bob"))
    assert done.returncode == 1
    suggestion = re.search(r"adit 3000 as (\S+)|(myapp-?\w+)", done.stderr)
    assert "taken" in done.stderr and suggestion, done.stderr


def test_a_server_without_tunnels(edge, origin, tmp_path):
    way = edge(proxy=origin(lambda request: reply(404, b"nothing")))
    done = agent_run(tmp_path, "3000", "--server", f"http://localhost:{way.port}")
    assert done.returncode == 1 and "tunnel" in done.stderr, done


def test_a_certificate_that_nobody_trusts(edge, pki, screen):
    """Said in words, and the end: whoever has never been let in is told of it at once."""
    way = edge(**zone(pki.zone))
    at = screen("3000", "--server", server_url(way))
    assert at.wait_exit() == 1
    assert re.search("certificate.*not trusted", at.text), at.text


def test_an_edge_that_nobody_reaches(screen):
    """It says so, says when it tries again, and does; the laptop may be on a train."""
    port = free_port()
    at = screen("3000", "--server", f"http://localhost:{port}")
    at.wait_for(r"refused")
    at.wait_for(r"again|retry")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        listener.settimeout(30)
        listener.accept()[0].close()
    at.type(CTRL_C)
    assert at.wait_exit() in (0, 1, 130)


# ---- Ctrl-C ---------------------------------------------------------------------------------------


def silent_server():
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, listener.getsockname()[1]


@pytest.mark.parametrize("moment", ["the edge says nothing", "TLS says nothing", "between attempts"])
def test_ctrl_c_before_it_is_ready(screen, moment):
    listener, port = silent_server()
    if moment == "between attempts":
        listener.close()
    scheme = "https" if "TLS" in moment else "http"
    at = screen("3000", "--server", f"{scheme}://localhost:{port}")
    if moment == "between attempts":
        at.wait_for("again|retry")
    else:
        listener.settimeout(WAIT)
        conn = listener.accept()[0]
        assert conn.recv(1)
    at.type(CTRL_C)
    assert at.wait_exit(5) in (0, 1, 130)
    listener.close()


def test_ctrl_c_lets_what_is_under_way_end(edge, origin, pki, screen):
    """Once: new visitors are told, the download ends. The name is free at once."""
    asked, go_on = threading.Event(), threading.Event()

    def handler(request):
        if request.path == "/":
            asked.set()
            assert go_on.wait(WAIT)
        return reply(200, b"whole")
    way = edge(**zone(pki.zone))
    at = screen(origin(handler).port, "as", "myapp", *server(way, pki),
                ADIT_TOKEN=create_token(way))
    at.wait_for("https://myapp")
    road = Road(way, f"myapp.{ZONE}", pki.ca)
    with road.client() as client:
        client.ask("GET", "/")
        assert asked.wait(WAIT)
        at.type(CTRL_C)
        until(lambda: road.get("/other").status in (404, 503), "the edge knows that it leaves")
        go_on.set()
        assert client.answer().body == b"whole"
    assert at.wait_exit() in (0, 130)
    until(lambda: road.get("/").status == 404, "the name's end")


def test_ctrl_c_twice_waits_for_nobody(edge, origin, pki, screen):
    asked, never = threading.Event(), threading.Event()

    def handler(request):
        if request.path == "/":
            asked.set()
            never.wait(WAIT)
        return reply(200, b"late")
    way = edge(**zone(pki.zone))
    at = screen(origin(handler).port, "as", "myapp", *server(way, pki),
                ADIT_TOKEN=create_token(way))
    at.wait_for("https://myapp")
    road = Road(way, f"myapp.{ZONE}", pki.ca)
    with road.client() as client:
        client.ask("GET", "/")
        assert asked.wait(WAIT)
        at.type(CTRL_C)
        until(lambda: road.get("/other").status in (404, 503), "the edge knows that it leaves")
        at.type(CTRL_C)
        assert at.wait_exit(5) is not None
        assert client.answer().status in (502, 503)
    never.set()


def test_the_terminal_goes_away(edge, origin, pki, screen):
    """As when a laptop's window is closed: the agent ends, the name is let go."""
    way = edge(**zone(pki.zone))
    at = screen(origin().port, "as", "myapp", *server(way, pki),
                ADIT_TOKEN=create_token(way))
    at.wait_for("https://myapp")
    at.hang_up()
    assert at.process.wait(WAIT) is not None
    road = Road(way, f"myapp.{ZONE}", pki.ca)
    until(lambda: road.get("/").status == 404, "the name's end")


def test_json_events_are_one_a_line(edge, origin, agent):
    way = edge(**zone())
    it = agent(way, origin().port)
    assert Road(way, it.name).get("/there").status == 200
    event = it.wait_event("request")
    assert (event["method"], event["status"]) == ("GET", 200), event
    it.stop()
    assert {type(one) for one in it.events} == {dict}
    assert not [line for line in it.lines if line.startswith("not JSON")]
    assert isinstance(it, Agent)
