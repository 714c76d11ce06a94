# SPDX-License-Identifier: Apache-2.0
"""gRPC by its own library on both sides of adit: every kind of call, and how calls end."""
import queue
import threading

import grpc
import pytest

from harness import BOTH, until
from harness.rpc import GrpcServer, call, channel
from harness.tunnel import zone

LIMIT = 15
CODE = grpc.StatusCode


class Methods:
    """What the server does, and what the tests need to know of it."""

    def __init__(self):
        self.cancelled = threading.Event()
        self.left = None        # seconds of the deadline that the server was told
        self.table = {
            "Upper": ("unary", self.upper), "Sum": ("up", self.sum), "Count": ("down", self.count),
            "Echo": ("both", self.echo), "Fail": ("unary", self.fail), "Hang": ("unary", self.hang),
            "Half": ("down", self.half), "Say": ("unary", self.metadata)}

    def upper(self, data, context):
        return data.upper()

    def sum(self, parts, context):
        return b"%d" % sum(int(part) for part in parts)

    def count(self, data, context):
        for i in range(int(data)):
            yield b"%d" % i

    def echo(self, parts, context):
        for part in parts:
            yield part.upper()

    def fail(self, data, context):
        context.abort(CODE.FAILED_PRECONDITION, "nicht möglich: 100%")

    def hang(self, data, context):
        self.left = context.time_remaining()
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(LIMIT)
        return b""

    def half(self, data, context):
        yield b"one"
        context.abort(CODE.DATA_LOSS, "half")

    def metadata(self, data, context):
        sent = dict(context.invocation_metadata())
        context.send_initial_metadata([("x-first", sent["x-word"])])
        context.set_trailing_metadata([("x-last", sent["x-word"][::-1]),
                                       ("x-raw-bin", sent["x-raw-bin"])])
        return b"said"


@pytest.fixture(params=["tls to h2c", "tls to tls", "clear to h2c", "tls by tunnel",
                        "clear by tunnel", "tls by tunnel of two workers"])
def line(request, edge, pki):
    """A channel through adit to a server; .methods says what it does, .way is the edge."""
    methods = Methods()
    if "tunnel" in request.param:
        yield from line_by_tunnel(request, edge, pki, methods)
        return
    front, _, back = request.param.partition(" to ")
    server = GrpcServer(methods.table, tls=pki.server if back == "tls" else None)
    way = edge({"listen": BOTH,
                "upstreams": {"app": {"servers": [server.at], **(
                    {"tls": {"ca": pki.ca.file}} if back == "tls" else {})}},
                "sites": {"default": {"proxy": "app",
                                      "tls": {**pki.server.files, "redirect": "off"}}}})
    with channel(way, pki.ca if front == "tls" else None) as opened:
        opened.methods, opened.way, opened.server = methods, way, server
        yield opened
    server.stop()


def line_by_tunnel(request, edge, pki, methods):
    tls, agent = request.param.startswith("tls"), request.getfixturevalue("agent")
    server = GrpcServer(methods.table)
    way = edge(**zone(pki.zone if tls else None, 2 if "two" in request.param else 1))
    it = agent(way, server.at)
    with channel(way, pki.ca if tls else None, it.name) as opened:
        opened.methods, opened.way, opened.server = methods, way, server
        yield opened
    server.stop()


def test_unary(line):
    upper = call(line, "Upper")
    for word in (b"", b"word", b"x" * 3_000_000):
        assert upper(word, timeout=LIMIT) == word.upper()


def test_the_server_streams(line):
    answers = call(line, "Count", "down")(b"500", timeout=LIMIT)
    assert list(answers) == [b"%d" % i for i in range(500)]


def test_the_client_streams(line):
    assert call(line, "Sum", "up")((b"%d" % i for i in range(500)), timeout=LIMIT) == b"124750"


