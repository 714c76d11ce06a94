# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 5.1 and 5.2: states of streams, their numbers, how many there may be, flow control."""
import pytest

import frames as f
from cases import run

PROTOCOL, CLOSED = "goaway PROTOCOL_ERROR", "goaway STREAM_CLOSED"
FLOW = "goaway FLOW_CONTROL_ERROR | reset FLOW_CONTROL_ERROR"
HELD = f.headers(1, f.HOLD)
OPEN = f.headers(1, f.HOLD_POST, end=False)
# What may be said to frames on a stream that is over: 5.1 lets a server end the connection, or reset
# the stream, or let them pass for a while. What it must never do is to take them for something.
OVER = f"{CLOSED} | reset STREAM_CLOSED | alive"


def answered(data, held=False):
    """First a whole exchange on stream 1, then these bytes."""
    def act(client):
        assert client.get().status == 200
        client.say((f.headers(3, f.HOLD) if held else b"") + data)
    return act


STATES = {
    "5.1 half-closed: DATA": (HELD + f.data(1, b"x"), f"reset STREAM_CLOSED | {CLOSED}"),
    "5.1 half-closed: empty DATA": (HELD + f.data(1), f"reset STREAM_CLOSED | {CLOSED}"),
    "5.1 half-closed: DATA with END_STREAM":
        (HELD + f.data(1, b"", True), f"reset STREAM_CLOSED | {CLOSED}"),
    "5.1 half-closed: HEADERS": (HELD + f.headers(1, f.GET), f"reset STREAM_CLOSED | {CLOSED}"),
    "5.1 half-closed: trailers":
        (HELD + f.headers(1, f.block_of([("x", "y")])), f"reset STREAM_CLOSED | {CLOSED}"),
    "5.1 half-closed: CONTINUATION": (HELD + f.continuation(1, f.GET), PROTOCOL),
    "5.1 half-closed: WINDOW_UPDATE": (HELD + f.window_update(1, 1), "alive"),
    "5.1 half-closed: PRIORITY": (HELD + f.priority(1), "alive"),
    "5.1 half-closed: RST_STREAM": (HELD + f.rst(1), "alive"),
    "5.1 half-closed by DATA: DATA":
        (OPEN + f.data(1, b"x", True) + f.data(1, b"x"), f"reset STREAM_CLOSED | {CLOSED}"),
    "5.1 half-closed by trailers: DATA":
        (OPEN + f.data(1, b"x") + f.headers(1, f.block_of([("x", "y")])) + f.data(1, b"x"),
         f"reset STREAM_CLOSED | {CLOSED}"),
    "5.1 half-closed by trailers: HEADERS":
        (OPEN + f.headers(1, f.block_of([("x", "y")])) + f.headers(1, f.block_of([("x", "y")])),
         f"reset STREAM_CLOSED | {CLOSED}"),
    "5.1 reset by the client: DATA": (OPEN + f.rst(1) + f.data(1, b"x"), OVER, 0),
    "5.1 reset by the client: HEADERS": (HELD + f.rst(1) + f.headers(1, f.GET), f"{OVER} | {PROTOCOL}", 0),
    "5.1 reset by the client: trailers":
        (OPEN + f.rst(1) + f.headers(1, f.block_of([("x", "y")])), f"{OVER} | {PROTOCOL}", 0),
    "5.1 reset by the client: CONTINUATION": (OPEN + f.rst(1) + f.continuation(1, f.GET), PROTOCOL, 0),
    "5.1 reset by the client: WINDOW_UPDATE": (OPEN + f.rst(1) + f.window_update(1, 1), "alive", 0),
    "5.1 reset by the client: PRIORITY": (OPEN + f.rst(1) + f.priority(1), "alive", 0),
    "5.1 reset by the client: RST_STREAM": (OPEN + f.rst(1) + f.rst(1), "alive", 0),
    "5.1 closed: DATA": (answered(f.data(1, b"x")), OVER, 0),
    "5.1 closed: HEADERS": (answered(f.headers(1, f.GET)), f"{CLOSED} | {PROTOCOL} | reset STREAM_CLOSED"
                            " | alive", 0),
    "5.1 closed: CONTINUATION": (answered(f.continuation(1, f.GET)), PROTOCOL, 0),
    "5.1 closed: WINDOW_UPDATE": (answered(f.window_update(1, 1)), "alive", 0),
    "5.1 closed: RST_STREAM": (answered(f.rst(1)), "alive", 0),
    "5.1 closed: PRIORITY": (answered(f.priority(1)), "alive", 0),
    "5.1 closed: WINDOW_UPDATE of 0":
        (answered(f.window_update(1, 0)), f"alive | {PROTOCOL} | reset PROTOCOL_ERROR", 0),
    "5.1 closed: WINDOW_UPDATE too large":
        (answered(f.window_update(1, f.WINDOW_MAX)), f"alive | {FLOW}", 0),
    "5.1.1 even number": (f.headers(2, f.GET), PROTOCOL, 0),
    "5.1.1 even number behind odd ones": (answered(f.headers(4, f.GET)), PROTOCOL, 0),
    "5.1.1 smaller number than the last":
        (f.headers(5, f.HOLD) + f.headers(3, f.GET), f"{PROTOCOL} | {CLOSED}", 3),
    "5.1.1 the first number of all, late":
        (f.headers(7, f.HOLD) + f.headers(1, f.GET), f"{PROTOCOL} | {CLOSED}", 1),
    "5.1.1 a number leapt over is closed: DATA": (f.headers(5, f.HOLD) + f.data(3, b"x"),
                                                  f"{OVER} | {PROTOCOL}", 0),
    "5.1.1 a number leapt over is closed: RST_STREAM":
        (f.headers(5, f.HOLD) + f.rst(3), f"alive | {PROTOCOL}", 0),
    "5.1.1 numbers may leap": (f.headers(101, f.GET), "200", 101),
    "5.1.1 the largest number": (f.headers(f.WINDOW_MAX, f.GET), "200", f.WINDOW_MAX),
    "5.1.1 nothing behind the largest number":
        (f.headers(f.WINDOW_MAX, f.HOLD) + f.headers(1, f.GET), f"{PROTOCOL} | {CLOSED}", 1),
}


