# SPDX-License-Identifier: Apache-2.0
"""Errors people can use: a page or JSON, an id that the log knows, and the rule that was broken."""
import json
import threading

import pytest

from harness import reply


def refuse_route(edge, origin):
    return edge({"sites": {"known.test": {"routes": [{"path": "/here", "proxy": origin().at}]}}})


def test_a_browser_gets_a_page(edge, origin):
    way = refuse_route(edge, origin)
    answer = way.get("/nowhere", [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")],
                     host="known.test")
    assert answer.status == 404
    assert answer.get("content-type").startswith("text/html")
    assert b"<html" in answer.body.lower() and b"404" in answer.body
    assert len(answer.body) < 4096


@pytest.mark.parametrize("accept", ["application/json", "application/problem+json",
                                    "application/json, text/plain, */*"])
def test_a_program_gets_json(edge, origin, accept):
    answer = refuse_route(edge, origin).get("/nowhere", [("Accept", accept)], host="known.test")
    assert "json" in answer.get("content-type")
    told = json.loads(answer.body)
    assert told["status"] == 404
    assert told["id"] == answer.get("x-request-id", told["id"])


def test_the_request_id_is_in_the_page_the_log_and_at_the_origin(edge, origin):
    app = origin(lambda request: reply(200, b"ok"))
    way = edge({"sites": {"default": {"routes": [{"path": "/ok", "proxy": app.at}]}}})
    answer = way.get("/nowhere", [("Accept", "application/json")])
    told = json.loads(answer.body)["id"]
    assert len(told) >= 16
    assert way.access(1)[0]["id"] == told
    way.get("/ok")
    assert app.last.get("x-request-id") == way.access(2)[1]["id"] != told


def test_error_answers_have_no_body_for_head(edge, origin):
    with refuse_route(edge, origin).client() as client:
        answer = client.exchange("HEAD", "/nowhere", host="known.test")
        assert (answer.status, answer.body) == (404, b"")
        assert client.get("/here", host="known.test").status == 200


def test_a_page_does_not_repeat_what_the_client_said(edge, origin):
    answer = refuse_route(edge, origin).get("/<script>alert(1)</script>", [("Accept", "text/html")],
                                            host="known.test")
    assert b"<script>" not in answer.body


def test_what_is_ours_and_not_the_origins_is_said(edge, origin):
    """An origin's own 502 passes as it is."""
    app = origin(lambda request: reply(502, b"mine"))
    way = edge(proxy=app)
    assert way.get().body == b"mine"
    app.stop()
    assert way.get().body != b"mine"


def test_the_log_names_side_rule_and_server(edge, origin):
    app = origin(lambda request: b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n")
    way = edge(proxy=app)
    assert way.get("/who").status == 502
    line = way.wait_log("field-name-space")
    assert "side=up" in line
    assert app.at in line


@pytest.mark.parametrize("status, make", [
    (405, lambda c: c.ask("TRACE")),
    (408, lambda c: c.send(b"GET / HTTP/1.1\r\nHost: h\r\n")),
    (413, lambda c: c.ask("PUT", "/", [("Content-Length", "5000")])),
    (414, lambda c: c.send(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")),
    (417, lambda c: c.ask("PUT", "/", [("Expect", "x")], b"")),
    (421, lambda c: c.ask("GET", "/", host="unknown.test")),
    (431, lambda c: c.ask("GET", "/", [("X", "y")] * 200)),
    (501, lambda c: c.ask("PUT", "/", [("Transfer-Encoding", "gzip, chunked")])),
    (502, lambda c: c.ask("GET", "/bad", host="h")),
    (504, lambda c: c.ask("GET", "/slow", host="h"))])
def test_every_error_has_its_answer(edge, origin, status, make):
    hold = threading.Event()

    def play(conn):
        if conn.read_request().target == "/slow":
            conn.wait(hold)
        conn.send(b"nonsense\r\n\r\n")
    way = edge({"sites": {"h": {"proxy": origin(play=play).at}, "example.com": {"respond": "ok"}},
                "limits": {"body_size": 100}, "timeouts": {"header": "1s", "response": "1s"}})
    with way.client() as client:
        make(client)
        answer = client.answer("GET")
        assert answer.status == status
        assert answer.get("content-type")
        assert str(status).encode() in answer.body
    hold.set()
    assert way.access()[0]["status"] == status


@pytest.fixture(scope="module")
def pages(module_edge):
    return module_edge({"sites": {"default": {"routes": [
        {"path": f"/{status}", "respond": status} for status in range(400, 512)]}}})


@pytest.mark.parametrize("status", [400, 404, 405, 408, 411, 413, 414, 417, 421, 426, 431, 500, 501,
                                    502, 503, 504])
def test_every_status_has_a_page_in_both_forms(pages, status):
    with pages.client() as client:
        page = client.get(f"/{status}", [("Accept", "text/html")])
        assert (page.status, page.get("content-type")[:9]) == (status, "text/html")
        assert str(status).encode() in page.body
        told = json.loads(client.get(f"/{status}", [("Accept", "application/json")]).body)
        assert told["status"] == status and told["id"]


def test_retry_after_and_no_store(edge, origin):
    """What is wrong now may be right soon: nobody is to keep these answers."""
    app = origin()
    app.stop()
    answer = edge(proxy=app).get()
    assert answer.status in (502, 503)
    assert "no-store" in answer.get("cache-control", "no-store")
