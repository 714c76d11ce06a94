# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 4 and 6: every frame, in every way it can be wrong."""
import pytest

import frames as f
from cases import run

PROTOCOL, SIZE = "goaway PROTOCOL_ERROR", "goaway FRAME_SIZE_ERROR"
FLOW, COMPRESSION = "goaway FLOW_CONTROL_ERROR", "goaway COMPRESSION_ERROR"
GET = f.headers(1, f.GET)
HELD = f.headers(1, f.HOLD)                     # half-closed by the client, no answer comes
OPEN = f.headers(1, f.HOLD_POST, end=False)     # open, no answer comes
LONG = f.literal("x-long", "v" * (16385 - 11))     # 16385 bytes
MARK = 0x80000000

FORMAT = {
    "4.1 unknown type on the connection": (f.frame(0x16, 0xff, 0, b"x" * 100) + GET, "200"),
    "4.1 unknown type on an idle stream": (f.frame(0x16, 0, 1, b"x") + GET, "200"),
    "4.1 unknown type on an open stream": (HELD + f.frame(0xff, 0xff, 1, b"x" * 16384), "alive"),
    "4.1 unknown type without a payload": (f.frame(0x42) + GET, "200"),
    "4.1 unknown type on a stream of the server": (f.frame(0x42, 0, 2) + GET, "200"),
    "4.1 undefined flags of HEADERS": (f.frame(f.HEADERS, 0xd5, 1, f.GET) + GET[:0], "200"),
    "4.1 undefined flags of DATA":
        (f.headers(1, f.POST, end=False) + f.frame(f.DATA, 0xf7, 1, b"x"), "200"),
    "4.1 undefined flags of PING": (f.frame(f.PING, 0xfe, 0, b"12345678") + GET, "200"),
    "4.1 undefined flags of SETTINGS": (f.frame(f.SETTINGS, 0xfe) + GET, "200"),
    "4.1 undefined flags of WINDOW_UPDATE":
        (f.frame(f.WINDOW_UPDATE, 0xff, 0, b"\0\0\0\x01") + GET, "200"),
    "4.1 undefined flags of RST_STREAM":
        (HELD + f.frame(f.RST_STREAM, 0xff, 1, b"\0\0\0\x08"), "alive"),
    "4.1 reserved bit of the stream in HEADERS":
        (f.frame(f.HEADERS, 5, 1 | MARK, f.GET), "200"),
    "4.1 reserved bit of the stream in SETTINGS": (f.frame(f.SETTINGS, 0, MARK) + GET, "200"),
    "4.1 reserved bit of the stream in PING": (f.frame(f.PING, 0, MARK, bytes(8)) + GET, "200"),
    "4.1 reserved bit of the stream in DATA":
        (f.headers(1, f.POST, end=False) + f.frame(f.DATA, 1, 1 | MARK, b"x"), "200"),
    "4.2 DATA of 16384": (f.headers(1, f.POST, end=False) + f.data(1, bytes(16384), True), "200"),
    "4.2 DATA of 16385": (OPEN + f.data(1, bytes(16385)), f"reset FRAME_SIZE_ERROR | {SIZE}"),
    "4.2 HEADERS of 16385": (f.headers(1, f.GET + bytes(16385)), SIZE),
    "4.2 CONTINUATION of 16385":
        (f.headers(1, f.GET, last=False) + f.continuation(1, LONG), SIZE),
    "4.2 SETTINGS of 16386": (f.settings(*[(0xff, 0)] * 2731), SIZE),
    "4.2 unknown type of 16385": (f.frame(0x42, 0, 0, bytes(16385)), SIZE),
    "4.2 DATA of 16 MiB, head only": (OPEN + f.frame(f.DATA, 0, 1, b"", 0xffffff),
                                      f"reset FRAME_SIZE_ERROR | {SIZE}"),
    "4.2 HEADERS of 16 MiB, head only": (f.frame(f.HEADERS, 5, 1, b"", 0xffffff), SIZE),
    "4.2 GOAWAY of 16385": (f.goaway(0, "NO_ERROR", bytes(16377)), SIZE),
    "4.3 CONTINUATION in many parts":
        (f.split(1, f.GET, range(10, 70, 10)), "200"),
    "4.3 CONTINUATION without a byte":
        (f.headers(1, b"", last=False) + f.continuation(1, b"", last=False)
         + f.continuation(1, f.GET), "200"),
    "4.3 block cut inside an integer and a string":
        (f.split(1, f.GET + f.literal("x-long", "v" * 300), [1, 2, len(f.GET) + 8,
                                                             len(f.GET) + 9, len(f.GET) + 10]), "200"),
    "4.3 other frame inside a block": (f.headers(1, f.GET, last=False) + f.ping(), PROTOCOL),
    "4.3 SETTINGS inside a block": (f.headers(1, f.GET, last=False) + f.settings(), PROTOCOL),
    "4.3 DATA inside a block": (f.headers(1, f.GET, last=False) + f.data(1, b"x"), PROTOCOL),
    "4.3 PRIORITY inside a block": (f.headers(1, f.GET, last=False) + f.priority(1), PROTOCOL),
    "4.3 RST_STREAM inside a block": (f.headers(1, f.GET, last=False) + f.rst(1), PROTOCOL),
    "4.3 WINDOW_UPDATE inside a block":
        (f.headers(1, f.GET, last=False) + f.window_update(0, 1), PROTOCOL),
    "4.3 GOAWAY inside a block": (f.headers(1, f.GET, last=False) + f.goaway(), PROTOCOL),
    "4.3 HEADERS inside a block": (f.headers(1, f.GET, last=False) + f.headers(1, f.GET), PROTOCOL),
    "4.3 HEADERS of another stream inside a block":
        (f.headers(1, f.GET, last=False) + f.headers(3, f.GET), PROTOCOL),
    "5.5 unknown type inside a block": (f.headers(1, f.GET, last=False) + f.frame(0x42), PROTOCOL),
    "4.3 CONTINUATION of another stream":
        (f.headers(1, f.GET, last=False) + f.continuation(3), PROTOCOL),
    "4.3 CONTINUATION of the connection":
        (f.headers(1, f.GET, last=False) + f.continuation(0), PROTOCOL),
    "4.3 block that cannot be decoded": (f.headers(1, f.GET + b"\xff\xff\xff\xff\xff\xff"), COMPRESSION),
    "4.3 trailers that cannot be decoded":
        (f.headers(1, f.HOLD_POST, end=False) + f.headers(1, b"\xbf"), COMPRESSION),
}

