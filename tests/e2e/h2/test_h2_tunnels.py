# SPDX-License-Identifier: Apache-2.0
"""RFC 8441: WebSocket in a stream, to origins of HTTP/1.1 and HTTP/2, frame by frame. What flows is
opaque to an edge, so any bytes will do for WebSocket's."""
import base64
import hashlib
import threading

import pytest

from harness import reply

import frames as f
from origin import H2Origin
from wire import H2

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CHAT = f.request("CONNECT", "/chat", [(":protocol", "websocket"), ("sec-websocket-version", "13"),
                                      ("origin", "http://example.com")])
OK = [(":status", "200")]


def switch(request):
    """The 101 of RFC 6455 4.2.2."""
    key = request.get("sec-websocket-key").encode()
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" \
           b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"


def open_tunnel(client):
    number = client.opened(client.next)
    client.send(f.headers(number, CHAT, end=False))
    return number


def wait_head(client, number):
    client.wait(lambda: client.streams[number].fields or client.streams[number].over, "the answer")
    return client.streams[number]


def wait_body(client, number, body):
    client.wait(lambda: len(client.streams[number].body) >= len(body) or client.streams[number].over, "bytes")
    assert client.streams[number].body == body


def test_8441_3_it_is_announced(edge, origin):
    way = edge(proxy=origin())
    with H2(way.at) as client:
        client.wait_frame(f.SETTINGS)
        assert client.settings[f.ENABLE_CONNECT_PROTOCOL] == 1


def echo_h1(conn):
    request = conn.read_request()
    assert request.method == "GET" and request.get("upgrade").lower() == "websocket"
    assert "upgrade" in request.get("connection").lower()
    assert request.get("sec-websocket-version") == "13" and request.target == "/chat"
    assert len(base64.b64decode(request.get("sec-websocket-key"))) == 16
    conn.send(switch(request))
    while data := conn.read_some():
        conn.send(data.upper())
    conn.send(b"-bye")


def echo_h2(conn):
    conn.hello((f.ENABLE_CONNECT_PROTOCOL, 1))
    stream = conn.request(whole=False)
    assert stream.get(":protocol") == "websocket" and stream.get(":method") == "CONNECT"
    assert stream.get("sec-websocket-key") is None
    conn.say(f.headers(stream.number, OK, end=False))
    sent = 0
    while not stream.over:
        conn.frame()
        if len(stream.content) > sent:
            conn.say(f.data(stream.number, bytes(stream.content[sent:]).upper()))
            sent = len(stream.content)
    conn.say(f.data(stream.number, b"-bye", True))
    conn.at_close()


@pytest.fixture(params=["h1", "h2"])
def echo(request, edge, origin):
    """An edge before an origin that echoes in upper case and says -bye at the end."""
    if request.param == "h1":
        yield edge(proxy=origin(play=echo_h1))
        return
    app = H2Origin(echo_h2)
    yield edge({"upstreams": {"app": {"servers": [app.at]}}}, proxy="app")
    app.stop()
    app.check()


def test_bytes_flow_and_each_direction_ends_by_itself(echo):
    with H2(echo.at) as client:
        number = open_tunnel(client)
        assert wait_head(client, number).status == 200
        client.send(f.data(number, b"one"))
        wait_body(client, number, b"ONE")
        client.send(f.data(number, b"", pad=9) + f.data(number, b"-two", pad=3))
        wait_body(client, number, b"ONE-TWO")
        client.send(f.data(number, b"-three", True))
        assert client.answer(number).body == b"ONE-TWO-THREE-bye"
        client.round_trip()


def test_a_tunnel_keeps_to_the_clients_window(echo):
    """The strict reader minds a byte too many."""
    with H2(echo.at, settings=[(f.INITIAL_WINDOW_SIZE, 5)], credit=False) as client:
        number = open_tunnel(client)
        assert wait_head(client, number).status == 200
        client.send(f.data(number, b"0123456789"))
        wait_body(client, number, b"01234")
        client.round_trip()
        assert client.streams[number].body == b"01234"
        client.give(number, 100)
        client.send(f.data(number, b"", True))
        assert client.answer(number).body == b"0123456789-bye"


def test_a_reset_of_the_client_reaches_the_origin(edge, origin):
    gone = threading.Event()

    def play(conn):
        conn.send(switch(conn.read_request()))
        try:
            conn.read_to_end()
        finally:
            gone.set()
    way = edge(proxy=origin(play=play))
    with H2(way.at) as client:
        number = open_tunnel(client)
        assert wait_head(client, number).status == 200
        client.send(f.rst(number))
        assert gone.wait(15)
        client.round_trip()


def test_an_origin_that_dies_resets_the_stream(edge, origin):
    def play(conn):
        conn.send(switch(conn.read_request()))
        conn.read(1)
        conn.reset()
    way = edge(proxy=origin(play=play))
    with H2(way.at) as client:
        number = open_tunnel(client)
        assert wait_head(client, number).status == 200
        client.send(f.data(number, b"x"))
        client.wait(lambda: client.streams[number].over, "the end")
        client.round_trip()


REFUSALS = {
    "a plain answer": (lambda request: reply(403, b"no"), ("403",)),
    "a 200": (lambda request: reply(200, b"a page"), ("502", "200")),
    "a wrong accept": (lambda request: switch(request).replace(b"Accept: ", b"Accept: x"), ("502",)),
    "no accept": (lambda request: switch(request).replace(b"-Accept", b"-Other"), ("502",)),
    "another protocol": (lambda request: switch(request).replace(b": websocket", b": chat"), ("502",)),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_an_origin_that_does_not_switch(edge, origin, name):
    answer, statuses = REFUSALS[name]

    def play(conn):
        conn.send(answer(conn.read_request()))
        conn.read_to_end()
    way = edge(proxy=origin(play=play), timeouts={"response": "2s"})
    with H2(way.at) as client:
        number = open_tunnel(client)
        client.wait(lambda: client.streams[number].over, "the answer")
        stream = client.streams[number]
        assert str(stream.status) in statuses, stream
        if name == "a 200":     # 2xx would open the tunnel; its end must then be visible
            assert stream.status == 502, stream
        client.round_trip()


def test_an_origin_of_h2_that_has_no_extended_connect(edge):
    """Its SETTINGS did not allow it (RFC 8441 3): nothing of the kind is sent."""
    def script(conn):
        conn.hello()
        conn.serve()
    app = H2Origin(script)
    way = edge({"upstreams": {"app": {"servers": [app.at]}}}, proxy="app")
    with H2(way.at) as client:
        assert client.get().status == 200
        stream = client.answer(open_tunnel(client))
        assert stream.status in (501, 502, 503)
        client.round_trip()
    assert all(one.get(":method") == "GET" for one in app.requests)
    assert len(app.conns) <= 4, "a connection more would not change its mind"
    app.stop()
    app.check()


def test_8441_4_after_the_end_no_more(echo):
    """DATA behind END_STREAM of a tunnel is that stream's error, as of any."""
    with H2(echo.at) as client:
        number = open_tunnel(client)
        assert wait_head(client, number).status == 200
        client.send(f.data(number, b"x", True) + f.data(number, b"y"))
        client.wait(lambda: client.streams[number].over, "the end")
        client.round_trip()
