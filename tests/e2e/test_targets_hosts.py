# SPDX-License-Identifier: Apache-2.0
"""Request targets in their forms, Host rules, and methods."""
import pytest

from harness import reply


def test_absolute_form_wins_over_host(edge, origin):
    """RFC 9112 3.2.2: the target's authority replaces whatever Host says."""
    app = origin()
    with edge(proxy=app).client() as client:
        client.send(b"GET http://other.test:8080/path?q=1 HTTP/1.1\r\n"
                    b"Host: other.test:8080\r\n\r\n")
        assert client.answer().status == 200
        client.send(b"GET http://other.test HTTP/1.1\r\nHost: other.test\r\n\r\n")
        assert client.answer().status == 200
    first, second = app.requests
    assert (first.target, first.get("host")) == ("/path?q=1", "other.test:8080")
    assert (second.target, second.get("host")) == ("/", "other.test")


def test_absolute_form_that_disagrees_with_host(edge, origin):
    """The authority of the target is what counts; refusing the contradiction is as good."""
    app = origin()
    with edge(proxy=app).client() as client:
        client.send(b"GET http://real.test/ HTTP/1.1\r\nHost: lie.test\r\n\r\n")
        assert client.answer().status in (200, 400)
    assert b"lie.test" not in app.raw
    assert [r.get("host") for r in app.requests] in ([], ["real.test"])


@pytest.mark.parametrize("target", [
    "/", "/a%2Fb//c", "/?", "/?a=1&b=%20&&c", "/~user/;x=1,2/!$'()*+", "/%C3%BC", "/a?b?c/d",
    "/" + "long" * 1000])
def test_targets_pass_as_written(edge, origin, target):
    app = origin()
    assert edge(proxy=app).get(target).status == 200
    assert app.last.target == target


def test_options_of_everything(edge, origin):
    app = origin()
    assert edge(proxy=app).exchange("OPTIONS", "*").status == 200
    assert (app.last.method, app.last.target) == ("OPTIONS", "*")


@pytest.mark.parametrize("method", ["QUERY", "PROPFIND", "PATCH", "DELETE", "M-SEARCH", "get", "X",
                                    "!#$%&'*+-.^_`|~", "VERYLONGMETHODNAME" * 3])
def test_any_token_is_a_method_and_may_have_a_body(edge, origin, method):
    app = origin(lambda request: reply(200, request.body))
    with edge(proxy=app).client() as client:
        for _ in range(2):
            assert client.exchange(method, "/", body=b"<body/>").body == b"<body/>"
    assert app.last.method == method


@pytest.mark.parametrize("method, target", [("TRACE", "/"), ("CONNECT", "example.com:443"),
                                            ("CONNECT", "/"), ("TRACE", "*")])
def test_methods_that_are_never_passed(edge, origin, method, target):
    app = origin()
    with edge(proxy=app).client() as client:
        client.ask(method, target)
        assert client.refused().status in (400, 405, 501)
    assert app.raw == b""


@pytest.mark.parametrize("host", ["example.com", "EXAMPLE.com", "example.com:8080", "127.0.0.1",
                                  "[::1]", "[2001:db8::1]:80", "xn--bcher-kva.example",
                                  "under_score.example", "a.b.c.d.e", "1234"])
def test_hosts_that_are_good(edge, origin, host):
    app = origin()
    assert edge(proxy=app).get(host=host).status == 200
    assert app.last.get("host").lower() == host.lower()


def test_http_1_0_needs_no_host(edge, origin):
    app = origin()
    assert edge(proxy=app).get(host=None, version="HTTP/1.0").status == 200
    assert app.last.all("host") == [app.at], "the origin gets HTTP/1.1, which needs one"


def test_the_origin_may_be_told_another_host(edge, origin):
    app = origin()
    for host, expected in [("server", app.at), ("app.internal", "app.internal"),
                           ("pass", "example.com")]:
        way = edge({"sites": {"default": {"proxy": {"to": [app.at], "host": host}}}})
        assert way.get().status == 200
        assert app.last.get("host") == expected


def test_a_host_that_no_site_serves_is_misdirected(edge, origin):
    app = origin()
    way = edge({"sites": {"known.test": {"proxy": app.at}}})
    assert way.get(host="known.test").status == 200
    with way.client() as client:
        assert client.get(host="unknown.test").status == 421
    assert len(app.requests) == 1
