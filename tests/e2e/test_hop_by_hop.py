# SPDX-License-Identifier: Apache-2.0
"""Fields that belong to one connection stay on it (RFC 9110 7.6.1)."""
from harness import reply


def test_connection_fields_of_a_request_stay_here(edge, origin):
    app = origin()
    edge(proxy=app).get("/", [
        ("Connection", "close, X-Hop"), ("X-Hop", "secret"), ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"), ("TE", "gzip;q=1"), ("X-End", "to end")])
    seen = app.last
    assert not {"x-hop", "keep-alive", "proxy-connection"} & seen.names()
    assert "gzip" not in seen.get("te", "")
    assert seen.get("connection", "").lower() not in ("close", "close, x-hop")
    assert seen.get("x-end") == "to end"
    assert b"secret" not in app.raw


def test_connection_fields_of_an_answer_stay_there(edge, origin):
    app = origin(lambda request: reply(200, b"x", [
        ("Connection", "X-Hop, keep-alive"), ("X-Hop", "secret"), ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"), ("X-End", "to end")]))
    answer = edge(proxy=app).get()
    assert not {"x-hop", "keep-alive", "proxy-connection"} & answer.names()
    assert "x-hop" not in answer.get("connection", "").lower()
    assert answer.get("x-end") == "to end"


def test_several_connection_fields_are_one_list(edge, origin):
    app = origin()
    edge(proxy=app).get("/", [("Connection", "X-One"), ("connection", " , X-Two ,"),
                              ("X-One", "1"), ("X-Two", "2"), ("x-one", "3"), ("X-Three", "3")])
    assert not {"x-one", "x-two"} & app.last.names()
    assert app.last.get("x-three") == "3"


def test_connection_cannot_take_away_what_the_message_needs(edge, origin):
    """A client must not be able to strip Host, framing or the forwarding fields."""
    app = origin(lambda request: reply(200, request.body))
    answer = edge(proxy=app).exchange("POST", "/", [
        ("Connection", "Host, Content-Length, X-Forwarded-For, Via")], b"body")
    assert answer.status in (200, 400)
    for seen in app.requests:
        assert seen.body == b"body"
        assert seen.get("host") == "example.com"
        assert seen.get("x-forwarded-for") == "127.0.0.1"


def test_te_trailers_is_said_anew(edge, origin):
    app = origin()
    edge(proxy=app).get("/", [("Connection", "TE"), ("TE", "trailers")])
    if app.last.get("te"):
        assert app.last.get("te") == "trailers"
        assert "te" in app.last.get("connection").lower()


def test_upgrade_offers_of_an_answer_are_not_passed(edge, origin):
    app = origin(lambda request: reply(200, b"x", [("Upgrade", "h2c"), ("Connection", "Upgrade")]))
    answer = edge(proxy=app).get()
    assert answer.status == 200
    assert "h2c" not in answer.get("upgrade", "")


def test_end_to_end_fields_pass_in_order_with_repeats(edge, origin):
    fields = [("X-A", "1"), ("Cookie", "a=1"), ("X-B", ""), ("X-A", "2"),
              ("Authorization", "Basic x"), ("Range", "bytes=0-1"),
              ("If-None-Match", '"x"'), ("Origin", "null")]
    app = origin(lambda request: reply(200, b"", [("Vary", "A"), ("Vary", "B"), ("Server", "me"),
                                                  ("WWW-Authenticate", "Basic")]))
    answer = edge(proxy=app).get("/", fields)
    seen = [(n, v) for n, v in app.last.fields if (n, v) in fields]
    assert seen == fields
    assert answer.all("vary") == ["A", "B"]
    assert answer.get("server") == "me"
    assert answer.get("www-authenticate") == "Basic"


def test_obs_text_passes_untouched(edge, origin):
    app = origin(lambda request: reply(200, fields=[("X-Latin", "caf\xe9")]))
    answer = edge(proxy=app).get("/", [("X-Latin", "\xfc\xff")])
    assert app.last.get("x-latin") == "\xfc\xff"
    assert answer.get("x-latin") == "caf\xe9"
