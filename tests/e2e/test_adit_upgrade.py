# SPDX-License-Identifier: Apache-2.0
"""`adit upgrade`: the running edge becomes another program, and nobody notices."""
import asyncio
import os
import shutil
import signal
import ssl
import subprocess
import threading

import pytest
import websockets

from harness import proc, reply, until
from harness.crowd import Crowd, EchoServer
from harness.edge import program

DRAIN = 300     # seconds: longer than twenty upgrades take under a sanitizer on a busy machine

STUB = r"""
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
/* An adit that is broken in one place; for the rest it is the one that is tested. */
int main(int argc, char **argv)
{
    int is_worker = strcmp(argv[0], "adit: worker") == 0;
    int is_keeper = strcmp(argv[0], "adit: keeper") == 0;
    (void)argc; (void)is_worker; (void)is_keeper;
    BROKEN
    execv(ADIT, argv);
    return 120;
}
"""

BROKEN = {
    "crashes at once": ("abort();", "crashed"),
    "is another program": ("return 0;", "did not answer"),
    "says nothing": ('if (!is_worker && !is_keeper && strcmp(argv[1], "trial") == 0) '
                     '{ write(2, "liberty.so is missing\\n", 22); return 1; }', "liberty.so"),
    "its keeper dies": ("if (is_keeper) abort();", "keeper died"),
    "its worker dies": ("if (is_worker) abort();", "worker died"),
    "its worker ends": ("if (is_worker) return 1;", "worker died"),
}


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    """Builds an adit that is broken in a way."""
    def build(broken):
        folder = tmp_path_factory.mktemp("stub")
        os.chmod(folder, 0o755)
        source, out = folder / "stub.c", folder / "adit"
        source.write_text(STUB.replace("BROKEN", broken).replace("ADIT", f'"{program()}"'))
        subprocess.run([os.environ.get("CC", "cc"), "-w", "-o", out, source], check=True)
        os.chmod(out, 0o755)
        return str(out)
    return build


@pytest.fixture
def other(tmp_path):
    """The same program at another place."""
    path = str(tmp_path / "adit")
    shutil.copy(program(), path)
    os.chmod(path, 0o755)
    return path


def upgrade(way, *args):
    done = way.command("upgrade", *args)
    assert done.returncode == 0, f"upgrade: {done.returncode}\n{done.stderr}\n{way.log[-3000:]}"
    return done


def test_the_edge_becomes_another_program(edge, origin, other):
    way = edge(proxy=origin())
    assert way.get().status == 200
    before = way.status()
    upgrade(way, other)
    after = way.status()
    assert after["supervisor"] == before["supervisor"], "its pid stays"
    assert after["worker"]["pid"] != before["worker"]["pid"]
    assert after["keeper"]["pid"] != before["keeper"]["pid"]
    assert (after["program"], after["upgrades"]) == (other, 1)
    assert after["configuration"]["generation"] == before["configuration"]["generation"] + 1
    assert way.get().status == 200
    until(lambda: not way.status()["old_workers"], "the end of the old worker")
    assert way.status()["counters"]["requests"] == 2, "the counters go on"
    assert len(way.addresses) == 1, "nothing new is listened to"


def test_by_a_signal_it_is_what_is_now_at_its_path(edge, origin):
    way = edge(proxy=origin())
    old = way.worker_pid
    way.signal(signal.SIGUSR2)
    until(lambda: way.worker_pid != old, "another worker")
    assert way.get().status == 200
    assert way.status()["program"] == program()


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_program_changes_nothing(edge, origin, stub, how):
    broken, says = BROKEN[how]
    way = edge(proxy=origin())
    before = way.status()
    with way.client() as client:
        assert client.get().status == 200
        done = way.command("upgrade", stub(broken))
        assert done.returncode == 1
        assert says in done.stderr, done.stderr
        way.wait_log(f"upgrade (refused|failed): .*{says}")
        assert client.get().status == 200, "a kept connection goes on"
    after = way.status()
    assert after["worker"] == before["worker"], "the worker never stopped"
    assert (after["program"], after["upgrades"]) == (before["program"], 0)
    way.forgive()
    way.reload(proxy=origin(lambda request: reply(200, b"reloaded")))
    assert way.get().body == b"reloaded"
    upgrade(way)
    assert way.get().body == b"reloaded"


