# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: what is going on may end, nothing new begins, and then the edge is gone."""
import signal
import threading

import pytest

from harness import reply, until


def holding(origin, **options):
    hold = threading.Event()
    app = origin(lambda request: hold.wait(30) and reply(200, b"held"), **options)
    return app, hold


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_edge_ends_at_once(edge, origin, how):
    way = edge(proxy=origin(), drain="30s")
    with way.client() as idle:
        assert idle.get().status == 200
        way.signal(how)
        assert idle.at_end()
    assert way.wait_exit() == 0


def test_exchanges_end_before_the_edge_does(edge, origin):
    app, hold = holding(origin)
    way = edge(proxy=app, drain="30s")
    with way.client() as client:
        client.ask("GET")
        app.wait_requests(1)
        way.signal(signal.SIGTERM)
        until(lambda: refused(way), "the listener being closed")
        assert way.running()
        hold.set()
        answer = client.answer()
        assert (answer.status, answer.body) == (200, b"held")
        assert answer.get("connection", "").lower() == "close"
        assert client.at_end()
    assert way.wait_exit() == 0


def refused(way):
    try:
        way.client().close()
        return False
    except OSError:
        return True


def test_patience_has_a_limit(edge, origin):
    app, hold = holding(origin)
    way = edge(proxy=app, drain="300ms")
    with way.client() as client:
        client.ask("GET")
        app.wait_requests(1)
        way.signal(signal.SIGTERM)
        assert way.wait_exit() == 0
    hold.set()


def test_a_second_signal_stops_at_once(edge, origin):
    app, hold = holding(origin)
    way = edge(proxy=app, drain="60s")
    with way.client() as client:
        client.ask("GET")
        app.wait_requests(1)
        way.signal(signal.SIGTERM)
        until(lambda: refused(way), "the listener being closed")
        way.signal(signal.SIGTERM)
        assert way.wait_exit() in (0, 1)
        way.expect_exit = way.process.returncode
    hold.set()


def test_what_waits_in_the_queue_is_served_or_refused_but_never_lost(edge, origin):
    """Connections made just before the signal get an answer."""
    way = edge(proxy=origin(), drain="10s")
    clients = [way.client().ask("GET") for _ in range(20)]
    way.signal(signal.SIGTERM)
    for client in clients:
        assert client.answer().status in (200, 503)
        client.close()
    assert way.wait_exit() == 0


def test_a_pipelined_request_behind_a_drain(edge, origin):
    app, hold = holding(origin)
    way = edge(proxy=app, drain="30s")
    with way.client() as client:
        client.ask("GET", "/1").ask("GET", "/2")
        app.wait_requests(1)
        way.signal(signal.SIGTERM)
        until(lambda: refused(way), "the listener being closed")
        hold.set()
        assert client.answer().body == b"held"
        client.read_to_end()
    assert way.wait_exit() == 0
