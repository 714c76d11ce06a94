# SPDX-License-Identifier: Apache-2.0
"""A second server is asked when the first is slow; the first answer counts, once."""
import threading

import pytest

from harness import reply, until


@pytest.fixture
def gate():
    """Origins wait for it; opened at the end so that none is left hanging."""
    event = threading.Event()
    yield event
    event.set()


def pool(edge, apps, after="100ms", **more):
    hedge = {"after": after, "at_most": "100%"}
    return edge({"listen": "127.0.0.1:0",
                 "upstreams": {"app": {"servers": [app.at for app in apps], "hedge": hedge,
                                       "balance": "round-robin", **more}},
                 "sites": {"default": {"proxy": "app"}}})


def slow_and_quick(origin, gate):
    def wait(request):
        gate.wait(30)
        return reply(200, b"slow")
    return origin(wait), origin(lambda request: reply(200, b"quick " + request.body))


def counted(way, name):
    return way.status()["counters"][name]


def test_the_quick_one_answers(edge, origin, gate):
    slow, quick = slow_and_quick(origin, gate)
    way = pool(edge, [slow, quick])
    for _ in range(4):
        assert way.get().body == b"quick "
    assert len(slow.requests) >= 1
    assert 1 <= counted(way, "upstream_hedges_won") <= counted(way, "upstream_hedges")
    assert way.access(4)[-1]["upstream"] == quick.at
    until(lambda: counted(way, "upstream_open") <= 1, "the slow one to be left")


def test_a_body_goes_to_both(edge, origin, gate):
    slow, quick = slow_and_quick(origin, gate)
    way = pool(edge, [slow, quick])
    for i in range(2):
        body = b"%d" % i * 20000
        assert way.exchange("PUT", "/", body=body).body == b"quick " + body
    slow.wait_requests(1)
    assert all(len(request.body) == 20000 for request in slow.requests)


@pytest.mark.parametrize("method, body", [("POST", b"1"), ("PUT", b"x" * 5000)],
                         ids=["post", "put"])
def test_some_requests_are_not_sent_twice(edge, origin, method, body):
    """One has an effect each time, one has more body than is kept."""
    def wait(request):
        threading.Event().wait(0.2)
        return reply(200, b"alone")
    apps = [origin(wait), origin(wait)]
    way = pool(edge, apps, after="20ms", retry={"body": "1KiB"})
    for _ in range(2):
        assert way.exchange(method, "/", body=body).body == b"alone"
    assert sum(len(app.requests) for app in apps) == 2
    assert counted(way, "upstream_hedges") == 0


def test_the_slow_one_still_answers_when_the_second_fails(edge, origin, gate):
    slow, _ = slow_and_quick(origin, gate)
    broken = origin(play=lambda conn: (conn.read_request(), gate.set(), conn.reset()))
    way = pool(edge, [slow, broken], retry="off")
    with way.client() as client:
        for _ in range(2):
            client.ask("GET", "/")
            status = client.answer().status
            assert status in (200, 502)     # 502: the broken one was the first, and there is no retry
    assert len(slow.requests) >= 1


def test_without_another_server_nothing_is_sent_twice(edge, origin):
    def wait(request):
        threading.Event().wait(0.3)
        return reply(200, b"alone")
    app = origin(wait)
    way = pool(edge, [app], after="50ms")
    assert way.get().body == b"alone"
    assert len(app.requests) == 1


def test_a_client_that_leaves_ends_both(edge, origin, gate):
    def wait(request):
        gate.wait(30)
        return reply(200, b"late")
    apps = [origin(wait), origin(wait)]
    way = pool(edge, apps, after="50ms")
    with way.client() as client:
        client.ask("GET", "/")
        for app in apps:
            app.wait_requests(1)
        client.reset()
    until(lambda: counted(way, "requests_active") == 0, "the exchange to end")
    until(lambda: counted(way, "upstream_open") == 0, "both to be left")
