# SPDX-License-Identifier: Apache-2.0
"""Origins that come and go under load: no idempotent request fails while one of them stands."""
import threading

from harness import reply, until


class Load:
    """Clients that ask without a pause; `failed` has what was not a 200."""

    def __init__(self, way, clients=8, methods=("GET", "HEAD", "PUT", "DELETE", "OPTIONS")):
        self.failed, self.done, self.stopping = [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(way, methods))
                        for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, way, methods):
        with way.client() as client:
            while not self.stopping.is_set():
                for method in methods:
                    body = b"body" if method == "PUT" else None
                    try:
                        answer = client.exchange(method, "/", body=body)
                    except (OSError, EOFError) as end:
                        self.failed.append(repr(end))
                        return
                    if answer.status != 200:
                        self.failed.append(answer)
                    self.done += 1

    def more(self, n):
        before = self.done
        until(lambda: self.done >= before + n or not self.anybody(), "traffic")

    def anybody(self):
        return any(thread.is_alive() for thread in self.threads)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()


def test_one_of_two_restarts_again_and_again(edge, origin):
    apps = [origin(lambda request: reply(200, b"ok")), origin(lambda request: reply(200, b"ok"))]
    way = edge({"sites": {"default": {"proxy": [app.at for app in apps]}}}, workers=2)
    load = Load(way)
    for turn in range(12):
        app = apps[turn % 2]
        load.more(60)
        app.stop(hard=turn % 3 == 0)
        load.more(60)
        app.start()
    load.stop()
    assert not load.failed, f"{len(load.failed)} of {load.done}: {load.failed[:3]}"
    assert load.done > 1000


def test_one_that_was_ejected_stands_in_for_one_that_is_down(edge, origin):
    """As in a restart of one after the other: the first is back long before its ejection is over."""
    first, second = origin(), origin()
    way = edge({"upstreams": {"app": {"servers": [first.at, second.at], "eject": {"failures": 1, "for": "1h"}}},
                "sites": {"default": {"proxy": "app"}}})
    first.stop()

    def is_ejected():
        assert way.get().status == 200
        return f"server {first.at} is ejected" in way.log
    until(is_ejected, "the ejection of the first")
    first.start()
    second.stop()
    for _ in range(20):
        assert way.get().status == 200
        assert way.exchange("POST", "/", body=b"x").status == 200, "nothing had been sent to the second"


def test_a_single_origin_that_closes_its_idle_connections(edge, origin):
    """Graceful restarts: the listener stays (as with socket activation), connections go."""
    app = origin(lambda request: reply(200, b"ok", close=request.conn.served % 7 == 6))
    way = edge(proxy=app, workers=2)
    load = Load(way)
    load.more(1500)
    load.stop()
    assert not load.failed, load.failed[:3]


def test_an_origin_that_drops_connections_at_random(edge, origin):
    """Every 20th request's connection is reset before the answer; what may be repeated is."""
    count = []

    def handler(request):
        count.append(1)
        if len(count) % 20 == 0:
            request.conn.reset()
            return None
        return reply(200, b"ok")
    way = edge(proxy=origin(handler))
    load = Load(way, clients=4)
    load.more(600)
    load.stop()
    assert not load.failed, load.failed[:3]


def test_after_a_full_stop_service_returns(edge, origin):
    app = origin()
    way = edge(proxy=app)
    assert way.get().status == 200
    app.stop()
    assert way.get().status in (502, 503)
    app.start()
    until(lambda: way.get().status == 200, "service")
