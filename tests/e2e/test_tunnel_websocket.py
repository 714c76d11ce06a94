# SPDX-License-Identifier: Apache-2.0
"""An agent behind somebody who passes WebSocket and no other switch of protocols (issue 5)."""
import pytest

from harness import reply
from harness.tunnel import ZONE, Road, zone
from harness.ways import OnlyWebSocket

pytestmark = pytest.mark.usefixtures("tunnels")

REFUSALS = {
    "stripped": None,
    "a page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
    "a refusal": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
}


def post(road, body):
    with road.client() as client:
        return client.exchange("POST", "/", [], body)


@pytest.fixture
def behind(edge, agent, origin):
    """behind(answer) starts an edge, the middlebox, and an agent that calls through it."""
    made = []

    def start(answer=None, handler=None, workers=1):
        app = origin(handler or (lambda request: reply(200, b"from the laptop")))
        way = edge(**zone(workers=workers))
        box = OnlyWebSocket(way.port, answer)
        made.append(box)
        it = agent(None, app.port, server=f"http://{ZONE}:{box.port}", trust=None)
        it.box, it.road = box, Road(way, it.name)
        return it
    yield start
    for box in made:
        box.close()
        assert not box.broken


@pytest.mark.parametrize("kind", REFUSALS)
def test_the_agent_asks_for_websocket_where_the_plain_upgrade_is_not_understood(behind, kind):
    it = behind(REFUSALS[kind])
    assert it.box.upgrades == ["adit-tunnel/1", "websocket"]
    assert it.road.get("/").body == b"from the laptop"
    it.box.cut()
    it.wait_event("connected")
    assert it.box.upgrades == ["adit-tunnel/1", "websocket", "websocket"]   # it remembers
    assert it.road.get("/").body == b"from the laptop"


@pytest.mark.parametrize("workers", [1, 2])
def test_bodies_come_through_in_any_pieces(behind, workers):
    """Larger than a frame, in both directions, and on either core of the edge."""
    body = bytes(range(256)) * 1600
    it = behind(handler=lambda request: reply(200, request.body[::-1]), workers=workers)
    for _ in range(4):
        answer = post(it.road, body)
        assert answer.status == 200 and answer.body == body[::-1]
    assert it.box.pongs > 0
