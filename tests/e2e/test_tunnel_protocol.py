# SPDX-License-Identifier: Apache-2.0
"""docs/design/tunnel.md, seen from an agent that somebody else has written (issue 5)."""
import threading

import pytest

from harness import WAIT, until
from harness.other_agent import OtherAgent
from harness.tunnel import ZONE, Road, create_token, zone


@pytest.fixture(params=["clear", "tls"])
def front(request, edge, pki, tunnels):     # pylint: disable=unused-argument
    """An edge, and whom to trust."""
    tls = request.param == "tls"
    return edge(**zone(pki.zone if tls else None)), pki.ca if tls else None


@pytest.fixture
def other(front):
    """other(handler) is another agent, which has called."""
    agents = []
    way, ca = front

    def start(handler=None, call=True, **options):
        it = OtherAgent(way, handler, trust=ca, **options)
        agents.append(it)
        if call:
            answer = it.call()
            assert answer.status == 101, (answer, answer.body)
            it.urls, it.given = answer.all("adit-url"), answer.get("adit-name")
        return it
    yield start
    for it in agents:
        it.stop()
        assert not [peer.failure for peer in it.peers if peer.failure]


def road(front, it):
    return Road(front[0], f"{it.given}.{ZONE}", front[1])


def test_a_visitors_exchange(front, other):
    def handler(stream):
        stream.wait_end()
        stream.reply(200, stream.body.upper(), [("x-path", stream.path)], [("x-end", "1")])
    it = other(handler)
    assert len(it.given) >= 12, "a name that nobody guesses"
    scheme = "https" if front[1] else "http"
    assert it.urls[0] == f"{scheme}://{it.given}.{ZONE}:{road(front, it).port}", it.urls
    with road(front, it).client() as visitor:
        answer = visitor.exchange("POST", "/some?thing", [("X-Word", "kept")], b"body" * 50000)
    assert (answer.status, answer.body) == (200, b"BODY" * 50000)
    assert answer.trailers == [("x-end", "1")] or answer.get("content-length")
    asked = it.requests[0]
    assert (asked.method, asked.target, asked.get("x-word")) == ("POST", "/some?thing", "kept")
    assert asked.pseudo("authority") == f"{it.given}.{ZONE}:{road(front, it).port}"
    assert asked.get("x-forwarded-for") == "127.0.0.1" and asked.get("x-forwarded-proto") == scheme


def test_the_connection_that_is_lost_is_waited_for(front, other):
    """Parked: the visitor waits, the same instance comes back with its secret, and answers."""
    it = other()
    assert road(front, it).get().body == b"hello"
    it.peer.close()
    it.peer.wait_gone()
    with road(front, it).client() as visitor:
        visitor.ask("GET", "/late")
        again = it.call()
        assert again.status == 101 and again.get("adit-name") == it.given
        assert visitor.answer().body == b"hello"


@pytest.mark.parametrize("first", [0, 1, 3])
def test_an_agent_that_takes_more_than_before(edge, tunnels, first):     # pylint: disable=unused-argument
    """Who waits for room is asked then, whichever core he came to, and while the others go on."""
    way = edge(**zone(workers=2))
    go_on = threading.Event()

    def handler(stream):
        assert go_on.wait(2 * WAIT)
        stream.reply(200, b"hello")
    it = OtherAgent(way, handler, streams=first)
    road_to = Road(way, f"{it.call().get('adit-name')}.{ZONE}")
    visitors = [road_to.client() for _ in range(16)]
    try:
        for n, visitor in enumerate(visitors):
            visitor.ask("GET", "/")
            if n < first:
                until(lambda n=n: len(it.requests) > n, "it to be asked")
        if first == 0:
            until(lambda: way.status()["counters"]["tunnel_visitors_waiting"] > 0, "some to wait")
        it.peer.allow(100)
        until(lambda: len(it.requests) == len(visitors), "all of them")
        go_on.set()
        assert [visitor.answer().status for visitor in visitors] == [200] * len(visitors)
    finally:
        go_on.set()
        for visitor in visitors:
            visitor.close()
        it.stop()


