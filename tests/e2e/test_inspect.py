# SPDX-License-Identifier: Apache-2.0
"""`adit 3000 --inspect`: what came through the tunnel, on this machine alone, and once more (issue 5)."""
import asyncio
import base64
import json
import os
import pathlib
import threading

import pytest
import websockets

from harness import WAIT, Client, reply, run_adit, until
from harness.browser import Browser
from harness.ports import free_port
from harness.tunnel import Road, zone

pytestmark = pytest.mark.usefixtures("tunnels")

OWN = [("Adit-Inspect", "1")]


class Inspector:
    """The port of an agent's inspector, asked as a program would."""

    def __init__(self, url):
        self.url, self.port = url, int(url.rsplit(":", 1)[1])

    def ask(self, method, path, fields=(), host=None):
        with Client(("127.0.0.1", self.port)) as client:
            client.host = host or f"127.0.0.1:{self.port}"
            return client.exchange(method, path, list(fields), b"" if method == "POST" else None)

    def get(self, path, **options):
        answer = self.ask("GET", path, **options)
        assert answer.status == 200, (path, answer.status, answer.body)
        return json.loads(answer.body)

    def list(self, after=0):
        return self.get(f"/api/requests?after={after}")["requests"]

    def over(self, count):
        """The requests, newest first, when so many have ended."""
        return until(lambda: len(rows := self.list()) == count and
                     all(row["over"] for row in rows) and rows, f"{count} requests")

    def one(self, number):
        return self.get(f"/api/requests/{number}")

    def replay(self, number, fields=tuple(OWN), **options):
        return self.ask("POST", f"/api/requests/{number}/replay", fields, **options)


@pytest.fixture
def inspected(edge, agent, origin):
    """inspected(handler, *words): an app (a server, a folder) behind a tunnel, a road to it, its
    inspector."""
    def build(handler=None, *words, **env):
        plays = getattr(handler, "__name__", "") == "play"
        folder = isinstance(handler, pathlib.Path)
        app = handler if hasattr(handler, "port") or folder else \
            origin(play=handler) if plays else origin(handler)
        target = f"{app}/" if folder else app.port
        way = edge(**zone())
        it = agent(way, target, f"--inspect={free_port()}", *words, env=env)
        road = Road(way, it.name)
        road.agent = it
        ready = it.wait_event("ready")
        return app, road, Inspector(ready["inspect"])
    return build


def body_of(message):
    return base64.b64decode(message["body"]["base64"])


def fields_of(message):
    return {name.lower(): value for name, value in message["fields"]}


def post(road, target, body, fields=()):
    with road.client() as client:
        return client.exchange("POST", target, list(fields), body)


def test_a_request_and_its_answer(inspected):
    _, road, inspector = inspected(lambda request: reply(201, b'{"ok": 1}', [("X-Made", "yes")]))
    body = os.urandom(5000)
    assert post(road, "/hook?a=b", body, [("X-Event", "push")]).status == 201
    row = inspector.over(1)[0]
    assert (row["id"], row["method"], row["target"], row["status"]) == (1, "POST", "/hook?a=b", 201)
    assert (row["bytes_in"], row["bytes_out"], row["client"]) == (5000, 9, "127.0.0.1")
    one = inspector.one(1)
    assert body_of(one["request"]) == body and body_of(one["answer"]) == b'{"ok": 1}'
    assert fields_of(one["request"])["x-event"] == "push" and fields_of(one["answer"])["x-made"] == "yes"
    assert one["authority"] == f"{road.name}:{road.port}" and one["replayable"]
    assert inspector.get("/api/requests")["last"] > 0
    assert not inspector.list(inspector.get("/api/requests")["last"])


