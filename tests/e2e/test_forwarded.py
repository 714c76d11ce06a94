# SPDX-License-Identifier: Apache-2.0
"""What the origin is told of the client, and whom adit believes about it."""
import pytest

from harness import reply

LIES = [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.test"), ("Forwarded", "for=6.6.6.6;host=evil.test")]
HOPS = [("X-Forwarded-For", "203.0.113.7, 10.1.2.3"), ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.test")]


def test_the_origin_hears_who_asks(edge, origin):
    app = origin()
    edge(proxy=app).get()
    assert app.last.get("x-forwarded-for") == "127.0.0.1"
    assert app.last.get("x-forwarded-proto") == "http"
    assert app.last.get("x-forwarded-host") == "example.com"
    assert "forwarded" not in app.last.names()


def test_a_stranger_is_not_believed(edge, origin):
    app = origin()
    edge(proxy=app).get("/", LIES + [("X-Real-IP", "6.6.6.6")])
    assert b"6.6.6.6" not in app.raw
    assert b"evil.test" not in app.raw
    assert app.last.get("x-forwarded-for") == "127.0.0.1"


def test_a_trusted_proxy_is_believed(edge, origin):
    app = origin()
    way = edge(proxy=app, trusted_proxies=["127.0.0.0/8", "10.0.0.0/8"])
    way.get("/", HOPS)
    assert app.last.get("x-forwarded-for") == "203.0.113.7, 10.1.2.3, 127.0.0.1"
    assert app.last.get("x-forwarded-proto") == "https"
    assert app.last.get("x-forwarded-host") == "shop.test"
    assert way.access()[0]["client"].split(":")[0] == "203.0.113.7"


def test_belief_ends_at_the_first_stranger(edge):
    """6.6.6.6 is what 203.0.113.7 said of itself; only 203.0.113.7 was seen by a trusted proxy."""
    way = edge({"sites": {"default": {"respond": "$client"}}, "trusted_proxies": ["127.0.0.1"]})
    assert way.get("/", [("X-Forwarded-For", "6.6.6.6, 203.0.113.7")]).body == b"203.0.113.7"
    assert way.get("/", [("X-Forwarded-For", "203.0.113.7")]).body == b"203.0.113.7"
    assert way.get().body == b"127.0.0.1"
    assert way.get("/", [("X-Forwarded-For", "nonsense, <script>")]).body == b"127.0.0.1"


def test_rfc7239_from_a_trusted_proxy(edge):
    way = edge({"sites": {"default": {"respond": "$client $scheme $host"}},
                "trusted_proxies": ["127.0.0.1"]})
    answer = way.get("/", [("Forwarded", 'for="[2001:db8::7]:4711";proto=https;host=shop.test')])
    assert answer.body.startswith(b"2001:db8::7 https ")


def test_forms_of_forwarding(edge, origin):
    app = origin()
    edge(proxy=app, forwarded="rfc7239").get()
    assert "x-forwarded-for" not in app.last.names()
    parts = {p.strip().lower() for p in app.last.get("forwarded").replace('"', "").split(";")}
    assert {"for=127.0.0.1", "proto=http", "host=example.com"} <= parts

    edge(proxy=app, forwarded="both").get()
    assert app.last.get("x-forwarded-for") == "127.0.0.1"
    assert "for=127.0.0.1" in app.last.get("forwarded").replace('"', "")

    edge(proxy=app, forwarded="off").get()
    assert not {"x-forwarded-for", "forwarded", "x-forwarded-host"} & app.last.names()


def test_rfc7239_appends_to_a_trusted_row(edge, origin):
    app = origin()
    way = edge(proxy=app, forwarded="rfc7239", trusted_proxies=["127.0.0.1"])
    way.get("/", [("Forwarded", "for=203.0.113.7;proto=https")])
    elements = [e.strip() for e in app.last.get("forwarded").split(",")]
    assert len(elements) == 2
    assert elements[0].startswith("for=203.0.113.7")
    assert "for=127.0.0.1" in elements[1].replace('"', "")


def test_ipv6_clients_are_quoted_in_forwarded(edge, origin):
    app = origin()
    way = edge(proxy=app, listen="[::1]:0", forwarded="both")
    way.get()
    assert app.last.get("x-forwarded-for") == "::1"
    assert 'for="[::1]"' in app.last.get("forwarded")


def test_unix_peers_can_be_trusted(edge, origin, tmp_path):
    app = origin()
    way = edge(proxy=app, listen=f"unix:{tmp_path}/in", trusted_proxies=["unix"])
    way.get("/", [("X-Forwarded-For", "203.0.113.7")])
    assert app.last.get("x-forwarded-for").startswith("203.0.113.7")

    way = edge(proxy=app, listen=f"unix:{tmp_path}/in2")
    way.get("/", [("X-Forwarded-For", "203.0.113.7")])
    assert "203.0.113.7" not in app.last.get("x-forwarded-for", "")


def test_via_both_ways(edge, origin):
    app = origin(lambda request: reply(200, b"x", [("Via", "1.0 inner")]))
    answer = edge(proxy=app).get("/", [("Via", "1.1 outer")])
    assert ", ".join(app.last.all("via")) == "1.1 outer, 1.1 adit"
    assert ", ".join(answer.all("via")) == "1.0 inner, 1.1 adit"


@pytest.mark.parametrize("via", ["on", "off"])
def test_via_can_be_turned_off(edge, origin, via):
    app = origin()
    answer = edge(proxy=app, via=via).get()
    assert ("via" in app.last.names()) == ("via" in answer.names()) == (via == "on")


def test_a_request_that_comes_round_again_is_stopped(edge, origin):
    """Two edges that point at each other must not spin: the loop ends by itself with an error."""
    first = edge(proxy="127.0.0.1:1")
    second = edge(proxy="127.0.0.1:%d" % first.port)
    first.reload(proxy="127.0.0.1:%d" % second.port)
    answer = first.get()
    assert answer.status >= 400
