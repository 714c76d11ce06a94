# SPDX-License-Identifier: Apache-2.0
"""How long connections and streams live: drains, limits and time-outs as HTTP/2 says them, what TLS
agrees on first, and which stream goes first (RFC 9218)."""
import signal
import threading

import pytest

from harness import reply
from harness.wire import connect

import frames as f
from wire import H2, Frames


def held_app(origin):
    """An origin that answers /held when the event is set, and everything else at once."""
    release = threading.Event()

    def handler(request):
        if request.path == "/held":
            assert release.wait(15)
        return reply(200, b"whole answer")
    return origin(handler), release


def test_6_8_a_drain_loses_no_request(edge, origin):
    """GOAWAY says which streams count; those are answered, and then the connection ends."""
    app, release = held_app(origin)
    way = edge(proxy=app, drain="10s")
    with H2(way.at) as client:
        number = client.ask("GET", "/held")
        app.wait_requests(1)
        way.signal(signal.SIGTERM)
        client.wait(lambda: client.goaway, "a GOAWAY")
        assert client.goaway.code == "NO_ERROR"
        late = client.ask("GET", "/late") if client.goaway.number == f.WINDOW_MAX else None
        release.set()
        assert client.answer(number).body == b"whole answer"
        client.at_close()
        assert client.goaway.code == "NO_ERROR" and client.goaway.number >= number
        if late is not None:    # it was taken, or the client knows that it was not
            stream = client.streams[late]
            assert stream.ended or client.goaway.number < late or stream.reset == "REFUSED_STREAM"


def test_6_8_a_drain_ends_idle_connections(edge, origin):
    way = edge(proxy=origin(), drain="10s")
    with H2(way.at) as client:
        assert client.get().status == 200
        way.signal(signal.SIGTERM)
        client.at_close()
        assert client.goaway.code == "NO_ERROR" and client.goaway.number >= 1


def test_6_8_an_idle_connection_ends_with_goaway(edge, origin):
    way = edge(proxy=origin(), timeouts={"idle": "1s"})
    with H2(way.at) as client:
        assert client.get().status == 200
        client.at_close()
        assert client.goaway.code == "NO_ERROR"


def test_6_8_requests_of_a_connection_are_counted(edge, origin):
    way = edge(proxy=origin(), limits={"requests_per_connection": 3})
    with H2(way.at) as client:
        assert [client.get().status for _ in range(3)] == [200] * 3
        client.at_close()
        assert client.goaway.code == "NO_ERROR" and client.goaway.number >= 5


def test_a_body_that_stops_is_that_streams_end(edge, origin):
    way = edge(proxy=origin(), timeouts={"body": "1s"})
    with H2(way.at) as client:
        number = client.ask("POST", "/", end=False)
        client.send(f.data(number, b"half"))
        client.wait(lambda: client.streams[number].over, "its end")
        assert client.streams[number].status in (408, None)
        assert client.get().status == 200


def test_a_window_that_stays_shut_is_that_streams_end(edge, origin):
    way = edge(proxy=origin(lambda request: reply(200, b"x" * 10)), timeouts={"write": "300ms"})
    with H2(way.at, settings=[(f.INITIAL_WINDOW_SIZE, 0)]) as client:
        number = client.ask("GET")
        client.wait(lambda: client.streams[number].over or client.goaway, "its end")
        assert client.streams[number].reset


def test_a_preface_that_does_not_come_is_not_waited_for_long(edge, origin):
    way = edge(proxy=origin(), timeouts={"header": "300ms", "idle": "300ms"})
    for begin in (b"", f.PREFACE[:10], f.PREFACE, f.PREFACE + b"\0\0"):
        with H2(way.at, hello=False) as client:
            client.say(begin)
            try:
                client.read_to_end()
            except ConnectionResetError:
                pass


# -- RFC 9218 -----------------------------------------------------------------------------------------


def order(client, numbers):
    """The streams of the DATA frames that come until all streams have ended."""
    out = []
    while not all(client.streams[n].over for n in numbers):
        one = client.frame()
        assert one is not None, "the connection ended"
        if one.kind == f.DATA and one.payload:
            out.append(one.stream)
    return out


def start_held(front, client, *priorities):
    """Streams whose answers wait for credit, with what is to be said of their priority."""
    numbers = [client.ask("GET", "/size/12000", fields) for fields in priorities]
    client.wait(lambda: all(client.streams[n].fields for n in numbers), "the heads")
    front.neighbour()
    client.round_trip()
    return numbers


def open_windows(client, numbers):
    for n in numbers:
        client.streams[n].window += 50000
    client.send(f.settings((f.INITIAL_WINDOW_SIZE, 50000)))


def test_rfc_9218_the_more_urgent_goes_first(front):
    with front.client(settings=[(f.INITIAL_WINDOW_SIZE, 0)]) as client:
        low, high = start_held(front, client, [("priority", "u=7")], [("priority", "u=0")])
        open_windows(client, [low, high])
        came = order(client, [low, high])
        assert came.index(low) > len(came) - 1 - came[::-1].index(high), came


def test_rfc_9218_priority_update_changes_it(front):
    with front.client(settings=[(f.INITIAL_WINDOW_SIZE, 0)]) as client:
        first, second = start_held(front, client, [("priority", "u=1")], [("priority", "u=2")])
        client.send(f.priority_update(first, b"u=6"))
        client.round_trip()
        open_windows(client, [first, second])
        came = order(client, [first, second])
        assert came.index(first) > len(came) - 1 - came[::-1].index(second), came


# -- TLS ----------------------------------------------------------------------------------------------


@pytest.fixture
def secure(edge, origin, pki):
    return edge(proxy=origin(), cert=pki.server)


def test_3_3_h2_by_alpn(secure, pki):
    with H2(secure.at, tls=pki.context("h2", "http/1.1")) as client:
        assert client.sock.selected_alpn_protocol() == "h2"
        assert client.get().status == 200


def test_3_3_who_agreed_on_h2_speaks_it(secure, pki):
    """A request of HTTP/1.1 on such a connection is no preface (3.4)."""
    with H2(secure.at, tls=pki.context("h2"), hello=False) as client:
        client.say(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        client.at_close()
        assert client.goaway is None or client.goaway.code == "PROTOCOL_ERROR"


def test_3_1_h2c_is_not_a_word_of_alpn(secure, pki):
    """3.2: over TLS it must not be chosen."""
    tls = pki.context("h2c", "http/1.1")
    with Frames(tls.wrap_socket(connect(secure.at), server_hostname="localhost")) as client:
        assert client.sock.selected_alpn_protocol() == "http/1.1"


def test_8_3_1_the_scheme_of_a_secure_connection(secure, pki):
    """A request for http on it is answered or refused, and nothing else."""
    with H2(secure.at, tls=pki.context("h2")) as client:
        number = client.ask("GET", "/", scheme="http")
        assert client.fate(number) in ("200", "400", "421", "308", "reset PROTOCOL_ERROR")
        assert client.get().status == 200


def test_9_2_a_connection_that_is_cut_without_a_word_of_tls(secure, pki):
    client = H2(secure.at, tls=pki.context("h2"))
    client.ask("GET")
    client.round_trip()
    client.sock.unwrap = None
    client.close()
    with H2(secure.at, tls=pki.context("h2")) as other:
        assert other.get().status == 200
