# SPDX-License-Identifier: Apache-2.0
"""Which site and which route a request meets. Every route answers with its name."""
import pytest

CONFIG = {"sites": {
    "exact.test": {"respond": "exact", "aliases": ["alias.test", "*.alias.test"],
                   "names": ["www.exact.test"]},
    "*.wild.test": {"respond": "wild"},
    "*.deep.wild.test": {"respond": "deep"},
    "one.wild.test": {"respond": "one"},
    "paths.test": {"routes": [
        {"path": "/exact", "respond": "exact"},
        {"path": "/dir/*", "respond": "dir $match(1)"},
        {"path": "/img/*.png", "respond": "png $match(1)"},
        {"path": "/deep/**/end", "respond": "deep $match(1)"},
        {"path": ["/a", "/b"], "respond": "a or b"},
        {"path": "~ ^/user/([0-9]+)/(\\w+)$", "respond": "user $match(1) $match(2)"},
        {"path": "~ \\.PHP$", "respond": "capital php"},
        {"path": "/exact", "respond": "never"},
        {"path": "/caf\u00e9", "respond": "cafe"}], "respond": "last resort"},
    "match.test": {"routes": [
        {"path": "/m", "method": "POST", "respond": "post"},
        {"path": "/m", "method": ["PUT", "PATCH"], "respond": "put or patch"},
        {"path": "/h", "header": {"x-user": "ann"}, "respond": "ann"},
        {"path": "/h", "header": {"x-user": "~ ^b"}, "respond": "b..."},
        {"path": "/h", "header": {"x-user": "on"}, "respond": "somebody"},
        {"path": "/h", "header": {"x-user": "off", "x-bot": "on"}, "respond": "bot"},
        {"path": "/q", "query": {"v": "1"}, "respond": "v1"},
        {"path": "/q", "query": {"v": "~ ^[0-9]+$"}, "respond": "vN"},
        {"path": "/q", "query": {"debug": "on"}, "respond": "debug"},
        {"path": "/c", "client": ["10.0.0.0/8"], "respond": "ten"},
        {"path": "/c", "client": ["127.0.0.0/8", "not 127.0.0.2"], "respond": "loop"},
        {"path": "/x", "match": {"any": [{"method": "GET"}, {"all": [
            {"header": {"x-a": "on"}}, {"not": {"header": {"x-b": "on"}}}]}]}, "respond": "any"},
        {"path": "/f", "method": "GET", "respond": "first"},
        {"path": "/f", "respond": "second"}]},
    "default": {"routes": [{"host": ["h1.test", "*.h2.test"], "respond": "by host"}],
                "respond": "default $host"}}}