REFUSED = {
    "a text": (b"sites: {}\n", 0o755, "not a program"),
    "not executable": (b"\x7fELF", 0o644, "not a program"),
    "nothing in it": (b"", 0o755, "not a program"),
    "half a program": (b"\x7fELF\2\1\1", 0o755, "not a program"),
    "others can write": (b"\x7fELF", 0o777, "others"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_program_is_refused(edge, origin, tmp_path, what):
    content, mode, says = REFUSED[what]
    path = tmp_path / "adit"
    path.write_bytes(content)
    os.chmod(path, mode)
    way = edge(proxy=origin())
    keeper = way.status()["keeper"]["pid"]
    done = way.command("upgrade", path)
    assert done.returncode == 1
    assert says in done.stderr
    assert way.status()["keeper"]["pid"] == keeper, "it was not even disturbed"
    missing = way.command("upgrade", tmp_path / "missing")
    assert missing.returncode == 1
    assert "No such file" in missing.stderr


# ---- what goes on -----------------------------------------------------------------------------------


@pytest.mark.timeout(DRAIN)
def test_upgrades_under_load_lose_nothing(edge, origin, other):
    """Twenty in a row: kept connections, HTTP/2, WebSockets, downloads that are slower than that."""
    echoes, go_on = EchoServer(), threading.Event()

    def handler(request):
        if not request.target.startswith("/slow"):
            return reply(200, b"hello")
        request.conn.send(reply(200, b"first", [("Content-Length", "10")], length=False))
        go_on.wait(DRAIN)
        return b"after"
    app = origin(handler)
    way = edge({"sites": {"default": {"routes": [{"path": "/ws", "proxy": echoes.ws},
                                                 {"path": "/*", "proxy": app.at}]}}},
               workers=2, drain=f"{DRAIN}s")
    crowds = [Crowd("ws", way.at, 30), Crowd("http", way.at, 20), Crowd("h2", way.at, 8)]
    downloads = [way.client() for _ in range(5)]
    heads = [client.ask("GET", "/slow").answer_head() for client in downloads]
    for turn in range(20):
        upgrade(way, other if turn % 2 else program())
    for crowd in crowds:
        report = crowd.end()
        assert not report.failed, (report.kind, report.failures)
        assert report.answered > report.sessions
    go_on.set()
    for client, head in zip(downloads, heads):
        assert client.body_of(head).body == b"firstafter"
        client.close()
    echoes.stop()
    until(lambda: not way.status()["old_workers"], "the end of all old workers", 30)
    assert way.status()["upgrades"] == 20
    assert way.status()["worker"]["restarts"] == 0


def test_an_idle_client_is_told_to_come_anew(edge, origin, other):
    """Closing its connection instead could meet its next request."""
    way = edge(proxy=origin(), drain="60s")
    with way.client() as client:
        assert client.get().get("connection", "").lower() != "close"
        upgrade(way, other)
        until(lambda: way.status()["old_workers"][0]["draining"], "the old worker draining")
        answer = client.get()
        assert (answer.status, answer.get("connection").lower()) == (200, "close")
        assert client.at_end()
    until(lambda: not way.status()["old_workers"], "its end")


def test_the_old_worker_lives_as_long_as_its_websocket(edge, websocket_server, other):
    async def echo(ws, path=None):
        async for message in ws:
            await ws.send(message)
    way = edge(proxy=websocket_server(echo), drain="60s")
    old = way.worker_pid

    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{way.port}/") as ws:
            for turn in range(3):
                await ws.send(f"turn {turn}")
                assert await ws.recv() == f"turn {turn}"
                await asyncio.to_thread(upgrade, way, other)
            await ws.send("last")
            assert await ws.recv() == "last"
            left = [(one["pid"], one["connections"]) for one in way.status()["old_workers"]]
            assert (old, 1) in left
    asyncio.run(talk())
    until(lambda: not way.status()["old_workers"], "the end of all")
    assert not proc.alive(old)


def test_the_drain_limit_ends_the_old_worker(edge, origin, other):
    hold = threading.Event()
    app = origin(lambda request: hold.wait(30) and reply(200))
    way = edge(proxy=app, drain="300ms")
    with way.client() as client:
        client.ask("GET")
        app.wait_requests(1)
        upgrade(way, other)
        assert client.at_end()
    until(lambda: not way.status()["old_workers"], "its end")
    hold.set()


def test_a_stop_ends_old_workers_too(edge, origin, other):
    hold = threading.Event()
    app = origin(lambda request: hold.wait(30) and reply(200, b"held"))
    way = edge(proxy=app, drain="60s")
    with way.client() as busy, way.client() as idle:
        assert idle.ask("HEAD") and app.wait_requests(1) is not False
        busy.ask("GET")
        app.wait_requests(2)
        upgrade(way, other)
        way.command("drain")
        hold.set()
        assert busy.answer().body == b"held"
        assert idle.answer("HEAD").status == 200
    assert way.wait_exit() == 0


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_tls_sessions_are_resumed_after_it(edge, origin, pki, other, version):
    context = pki.context()
    context.maximum_version = getattr(ssl.TLSVersion, version)
    way = edge(proxy=origin(), cert=pki.server)
    with way.tls_client(context) as client:
        assert client.get().status == 200
        session = client.tls.session
    upgrade(way, other)
    with way.tls_client(context, session=session) as client:
        assert client.get().status == 200
        assert client.tls.session_reused


def test_what_was_said_of_servers_goes_on(edge, origin, other):
    first, second = origin(lambda _: reply(200, b"first")), origin(lambda _: reply(200, b"second"))
    way = edge({"upstreams": {"app": {"servers": [first.at, second.at]}},
                "sites": {"default": {"proxy": "app"}}})
    done = way.command("server", "maintenance", "app", first.at)
    assert done.returncode == 0, done.stderr
    upgrade(way, other)
    assert {way.get().body for _ in range(10)} == {b"second"}
    assert way.command("server", "ready", "app", first.at).returncode == 0
    until(lambda: way.get().body == b"first", "the first one again")


# ---- the configuration ------------------------------------------------------------------------------


def says(word):
    return {"sites": {"default": {"respond": word}}}


def test_the_configuration_is_loaded_anew(edge, other):
    way = edge(says("old"), workers=1)
    way.write(says("new"), workers=2, listen=[f"127.0.0.1:{way.port}", "[::1]:0"])
    upgrade(way, other)
    assert way.get().body == b"new"
    assert way.status()["worker"]["threads"] == 2, "what a reload cannot change"
    added = until(lambda: way.addresses[1:] and way.addresses[-1], "the new listener's line")
    with way.client(added) as client:
        assert client.get().body == b"new"
    way.write(says("newest"), listen="[::1]:%d" % added[1])
    upgrade(way, other)
    with way.client(added) as client:
        assert client.get().body == b"newest"

    def refused():
        try:
            way.client().close()
            return False
        except OSError:
            return True
    until(refused, "the old worker leaving the listener that is gone")


TROUBLE = {
    "an error": "sites: [",
    "an address that cannot be bound": {"listen": "192.0.2.1:8080", **says("new")},
    "a user that is none": {"user": "nosuchuser", **says("new")},
}


@pytest.mark.parametrize("what", TROUBLE)
def test_with_a_broken_configuration_the_one_in_force_goes_on(edge, other, what):
    way = edge(says("old"))
    way.write(TROUBLE[what])
    done = upgrade(way, other)
    assert "in force" in done.stderr
    assert way.get().body == b"old"
    assert way.status()["upgrades"] == 1
    way.reload(says("new"))
    assert way.get().body == b"new"


# ---- at the wrong moment ----------------------------------------------------------------------------


def test_two_at_once_and_reloads_between(edge, other):
    way = edge(says("old"))
    codes = []

    def run(*args):
        codes.append((args[0], way.command(*args)))
    for turn in range(3):
        way.write(says(f"turn {turn}"))
        threads = [threading.Thread(target=run, args=args) for args in
                   (("upgrade", other), ("reload",), ("upgrade",), ("reload",))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        upgraded = [done for name, done in codes[-4:] if name == "upgrade"]
        assert [done for done in upgraded if done.returncode == 0]
        for done in upgraded:
            assert done.returncode == 0 or "under way already" in done.stderr, done.stderr
        way.reload()
        assert way.get().body == b"turn %d" % turn


HANGS = 'if (is_worker) { prctl(PR_SET_NAME, "hangs", 0, 0, 0); for (;;) pause(); }'


def begin(way, path):
    """Starts an upgrade and waits until both workers are there; the command and the new worker."""
    workers = set(way.processes())
    command = subprocess.Popen([program(), "upgrade", path, "--control", way.control],
                               stderr=subprocess.PIPE, text=True)

    def fresh():
        new = [pid for pid in way.processes() if pid not in workers and hangs(pid)]
        return new and new[0]
    return command, until(fresh, "the new worker")


def hangs(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as file:
            return file.read() == "hangs\n"
    except OSError:
        return False


def test_the_edge_can_be_stopped_during_it(edge, origin, stub):
    way = edge(proxy=origin())
    command, _ = begin(way, stub(HANGS))
    assert way.get().status == 200, "the old worker serves"
    way.signal(signal.SIGTERM)
    assert way.wait_exit() == 0
    assert "stopping" in command.communicate()[1]
    assert command.returncode == 1


def test_a_worker_that_dies_meanwhile_is_replaced(edge, origin, stub):
    way = edge(proxy=origin())
    old = way.worker_pid
    command, hanging = begin(way, stub(HANGS))
    os.kill(old, signal.SIGKILL)
    os.kill(hanging, signal.SIGKILL)
    assert "died" in command.communicate()[1]
    assert way.get().status == 200
    assert way.worker_pid not in (old, hanging)
    assert way.status()["upgrades"] == 0


@pytest.mark.long
def test_a_worker_that_never_gets_ready_is_given_up(edge, origin, stub):
    way = edge(proxy=origin())
    command, _ = begin(way, stub(HANGS))
    assert "not ready in time" in command.communicate(timeout=60)[1]
    assert way.get().status == 200


# ---- who may ----------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_an_edge_without_privileges(edge, origin, other):
    nobody = 65534
    way = edge(proxy=origin(), uid=nobody)
    upgrade(way, other)
    assert way.get().status == 200
    assert os.stat(f"/proc/{way.process.pid}").st_uid == nobody
    os.chown(other, 1, 1)
    done = way.command("upgrade", other)
    assert done.returncode == 1
    assert "others" in done.stderr
    assert way.get().status == 200
