# SPDX-License-Identifier: Apache-2.0
"""What is repeated and what is not: conditions, the time-out of one attempt, thrown-away answers."""
import pytest

from harness import reply, until


def pool(edge, apps, retry, **more):
    return edge({"listen": "127.0.0.1:0",
                 "upstreams": {"app": {"servers": [app.at for app in apps], "retry": retry,
                                       "balance": "round-robin", **more}},
                 "sites": {"default": {"proxy": "app"}}})


def busy(origin, body=b"not now", **options):
    return origin(lambda request: reply(503, body, [("Retry-After", "60")], **options))


@pytest.mark.parametrize("body", [b"", b"not now", b"x" * 300_000], ids=len)
def test_a_status_sends_the_request_to_another_server(edge, origin, body):
    bad, good = busy(origin, body), origin(lambda request: reply(200, b"good"))
    way = pool(edge, [bad, good], {"on": ["connect", 503]})
    with way.client() as client:
        for _ in range(4):
            assert client.get().body == b"good"
    assert len(good.requests) == 4
    assert 1 <= len(bad.requests) <= 4


def test_a_thrown_away_answer_leaves_its_connection_usable(edge, origin):
    bad, good = busy(origin), origin(lambda request: reply(200, b"good"))
    way = pool(edge, [bad, good], {"on": [503]})
    for _ in range(6):
        assert way.get().body == b"good"
    assert len(bad.requests) >= 2
    assert len(bad.conns) == 1


def test_the_status_is_passed_on_when_every_server_says_it(edge, origin):
    apps = [busy(origin), busy(origin)]
    way = pool(edge, apps, {"on": [503], "attempts": 2, "backoff": "10ms"})
    answer = way.get()
    assert (answer.status, answer.body, answer.get("retry-after")) == (503, b"not now", "60")
    assert sum(len(app.requests) for app in apps) == 3
    assert way.access()[0]["retries"] == 2


@pytest.mark.parametrize("method, body", [("POST", b"1"), ("PATCH", b"1"), ("PUT", b"x" * 5000)],
                         ids=["post", "patch", "put"])
def test_what_may_not_be_repeated_gets_the_status(edge, origin, method, body):
    """POST is not idempotent, and the PUT has more than is kept."""
    app = busy(origin)
    way = pool(edge, [app], {"on": [503], "body": "1KiB"})
    assert way.exchange(method, "/", body=body).status == 503
    assert len(app.requests) == 1


def test_a_body_is_given_again_after_a_status(edge, origin):
    bad = busy(origin)
    good = origin(lambda request: reply(200, request.body))
    way = pool(edge, [bad, good], {"on": ["5xx"]})
    for i in range(4):
        body = b"%d" % i * 3000
        assert way.exchange("PUT", "/", body=body).body == body


def test_an_attempt_has_a_time_of_its_own(edge, origin):
    silent = origin(play=lambda conn: (conn.read_request(), conn.read_some()))
    good = origin(lambda request: reply(200, b"good"))
    way = pool(edge, [silent, good], {"timeout": "1s"})
    for _ in range(2):
        assert way.get().body == b"good"
    assert len(silent.requests) >= 1
    assert way.status()["counters"]["upstream_retries"] >= 1


def test_a_time_out_is_not_repeated_unless_it_is_asked_for(edge, origin):
    silent = origin(play=lambda conn: (conn.read_request(), conn.read_some()))
    way = pool(edge, [silent], {"timeout": "200ms", "on": ["connect"]})
    assert way.get().status == 504
    assert len(silent.requests) == 1


def test_a_post_that_timed_out_is_not_repeated(edge, origin):
    silent = origin(play=lambda conn: (conn.read_request(), conn.read_some()))
    way = pool(edge, [silent], {"timeout": "200ms"})
    assert way.exchange("POST", "/", body=b"1").status == 504
    assert len(silent.requests) == 1


def test_a_reset_is_not_repeated_when_only_connects_are(edge, origin):
    app = origin(play=lambda conn: (conn.read_request(), conn.reset()))
    way = pool(edge, [app], {"on": "connect"})
    assert way.get().status == 502
    assert len(app.requests) == 1


def test_the_last_answer_arrives_once_when_all_are_slow_and_wrong(edge, origin):
    """Statuses, time-outs and resets mixed: the client gets one whole answer."""
    apps = [busy(origin), origin(play=lambda conn: (conn.read_request(), conn.reset())),
            origin(lambda request: reply(200, b"good"))]
    way = pool(edge, apps, {"on": ["connect", "timeout", "reset", 503], "timeout": "2s",
                            "attempts": 5, "backoff": "1ms"})
    with way.client() as client:
        for _ in range(10):
            assert client.get().body == b"good"
    until(lambda: way.status()["counters"]["requests_active"] == 0, "nothing left")