TABLE = [
    ("GET", "exact.test", "/", {}, "exact"),
    ("GET", "EXACT.Test", "/", {}, "exact"),
    ("GET", "exact.test.", "/", {}, "exact"),
    ("GET", "exact.test:8080", "/x", {}, "exact"),
    ("GET", "alias.test", "/", {}, "exact"),
    ("GET", "sub.alias.test", "/", {}, "exact"),
    ("GET", "a.wild.test", "/", {}, "wild"),
    ("GET", "a.b.wild.test", "/", {}, "wild"),
    ("GET", "a.deep.wild.test", "/", {}, "deep"),
    ("GET", "one.wild.test", "/", {}, "one"),
    ("GET", "wild.test", "/", {}, "default wild.test"),
    ("GET", "notwild.test", "/", {}, "default notwild.test"),
    ("GET", "127.0.0.1", "/", {}, "default 127.0.0.1"),
    ("GET", "h1.test", "/", {}, "by host"),
    ("GET", "x.h2.test", "/", {}, "by host"),
    ("GET", "paths.test", "/exact", {}, "exact"),
    ("GET", "paths.test", "/exact?q=/dir/", {}, "exact"),
    ("GET", "paths.test", "/exact/", {}, "last resort"),
    ("GET", "paths.test", "/exactly", {}, "last resort"),
    ("GET", "paths.test", "/Exact", {}, "last resort"),
    ("GET", "paths.test", "/%65xact", {}, "exact"),
    ("GET", "paths.test", "/dir/", {}, "dir "),
    ("GET", "paths.test", "/dir/a/b", {}, "dir a/b"),
    ("GET", "paths.test", "/dir", {}, "last resort"),
    ("GET", "paths.test", "/directory", {}, "last resort"),
    ("GET", "paths.test", "/img/x.png", {}, "png x"),
    ("GET", "paths.test", "/img/sub/x.png", {}, "last resort"),
    ("GET", "paths.test", "/deep/a/b/end", {}, "deep a/b"),
    ("GET", "paths.test", "/b", {}, "a or b"),
    ("GET", "paths.test", "/user/42/posts", {}, "user 42 posts"),
    ("GET", "paths.test", "/user/ann/posts", {}, "last resort"),
    ("GET", "paths.test", "/x.PHP", {}, "capital php"),
    ("GET", "paths.test", "/x.php", {}, "last resort"),
    ("GET", "paths.test", "/caf%C3%A9", {}, "cafe"),
    ("POST", "match.test", "/m", {}, "post"),
    ("PATCH", "match.test", "/m", {}, "put or patch"),
    ("GET", "match.test", "/m", {}, 404),
    ("GET", "match.test", "/h", {"X-User": "ann"}, "ann"),
    ("GET", "match.test", "/h", {"X-User": "bob"}, "b..."),
    ("GET", "match.test", "/h", {"X-User": "carl"}, "somebody"),
    ("GET", "match.test", "/h", {"X-Bot": "1"}, "bot"),
    ("GET", "match.test", "/h", {}, 404),
    ("GET", "match.test", "/q?v=1", {}, "v1"),
    ("GET", "match.test", "/q?a=b&v=1&c", {}, "v1"),
    ("GET", "match.test", "/q?v=22", {}, "vN"),
    ("GET", "match.test", "/q?v=x&debug", {}, "debug"),
    ("GET", "match.test", "/q?xv=1", {}, 404),
    ("GET", "match.test", "/c", {}, "loop"),
    ("GET", "match.test", "/x", {}, "any"),
    ("POST", "match.test", "/x", {"X-A": "1"}, "any"),
    ("POST", "match.test", "/x", {"X-A": "1", "X-B": "1"}, 404),
    ("GET", "match.test", "/f", {}, "first"),
    ("POST", "match.test", "/f", {}, "second"),
]


@pytest.fixture(scope="module")
def routes(module_edge):
    return module_edge(CONFIG)


@pytest.mark.parametrize("method, host, target, fields, expected", TABLE)
def test_route(routes, method, host, target, fields, expected):
    answer = routes.exchange(method, target, list(fields.items()), host=host)
    if isinstance(expected, int):
        assert answer.status == expected
    else:
        assert (answer.status, answer.body.decode()) == (200, expected)


def test_further_names_lead_to_the_canonical_one(routes):
    answer = routes.get("/path?q=1", host="www.exact.test")
    assert answer.status == 308
    assert answer.get("location") in ("http://exact.test/path?q=1", "//exact.test/path?q=1",
                                      f"http://exact.test:{routes.port}/path?q=1")


def test_routes_to_different_origins_share_nothing(edge, origin):
    one, two = origin(), origin()
    way = edge({"sites": {"default": {"routes": [{"path": "/one/*", "proxy": one.at},
                                                 {"proxy": two.at}]}}})
    with way.client() as client:
        for target in ["/one/a", "/two", "/one/b", "/three"]:
            assert client.get(target).status == 200
    assert [r.target for r in one.requests] == ["/one/a", "/one/b"]
    assert [r.target for r in two.requests] == ["/two", "/three"]


def test_a_path_cannot_be_hidden_from_a_route(edge, origin):
    """Dots and encodings do not lead around a route that guards a prefix."""
    app = origin()
    way = edge({"sites": {"default": {"routes": [{"path": "/private/*", "respond": 403},
                                                 {"proxy": app.at}]}}})
    for target in ["/private/x", "/%70rivate/x", "/public/../private/x", "/./private/x",
                   "/public/%2e%2e/private/x", "/%2e/private/x"]:
        answer = way.get(target)
        assert answer.status in (400, 403), target
    assert not app.requests


def test_hundreds_of_sites_and_routes(edge):
    sites = {f"s{i}.test": {"routes": [{"path": f"/r{j}/*", "respond": f"{i}.{j}"}
                                       for j in range(20)]} for i in range(300)}
    way = edge({"sites": sites})
    for i, j in [(0, 0), (299, 19), (123, 7)]:
        assert way.get(f"/r{j}/x", host=f"s{i}.test").body == f"{i}.{j}".encode()
