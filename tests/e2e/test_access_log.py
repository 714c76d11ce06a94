# SPDX-License-Identifier: Apache-2.0
"""One line per exchange, with what happened and how long each part took."""
import os
import re
import threading

from harness import reply, until

COMBINED = re.compile(r'^127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
                      r'"GET /p\?q=1 HTTP/1\.1" 200 5 "http://from\.test/" "agent \\"x\\""')


def test_json_says_what_happened(edge, origin):
    app = origin()
    way = edge(proxy=app)
    way.exchange("POST", "/p?q=1", [("User-Agent", "agent/1"), ("Referer", "http://from.test/")],
                 b"four")
    line = way.access()[0]
    assert line["method"] == "POST"
    assert line["host"] == "example.com"
    assert line["target"] == "/p?q=1"
    assert line["status"] == 200
    assert line["client"].startswith("127.0.0.1")
    assert line["bytes_in"] == 4 and line["bytes_out"] == 5
    assert line["user_agent"] == "agent/1"
    assert line["upstream"] == app.at


def test_times_add_up(edge, origin):
    pause = threading.Event()

    def handler(request):
        pause.wait(0.6)
        request.conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        pause.wait(0.6)
        return b"cd"
    way = edge(proxy=origin(handler))
    way.get()
    line = way.access()[0]
    assert 590 <= line["first_byte_ms"] < line["total_ms"]
    assert line["total_ms"] >= 1190
    assert line["queue_ms"] < 550 and line["connect_ms"] < 550


def test_the_combined_form(edge, origin, tmp_path):
    log = tmp_path / "log"
    way = edge(proxy=origin(), access_log={"to": str(log), "format": "combined"})
    way.get("/p?q=1", [("Referer", "http://from.test/"), ("User-Agent", 'agent "x"')])
    line = until(lambda: log.exists() and log.read_text(), "a line")
    assert COMBINED.match(line.replace('\\x22', '\\"')), line


def test_nothing_a_client_says_breaks_a_line(edge, origin):
    way = edge(proxy=origin())
    nasty = [("User-Agent", 'a"b\\c\xff\t</script>'), ("Referer", "\x80\x81")]
    for _ in range(3):
        way.get("/q?'%22", nasty)
    lines = way.access(3)
    assert len(lines) == 3
    assert all(line["status"] == 200 for line in lines)


def test_refused_requests_and_cut_answers_are_logged(edge, origin):
    def play(conn):
        conn.read_request()
        conn.send(reply(200, b"abc", [("Content-Length", "10")], length=False))
        conn.close()
    way = edge(proxy=origin(play=play))
    with way.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost : h\r\n\r\n")
        client.refused()
    with way.client() as client:
        client.ask("GET", "/cut")
        assert client.cut_body() == b"abc"
    refused, cut = way.access(2)
    assert refused["status"] == 400
    assert (refused["error"], refused["side"]) == ("field-name-space", "down")
    assert cut["status"] == 200 and cut["bytes_out"] == 3
    assert (cut["error"], cut["side"]) == ("early-close", "up")


def test_a_client_that_left_is_logged(edge, origin):
    hold = threading.Event()
    app = origin(lambda request: hold.wait(20) and reply(200))
    way = edge(proxy=app)
    client = way.client().ask("GET", "/left")
    app.wait_requests(1)
    client.reset()
    line = way.access()[0]
    hold.set()
    assert line["status"] in (0, 499) or "client-gone" in str(line)


def test_off_on_a_route(edge, origin):
    app = origin()
    way = edge({"sites": {"default": {"routes": [
        {"path": "/quiet", "proxy": app.at, "access_log": "off"}, {"proxy": app.at}]}}})
    way.get("/quiet")
    way.get("/loud")
    assert way.access()[0]["target"] == "/loud"


def test_standard_output(edge, origin):
    way = edge(proxy=origin(), access_log={"to": "stdout", "format": "json"})
    way.get("/out")
    until(lambda: "/out" in open(way.dir + "/stdout", encoding="utf-8").read(), "a line on stdout")


def test_a_reader_of_the_log_that_stops_stops_nobody(edge, origin):
    """Lines are written off the request path: a full pipe costs lines, not time."""
    read, write = os.pipe()
    way = edge(proxy=origin(), access_log={"to": "stdout", "format": "json"}, stdout=write)
    os.close(write)
    with way.client() as client:
        for _ in range(1500):
            assert client.get("/" + "long" * 100).status == 200
    os.close(read)
    assert way.get().status == 200, "nor does a reader that is gone"


def test_a_moved_log_is_opened_anew_on_reload(edge, origin):
    way = edge(proxy=origin())
    way.get("/one")
    way.access(1)
    os.rename(way.dir + "/access.log", way.dir + "/access.log.1")
    way.reload()
    way.get("/two")
    line = way.access(1)[0]
    assert line["target"] == "/two"


def test_a_websocket_is_one_line_when_it_ends(edge, origin):
    def play(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        conn.send(conn.read(5))
        conn.read_to_end()
    way = edge(proxy=origin(play=play))
    with way.client() as client:
        client.get("/", [("Connection", "Upgrade"), ("Upgrade", "x")])
        client.send(b"hello")
        client.read(5)
    line = way.access()[0]
    assert line["status"] == 101
    assert (line["bytes_in"], line["bytes_out"]) == (5, 5)
