# SPDX-License-Identifier: Apache-2.0
"""A new configuration in a running edge: what stays goes on, what is wrong changes nothing."""
import asyncio
import signal
import threading

import pytest
import websockets

from harness import reply, until


def says(word):
    return {"sites": {"default": {"respond": word}}}


@pytest.mark.parametrize("how", ["command", "SIGHUP"])
def test_the_new_configuration_is_in_force(edge, how):
    way = edge(says("old"))
    worker = way.worker_pid
    assert way.get().body == b"old"
    way.write(says("new"))
    if how == "command":
        way.command("reload")
        assert way.get().body == b"new", "when `adit reload` is done, so is the reload"
    else:
        way.signal(signal.SIGHUP)
        until(lambda: way.get().body == b"new", "the new answer")
    assert way.worker_pid == worker, "the worker goes on"


def test_a_kept_connection_meets_the_new_configuration(edge):
    way = edge(says("old"))
    with way.client() as client:
        assert client.get().body == b"old"
        way.reload(says("new"))
        assert client.get().body == b"new"


def test_an_exchange_keeps_what_it_began_with(edge, origin):
    go_on = threading.Event()

    def handler(request):
        request.conn.send(reply(200, b"first", [("Content-Length", "10")], length=False))
        request.conn.wait(go_on)
        return b"after"
    app = origin(handler)
    way = edge(proxy=app)
    with way.client() as client:
        client.ask("GET")
        head = client.answer_head()
        way.reload(says("new"))
        assert way.get().body == b"new"
        go_on.set()
        assert client.body_of(head).body == b"firstafter"
        assert client.get().body == b"new"


def test_a_websocket_survives(edge, websocket_server):
    async def echo(ws, path=None):
        async for message in ws:
            await ws.send(message)
    server = websocket_server(echo)
    way = edge(proxy=server)

    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{way.port}/") as ws:
            for turn in range(3):
                await ws.send(f"turn {turn}")
                assert await ws.recv() == f"turn {turn}"
                await asyncio.to_thread(way.reload, {"log": "debug" if turn % 2 else "info"},
                                        proxy=server)
    asyncio.run(talk())


def test_pooled_connections_survive(edge, origin):
    app = origin()
    way = edge(proxy=app)
    way.get()
    way.reload(proxy=app, via="off")
    way.get()
    assert len(app.conns) == 1
    assert "via" not in app.last.names()


BROKEN = {
    "not YAML": "sites: [",
    "unknown key": "sites: {default: {proxi: 3000}}",
    "wrong unit": "sites: {default: {respond: x}}\ntimeouts: {idle: 5 parsecs}",
    "bad expression": "sites: {default: {routes: [{path: '~ ([', respond: x}]}}",
    "empty": "",
    "binary": "\x00\x01\x02",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_config_error_leaves_the_server_untouched(edge, name):
    way = edge(says("old"))
    way.write(BROKEN[name])
    done = way.command("reload")
    assert done.returncode == 3
    assert "adit.yaml" in done.stdout + done.stderr, "the message says where"
    before = len(way.lines)
    way.signal(signal.SIGHUP)
    way.wait_log("adit.yaml|rror", since=before)
    assert way.get().body == b"old"
    way.reload(says("new"))
    assert way.get().body == b"new"


def test_listeners_come_and_go(edge):
    way = edge(says("hello"))
    with way.client() as kept:
        assert kept.get().status == 200
        known = len(way.addresses)
        way.reload(says("more"), listen=[f"127.0.0.1:{way.port}", "[::1]:0"])
        until(lambda: len(way.addresses) > known, "the new listener's line")
        added = next(a for a in way.addresses[known:] if a[0] == "::1")
        with way.client(added) as client:
            assert client.get().body == b"more"
        assert kept.get().body == b"more"
    way.reload(says("only"), listen=["[::1]:%d" % added[1]])
    with way.client(added) as client:
        assert client.get().body == b"only"
    with pytest.raises(OSError):
        way.client()


def test_reloads_under_load_lose_nothing(edge, origin):
    app = origin(lambda request: reply(200, b"x" * 100))
    way = edge(proxy=app, workers=2)
    stop, wrong, served = threading.Event(), [], []

    def run():
        with way.client() as client:
            while not stop.is_set():
                answer = client.get()
                served.append(answer.status)
                if answer.status != 200 or answer.body != b"x" * 100:
                    wrong.append(answer)
    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for turn in range(15):
        way.reload(proxy=app, via="on" if turn % 2 else "off")
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(served) > 100


def test_many_reloads_with_an_old_exchange_are_bounded(edge, origin):
    """An exchange holds its snapshot; a hundred reloads must not pile up a hundred of them."""
    go_on = threading.Event()
    app = origin(lambda request: go_on.wait(60) and reply(200, b"held"))
    way = edge(proxy=app)
    with way.client() as client:
        client.ask("GET")
        app.wait_requests(1)
        for turn in range(40):
            way.write(says(f"turn {turn}"))
            way.command("reload")
        assert way.get().body.startswith(b"turn ")
        go_on.set()
        assert client.answer().body == b"held"
    way.reload(says("last"))
    assert way.get().body == b"last"


def test_status_tells_of_the_reload(edge):
    way = edge(says("old"))
    before = way.status()
    way.reload(says("new"))
    after = way.status()
    assert after != before
    assert str(after).count("generation")


def test_an_origin_by_name_may_go_while_it_is_looked_up_again_and_again(edge, origin, dns):
    """What follows a name ends with its last use, and begins again with the next."""
    app = origin()
    dns.records["app.internal"] = ["127.0.0.1"]
    named = {"proxy": f"app.internal:{app.port}", "resolver": dns.at,
             "timeouts": {"upstream_idle": "200ms"}}
    way = edge(**named)
    for _ in range(3):
        assert way.get().body == b"hello"
        way.reload(says("gone"))
        assert way.get().body == b"gone"
        until(lambda: app.conns[-1].ended, "the pool being empty")
        way.reload(**named)
    dns.records["app.internal"] = ["127.0.0.2", "127.0.0.1"]
    asked = len(dns.queries)
    assert way.get().body == b"hello"
    until(lambda: len(dns.queries) > asked + 2, "it being asked again")
    assert way.get().body == b"hello"
