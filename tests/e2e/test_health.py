# SPDX-License-Identifier: Apache-2.0
"""Health of upstreams: checks of every kind, ejection by what requests meet, panic, the circuit
breaker, concurrency, and what of it goes on over a reload."""
import socket
import threading

import pytest

from harness.origin import reply
from harness.rpc import GrpcServer, health_service
from harness.wait import until

CHECK = "/healthz"


class Server:
    """An origin whose health and answers a test turns over; `answer` None: it resets."""

    def __init__(self, origin, name, **options):
        self.name = name
        self.healthy = reply(200, b"all is well")
        self.answer = reply(200, name.encode())
        self.checks = 0
        self.asked = 0
        self.agent = None
        self.origin = origin(self.handle, **options)
        self.at = self.origin.at

    def handle(self, request):
        if request.target == CHECK:
            self.checks += 1
            self.agent = request.get("user-agent")
            return self.healthy
        self.asked += 1
        if self.answer is None:
            request.conn.reset()
            raise EOFError
        return self.answer

    def has_been_checked(self, times=1):
        now = self.checks
        until(lambda: self.checks >= now + times, f"{times} checks of {self.name}")


@pytest.fixture
def server(origin):
    return lambda name, **options: Server(origin, name, **options)


def upstream(*servers, check=None, **more):
    """A site of one upstream; checks come quickly, nothing is retried."""
    health = "off"
    if check is not None:
        health = {"path": CHECK, "every": "100ms", "timeout": "5s", **check}
    app = {"servers": [getattr(s, "at", s) for s in servers], "balance": "round-robin",
           "health": health, "eject": "off", "retry": "off", **more}
    return {"upstreams": {"app": app}, "sites": {"default": {"proxy": "app"}}}


def asked(edge, times):
    """Who answers, of so many requests; numbers for statuses that are not 200."""
    answers = [edge.get() for _ in range(times)]
    return {a.body.decode() if a.status == 200 else a.status for a in answers}


def test_http_check_takes_out_and_brings_back(edge, server):
    one, two = server("one"), server("two")
    way = edge(upstream(one, two, check={}))
    assert asked(way, 4) == {"one", "two"}
    one.healthy = reply(503, b"not now")
    way.wait_log(rf"upstream app: server {one.at} is down: HTTP 503 \(want 200-399\)")
    assert asked(way, 4) == {"two"}
    one.has_been_checked()
    assert one.agent.startswith("adit-health/")
    one.healthy = reply(204)
    way.wait_log(rf"upstream app: server {one.at} is up again: HTTP 204")
    assert asked(way, 4) == {"one", "two"}
    assert way.log.count("is down") == 1


@pytest.mark.parametrize("check,good,bad,why", [
    ({"status": [200, "500-599"]}, reply(500), reply(404), r"HTTP 404 \(want 200, 500-599\)"),
    ({"body": "well"}, reply(200, b"all is well"), reply(200, b"all is wel"), "HTTP 200 without `well`"),
    ({"body": "aab"}, reply(200, chunks=[b"aa", b"ab"]), reply(200, chunks=[b"aa", b"cab"]),
     "HTTP 200 without `aab`"),
    ({"header": "X-Ready: yes"}, reply(200, fields=[("x-ready", "yes, it is")]),
     reply(200, fields=[("x-ready", "no")]), "HTTP 200 without `X-Ready: yes`"),
    ({"method": "HEAD"}, reply(200, fields=[("Content-Length", "5")], length=False), reply(502),
     "HTTP 502"),
    ({"timeout": "1s"}, reply(301), reply(200)[:12], "no answer within 1000 ms"),
    ({}, reply(200), reply(200).replace(b"HTTP/1.1", b"HTTP:1.1"), "bad status line"),
])
def test_what_an_http_check_wants(edge, server, check, good, bad, why):
    one, two = server("one"), server("two")
    one.healthy = good
    two.healthy = bad
    way = edge(upstream(one, two, check={"fall": 1, **check}, panic="off"))
    way.wait_log(f"server {two.at} is down: {why}")
    one.has_been_checked(2)
    assert asked(way, 4) == {"one"}
    assert f"server {one.at} is down" not in way.log