def test_a_repeat_is_the_same_request(inspected):
    app, road, inspector = inspected(lambda request: reply(200, b"got %d" % len(request.body), [
        ("Set-Cookie", "a=b"), ("Location", "/elsewhere"), ("X-Kept", "1")]))
    body = os.urandom(60000)
    sent = [("X-Hub-Signature-256", "sha256=abc"), ("Authorization", "Bearer secret"), ("Content-Type", "app/x")]
    post(road, "/hook?token=secret", body, sent)
    inspector.over(1)
    answer = inspector.replay(1)
    assert (answer.status, answer.body, answer.get("x-kept")) == (200, b"got 60000", "1")
    assert answer.get("set-cookie") is None and answer.get("location") is None
    first, second = app.requests
    assert (second.method, second.target, second.body) == ("POST", "/hook?token=secret", body)
    assert second.fields == first.fields
    rows = inspector.over(2)
    assert [(row["id"], row.get("repeats")) for row in rows] == [(2, 1), (1, None)]
    assert body_of(inspector.one(2)["request"]) == body
    assert inspector.replay(2).status == 200 and inspector.over(3)[0]["repeats"] == 2


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
def test_a_repeat_without_a_body(inspected, method):
    app_body = b"what there is"
    app, road, inspector = inspected(lambda request: reply(200, app_body))
    with road.client() as client:
        client.exchange(method, "/x")
    inspector.over(1)
    with Client(("127.0.0.1", inspector.port)) as client:   # and the connection can be used again
        client.host = f"127.0.0.1:{inspector.port}"
        for _ in range(2):
            answer = client.exchange("POST", "/api/requests/1/replay", [("Content-Type", "application/json")])
            assert (answer.status, answer.body) == (200, b"" if method == "HEAD" else app_body)
    assert [r.method for r in app.requests] == [method] * 3


def test_secrets_are_not_shown(inspected):
    _, road, inspector = inspected(lambda request: reply(200, b"", [
        ("Set-Cookie", "s=hidden1"), ("Location", "/next?code=hidden2&page=3")]))
    post(road, "/hook?token=hidden3&page=1", b"", [
        ("Authorization", "Bearer hidden4"), ("Cookie", "a=hidden5"), ("X-Api-Key", "hidden6"),
        ("Referer", "http://a.example/?secret=hidden7"), ("X-Event", "push")])
    inspector.over(1)
    paths = ["/api/requests", "/api/requests/1", "/api/requests/1/curl"]
    shown = b"".join(inspector.ask("GET", path).body for path in paths)
    assert b"hidden" not in shown and b"page=1" in shown and b"page=3" in shown
    fields = fields_of(inspector.one(1)["request"])
    assert (fields["authorization"], fields["cookie"]) == ("Bearer [redacted]", "[redacted]")
    assert inspector.one(1)["target"] == "/hook?token=[redacted]&page=1"
    curl = inspector.ask("GET", "/api/requests/1/curl").body.decode()
    assert curl.startswith(f"curl -X 'POST' 'http://{road.name}:{road.port}/hook?token=[redacted]&page=1'")


def test_a_large_body_is_counted_and_not_repeated(inspected):
    app, road, inspector = inspected(lambda request: reply(200, b"x" * 200000))
    post(road, "/large", b"y" * 300000)
    row = inspector.over(1)[0]
    assert (row["bytes_in"], row["bytes_out"]) == (300000, 200000)
    one = inspector.one(1)
    for message in one["request"], one["answer"]:
        assert message["body"]["truncated"] and message["body"]["ended"]
        assert len(body_of(message)) == 65536
    answer = inspector.replay(1)
    assert answer.status == 409 and b"not kept whole" in answer.body and len(app.requests) == 1


def test_who_may_ask(inspected):
    app, road, inspector = inspected()
    road.get("/once")
    inspector.over(1)
    port = inspector.port
    for host in "evil.example", f"evil.example:{port}", f"{road.name}:{port}", "127.0.0.1", "127.0.0.1:1", \
            "t0.tunnel", "inspect", f"127.0.0.1.evil.example:{port}":
        for path in "/", "/inspect.js", "/api/requests", "/api/requests/1":
            assert inspector.ask("GET", path, host=host).status == 403, (host, path)
        assert inspector.replay(1, host=host).status == 403
    for host in f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}":
        assert inspector.ask("GET", "/api/requests/1", host=host).status == 200
    origin = f"http://127.0.0.1:{port}"
    for fields in [], [("Content-Type", "text/plain")], [("Content-Type", "application/x-www-form-urlencoded")], \
            [*OWN, ("Origin", "http://evil.example")], [*OWN, ("Origin", "null")], \
            [*OWN, ("Origin", f"https://127.0.0.1:{port}")], [*OWN, ("Origin", origin + "0")], \
            [*OWN, ("Sec-Fetch-Site", "cross-site")], [*OWN, ("Origin", origin), ("Sec-Fetch-Site", "same-site")]:
        assert inspector.replay(1, fields).status == 403, fields
    assert inspector.ask("GET", "/api/requests", [("Sec-Fetch-Site", "cross-site")]).status == 403
    assert len(app.requests) == 1
    assert inspector.replay(1, [*OWN, ("Origin", origin), ("Sec-Fetch-Site", "same-origin")]).status == 200


