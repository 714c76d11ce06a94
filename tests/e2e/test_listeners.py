# SPDX-License-Identifier: Apache-2.0
"""Addresses of every family, on both sides."""
import os
import socket

import pytest

from harness import Failure


@pytest.mark.parametrize("at", ["127.0.0.1:0", "[::1]:0", "unix"])
def test_origins_of_every_family(edge, origin, tmp_path, at):
    app = origin(at=f"unix:{tmp_path}/app" if at == "unix" else at)
    way = edge(proxy=app)
    with way.client() as client:
        assert client.get().body == b"hello"
        assert client.exchange("POST", "/", body=b"x" * 100_000).status == 200
    assert len(app.conns) == 1


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0", ":0", "unix"])
def test_listeners_of_every_family(edge, origin, tmp_path, listen):
    way = edge(proxy=origin(), listen=f"unix:{tmp_path}/in" if listen == "unix" else listen)
    assert way.get().body == b"hello"


def test_any_address_means_both_families(edge, origin):
    way = edge(proxy=origin(), listen=":0")
    for host in ("127.0.0.1", "::1"):
        with way.client((host, way.port)) as client:
            assert client.get().status == 200


def test_several_listeners(edge, origin, tmp_path):
    app = origin()
    way = edge(proxy=app, listen=["127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/in",
                                  {"at": "127.0.0.1:0", "backlog": 10}])
    assert len(way.addresses) == 4
    for at in way.addresses:
        with way.client(at) as client:
            assert client.get().body == b"hello"


def test_a_unix_listener_is_taken_away_at_the_end(edge, origin, tmp_path):
    path = str(tmp_path / "in")
    way = edge(proxy=origin(), listen="unix:" + path)
    assert way.get().status == 200
    way.stop()
    assert not os.path.exists(path)


def test_a_stale_unix_socket_does_not_prevent_the_start(edge, origin, tmp_path):
    path = str(tmp_path / "in")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    assert edge(proxy=origin(), listen="unix:" + path).get().status == 200


def test_a_port_that_is_taken_is_a_clear_error(edge, origin):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=rf"(?s)exit [13].*{port}.*in use"):
            edge(proxy=origin(), listen=f"127.0.0.1:{port}")


def test_many_connections_over_several_workers(edge, origin):
    """Nobody is forgotten on any worker thread."""
    app = origin()
    way = edge(proxy=app, workers=4)
    clients = [way.client() for _ in range(100)]
    for client in clients:
        client.ask("GET")
    assert [client.answer().status for client in clients] == [200] * 100
    for client in clients:
        client.close()
