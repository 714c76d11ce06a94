# SPDX-License-Identifier: Apache-2.0
"""Visitors who want another's tunnel, or the agent itself, by what they write as their host (issue 5)."""
import pytest

from harness.other_agent import OtherAgent
from harness.tunnel import ZONE, Road, zone

HOSTS = [b"%b.", b"%b.:80", b"X.%b", b"a.%b", b"agent.invalid", b"agent.invalid.", b"%b:0", b"%b:99999",
         b"%b\t", b"user@%b", b"agent.invalid@%b", b"%b/", b"%b#agent.invalid", b"%b,agent.invalid",
         b"[%b]", b"", b".%b", b"%b%%2eagent.invalid", b"*.tunnel.localhost", b"tcp:20000", b"udp:20000"]
TARGETS = [b"http://agent.invalid/connections", b"http://agent.invalid:80/connections",
           b"//agent.invalid/connections", b"http://agent.invalid@%b/connections",
           b"/connections#@agent.invalid", b"agent.invalid:80", b"*", b"/.well-known/adit/tunnel",
           b"/x/../.well-known/adit/tunnel", b"/.well-known/adit/tunnel/", b"/.well-known/masque/udp/h/1/"]


@pytest.fixture
def both(edge, tunnels):    # pylint: disable=unused-argument
    way = edge(**zone())
    agents = []
    for word in b"mine", b"theirs":
        it = OtherAgent(way, lambda stream, word=word: stream.reply(200, word))
        it.given = it.call().get("adit-name")
        agents.append(it)
    yield way, *agents
    for it in agents:
        it.stop()


def raw(way, name, data):
    with Road(way, f"{name}.{ZONE}").client() as visitor:
        visitor.send(data)
        visitor.half_close()
        try:
            return visitor.sock.recv(65536)
        except ConnectionError:
            return b""


def own_only(asked, name):
    """What came to the agent says its own name and nothing else."""
    for stream in asked:
        host = stream.pseudo("authority").lower().split(":")[0].rstrip(".")
        assert host == f"{name}.{ZONE}", (host, stream.head)
        assert "host" not in stream.names()


@pytest.mark.parametrize("method", [b"GET", b"POST", b"CONNECT", b"OPTIONS"])
def test_no_host_leads_elsewhere(both, method):
    way, mine, theirs = both
    name = f"{mine.given}.{ZONE}".encode()
    for host in HOSTS:
        host = host.replace(b"%b", name).replace(b"%%", b"%")
        for target in (b"/connections", b"http://" + host + b"/connections", host):
            raw(way, mine.given, method + b" " + target + b" HTTP/1.1\r\nHost: " + host
                + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    for target in TARGETS:
        raw(way, mine.given, method + b" " + target.replace(b"%b", name) + b" HTTP/1.1\r\nHost: " + name
            + b"\r\nAdit-Connections: 4\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    for two in (b"Host: %b\r\nHost: agent.invalid", b"Host: agent.invalid\r\nHost: %b"):
        said = raw(way, mine.given, method + b" / HTTP/1.1\r\n" + two.replace(b"%b", name) + b"\r\n\r\n")
        assert b" 400 " in said.split(b"\r\n")[0], said
    assert not theirs.requests
    own_only(mine.requests, mine.given)
    assert Road(way, f"{theirs.given.upper()}.{ZONE}.").get().body == b"theirs"


def test_a_second_authority_in_http2(both, pki):   # pylint: disable=unused-argument
    way, mine, theirs = both
    with Road(way, f"{mine.given}.{ZONE}").h2_client() as visitor:
        own = visitor.authority
        for authority, host in ((own, "agent.invalid"), ("agent.invalid", own),
                                (own, f"{theirs.given}.{ZONE}")):
            visitor.authority = authority
            stream = visitor.begin("POST", "/connections", [("host", host), ("adit-connections", "4")])
            try:
                assert stream.answer().status >= 400
            except Exception as reset:      # pylint: disable=broad-except
                assert "reset" in str(reset)
    assert not theirs.requests
    own_only(mine.requests, mine.given)
