# SPDX-License-Identifier: Apache-2.0
"""Out of descriptors, connections, memory or ports: load is shed and comes back by itself."""
import os
import threading

import pytest

from harness import network, proc, reply, until


def fates(clients):
    """How each asking client ended: a status, or "closed"."""
    out = []
    for client in clients:
        try:
            out.append(client.answer().status)
        except (EOFError, OSError):
            out.append("closed")
        client.close()
    return out


def crowd(way, n):
    clients = []
    for _ in range(n):
        try:
            clients.append(way.client().ask("GET"))
        except OSError:
            break
    return clients


def test_out_of_descriptors(edge, origin):
    """More clients than descriptors: some are served, the others told 503 or closed, none hangs,
    no core spins, and afterwards all is well."""
    hold = threading.Event()
    app = origin(lambda request: hold.wait(30) and reply(200))
    way = edge(proxy=app, nofile=96, timeouts={"header": "5s", "idle": "5s"})
    clients = crowd(way, 200)
    until(lambda: app.requests, "the first requests at the origin")
    hold.set()
    ends = fates(clients)
    assert 200 in ends
    assert set(ends) <= {200, 502, 503, "closed"}
    until(lambda: way.get().status == 200, "the edge being well again")
    with way.client() as client:
        assert [client.get().status for _ in range(20)] == [200] * 20


def test_a_full_table_of_descriptors_does_not_spin(edge, origin):
    hold = threading.Event()
    app = origin(lambda request: hold.wait(30) and reply(200))
    way = edge(proxy=app, nofile=96, timeouts={"header": "30s"})
    worker = way.worker_pid
    clients = crowd(way, 200)
    before = proc.cpu_seconds(worker)
    threading.Event().wait(1)
    assert proc.cpu_seconds(worker) - before < 0.5, "it accepts and fails in a circle"
    hold.set()
    fates(clients)


def test_more_connections_than_allowed(edge, origin):
    """The idlest connection goes first; when all are at work, the newcomer is told 503."""
    hold = threading.Event()
    app = origin(lambda request: reply(200) if request.target == "/quick" else
                 hold.wait(30) and reply(200))
    way = edge(proxy=app, connections=16)
    idle = way.client()
    assert idle.get("/quick").status == 200
    busy = crowd(way, 15)
    app.wait_requests(16)
    newcomer = way.client().ask("GET")
    app.wait_requests(17)
    assert idle.at_end(), "the idle one made room"
    with way.client() as late:
        try:
            assert late.get().status == 503
        except (EOFError, OSError):
            pass
    hold.set()
    assert fates(busy + [newcomer]) == [200] * 16
    assert way.get("/quick").status == 200


def test_out_of_local_ports(edge, origin, tmp_path):
    """Twenty ports to connect from and forty exchanges at once: some are told 503, and when ports
    are free again all is well."""
    hold = threading.Event()

    def start():
        app = origin(lambda request: hold.wait(30) and reply(200, close=True))
        return app, edge(proxy=app, listen=f"unix:{tmp_path}/sock")
    try:
        app, way = network.alone(start, local_ports=(40000, 40019))
    except PermissionError as denied:
        pytest.skip(f"no network of its own: {denied}")
    clients = crowd(way, 40)
    app.wait_requests(15)
    until(lambda: any(client.is_readable() for client in clients), "somebody being told")
    hold.set()
    ends = fates(clients)
    assert set(ends) == {200, 503}
    assert ends.count(200) >= 15
    way.wait_log("no-ports")
    with way.client() as client:
        until(lambda: client.get().status == 200, "the edge being well again", 90)


def test_the_memory_budget_holds(edge, origin):
    """Many downloads that nobody reads meet the budget long before the machine's memory ends."""
    def play(conn):
        conn.read_request()
        conn.send(reply(200, length=False, fields=[("Content-Length", str(64 << 20))]))
        while True:
            conn.send(b"x" * 65536)
    app = origin(play=play)
    way = edge(proxy=app, memory="16MiB", timeouts={"write": "30s"})
    clients = crowd(way, 200)
    for client in clients[:100]:
        client.sock.settimeout(20)
    until(lambda: len(app.conns) >= 50 or any(not c.is_open() for c in clients), "the load")
    if os.environ.get("ADIT_RELEASE"):
        assert proc.rss(way.worker_pid) < 96 << 20
    for client in clients:
        client.reset()
    app.play = app.serve
    until(lambda: way.get().status == 200, "the edge being well again")


def test_a_flood_of_connections_that_say_nothing(edge, origin):
    way = edge(proxy=origin(), connections=50, timeouts={"header": "2s"})
    silent = [way.client() for _ in range(300)]
    with way.client() as client:
        assert client.get().status == 200, "an honest client gets in"
    for client in silent:
        client.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_left_after_a_storm(edge, origin, workers):
    """Descriptors of the worker are back to what they were once everybody has left."""
    app = origin()
    way = edge(proxy=app, workers=workers, timeouts={"upstream_idle": "300ms"})
    assert way.get().status == 200
    until(lambda: app.conns[0].ended, "the pool being empty")
    worker = way.worker_pid
    before = proc.fds(worker)
    for _ in range(5):
        clients = crowd(way, 100)
        for client in clients[::2]:
            client.reset()
        fates(clients[1::2])
    until(lambda: proc.fds(worker) <= before, "the descriptors being given back")
