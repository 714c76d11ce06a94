# SPDX-License-Identifier: Apache-2.0
"""Traffic split by header, cookie and share: who serves what, who stays, what the log says."""
from collections import Counter

import pytest

from harness import reply


@pytest.fixture
def versions(origin):
    return {name: origin(lambda request, name=name: reply(200, name.encode()))
            for name in ("app", "canary", "other")}


def split(edge, versions, parts, **more):
    return edge({"listen": "127.0.0.1:0",
                 "upstreams": {name: {"servers": [app.at]} for name, app in versions.items()},
                 "sites": {"default": {"proxy": {"split": parts, **more}}}})


def answers(way, n, fields=()):
    with way.client() as client:
        return Counter(client.get("/", fields).body.decode() for _ in range(n))


def test_conditions_and_the_rest(edge, versions):
    way = split(edge, versions, [
        {"to": "canary", "when": {"header": {"x-canary": "1"}}},
        {"to": "other", "when": {"cookie": {"beta": "1"}}},
        {"to": "canary", "share": "0%"},
        {"to": "app"}])
    assert answers(way, 5) == {"app": 5}
    assert answers(way, 2, [("X-Canary", "1")]) == {"canary": 2}
    assert answers(way, 2, [("Cookie", "a=b; beta=1; c=d")]) == {"other": 2}
    assert answers(way, 2, [("Cookie", "beta=10")]) == {"app": 2}
    names = [line["upstream_name"] for line in way.access(11)]
    assert Counter(names) == {"app": 7, "canary": 2, "other": 2}


def test_shares(edge, versions):
    way = split(edge, versions, [{"to": "canary", "share": "25%"}, {"to": "app", "share": "75%"}])
    seen = answers(way, 400)
    assert 50 < seen["canary"] < 150


def test_a_user_stays_while_the_share_grows(edge, versions):
    def users(way):
        with way.client() as client:
            return {i for i in range(120)
                    if client.get("/", [("Cookie", f"uid=user{i}")]).body == b"canary"}
    parts = [{"to": "canary", "share": "20%"}, {"to": "app"}]
    way = split(edge, versions, parts, by="cookie uid")
    first = users(way)
    assert users(way) == first and 8 < len(first) < 45
    config = {"listen": "%s:%d" % way.at, "upstreams": {n: {"servers": [a.at]} for n, a in versions.items()},
              "sites": {"default": {"proxy": {
                  "split": [{"to": "canary", "share": "50%"}, {"to": "app"}],
                  "by": "cookie uid"}}}}
    way.reload(config)
    assert users(way) > first


def test_an_address_in_place_and_a_canary_that_is_down(edge, origin, versions):
    app = origin(lambda request: reply(200, b"inline"))
    way = split(edge, versions, [{"to": "canary", "when": {"path": "/new/*"}}, {"to": app.at}])
    assert way.get("/old").body == b"inline"
    versions["canary"].stop()
    assert way.get("/new/x").status == 502
    assert way.get("/old").body == b"inline"