@pytest.mark.parametrize("name", STATES)
def test_state(front, name):
    before = len(front.app.asked())
    run(front, STATES[name])
    if STATES[name][1] != "200":
        expected = before + (1 if callable(STATES[name][0]) else 0)
        assert len(front.app.asked()) == expected, "it was taken for a request"


def test_5_1_1_a_stream_that_was_refused_keeps_the_tables_in_step(front):
    """4.3: the block of a refused or dead stream counts for the compression all the same."""
    with front.client() as client:
        number = client.ask("GET", "/hold")
        client.send(f.rst(number))
        block = f.block_of(f.request()) + f.literal("x-kept", "yes", "keep")
        client.send(f.headers(number, block))       # on a stream that is over
        if client.fate(0, ["alive"]) == "alive":
            client.say(f.headers(number + 2, f.GET + f.indexed(62)))
            assert client.answer(number + 2).status == 200
            assert front.app.last.get("x-kept") == "yes"


def test_5_1_2_more_streams_than_allowed(front):
    """The surplus is refused by itself, and a place that is given back can be used."""
    with front.client() as client:
        client.wait_frame(f.SETTINGS)
        limit = client.settings[f.MAX_CONCURRENT_STREAMS]
        client.wait(lambda: client.settings_acks)
        held = [client.ask("GET", "/hold") for _ in range(limit)]
        extra = client.ask("GET", "/")
        assert client.fate(extra, ["reset"]) in ("reset REFUSED_STREAM", "reset PROTOCOL_ERROR")
        client.send(f.rst(held[0]))
        client.round_trip()
        assert client.get().status == 200
        assert not any(client.streams[n].over for n in held[1:])


def test_5_1_2_refused_streams_keep_the_tables_in_step(front):
    with front.client() as client:
        client.wait_frame(f.SETTINGS)
        client.wait(lambda: client.settings_acks)
        held = [client.ask("GET", "/hold") for _ in range(client.settings[f.MAX_CONCURRENT_STREAMS])]
        number = client.next
        client.send(f.headers(number, f.GET + f.literal("x-table", "in step", "keep")))
        assert client.fate(number, ["reset"]).startswith("reset")
        client.send(f.rst(held[0]))
        client.round_trip()
        client.send(f.headers(number + 2, f.GET + f.indexed(62)))
        assert client.answer(number + 2).status == 200
        # Not the last one: those that are held may come to the origin after it.
        assert any(one.get("x-table") == "in step" for one in list(front.app.requests))