def test_what_is_not_there(inspected):
    _, road, inspector = inspected()
    road.get("/")
    inspector.over(1)
    for method, path, status in [
            ("GET", "/none", 404), ("GET", "/api/requests/2", 404), ("GET", "/api/requests/0", 404),
            ("GET", "/api/requests/1x", 404), ("GET", "/api/requests/18446744073709551616", 404),
            ("GET", "/api/requests/1/none", 404), ("GET", "/api/requestsx", 404), ("GET", "/api/requests/", 404),
            ("GET", "/api/requests?after=x", 400), ("GET", "/api/requests/1/replay", 405),
            ("POST", "/api/requests/1", 405), ("POST", "/api/requests", 405), ("POST", "/", 405),
            ("PUT", "/", 405), ("DELETE", "/api/requests/1", 405), ("OPTIONS", "/api/requests/1/replay", 405)]:
        assert inspector.ask(method, path, OWN).status == status, (method, path)
    with Client(("127.0.0.1", inspector.port)) as client:
        client.host = f"127.0.0.1:{inspector.port}"
        assert client.exchange("POST", "/api/requests/1/replay", OWN, b"{}").status == 400


def test_visitors_do_not_come_there(inspected):
    """Whatever name and path a visitor asks for, the app answers."""
    app, road, inspector = inspected()
    for host in f"127.0.0.1:{inspector.port}", "inspect", f"{road.name}:{road.port}":
        with road.client() as client:
            client.host = host
            client.exchange("GET", "/api/requests", OWN)
    until(lambda: len(inspector.list()) == 1, "the one that came through")
    assert [r.path for r in app.requests] == ["/api/requests"]


def test_refused_and_failed_requests_are_there(inspected):
    app, road, inspector = inspected(None, "--basic-auth", "me:hidden")
    assert road.get("/in").status == 401
    row = inspector.over(1)[0]
    assert row["status"] == 401 and not inspector.one(1)["replayable"]
    answer = inspector.replay(1)
    assert answer.status == 409 and b"service" in answer.body and not app.requests
    word = base64.b64encode(b"me:hidden").decode()
    assert road.get("/in", [("Authorization", "Basic " + word)]).status == 200
    inspector.over(2)
    app.stop()
    answer = inspector.replay(2)
    assert answer.status == 502 and inspector.over(3)[0]["status"] == 502


def test_a_websocket_is_there_and_not_repeated(inspected, websocket_server):
    async def echo(socket):
        async for word in socket:
            await socket.send(word)
    server = websocket_server(echo)
    _, road, inspector = inspected(server)

    async def talk():
        async with websockets.connect(f"ws://{road.name}:{road.port}/ws", host="127.0.0.1",
                                      port=road.port, open_timeout=WAIT) as socket:
            await socket.send("word")
            assert await socket.recv() == "word"
    asyncio.run(talk())
    row = inspector.over(1)[0]
    assert (row["status"], row["target"]) == (101, "/ws")
    answer = inspector.replay(1)
    assert answer.status == 409 and b"WebSocket" in answer.body


def test_a_folder(inspected, tmp_path):
    (tmp_path / "a.txt").write_text("hello, file")
    _, road, inspector = inspected(tmp_path)
    assert road.get("/a.txt").body == b"hello, file"
    assert inspector.over(1)[0]["status"] == 200
    assert body_of(inspector.one(1)["answer"]) == b"hello, file"
    assert inspector.replay(1).body == b"hello, file"
    assert inspector.over(2)[0]["repeats"] == 1


def test_one_that_goes_on_is_seen(inspected):
    """An answer whose end has not come: what is there is shown, also after the visitor has left."""
    begun, end = threading.Event(), threading.Event()

    def play(conn):
        conn.read_request_head()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"7\r\ndata: 1\r\n")
        begun.set()
        end.wait(WAIT)
    _, road, inspector = inspected(play)
    with road.client() as client:
        client.ask("GET", "/events")
        assert begun.wait(WAIT)
        one = until(lambda: inspector.list() and (one := inspector.one(1)).get("answer") and
                    one["answer"]["body"]["bytes"] == 7 and one, "the first event")
        assert not one["over"] and body_of(one["answer"]) == b"data: 1" and not one["answer"]["body"]["ended"]
    until(lambda: inspector.one(1)["over"], "its end")
    assert not inspector.one(1)["answer"]["body"]["ended"]
    end.set()


