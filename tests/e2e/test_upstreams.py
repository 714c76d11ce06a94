# SPDX-License-Identifier: Apache-2.0
"""Which server an exchange goes to, what is tried again, and what is told when nothing is left."""
import threading

import pytest

from harness import reply, until


def upstream(edge, servers, **more):
    return edge({"upstreams": {"app": {"servers": servers, **more}},
                 "sites": {"default": {"proxy": "app"}}})


def test_round_robin_is_even(edge, origin):
    apps = [origin() for _ in range(3)]
    way = upstream(edge, [app.at for app in apps], balance="round-robin")
    for _ in range(30):
        assert way.get().status == 200
    assert [len(app.requests) for app in apps] == [10, 10, 10]


def test_weights_are_smooth(edge, origin):
    """Three of four go to the heavier one, spread evenly rather than in lumps."""
    order = []
    heavy = origin(lambda request: order.append("h") or reply(200))
    light = origin(lambda request: order.append("l") or reply(200))
    way = upstream(edge, [{"at": heavy.at, "weight": 3}, {"at": light.at, "weight": 1}],
                   balance="round-robin")
    for _ in range(20):
        way.get()
    assert 14 <= order.count("h") <= 16, "turns begin anywhere"
    assert "hhhh" not in "".join(order) and "ll" not in "".join(order)


def test_a_list_of_addresses_is_an_upstream(edge, origin, tmp_path):
    apps = [origin(), origin(at="[::1]:0"), origin(at=f"unix:{tmp_path}/app")]
    way = edge({"sites": {"default": {"proxy": {"to": [app.at for app in apps],
                                                "balance": "round-robin"}}}})
    for _ in range(6):
        assert way.get().status == 200
    assert [len(app.requests) for app in apps] == [2, 2, 2]


def test_a_dead_server_is_passed_over(edge, origin):
    dead, alive = origin(), origin()
    dead.stop()
    way = upstream(edge, [dead.at, alive.at])
    for _ in range(6):
        assert way.get().status == 200
    assert way.exchange("POST", "/", body=b"x").status == 200, "nothing had been sent to the dead"


def closing(when):
    """An origin that closes a kept connection just when the second request has come."""
    def play(conn):
        conn.read_request()
        conn.send(reply(200, b"first"))
        if conn.number < when:
            conn.read_request()
            conn.close()
        while True:
            request = conn.read_request()
            conn.send(reply(200, request.body or b"again"))
    return play


def test_a_stale_connection_is_replaced_for_what_may_be_repeated(edge, origin):
    app = origin(play=closing(1))
    with edge(proxy=app).client() as client:
        assert client.get().body == b"first"
        assert client.get().body == b"first", "the same request on a new connection"
    assert len(app.conns) == 2


def test_a_post_is_not_repeated_once_it_was_sent(edge, origin):
    app = origin(play=closing(1))
    with edge(proxy=app).client() as client:
        assert client.get().body == b"first"
        assert client.exchange("POST", "/pay", body=b"money").status == 502
    assert [r.target for r in app.requests].count("/pay") == 1


def test_a_put_is_repeated_with_its_body(edge, origin):
    """Idempotent, and the body was kept for it."""
    seen = []

    def play(conn):
        request = conn.read_request()
        seen.append(request.body)
        if conn.number == 0:
            conn.reset()
        conn.send(reply(200, request.body))
        conn.read_to_end()
    app = origin(play=play)
    body = b"0123456789" * 3000
    assert edge(proxy=app).exchange("PUT", "/", body=body).body == body
    assert seen == [body, body]


def test_a_body_larger_than_is_kept_is_not_repeated(edge, origin):
    app = origin(play=lambda conn: (conn.read_request(), conn.reset()))
    way = upstream(edge, [app.at], retry={"attempts": 3, "body": "1KiB"})
    assert way.exchange("PUT", "/", body=b"x" * 200_000).status == 502
    assert len(app.requests) == 1


@pytest.mark.parametrize("attempts", [0, 1, 3])
def test_attempts_are_counted(edge, origin, attempts):
    app = origin(play=lambda conn: (conn.read_request(), conn.reset()))
    way = upstream(edge, [app.at], retry={"attempts": attempts})
    assert way.get().status == 502
    assert len(app.requests) == attempts + 1


def test_nothing_is_repeated_after_the_answer_began(edge, origin):
    def play(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        conn.close()
    app = origin(play=play)
    with edge(proxy=app).client() as client:
        client.ask("GET")
        assert client.cut_body() == b"abc"
    assert len(app.requests) == 1


def test_when_none_is_left_the_answer_says_why(edge, origin):
    apps = [origin(), origin()]
    for app in apps:
        app.stop()
    # One of the two is ejected, and chance says which: at most for so long, if it is the one that returns.
    way = upstream(edge, [app.at for app in apps], eject={"for": "1s"})
    with way.client() as client:
        for _ in range(5):
            assert client.get().status in (502, 503)
        apps[1].start()
        until(lambda: client.get().status == 200, "the server being used again")
    way.wait_log("refused|no-server")


def test_a_full_upstream_is_503(edge, origin):
    hold = threading.Event()

    def handler(request):
        hold.wait(20)
        return reply(200)
    app = origin(handler)
    way = upstream(edge, [app.at], connections=2, queue="off")
    clients = [way.client().ask("GET") for _ in range(2)]
    app.wait_conns(2)
    answer = way.get()
    assert answer.status == 503
    way.wait_log("upstream-full|in use")
    hold.set()
    assert [client.answer().status for client in clients] == [200, 200]
    assert way.get().status == 200
    for client in clients:
        client.close()


def test_idle_connections_are_bounded(edge, origin):
    hold = threading.Event()
    app = origin(lambda request: hold.wait(20) and reply(200))
    way = upstream(edge, [app.at], idle_connections=2)
    clients = [way.client().ask("GET") for _ in range(8)]
    app.wait_conns(8)
    hold.set()
    for client in clients:
        assert client.answer().status == 200
    until(lambda: sum(conn.ended for conn in app.conns) == 6, "all but two being closed")
    for client in clients:
        client.close()


def test_an_upload_cut_by_its_client_is_cut_at_the_origin(edge, origin):
    cut = threading.Event()

    def play(conn):
        request = conn.read_request_head()
        try:
            conn.read_body(request, conn.framing_of(request))
        except Exception:   # pylint: disable=broad-except
            cut.set()
    app = origin(play=play)
    client = edge(proxy=app).client()
    client.ask("PUT", "/", [("Content-Length", "1000")]).send(b"x" * 10)
    app.wait_conns(1)
    client.close()
    assert cut.wait(10)
    assert not app.requests