def test_first_check_decides_at_once_and_nobody_waits_for_it(edge, server):
    one, two = server("one"), server("two")
    two.healthy = reply(500)
    way = edge(upstream(one, two, check={"every": "1h", "timeout": "1s", "fall": 100}))
    way.wait_log(f"server {two.at} is down: HTTP 500")
    assert asked(way, 4) == {"one"}


def test_dead_server_goes_down_and_comes_back(edge, server):
    one, two = server("one"), server("two")
    way = edge(upstream(one, two, check={"fall": 2, "rise": 1}))
    one.has_been_checked()  # the first check decides alone, and may be cut in its middle
    one.origin.stop()
    way.wait_log(f"server {one.at} is down: connection refused")
    assert asked(way, 4) == {"two"}
    one.origin.start()
    way.wait_log(f"server {one.at} is up again: HTTP 200")
    assert asked(way, 4) == {"one", "two"}


def test_checks_by_connection_and_on_another_port(edge, server):
    one, two = server("one"), server("two")
    side = socket.create_server(("127.0.0.1", 0))
    port = side.getsockname()[1]
    config = upstream(one, two)
    config["upstreams"]["app"]["health"] = {"type": "tcp", "port": port, "every": "100ms", "fall": 1}
    way = edge(config)
    side.accept()[0].close()
    side.accept()[0].close()
    side.close()
    way.wait_log("is down: connection refused")
    until(lambda: way.log.count("is down: connection refused") == 2, "both are down")
    assert asked(way, 4) == {"one", "two"}  # panic: their checks are not believed
    way.wait_log("only 0 of 2 servers are usable: health is ignored")


def test_tls_checks_verify_as_requests_do(edge, server, pki):
    one = server("one", tls=pki.origin_context())
    two = server("two", tls=pki.origin_context())
    stranger = server("three", tls=pki.origin_context())
    config = upstream(one, two, stranger)
    app = config["upstreams"]["app"]
    app["health"] = {"type": "tls", "every": "100ms", "fall": 1}
    app["tls"] = {"ca": pki.ca.file, "name": "127.0.0.1"}
    way = edge(config)
    until(lambda: len(one.origin.conns) > 2 and len(two.origin.conns) > 2, "handshakes")
    assert "is down" not in way.log
    app["tls"]["name"] = "example.org"
    way.reload(config)
    until(lambda: way.log.count("is down: the peer's certificate is for another name") == 3,
          "the name is another's")


def test_grpc_health(edge):
    answers = {"shop.Cart": 1}
    one = GrpcServer({"Check": health_service(answers), "Name": ("unary", lambda d, c: b"one")})
    two = GrpcServer({"Name": ("unary", lambda d, c: b"two")})  # has no health service
    config = upstream(one, two)
    config["upstreams"]["app"]["health"] = {"type": "grpc", "service": "shop.Cart", "every": "100ms",
                                            "fall": 1, "rise": 1}
    try:
        way = edge(config)
        way.wait_log(f"server {two.at[6:]} is down: grpc-status 12: it has no health service")
        assert f"server {one.at[6:]} is down" not in way.log
        answers["shop.Cart"] = 2
        way.wait_log(f"server {one.at[6:]} is down: NOT_SERVING")
        answers["shop.Cart"] = 1
        way.wait_log(f"server {one.at[6:]} is up again: SERVING")
    finally:
        one.stop()
        two.stop()


def test_grpc_health_over_tls(edge, pki):
    one = GrpcServer({"Check": health_service({"": 1})}, tls=pki.server)
    config = upstream(one, one.at.replace("127.0.0.1", "127.0.0.2"))
    app = config["upstreams"]["app"]
    app["health"] = {"type": "grpc", "every": "100ms", "fall": 1}
    app["tls"] = {"ca": pki.ca.file, "name": "example.com"}
    try:
        way = edge(config)
        way.wait_log("server 127.0.0.2:.* is down: connection refused")
        assert f"server {one.at[8:]} is down" not in way.log
    finally:
        one.stop()