def test_both_stream_word_by_word(line):
    """Each word is answered before the next is said: nothing may be kept back."""
    words = queue.Queue()
    answers = call(line, "Echo", "both")(iter(words.get, None), timeout=LIMIT)
    for word in (b"one", b"two", b"three"):
        words.put(word)
        assert next(answers) == word.upper()
    words.put(None)
    assert list(answers) == []
    assert answers.code() == CODE.OK


def test_metadata_and_trailers(line):
    answer, done = call(line, "Say").with_call(
        b"", timeout=LIMIT, metadata=[("x-word", "hello"), ("x-raw-bin", bytes(range(256)))])
    assert answer == b"said"
    assert dict(done.initial_metadata())["x-first"] == "hello"
    assert dict(done.trailing_metadata())["x-last"] == "olleh"
    assert dict(done.trailing_metadata())["x-raw-bin"] == bytes(range(256))


def failure(function):
    with pytest.raises(grpc.RpcError) as raised:
        function()
    return raised.value


def test_an_error_of_the_server(line):
    """A status without a message, in trailers alone."""
    error = failure(lambda: call(line, "Fail")(b"", timeout=LIMIT))
    assert (error.code(), error.details()) == (CODE.FAILED_PRECONDITION, "nicht möglich: 100%")


def test_an_unknown_method(line):
    assert failure(lambda: call(line, "Nope")(b"", timeout=LIMIT)).code() == CODE.UNIMPLEMENTED


def test_an_error_after_a_part_of_the_answer(line):
    answers = call(line, "Half", "down")(b"", timeout=LIMIT)
    assert next(answers) == b"one"
    assert failure(lambda: next(answers)).code() == CODE.DATA_LOSS


def test_a_deadline(line):
    assert call(line, "Upper")(b"x", timeout=LIMIT) == b"X"     # so that all connections are there
    error = failure(lambda: call(line, "Hang")(b"", timeout=1.5))
    assert error.code() == CODE.DEADLINE_EXCEEDED
    assert line.methods.cancelled.wait(LIMIT), "the server works on for nobody"
    assert line.methods.left < 2, "it was told the deadline"    # which the library rounds up a little


def test_cancellation(line):
    future = call(line, "Hang").future(b"", timeout=LIMIT)
    until(lambda: line.methods.left is not None, "the call at the server")
    future.cancel()
    assert line.methods.cancelled.wait(LIMIT)
    assert call(line, "Upper")(b"x", timeout=LIMIT) == b"X"


def test_a_hundred_calls_at_once(line):
    upper = call(line, "Upper")
    futures = [upper.future(b"w%d" % i, timeout=LIMIT) for i in range(100)]
    assert [future.result() for future in futures] == [b"W%d" % i for i in range(100)]


def test_a_server_that_is_down_is_unavailable(line):
    assert call(line, "Upper")(b"x", timeout=LIMIT) == b"X"
    line.server.stop()
    error = failure(lambda: call(line, "Upper")(b"x", timeout=LIMIT))
    assert error.code() == CODE.UNAVAILABLE, error


def test_a_server_that_dies_in_a_call(line):
    future = call(line, "Hang").future(b"", timeout=LIMIT)
    until(lambda: line.methods.left is not None, "the call at the server")
    line.server.stop()
    line.methods.cancelled.set()
    error = failure(future.result)
    assert error.code() in (CODE.UNAVAILABLE, CODE.CANCELLED, CODE.INTERNAL), error


def test_adits_own_time_limit_is_deadline_exceeded(edge, pki):
    """A 504 of adit's is put into the words of gRPC: a status in trailers."""
    methods = Methods()
    server = GrpcServer(methods.table)
    way = edge({"timeouts": {"response": "300ms"}}, proxy=server.at)
    with channel(way) as line:
        error = failure(lambda: call(line, "Hang")(b"", timeout=LIMIT))
    methods.cancelled.set()
    server.stop()
    assert error.code() in (CODE.DEADLINE_EXCEEDED, CODE.UNAVAILABLE), error