def test_memory_stays_what_it_is(inspected):
    """More than the inspector keeps goes through; the oldest are gone, the newest are there."""
    _, road, inspector = inspected(lambda request: reply(200, b"z" * 40000))
    body = b"b" * 40000

    def send(count):
        with road.client() as client:
            for _ in range(count):
                assert client.exchange("POST", "/load", [], body).status == 200
    send(150)       # 80 KB each: three times what is kept
    inspector_list = until(lambda: all(row["over"] for row in inspector.list()) and inspector.list(), "all of them")
    assert 30 <= len(inspector_list) <= 55 and inspector_list[0]["id"] == 150
    assert body_of(inspector.one(150)["request"]) == body
    assert inspector.ask("GET", "/api/requests/1").status == 404
    with road.client() as client:
        for i in range(1300):
            assert client.get(f"/{i}").status == 200
    rows = until(lambda: (rows := inspector.list())[0]["id"] == 1450 and rows[0]["over"] and rows, "the last")
    assert len(rows) <= 1024


def test_ports(edge, agent, inspected):
    app, road, inspector = inspected()
    way = road.way
    taken = agent(way, app.port, f"--inspect={inspector.port}", wait=False, expect_exit=None)
    assert taken.wait_exit() == 1 and "address already in use" in taken.log
    first = agent(way, app.port, "--inspect")
    second = agent(way, app.port, env={"ADIT_INSPECT": "on"})
    ports = [int(it.wait_event("ready")["inspect"].rsplit(":", 1)[1]) for it in (first, second)]
    assert ports[0] != ports[1] and all(4040 <= port < 4050 for port in ports)
    assert "inspect" not in agent(way, app.port).wait_event("ready")
    bad = agent(way, app.port, "--inspect=x", wait=False, expect_exit=None)
    assert bad.wait_exit() == 2 and "not a port" in bad.log


def test_a_file_may_ask_for_it(edge, agent, origin, tmp_path):
    port = free_port()
    (tmp_path / "agent.yaml").write_text(f"inspect: {port}\ntunnels: {{web: {origin().port}}}\n")
    it = agent(edge(**zone()), f"start {tmp_path}/agent.yaml")
    assert it.wait_event("ready")["inspect"] == f"http://127.0.0.1:{port}"
    assert Inspector(it.wait_event("ready")["inspect"]).list() == []


def test_an_edge_refuses(tmp_path):
    config = tmp_path / "adit.yaml"
    config.write_text("sites: {example.com: {inspect: record, respond: ok}}\n")
    done = run_adit("check", str(config))
    assert done.returncode != 0 and "does not inspect requests" in done.stdout + done.stderr


MARKUP = "<img src=x onerror=document.title='broken'><script>document.title='broken'</script>"


def test_the_page_shows_markup_as_text(inspected, tmp_path):
    app, road, inspector = inspected(lambda request: reply(200, MARKUP.encode(), [
        ("Content-Type", "text/html"), ("X-Answer", MARKUP)]))
    target = "/';document.title='broken'//(alert)(1)"
    post(road, target, MARKUP.encode(), [("X-Markup", MARKUP), ("Content-Type", "text/html")])
    inspector.over(1)
    with Browser(tmp_path) as browser:
        assert browser.open(inspector.url) is None
        browser.wait_for("document.querySelector('#list button') !== null", "the list")
        assert target in browser.ask("document.querySelector('#list .what').textContent")
        browser.ask("document.querySelector('#list button').click()")
        browser.wait_for("document.querySelectorAll('#detail pre').length === 2", "both bodies")
        pieces = browser.ask("[...document.querySelectorAll('#detail pre')].map(e => e.textContent)")
        assert pieces == [MARKUP, MARKUP]
        shown = browser.ask("document.getElementById('detail').textContent")
        assert shown.count(MARKUP) == 4
        assert browser.ask("document.querySelectorAll('img, #detail script, #list script').length") == 0
        browser.ask("document.querySelector('#detail button').click()")
        browser.wait_for("document.querySelectorAll('#list button').length === 2", "the repeat")
        assert len(app.requests) == 2 and app.last.body == MARKUP.encode()
        browser.ask("document.getElementById('filter').value = 'nothing-like-it'")
        browser.ask("document.getElementById('filter').oninput()")
        assert browser.ask("document.querySelectorAll('#list button').length") == 0
        assert browser.ask("document.title") == "adit inspect"
        assert not browser.said, browser.said