def test_5_1_2_streams_one_after_the_other_are_not_counted(front):
    with front.client() as client:
        assert [client.get().status for _ in range(100)] == [200] * 100


# -- flow control, what the server sends ----------------------------------------------------------


def arrived(client, number):
    """How much has come when all that was sent before has been seen. Another round trip lets what
    the origin has still to give come."""
    client.round_trip().round_trip()
    return len(client.streams[number].content)


def quiet(front, client, number, size):
    """What came when `size` bytes are there or the window is shut: nothing more must follow."""
    client.wait(lambda: len(client.streams[number].content) >= size, f"{size} bytes")
    front.neighbour()
    assert arrived(client, number) == size
    return client.streams[number]


def test_6_9_2_a_window_of_0_lets_only_heads_pass(front):
    with front.client(settings=[(f.INITIAL_WINDOW_SIZE, 0)]) as client:
        number = client.ask("GET", "/size/10")
        client.wait(lambda: client.streams[number].fields, "the head")
        quiet(front, client, number, 0)
        for _ in range(10):
            client.give(number, 1)
        assert client.answer(number).body == b"s" * 10


def test_6_9_2_a_window_of_0_lets_an_empty_end_pass(front):
    with front.client(settings=[(f.INITIAL_WINDOW_SIZE, 0)]) as client:
        assert client.get("/size/0").body == b""


def test_6_9_1_window_updates_a_byte_at_a_time(front):
    """The strict reader fails on the first byte too many."""
    with front.client(settings=[(f.INITIAL_WINDOW_SIZE, 1)], credit=False) as client:
        number = client.ask("GET", "/size/50")
        for n in range(1, 50):
            client.wait(lambda: len(client.streams[number].content) >= n, f"byte {n}")
            client.give(number, 1)
        assert client.answer(number).body == b"s" * 50


def test_6_9_2_a_window_that_grows_by_settings(front):
    with front.client(settings=[(f.INITIAL_WINDOW_SIZE, 10)], credit=False) as client:
        number = client.ask("GET", "/size/100")
        quiet(front, client, number, 10)
        client.streams[number].window += 40
        client.send(f.settings((f.INITIAL_WINDOW_SIZE, 50)))
        quiet(front, client, number, 50)
        client.give(number, 50)
        assert client.answer(number).body == b"s" * 100


def test_6_9_2_a_window_that_becomes_negative(front):
    """Shrunk below what was used, it must be filled up beyond 0 first."""
    with front.client(settings=[(f.INITIAL_WINDOW_SIZE, 100)], credit=False) as client:
        number = client.ask("GET", "/size/300")
        quiet(front, client, number, 100)
        client.send(f.settings((f.INITIAL_WINDOW_SIZE, 20)))        # now -80
        client.streams[number].window -= 80
        client.wait(lambda: client.settings_acks == 2)
        client.give(number, 80)
        quiet(front, client, number, 100)
        client.give(number, 1)
        quiet(front, client, number, 101)
        client.give(number, 199)
        assert len(client.answer(number).body) == 300


def test_6_9_2_several_settings_in_one_frame_count_in_order(front):
    with front.client(credit=False) as client:
        client.send(f.settings((f.INITIAL_WINDOW_SIZE, 100000), (f.INITIAL_WINDOW_SIZE, 7)))
        client.stream_window = 7
        number = client.ask("GET", "/size/20")
        quiet(front, client, number, 7)


def test_6_9_2_settings_do_not_touch_the_connections_window(front):
    with front.client(settings=[(f.INITIAL_WINDOW_SIZE, 1 << 20)], credit=False) as client:
        number = client.ask("GET", "/size/200000")
        quiet(front, client, number, 65535)
        client.give(0, 1 << 20)
        assert len(client.answer(number).body) == 200000