def test_a_new_connection_replaces_the_old_one_of_its_slot(front, other):
    it = other()
    assert it.call().status == 101
    it.peers[0].wait_gone()
    for _ in range(5):
        assert road(front, it).get().status == 200
    assert not it.peer.gone


@pytest.mark.parametrize("lives", [True, False], ids=["it lives", "it is dead"])
def test_what_is_under_way_on_the_replaced_connection(front, other, lives):
    """It ends there as long as somebody is there; else it is asked again, without waiting for all of
    the time after which silence is death."""
    asked, go_on = threading.Event(), threading.Event()

    def handler(stream):
        first = not asked.is_set()
        asked.set()
        if first:
            go_on.wait(WAIT * 2)
        stream.reply(200, b"first" if first else b"second")
    it = other(handler)
    with road(front, it).client() as visitor:
        visitor.ask("GET", "/")
        assert asked.wait(WAIT)
        if not lives:       # what comes is not heard, PING neither
            with it.peer.changed:
                it.peer.conn.receive_data = lambda data: []
        assert it.call().status == 101
        assert road(front, it).get().body == b"second"
        if lives:
            go_on.set()
        assert visitor.answer().body == (b"first" if lives else b"second")
    go_on.set()


def test_two_connections_of_one_instance(front, other):
    """Streams go to either; the loss of one is the loss of nothing."""
    it = other()
    assert it.call(slot=1).status == 101
    assert len(it.peers) == 2 and not it.peers[0].gone
    it.peers[0].close()
    for _ in range(5):
        assert road(front, it).get().status == 200


def test_an_older_sequence_is_refused(front, other):
    it = other()
    it.sequence = 10
    assert it.call().status == 101
    it.sequence = 5
    late = it.call()
    assert (late.status, late.get("adit-reason")) == (409, "sequence")
    assert road(front, it).get().status == 200


def test_a_wrong_secret_replaces_nothing(front, other):
    it = other()
    it.secret = "A" * len(it.secret)
    refused = it.call()
    assert refused.status in (400, 401, 403, 409), refused
    assert road(front, it).get().status == 200 and not it.peers[0].gone


def test_leaving_lets_the_name_go_after_the_last_stream(front, other):
    asked, go_on = threading.Event(), threading.Event()

    def handler(stream):
        asked.set()
        assert go_on.wait(WAIT)
        stream.reply(200, b"the last")
    it = other(handler)
    with road(front, it).client() as visitor:
        visitor.ask("GET", "/")
        assert asked.wait(WAIT)
        it.peer.go_away()
        it.peer.ping()
        go_on.set()
        assert visitor.answer().body == b"the last"
    until(lambda: road(front, it).get().status == 404, "the end of the name")
    it.peer.wait_gone()


def test_a_name_is_its_owners(front, other):
    way = front[0]
    alice, bob = (create_token(way, "--owner", owner) for owner in ("alice", "bob"))
    it = other(token=alice, name="myapp")
    assert it.given == "myapp"
    refused = other(token=bob, name="myapp", call=False).call()
    assert (refused.status, refused.get("adit-reason")) == (409, "taken")
    assert refused.get("adit-suggestion"), refused.fields
    refused = other(token=alice, name="myapp", call=False).call()
    assert refused.status == 409, "another instance only joins"
    assert other(token=alice, name="myapp", fields=[("Adit-Join", "?1")]).given == "myapp"
    for _ in range(4):
        assert road(front, it).get().status == 200


def test_visitors_cannot_speak_to_the_agent_itself(front, other):
    """agent.invalid is the edge's to say."""
    it = other()
    way = road(front, it)
    with way.client() as visitor:
        visitor.host = "agent.invalid"
        assert visitor.exchange("POST", "/connections", [("Adit-Connections", "4")]).status in (
            404, 421)
    assert not it.requests