DATA = {
    "6.1 on the connection": (f.data(0, b"x"), PROTOCOL),
    "6.1 on an idle stream": (f.data(1, b"x"), PROTOCOL),
    "6.1 on an idle stream of the server": (f.data(2, b"x"), PROTOCOL, 0),
    "6.1 padding as long as the payload": (OPEN + f.frame(f.DATA, 8, 1, b"\x05xxxxx"[:5]), PROTOCOL),
    "6.1 padding longer than the payload": (OPEN + f.frame(f.DATA, 8, 1, b"\xffx"), PROTOCOL),
    "6.1 padded without a length": (OPEN + f.frame(f.DATA, 8, 1),
                                    f"{SIZE} | reset FRAME_SIZE_ERROR | {PROTOCOL}"),
    "6.1 nothing but padding":
        (f.headers(1, f.POST, end=False) + f.data(1, b"", pad=255) + f.data(1, b"x", True, 0), "200"),
    "6.1 padding of a byte": (f.headers(1, f.POST, end=False) + f.data(1, b"x", True, 1), "200"),
    "6.1 padding of 255": (f.headers(1, f.POST, end=False) + f.data(1, b"x" * 99, True, 255), "200"),
    "6.1 empty with END_STREAM": (f.headers(1, f.POST, end=False) + f.data(1, b"", True), "200"),
    "6.1 empty, then full":
        (f.headers(1, f.POST, end=False) + f.data(1) + f.data(1, b"x", True), "200"),
}

