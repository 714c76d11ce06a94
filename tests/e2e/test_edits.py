# SPDX-License-Identifier: Apache-2.0
"""What a route does to a request and its answer: edits, rewrites, redirects, answers, pages."""
import json

import pytest

from harness import reply


def site(edge, **directives):
    return edge({"sites": {"default": directives}})


def test_fields_are_removed_set_and_added_in_that_order(edge, origin):
    fields = [("X-Gone", "1"), ("X-Old", "1"), ("X-More", "1")]
    app = origin(lambda request: reply(200, b"", fields))
    edits = {"remove": ["x-gone"], "set": {"x-old": "2", "x-new": "1"}, "add": {"x-more": "2"}}
    way = site(edge, proxy=app.at, headers={"request": edits, "response": edits})
    answer = way.get("/", [("X-Gone", "2")] + fields)
    for seen in (app.last, answer):
        assert "x-gone" not in seen.names()
        assert seen.all("x-old") == ["2"]
        assert seen.all("x-new") == ["1"]
        assert seen.all("x-more") == ["1", "2"]


def test_edits_of_site_and_route_both_apply(edge, origin):
    app = origin()
    way = edge({"sites": {"default": {
        "headers": {"request": {"set": {"x-site": "s", "x-both": "site"}}},
        "routes": [{"path": "/r", "proxy": app.at,
                    "headers": {"request": {"set": {"x-route": "r", "x-both": "route"}}}}]}}})
    way.get("/r")
    assert (app.last.get("x-site"), app.last.get("x-route")) == ("s", "r")
    assert app.last.get("x-both") == "route"


def test_edits_know_the_request(edge, origin):
    app = origin(lambda request: reply(201, b""))
    way = site(edge, proxy=app.at, headers={
        "request": {"set": {"x-all": "$host $path $query $method $scheme $client $header(x-in)"}},
        "response": {"set": {"x-out": "$status for $path, costs $$1", "x-id": "$id"}}})
    answer = way.exchange("PUT", "/p?a=b", [("X-In", "yes")], b"")
    assert app.last.get("x-all") == "example.com /p ?a=b PUT http 127.0.0.1 yes"
    assert answer.get("x-out") == "201 for /p, costs $1"
    assert answer.get("x-id")


def test_environment_and_files_in_values(edge, origin, tmp_path):
    (tmp_path / "secret").write_text("from a file\n")
    app = origin()
    way = edge({"sites": {"default": {"proxy": app.at, "headers": {"request": {"set": {
        "x-env": "$env(ADIT_E2E_WORD)", "x-file": f"$file({tmp_path}/secret)"}}}}}},
        env={"ADIT_E2E_WORD": "from outside"})
    way.get()
    assert app.last.get("x-env") == "from outside"
    assert app.last.get("x-file") == "from a file"


def test_a_client_cannot_put_fields_into_an_answer(edge):
    """What is interpolated was decoded at most once and never carries CR or LF."""
    way = site(edge, redirect="/to$path$query", headers={"response": {"set": {"x-q": "$query"}}})
    with way.client() as client:
        answer = client.get("/a%0d%0aX-Evil:%201?b=%0d%0aX-Evil:%202")
        assert "x-evil" not in answer.names()
        assert client.get("/next").status == answer.status


@pytest.mark.parametrize("rewrite, target, expected", [
    ("/api$path", "/x?q=1", "/api/x?q=1"),
    ({"strip": "/app"}, "/app/x?q=1", "/x?q=1"),
    ({"strip": "/app"}, "/app", "/"),
    ({"strip": "/app"}, "/apple", "/apple"),
    ({"regex": "^/a/([a-z]+)/(.*)", "to": "/b/$match(2)/$match(1)"}, "/a/x/y/z?q", "/b/y/z/x?q"),
    ({"regex": "^/a/(.*)", "to": "/b/$match(1)"}, "/other", "/other"),
    ("/fixed?only=this", "/x?q=1", "/fixed?only=this"),
])
def test_rewrites(edge, origin, rewrite, target, expected):
    app = origin()
    assert site(edge, proxy=app.at, rewrite=rewrite).get(target).status == 200
    assert app.last.target == expected


