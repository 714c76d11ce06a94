# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 3 and 5.4: how a connection begins and how it ends."""
import pytest

from harness import Client

import frames as f
from cases import run

GET = f.headers(1, f.GET)
PROTOCOL = "goaway PROTOCOL_ERROR"

FIRST_FRAMES = {
    "3.4 HEADERS before SETTINGS": GET,
    "3.4 PING before SETTINGS": f.ping(),
    "3.4 WINDOW_UPDATE before SETTINGS": f.window_update(0, 1),
    "3.4 acknowledgement before SETTINGS": f.settings_ack(),
    "3.4 unknown frame before SETTINGS": f.frame(0xee),
    "3.4 DATA before SETTINGS": f.data(1, b"x"),
}
NO_PREFACES = {
    "3.4 another word": f.PREFACE.replace(b"SM", b"XX"),
    "3.4 lower case": f.PREFACE.lower(),
    "3.4 another version": f.PREFACE.replace(b"2.0", b"2.1"),
    "3.4 bare LF": f.PREFACE.replace(b"\r\n", b"\n"),
    "3.4 a field": b"PRI * HTTP/2.0\r\nHost: example.com\r\n\r\nSM\r\n\r\n",
    "3.4 another target": b"PRI / HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "3.4 another method": b"PRY * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "3.4 frames without it": f.settings() + GET,
    "3.4 zeros": bytes(64),
}
BEGINNINGS = {
    "3.4 SETTINGS without a parameter": (f.settings() + GET, "200"),
    "3.4 SETTINGS with everything":
        (f.settings((1, 4096), (2, 0), (3, 100), (4, 65535), (5, 16384), (6, 65536)) + GET, "200"),
    "3.4 SETTINGS twice": (f.settings() + f.settings() + GET, "200"),
    "5.5 SETTINGS with unknown parameters": (f.settings((0, 1), (0xff, 2), (0xffff, 3)) + GET, "200"),
}


@pytest.mark.parametrize("name", FIRST_FRAMES)
def test_first_frame(front, name):
    """3.4: preface and SETTINGS first; anything else is a connection error."""
    def act(client):
        client.opened(1)
        client.say(f.PREFACE + FIRST_FRAMES[name])
    run(front, (act, f"{PROTOCOL} | closed"), {"hello": False})


@pytest.mark.parametrize("name", NO_PREFACES)
def test_not_the_preface(front, name):
    """3.4: what does not begin with the preface is not HTTP/2. Where HTTP/1.1 is spoken too, it may
    be told so in that language; it ends in any case, and no request is taken from it."""
    asked = len(front.app.asked())
    with front.client(hello=False) as client:
        client.say(NO_PREFACES[name])
        client.half_close()
        try:
            said = client.read_to_end()
        except ConnectionResetError:
            said = b""
    assert b"\x00\x00\x00\x04\x01" not in said and b" 200 " not in said[:20], said
    assert len(front.app.asked()) == asked
    front.neighbour()


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_good_beginning(front, name):
    def act(client):
        client.send(f.PREFACE + BEGINNINGS[name][0])
    run(front, (act, BEGINNINGS[name][1]), {"hello": False})


def test_3_4_the_server_says_settings_first(front):
    """And does so without waiting for a request; the client's SETTINGS are acknowledged."""
    with front.client() as client:
        assert client.wait_frame(f.SETTINGS).stream == 0
        client.wait(lambda: client.settings_acks == 1)


def test_3_4_nothing_waits_for_the_server(front):
    """A client may send requests right behind its preface, here all in one packet."""
    with front.client(hello=False) as client:
        client.send(f.PREFACE + f.settings() + b"".join(f.headers(n, f.GET) for n in (1, 3, 5)))
        assert [client.answer(n).status for n in (1, 3, 5)] == [200] * 3


def test_3_4_byte_by_byte(front):
    with front.client(hello=False) as client:
        client.opened(1)
        for byte in f.PREFACE + f.settings((3, 7)) + GET:
            client.sock.sendall(bytes([byte]))
        assert client.answer(1).status == 200


@pytest.mark.parametrize("n", [1, 3, 14, 23, 24, 30, 33])
def test_3_4_a_beginning_that_stops(front, n):
    """Cut at any place and half-closed: the server ends it too."""
    with front.client(hello=False) as client:
        client.say((f.PREFACE + f.settings((3, 7)))[:n])
        client.half_close()
        try:
            client.read_to_end()
        except ConnectionResetError:
            pass
    front.neighbour()


def test_3_1_upgrade_to_h2c_is_not_taken(front):
    """The mechanism of RFC 7540 is gone; an edge that took it would let requests pass unseen."""
    with Client(front.at) as client:
        client.ask("GET", "/", [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
                                ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA")])
        assert client.answer().status in (200, 400, 426)


def test_3_4_the_preface_behind_a_request_of_h1(front):
    with Client(front.at) as client:
        assert client.get().status == 200
        client.send(f.PREFACE + f.settings() + GET)
        try:
            said = client.read_to_end()
        except ConnectionResetError:
            said = b""
        assert not said or said.startswith(b"HTTP/1.1 "), said


def test_5_4_1_goaway_says_what_was_taken(front):
    """The error's GOAWAY names the last stream that may have been processed."""
    with front.client() as client:
        assert client.get().status == 200
        assert client.get().status == 200
        client.send(f.ping(b"short"))
        client.at_close()
        assert client.goaway.code == "FRAME_SIZE_ERROR"
        assert client.goaway.number >= 3


def test_5_4_1_a_stream_that_is_open_ends_with_the_connection(front):
    with front.client() as client:
        client.ask("GET", "/hold")
        client.send(f.ping(b"short"))
        client.at_close()
        assert client.goaway.code == "FRAME_SIZE_ERROR"
    front.neighbour()


def test_5_4_2_no_reset_answers_a_reset(front):
    """It would go on for ever."""
    with front.client() as client:
        number = client.ask("GET", "/hold")
        client.send(f.rst(number))
        client.round_trip().round_trip()
        assert client.streams[number].reset is None


def test_5_4_3_a_client_that_goes_without_a_word(front):
    client = front.client()
    client.ask("GET", "/hold")
    client.round_trip()
    client.reset()
    front.neighbour()


def test_9_1_a_half_closed_client_gets_its_answers(front):
    """A client that has said all it wants and ends its direction."""
    with front.client() as client:
        client.ask("GET", "/size/100000")
        client.round_trip()
        client.half_close()
        client.auto = client.credit = False
        client.at_close()