HEADERS = {
    "6.2 on the connection": (f.headers(0, f.GET), PROTOCOL),
    "6.2 padding": (f.headers(1, f.GET, pad=200), "200"),
    "6.2 padding of no byte": (f.headers(1, f.GET, pad=0), "200"),
    "6.2 padding longer than the payload":
        (f.frame(f.HEADERS, 0xd, 1, bytes([len(f.GET) + 1]) + f.GET), PROTOCOL),
    "6.2 padding as long as the payload":
        (f.frame(f.HEADERS, 0xd, 1, bytes([255]) + f.GET[:255]), PROTOCOL),
    "6.2 padded without a length": (f.frame(f.HEADERS, 0xd, 1), f"{SIZE} | {PROTOCOL}"),
    "6.2 padding over the priority":
        (f.frame(f.HEADERS, 0x2d, 1, b"\x05" + f.priority_of()), f"{PROTOCOL} | {SIZE}"),
    "6.2 with priority": (f.headers(1, f.GET, priority=(0, 256, True)), "200"),
    "6.2 with priority on a stream to come": (f.headers(1, f.GET, priority=(99, 1, False)), "200"),
    "6.2 with priority and padding": (f.headers(1, f.GET, pad=9, priority=(0, 1, False)), "200"),
    "6.2 with half a priority": (f.frame(f.HEADERS, 0x25, 1, b"\0\0\0\0"),
                                 f"{SIZE} | reset FRAME_SIZE_ERROR | {PROTOCOL}"),
    "6.2 without a byte": (f.headers(1, b""), "reset PROTOCOL_ERROR | 400"),
}

PRIORITY = {
    "6.3 on the connection": (f.priority(0), PROTOCOL),
    "6.3 of 4 bytes": (HELD + f.frame(f.PRIORITY, 0, 1, bytes(4)), f"reset FRAME_SIZE_ERROR | {SIZE}"),
    "6.3 of 6 bytes": (HELD + f.frame(f.PRIORITY, 0, 1, bytes(6)), f"reset FRAME_SIZE_ERROR | {SIZE}"),
    "6.3 without a byte": (HELD + f.frame(f.PRIORITY, 0, 1), f"reset FRAME_SIZE_ERROR | {SIZE}"),
    "6.3 on an idle stream": (f.priority(1) + GET, "200"),
    "6.3 on an idle stream far away": (f.priority(f.WINDOW_MAX) + GET, "200"),
    "6.3 on a half-closed stream": (HELD + f.priority(1), "alive"),
    "6.3 on a stream of the server": (f.priority(2) + GET, "200"),
    "6.3 that depends on itself": (HELD + f.priority(1, 1), "alive | reset PROTOCOL_ERROR | " + PROTOCOL),
    "6.3 that depends on what depends on it": (f.priority(1, 3) + f.priority(3, 1) + GET, "200"),
    "6.3 exclusive": (HELD + f.priority(1, 0, 256, True), "alive"),
}

PRIORITY_UPDATE = {
    "RFC 9218 7.1 on a stream": (HELD + f.priority_update(1, b"u=1", on=1), PROTOCOL),
    "RFC 9218 7.1 of no stream": (f.priority_update(0, b"u=1"), PROTOCOL),
    "RFC 9218 7.1 of 3 bytes": (f.frame(f.PRIORITY_UPDATE, 0, 0, bytes(3)), SIZE),
    "RFC 9218 7.1 without a value": (HELD + f.priority_update(1, b""), "alive"),
    "RFC 9218 7.1 of a half-closed stream": (HELD + f.priority_update(1, b"u=0, i"), "alive"),
    "RFC 9218 7.1 of an idle stream": (f.priority_update(1, b"u=0") + GET, "200"),
    "RFC 9218 7.1 of a stream of the server": (f.priority_update(2, b"u=0") + GET,
                                               "200 | " + PROTOCOL),
    "RFC 9218 7.1 with nonsense": (HELD + f.priority_update(1, b"\xff\0u=99,,;;=(\"x"), "alive"),
    "RFC 9218 7.1 with a long value": (HELD + f.priority_update(1, b"u=1," + b"x" * 16000), "alive"),
    "RFC 9218 4 a field with nonsense":
        (f.headers(1, f.GET + f.literal("priority", "u=9999999999999, i=?7, \"")), "200"),
}