def test_redirects(edge):
    way = site(edge, routes=[
        {"path": "/old/*", "redirect": "/new/$match(1)"},
        {"path": "/gone", "redirect": {"to": "https://other.test$path", "status": 301}},
        {"path": "/form", "redirect": {"to": "/thanks", "status": 303}},
        {"path": "/q", "redirect": "/to$query"}])
    old = way.get("/old/a/b")
    assert (old.status, old.get("location")) in [(302, "/new/a/b"), (308, "/new/a/b")]
    gone = way.get("/gone")
    assert (gone.status, gone.get("location")) == (301, "https://other.test/gone")
    assert way.exchange("POST", "/form", body=b"x=1").status == 303
    assert way.get("/q?a=1&b=2").get("location") == "/to?a=1&b=2"


def test_fixed_answers(edge):
    way = site(edge, routes=[
        {"path": "/text", "respond": "hello $path"},
        {"path": "/empty", "respond": 204},
        {"path": "/json", "respond": {"status": 202, "body": '{"ok": true}',
                                      "headers": {"content-type": "application/json"}}},
        {"path": "/teapot", "respond": 418}])
    with way.client() as client:
        text = client.get("/text")
        assert (text.status, text.body) == (200, b"hello /text")
        assert text.get("content-type").startswith("text/plain")
        assert client.get("/empty").status == 204
        answer = client.get("/json")
        assert (answer.status, answer.get("content-type")) == (202, "application/json")
        assert json.loads(answer.body) == {"ok": True}
        head = client.exchange("HEAD", "/json")
        assert (head.status, head.get("content-length")) == (202, "12")
        assert client.get("/teapot").status == 418


def test_a_fixed_answer_reads_the_body_it_does_not_need(edge):
    with site(edge, respond="ok").client() as client:
        assert client.exchange("POST", "/", body=b"GET /x HTTP/1.1\r\n" * 1000).body == b"ok"
        assert client.get("/next").body == b"ok"


def test_error_pages_of_our_own(edge, origin, tmp_path):
    (tmp_path / "down.html").write_text("<h1>Down: $status</h1>")
    app = origin(lambda request: reply(404, b"the origin's own page"))
    way = site(edge, proxy=app.at, routes=[{"path": "/dead", "proxy": "127.0.0.1:1"},
                                           {"path": "/none/*", "respond": 404}],
               errors={"404": {"body": "nothing here, see $id", "type": "text/plain"},
                       "5xx": {"file": str(tmp_path / "down.html"), "type": "text/html"}})
    answer = way.get("/dead")
    assert answer.status in (502, 503)
    assert answer.body == b"<h1>Down: %d</h1>" % answer.status
    assert answer.get("content-type").startswith("text/html")
    assert way.get("/").body == b"the origin's own page"


def test_limits_of_a_route_replace_those_of_the_site(edge, origin):
    app = origin()
    way = edge({"sites": {"default": {"limits": {"body_size": 10}, "routes": [
        {"path": "/big", "proxy": app.at, "limits": {"body_size": "1KiB"}}, {"proxy": app.at}]}}})
    assert way.exchange("POST", "/", body=b"x" * 11).status == 413
    assert way.exchange("POST", "/", body=b"x" * 10).status == 200
    assert way.exchange("POST", "/big", body=b"x" * 1024).status == 200
    assert way.exchange("POST", "/big", body=b"x" * 1025).status == 413


def test_a_chunked_body_meets_the_limit_too(edge, origin):
    app = origin()
    with edge(proxy=app, limits={"body_size": 10}).client() as client:
        client.ask("POST", "/", [("Transfer-Encoding", "chunked")])
        client.send(b"8\r\n01234567\r\n")
        client.send(b"8\r\n01234567\r\n")
        assert client.refused().status == 413
    assert not app.requests


def test_snippets_and_includes(edge, origin, tmp_path):
    app = origin()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.yaml").write_text("sites: {b.test: {use: tagged, respond: b}}\n")
    way = edge({"snippets": {"tagged": {"headers": {"response": {"set": {"x-tag": "yes"}}}}},
                "include": str(tmp_path / "more" / "*.yaml"),
                "sites": {"a.test": {"use": "tagged", "proxy": app.at}}})
    assert way.get(host="a.test").get("x-tag") == "yes"
    answer = way.get(host="b.test")
    assert (answer.body, answer.get("x-tag")) == (b"b", "yes")