@pytest.mark.parametrize("bad", [reply(503, b"no"), None], ids=["status", "reset"])
def test_failing_server_is_ejected_and_let_back_in(edge, server, bad):
    one, two = server("one"), server("two")
    way = edge(upstream(one, two, eject={"failures": 3, "for": "1s", "every": "100ms"}))
    one.answer = bad
    until(lambda: asked(way, 2) == {"two"}, "only the other one is asked")
    way.wait_log(f"server {one.at} is ejected: too many failures in a row")
    assert one.asked == 3
    one.answer = reply(200, b"one")
    way.wait_log(f"server {one.at} is let back in")
    assert asked(way, 4) == {"one", "two"}


def test_refused_connections_eject(edge, server):
    one, two = server("one"), server("two")
    way = edge(upstream(one, two, eject={"failures": 3, "for": "1s", "every": "100ms"}, retry=3))
    one.origin.stop()
    until(lambda: asked(way, 1) == {"two"} and "is ejected" in way.log, "an ejection")
    one.origin.start()
    way.wait_log("is let back in")
    until(lambda: asked(way, 2) == {"one", "two"}, "both are asked again")


def test_no_more_than_the_limit_is_ejected(edge, server):
    servers = [server(f"s{i}") for i in range(4)]
    way = edge(upstream(*servers, eject={"failures": 1, "for": "1h", "at_most": "50%"}))
    for s in servers:
        s.answer = reply(502)
    for _ in range(20):
        assert way.get().status == 502
    until(lambda: way.log.count("is ejected") == 2, "two are ejected")
    for _ in range(8):
        assert way.get().status == 502
    assert way.log.count("is ejected") == 2
    way.reload(upstream(*servers, eject="off"))
    until(lambda: way.log.count("is let back in") == 2, "nobody is ejected any more")


def test_breaker_opens_and_closes(edge, server):
    one = server("one")
    way = edge(upstream(one, breaker={"failures": "50%", "least": 4, "open": "1s", "probes": 2}))
    one.answer = reply(503, b"no")
    for _ in range(4):
        assert way.get().status == 503
    way.wait_log("upstream app: the circuit breaker opens")
    before = one.asked
    refused = way.get()
    assert refused.status == 503 and one.asked == before
    assert refused.get("retry-after") == "1"  # less than a second is left
    one.answer = reply(200, b"one")
    until(lambda: asked(way, 1) == {"one"}, "a probe goes through")
    until(lambda: asked(way, 1) == {"one"} and "breaker closes" in way.log, "it closes")
    assert asked(way, 4) == {"one"}


def test_concurrency_finds_what_a_server_can_take(edge, origin):
    """One request at a time, 20 ms each: with forty at once each would take 800 ms."""
    desk = threading.Semaphore()
    waiting = []
    most = []

    def handler(request):
        waiting.append(request)
        most.append(len(waiting))
        with desk:
            threading.Event().wait(0.02)
        waiting.remove(request)
        return reply(200, b"ok")

    app = origin(handler)
    way = edge(upstream(app, concurrency={"target": "100ms"}))
    stop = threading.Event()
    bad = []

    def client():
        with way.client() as c:
            while not stop.is_set():
                answer = c.get("/")
                if answer.status != 200:
                    bad.append(answer.status)

    crowd = [threading.Thread(target=client) for _ in range(40)]
    for thread in crowd:
        thread.start()
    until(lambda: len(most) > 60 and max(most[-20:]) <= 10, "few at once at the server")
    stop.set()
    for thread in crowd:
        thread.join()
    assert not bad


def test_state_goes_on_over_a_reload_and_checks_end_with_the_upstream(edge, server):
    one, two, other = server("one"), server("two"), server("other")
    one.healthy = reply(500)
    config = upstream(one, two, check={"fall": 3})
    way = edge(config)
    way.wait_log(f"server {one.at} is down")
    config["sites"]["default"] = {"proxy": "app", "timeouts": {"response": "7s"}}
    way.reload(config)
    assert asked(way, 6) == {"two"}  # at once: nobody had to find out again
    config["upstreams"]["app"]["servers"].append(other.at)
    way.reload(config)
    until(lambda: asked(way, 2) == {"two", "other"}, "the new one takes part")
    assert way.log.count("is down") == 1
    other.has_been_checked()
    way.reload(proxy=other)
    until(lambda: is_quiet(one, two), "the checks have ended")


def is_quiet(*servers):
    """Nobody was checked for five intervals."""
    before = [s.checks for s in servers]
    threading.Event().wait(0.5)
    return before == [s.checks for s in servers]