RST_STREAM = {
    "6.4 on the connection": (f.rst(0), PROTOCOL),
    "6.4 on an idle stream": (f.rst(1), PROTOCOL),
    "6.4 on an idle stream of the server": (f.rst(2), PROTOCOL, 0),
    "6.4 of 3 bytes": (HELD + f.frame(f.RST_STREAM, 0, 1, bytes(3)), SIZE),
    "6.4 of 5 bytes": (HELD + f.frame(f.RST_STREAM, 0, 1, bytes(5)), SIZE),
    "6.4 without a byte": (HELD + f.frame(f.RST_STREAM, 0, 1), SIZE),
    "6.4 on a half-closed stream": (HELD + f.rst(1), "alive"),
    "6.4 on an open stream": (OPEN + f.rst(1), "alive"),
    "6.4 twice": (HELD + f.rst(1) * 2, "alive"),
    "7 with an unknown code": (HELD + f.rst(1, 0xfefefefe), "alive"),
    "7 with every code":
        (b"".join(f.headers(n * 2 + 1, f.HOLD) + f.rst(n * 2 + 1, n) for n in range(14)), "alive"),
}

SETTINGS = {
    "6.5 on a stream": (f.frame(f.SETTINGS, 0, 1), PROTOCOL),
    "6.5 acknowledgement with a payload": (f.frame(f.SETTINGS, 1, 0, bytes(6)), SIZE),
    "6.5 acknowledgement on a stream": (f.frame(f.SETTINGS, 1, 1), PROTOCOL),
    "6.5 of 5 bytes": (f.frame(f.SETTINGS, 0, 0, bytes(5)), SIZE),
    "6.5 of 7 bytes": (f.frame(f.SETTINGS, 0, 0, bytes(7)), SIZE),
    "6.5 of a byte": (f.frame(f.SETTINGS, 0, 0, bytes(1)), SIZE),
    "6.5.2 ENABLE_PUSH of 2": (f.settings((f.ENABLE_PUSH, 2)), PROTOCOL),
    "6.5.2 ENABLE_PUSH of 2^32-1": (f.settings((f.ENABLE_PUSH, 0xffffffff)), PROTOCOL),
    "6.5.2 ENABLE_PUSH of 1": (f.settings((f.ENABLE_PUSH, 1)) + GET, "200"),
    "6.5.2 ENABLE_PUSH of 0, then 1":
        (f.settings((f.ENABLE_PUSH, 0)) + f.settings((f.ENABLE_PUSH, 1)) + GET, "200"),
    "6.5.2 INITIAL_WINDOW_SIZE of 2^31": (f.settings((f.INITIAL_WINDOW_SIZE, 1 << 31)), FLOW),
    "6.5.2 INITIAL_WINDOW_SIZE of 2^32-1": (f.settings((f.INITIAL_WINDOW_SIZE, 0xffffffff)), FLOW),
    "6.5.2 INITIAL_WINDOW_SIZE of 2^31-1": (f.settings((f.INITIAL_WINDOW_SIZE, f.WINDOW_MAX)), "alive"),
    "6.5.2 MAX_FRAME_SIZE of 16383": (f.settings((f.MAX_FRAME_SIZE, 16383)), PROTOCOL),
    "6.5.2 MAX_FRAME_SIZE of 0": (f.settings((f.MAX_FRAME_SIZE, 0)), PROTOCOL),
    "6.5.2 MAX_FRAME_SIZE of 2^24": (f.settings((f.MAX_FRAME_SIZE, 1 << 24)), PROTOCOL),
    "6.5.2 MAX_FRAME_SIZE of 2^24-1": (f.settings((f.MAX_FRAME_SIZE, (1 << 24) - 1)) + GET, "200"),
    "6.5.2 HEADER_TABLE_SIZE of 2^32-1": (f.settings((f.HEADER_TABLE_SIZE, 0xffffffff)), "alive"),
    "6.5.2 MAX_CONCURRENT_STREAMS of 0": (f.settings((f.MAX_CONCURRENT_STREAMS, 0)) + GET, "200"),
    "6.5.2 MAX_HEADER_LIST_SIZE of 2^32-1":
        (f.settings((f.MAX_HEADER_LIST_SIZE, 0xffffffff)) + GET, "200"),
    "6.5.2 an unknown parameter": (f.settings((0x1234, 0xffffffff)) + GET, "200"),
    "6.5.2 parameter 0": (f.settings((0, 0)) + GET, "200"),
    "6.5.3 a bad value behind good ones":
        (f.settings((f.MAX_CONCURRENT_STREAMS, 9), (f.ENABLE_PUSH, 3)), PROTOCOL),
    "6.5.3 a bad value before a good one of its kind":
        (f.settings((f.ENABLE_PUSH, 3), (f.ENABLE_PUSH, 0)), PROTOCOL + " | alive"),
    "RFC 8441 3 ENABLE_CONNECT_PROTOCOL of 2":
        (f.settings((f.ENABLE_CONNECT_PROTOCOL, 2)), PROTOCOL + " | alive"),
    "RFC 9218 2.1 NO_RFC7540_PRIORITIES of 2":
        (f.settings((f.NO_RFC7540_PRIORITIES, 2)), PROTOCOL + " | alive"),
}