def test_6_9_1_streams_share_the_connections_window(front):
    with front.client(credit=False) as client:
        numbers = [client.ask("GET", "/size/40000") for _ in range(3)]
        streams = [client.streams[n] for n in numbers]
        client.wait(lambda: sum(len(s.content) for s in streams) >= 65535, "a full window")
        client.round_trip()
        assert sum(len(s.content) for s in streams) == 65535
        client.give(0, 120000)
        assert [len(client.answer(n).body) for n in numbers] == [40000] * 3


def test_5_2_1_a_stalled_stream_does_not_stall_others(front):
    with front.client(settings=[(f.INITIAL_WINDOW_SIZE, 0)]) as client:
        stalled = client.ask("GET", "/size/10")
        number = client.ask("GET", "/size/30")
        client.give(number, 30)
        assert client.answer(number).body == b"s" * 30
        assert not client.streams[stalled].content


def test_6_9_a_reset_gives_back_nothing_but_costs_nothing(front):
    """Streams that were reset half-way must not eat the connection's window for ever."""
    with front.client(settings=[(f.INITIAL_WINDOW_SIZE, 1 << 20)]) as client:
        for _ in range(20):
            number = client.ask("GET", "/size/60000")
            client.wait(lambda: client.streams[number].content, "the first bytes")
            client.say(f.rst(number))
        assert len(client.get("/size/60000").body) == 60000


# -- flow control, what the client sends ------------------------------------------------------------


def flood(client, number, frame, most=32 << 20):
    """DATA without regard to the window until the server minds or the connection ends."""
    sent = 0
    while sent < most and not client.streams[number].over and not client.goaway:
        try:
            client.sock.sendall(frame * 16)
        except OSError:
            break
        sent += len(frame) * 16
        while client.is_readable() and client.frame() is not None:
            pass
    return client.fate(number) if not client.streams[number].over else \
        f"reset {client.streams[number].reset}"


@pytest.mark.parametrize("pad", [None, 255], ids=["data", "padding"])
def test_6_9_1_data_beyond_the_window(front, pad):
    """Nobody reads the body, so the window ends some day; padding counts (6.1)."""
    with front.client() as client:
        number = client.ask("POST", "/stuck", end=False)
        frame = f.data(number, b"x" * 16384) if pad is None else f.data(number, b"", pad=255) * 60
        most = 32 << 20 if pad is None else 8 << 20
        assert flood(client, number, frame, most) in FLOW.split(" | ") + ["goaway ENHANCE_YOUR_CALM"]
    front.neighbour()


def test_6_9_1_padding_is_given_back(front):
    """What the body's consumer never sees must be credited by the server itself."""
    with front.client() as client:
        number = client.ask("POST", "/", end=False)
        spent = 0
        for _ in range(100):
            for _ in range(20):
                client.send(f.data(number, b"x" * 50, pad=200))
                spent += 251
            client.round_trip()
        client.send(f.data(number, b"", True))
        assert len(client.answer(number).body) == 100000


def test_6_9_data_on_a_dead_stream_counts_for_the_connection(front):
    """6.9: a receiver that throws DATA away must still give the connection's credit back."""
    with front.client() as client:
        number = client.ask("POST", "/hold", end=False)
        client.send(f.rst(number))
        granted = 65535
        for _ in range(40):
            client.say(f.data(number, bytes(8192)))
            granted -= 8192
            seen = len(client.log)
            del client.log[:]
            if client.fate(0, ["alive"]) != "alive":
                return                      # it may end the connection instead (5.1)
            granted += sum(one.number for one in client.log
                           if one.kind == f.WINDOW_UPDATE and one.stream == 0)
            assert granted > 0, f"no credit came back {seen}"


def test_a_large_body_passes(front):
    with front.client() as client:
        client.wait_frame(f.SETTINGS)
        number = client.ask("POST", "/", end=False)
        window = client.settings.get(f.INITIAL_WINDOW_SIZE, 65535)
        room = {0: 65535, number: window}
        body = bytes(range(256)) * 4096     # 1 MiB
        at = 0

        def credit():
            one = client.frame()
            if one.kind == f.WINDOW_UPDATE:
                room[one.stream] += one.number
        while at < len(body):
            n = min(16384, len(body) - at, room[0], room[number])
            if n <= 0:
                credit()
                continue
            client.send(f.data(number, body[at:at + n], at + n == len(body)))
            room[0] -= n
            room[number] -= n
            at += n
        assert client.answer(number).body == body