PUSH_PROMISE = {
    "6.6 from a client": (HELD + f.push_promise(1, 2, f.GET), PROTOCOL),
    "6.6 from a client on the connection": (f.push_promise(0, 2, f.GET), PROTOCOL),
    "6.6 from a client on an idle stream": (f.push_promise(1, 2, f.GET), PROTOCOL),
    "6.6 from a client, its own stream": (HELD + f.push_promise(1, 3, f.GET), PROTOCOL),
}

PING = {
    "6.7 on a stream": (f.frame(f.PING, 0, 1, bytes(8)), PROTOCOL),
    "6.7 acknowledgement on a stream": (f.frame(f.PING, 1, 1, bytes(8)), PROTOCOL),
    "6.7 of 7 bytes": (f.ping(bytes(7)), SIZE),
    "6.7 of 9 bytes": (f.ping(bytes(9)), SIZE),
    "6.7 without a byte": (f.ping(b""), SIZE),
    "6.7 acknowledgement of 6 bytes": (f.ping(bytes(6), ack=True), SIZE),
    "6.7 acknowledgement that nobody asked for": (f.ping(ack=True) + GET, "200"),
}

GOAWAY = {
    "6.8 on a stream": (f.frame(f.GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    "6.8 of 7 bytes": (f.frame(f.GOAWAY, 0, 0, bytes(7)), SIZE),
    "6.8 without a byte": (f.frame(f.GOAWAY, 0, 0), SIZE),
}

WINDOW_UPDATE = {
    "6.9 of 0 on the connection": (f.window_update(0, 0), PROTOCOL),
    "6.9 of 0 on a stream": (HELD + f.window_update(1, 0), "reset PROTOCOL_ERROR | " + PROTOCOL),
    "6.9 of 0 with the reserved bit": (f.window_update(0, MARK), PROTOCOL),
    "6.9 the reserved bit is ignored": (f.window_update(0, MARK | 1) + GET, "200"),
    "6.9 on an idle stream": (f.window_update(1, 1), PROTOCOL),
    "6.9 on an idle stream of the server": (f.window_update(2, 1), PROTOCOL, 0),
    "6.9 of 3 bytes": (f.frame(f.WINDOW_UPDATE, 0, 0, bytes(3)), SIZE),
    "6.9 of 5 bytes": (f.frame(f.WINDOW_UPDATE, 0, 0, b"\0\0\0\x01\0"), SIZE),
    "6.9 of 3 bytes on a stream": (HELD + f.frame(f.WINDOW_UPDATE, 0, 1, b"\0\0\1"), SIZE),
    "6.9 without a byte": (f.frame(f.WINDOW_UPDATE, 0, 0), SIZE),
    "6.9.1 the connection's beyond 2^31-1": (f.window_update(0, f.WINDOW_MAX), FLOW),
    "6.9.1 the connection's beyond 2^31-1 in two":
        (f.window_update(0, f.WINDOW_MAX - 65535) + f.window_update(0, 1), FLOW),
    "6.9.1 the connection's up to 2^31-1": (f.window_update(0, f.WINDOW_MAX - 65535) + GET, "200"),
    "6.9.1 a stream's beyond 2^31-1":
        (HELD + f.window_update(1, f.WINDOW_MAX), "reset FLOW_CONTROL_ERROR"),
    "6.9.1 a stream's up to 2^31-1": (HELD + f.window_update(1, f.WINDOW_MAX - 65535), "alive"),
    "6.9.2 a stream's beyond 2^31-1 by SETTINGS":
        (HELD + f.window_update(1, f.WINDOW_MAX - 65535) + f.settings((4, 65536)), FLOW),
}

CONTINUATION = {
    "6.10 without HEADERS": (f.continuation(1, f.GET), PROTOCOL),
    "6.10 on the connection": (f.continuation(0, f.GET), PROTOCOL),
    "6.10 behind END_HEADERS": (HELD + f.continuation(1, f.GET), PROTOCOL),
    "6.10 behind the last one": (f.split(1, f.HOLD, [5]) + f.continuation(1, f.GET), PROTOCOL),
    "6.10 behind DATA": (OPEN + f.data(1, b"x") + f.continuation(1, f.GET), PROTOCOL),
    "6.10 END_STREAM is on the HEADERS": (f.split(1, f.GET, [3, 9]), "200"),
}

TABLES = {"format": FORMAT, "data": DATA, "headers": HEADERS, "priority": PRIORITY,
          "priority_update": PRIORITY_UPDATE,
          "rst_stream": RST_STREAM, "settings": SETTINGS, "push_promise": PUSH_PROMISE, "ping": PING,
          "goaway": GOAWAY, "window_update": WINDOW_UPDATE, "continuation": CONTINUATION}


def rows():
    return [pytest.param(table[name], id=f"{kind}: {name}")
            for kind, table in TABLES.items() for name in table]


@pytest.mark.parametrize("row", rows())
def test_frame(front, row):
    run(front, row)


def test_6_5_3_each_settings_frame_is_acknowledged_once(front):
    with front.client() as client:
        client.send(f.settings((4, 70000)) + f.settings() + f.settings((3, 5), (3, 6)))
        client.wait(lambda: client.settings_acks == 4)
        client.round_trip()
        assert client.settings_acks == 4


def test_6_5_3_acknowledgements_are_not_acknowledged(front):
    with front.client() as client:
        client.wait(lambda: client.settings_acks == 1 and client.settings)
        client.send(f.settings_ack())       # one more than there is to acknowledge
        assert client.fate(0, ["alive"]) in ("alive", "goaway PROTOCOL_ERROR")
        assert client.settings_acks == 1


def test_6_5_2_what_the_server_announces(front):
    with front.client() as client:
        client.wait_frame(f.SETTINGS)
        assert f.ENABLE_PUSH not in client.settings or client.settings[f.ENABLE_PUSH] == 0
        assert client.settings[f.MAX_CONCURRENT_STREAMS] == 16
        assert client.settings.get(f.ENABLE_CONNECT_PROTOCOL, 1) == 1


def test_6_5_2_frames_stay_as_small_as_allowed(front):
    """The reader knows what was announced and takes no larger one."""
    with front.client(settings=[(f.INITIAL_WINDOW_SIZE, 1 << 20)]) as client:
        client.give(0, 1 << 20)
        assert len(client.get("/size/300000").body) == 300000


def test_6_7_ping_comes_back_as_it_was(front):
    with front.client() as client:
        for opaque in (bytes(8), b"\xff" * 8, b"8 bytes!"):
            client.send(f.ping(opaque))
            assert client.wait_frame(f.PING, ack=True).payload == opaque


def test_6_7_acknowledgements_are_not_answered(front):
    with front.client() as client:
        client.send(f.ping(b"not mine", ack=True))
        client.round_trip()
        assert all(one.payload != b"not mine" for one in client.log)


def test_6_8_a_clients_goaway_lets_its_requests_finish(front):
    """And the server ends the connection once they are."""
    with front.client() as client:
        number = client.ask("GET", "/size/200000")
        client.send(f.goaway(0, "NO_ERROR", b"debug data of any kind \0\xff"))
        assert len(client.answer(number).body) == 200000


def test_6_8_a_goaway_with_an_unknown_code(front):
    with front.client() as client:
        number = client.ask("GET", "/size/2000")
        client.send(f.goaway(0, 0xdeadbeef))
        try:
            client.wait(lambda: client.streams[number].over)
        except AssertionError:
            pass                            # it may also take the client at its word
    front.neighbour()


def test_6_8_goaway_twice_with_fewer_streams(front):
    with front.client() as client:
        number = client.ask("GET", "/size/2000")
        client.send(f.goaway(f.WINDOW_MAX - 1) + f.goaway(0))
        assert client.answer(number).status == 200
