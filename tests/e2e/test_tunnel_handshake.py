# SPDX-License-Identifier: Apache-2.0
"""The edge's side of an agent's handshake (issue 5): who is let in, and what everybody else is told.
docs/design/tunnel.md has the table; each of its rows is met here by a client that says exactly the
bytes it is told to."""
import base64
import json
import os
import re
import socket

import pytest
from OpenSSL import SSL
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from harness import WAIT, reply, until
from harness.client import Client
from harness.h2 import H2Client
from harness.other_agent import OtherAgent
from harness.tls import TlsClient
from harness.tunnel import ZONE, create_token, zone

PATH = "/.well-known/adit/tunnel"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()




class Call:
    """A request of an agent: what is given replaces or adds fields; None leaves one out."""

    def __init__(self, token=None, target=PATH, method="GET", body=None, **fields):
        self.fields = {"Connection": "Upgrade", "Upgrade": "adit-tunnel/1", "Adit-Instance": b64(os.urandom(16)),
                       "Adit-Connection": "slot=0, sequence=1"}
        if token:
            self.fields["Authorization"] = "Bearer " + token
        self.fields |= {name.replace("_", "-"): value for name, value in fields.items()}
        self.target, self.method, self.body = target, method, body

    def on(self, client, host=ZONE):
        client.ask(self.method, self.target, [(n, v) for n, v in self.fields.items() if v is not None],
                   self.body, host=host)
        return client.answer()


@pytest.fixture
def way(edge, tunnels):     # pylint: disable=unused-argument
    """In clear, from this machine; only who has a token is let in."""
    return edge(**zone(tunnels={"anonymous": "off", "ports": "20000-20009", "banned": ["paypal"], "per_owner": 3}))


@pytest.fixture
def token(way):
    return create_token(way, "--owner", "alice")


def refused(answer, status, reason=None):
    text = answer.body.decode()
    assert (answer.status, answer.get("adit-reason")) == (status, reason), (answer, text)
    assert answer.get("cache-control") == "no-store"
    assert text.endswith(".\n") and text.count("\n") == 1 and text[0].isupper(), text
    return text


def welcome(answer):
    assert answer.status == 101, (answer, answer.body)
    assert (answer.get("upgrade"), answer.get("connection")) == ("adit-tunnel/1", "Upgrade")
    assert re.fullmatch(r"id=\d+", answer.get("adit-connection"))
    assert re.fullmatch(r"within=\d+", answer.get("adit-retry"))
    assert len(base64.urlsafe_b64decode(answer.get("adit-secret") + "=")) == 32
    return answer


# ---- the welcome --------------------------------------------------------------------------------------

def test_an_agent_is_let_in(way, token):
    with way.client() as client:
        answer = welcome(Call(token, Adit_Name="MyApp").on(client, f"{ZONE}:{way.port}"))
        assert answer.get("adit-name") == "myapp"
        assert answer.all("adit-url") == [f"http://myapp.{ZONE}:{way.port}"]
        assert answer.get("adit-ticket") and answer.get("adit-expires") is None
        assert client.read(len(PREFACE)) == PREFACE, "the edge is the client from here on"


def test_a_token_that_ends_says_when(way):
    with way.client() as client:
        answer = welcome(Call(create_token(way, "--expires", "1h")).on(client))
    assert 3500 <= int(answer.get("adit-expires")) <= 3600


def test_a_random_name_cannot_be_guessed(way, token):
    names = set()
    for _ in range(3):
        with way.client() as client:
            names.add(welcome(Call(token).on(client)).get("adit-name"))
    assert len(names) == 3 and all(re.fullmatch(r"[a-z2-9]{16}", name) for name in names), names


def test_a_name_may_say_the_address(edge, tunnels):     # pylint: disable=unused-argument
    way = edge(**zone(tunnels={"names": "ip"}))
    with way.client() as client:
        name = welcome(Call().on(client)).get("adit-name")
    assert re.fullmatch(r"[a-z2-9]{6}-ip-127-0-0-1", name)


def test_both_urls_are_told(edge, pki, tunnels):    # pylint: disable=unused-argument
    way = edge(**zone(pki.zone))
    it = OtherAgent(way, trust=pki.ca)
    answer = it.call()
    name = answer.get("adit-name")
    try:
        assert answer.all("adit-url") == [f"https://{name}.{ZONE}:{way.tls_port}", f"http://{name}.{ZONE}:{way.port}"]
    finally:
        it.stop()


def test_a_token_that_names_one_name_gives_it(way):
    with way.client() as client:
        token = create_token(way, "--names", "only")
        assert welcome(Call(token).on(client)).get("adit-name") == "only"


# ---- what is refused ----------------------------------------------------------------------------------

MALFORMED = {
    "a body": Call(body=b"x"),
    "another method": Call(method="POST"),
    "a query": Call(target=PATH + "?x"),
    "a token in the query": Call(target=PATH + "?token=adit_a_b"),
    "a token in a field": Call(X_Token="adit_aaaaaaaa_b"),
    "a token in a cookie": Call(Cookie="t=adit_aaaaaaaa_b"),
    "basic": Call(Authorization="Basic YTpi"),
    "no token behind Bearer": Call(Authorization="Bearer"),
    "no instance": Call(Adit_Instance=None),
    "a short instance": Call(Adit_Instance="AAAA"),
    "no connection": Call(Adit_Connection=None),
    "slot 4": Call(Adit_Connection="slot=4, sequence=1"),
    "a bad secret": Call(Adit_Secret="x"),
    "an empty name": Call(Adit_Name=""),
    "another kind": Call(Adit_Kind="sctp"),
    "port 0": Call(Adit_Kind="tcp", Adit_Port="0"),
    "a port of a name": Call(Adit_Port="20000"),
    "a name of a port": Call(Adit_Kind="tcp", Adit_Name="a"),
    "a flag": Call(Adit_Join="yes"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_requests_are_refused(way, what):
    with way.client() as client:
        refused(MALFORMED[what].on(client), 400, "malformed")


def test_fields_that_come_twice_are_refused(way, token):
    for name in ("Authorization", "Adit-Instance", "Adit-Name"):
        call = Call(token, Adit_Name="a")
        fields = [*call.fields.items(), (name, call.fields[name])]
        with way.client() as client:
            client.ask("GET", PATH, fields, host=ZONE)
            refused(client.answer(), 400, "malformed")


def test_other_versions_are_told_which_there_is(way, token):
    for upgrade in ("adit-tunnel/2", "websocket", None):
        with way.client() as client:
            answer = Call(token, Upgrade=upgrade, Connection=upgrade and "Upgrade").on(client)
            refused(answer, 426, "version")
            assert answer.get("upgrade") == "adit-tunnel/1"


def test_http2_is_not_spoken_here(edge, pki, tunnels):    # pylint: disable=unused-argument
    way = edge(**zone(pki.zone))
    with H2Client(way.tls_at, context=pki.ca.client_context(["h2"]), name=ZONE) as client:
        answer = client.get(PATH, authority=ZONE)
    assert (answer.status, answer.get("adit-reason")) == (426, "version")


def test_tls_agrees_on_http_1_1(edge, pki, tunnels):    # pylint: disable=unused-argument
    way = edge(**zone(pki.zone))
    for protocols, status in ((["http/1.1"], 101), ([], 426)):
        context = pki.ca.client_context(protocols)
        with TlsClient(way.tls_at, context=context, name=ZONE) as client:
            assert Call().on(client).status == status


def test_the_edge_has_one_name(way, token, origin):
    with way.client() as client:
        for host in (f"x.{ZONE}", f"myapp.{ZONE}"):
            refused(Call(token).on(client, host), 421)
    with way.client() as client:    # What is not below the zone is no concern of the handshake.
        answer = Call(token).on(client, "elsewhere.test")
        assert answer.get("adit-reason") is None and answer.status in (404, 421)
    way.write(proxy=origin(lambda rq: reply(200, b"an app's own")), **zone(tunnels={"anonymous": "on"}))
    way.reload()
    with way.client() as client:    # Nor is what a site has there.
        assert Call(token).on(client, "elsewhere.test").body == b"an app's own"


def test_no_route_stands_in_front(edge, tunnels):    # pylint: disable=unused-argument
    config = zone()
    config["sites"]["default"] = {"respond": "mine"}
    config["sites"][ZONE] = {"routes": [{"path": "/.well-known/*", "respond": "mine"}], "respond": "mine"}
    way = edge(**config)
    with way.client() as client:
        assert client.get(PATH + "/x", host=ZONE).body == b"mine"
        assert welcome(Call().on(client)).status == 101


REASONS = [
    ("no token", {}, 401, "no-token"),
    ("an unknown token", {"Authorization": "Bearer adit_aaaaaaaa_bbbbbbbb"}, 401, "bad-token"),
    ("no token of adit's", {"Authorization": "Bearer secret"}, 401, "bad-token"),
    ("a key in clear", {"Authorization": f'Adit-Key key="{b64(bytes(32))}", nonce="n", signature="{b64(bytes(64))}"'},
     403, "clear"),
]


@pytest.mark.parametrize("what", REASONS, ids=lambda row: row[0])
def test_who_is_not_known_is_told_why(way, what):
    with way.client() as client:
        answer = Call(**what[1]).on(client)
        refused(answer, *what[2:])
        if what[2] == 401:
            assert answer.all("www-authenticate") == ["Bearer"], "in clear there are no keys"


def test_a_revoked_token_is_unknown(way, token):
    assert way.command("token", "revoke", token.split("_")[1]).returncode == 0

    def gone():
        with way.client() as client:
            return Call(token).on(client).status == 401
    until(gone, "the token is refused")


def test_an_old_token_is_over(way):
    token = create_token(way, "--expires", "1s")

    def over():
        with way.client() as client:
            answer = Call(token).on(client)
            return answer.status == 401 and refused(answer, 401, "expired")
    until(over, "the token is over")


WISHES = [
    ("admin", "name"), ("adm1n", "name"), ("www", "name"), ("paypal", "name"), ("pay-pa1", "name"),
    ("my_app", "name"), ("xn--mnchen-3ya", "name"), ("a.b", "name"), ("-a", "name"), ("a" * 64, "name"),
    ("../x", "name"), ("*", "name"), (f"a.b.{ZONE}", "name"), (ZONE, "name"), ("a-ip-1-2-3-4", "name"),
]


@pytest.mark.parametrize("name", WISHES, ids=lambda row: row[0][:20])
def test_names_that_nobody_gets(way, token, name):
    with way.client() as client:
        refused(Call(token, Adit_Name=name[0]).on(client), 403, name[1])


def test_scopes(way):
    token = create_token(way, "--owner", "bob", "--names", "bob-*")
    rows = [({"Adit_Name": "other"}, "name"), ({}, "name"), ({"Adit_Wildcard": "?1"}, "wildcard"),
            ({"Adit_Kind": "tcp"}, "kind"), ({"Adit_Kind": "udp", "Adit_Port": "20000"}, "kind")]
    for fields, reason in rows:
        with way.client() as client:
            refused(Call(token, **fields).on(client), 403, reason)
    with way.client() as client:
        assert welcome(Call(token, Adit_Name="bob-1").on(client)).get("adit-name") == "bob-1"


def test_ports(way):
    token = create_token(way, "--ports", "20005-20007")
    for port in ("22", "20004", "20008", "30000"):
        with way.client() as client:
            refused(Call(token, Adit_Kind="tcp", Adit_Port=port).on(client), 403, "port")
    with way.client() as client:
        answer = welcome(Call(token, Adit_Kind="tcp").on(client))
    assert re.fullmatch(rf"tcp://{ZONE}:2000[567]", answer.get("adit-url"))
    assert answer.get("adit-name") is None and answer.get("adit-ticket") is None


def test_no_ports_no_kinds(edge, tunnels):    # pylint: disable=unused-argument
    way = edge(**zone())
    token = create_token(way, "--ports", "20000-20010")
    with way.client() as client:
        refused(Call(token, Adit_Kind="tcp").on(client), 403, "kind")


def test_the_anonymous(edge, tunnels):    # pylint: disable=unused-argument
    way = edge(**zone())
    rows = [({"Adit_Name": "myapp"}, 403, "name"), ({"Adit_Join": "?1"}, 403, "join"),
            ({"Adit_Wildcard": "?1"}, 403, "wildcard"),
            ({"Authorization": "Bearer adit_aaaaaaaa_b"}, 401, "bad-token")]
    for fields, status, reason in rows:
        with way.client() as client:
            refused(Call(**fields).on(client), status, reason)
    with way.client() as client:
        welcome(Call().on(client))


def test_configured_names_win(edge, tunnels):    # pylint: disable=unused-argument
    config = zone()
    config["sites"][f"shop.{ZONE}"] = {"respond": "mine"}
    way = edge(**config)
    with way.client() as client:
        refused(Call(create_token(way), Adit_Name="shop").on(client), 403, "name")


def test_a_taken_name_and_a_suggestion(way, token):
    other = create_token(way, "--owner", "bob")
    with way.client() as mine, way.client() as client:
        welcome(Call(token, Adit_Name="myapp").on(mine))
        answer = Call(other, Adit_Name="myapp").on(client)
        refused(answer, 409, "taken")
        assert re.fullmatch(r"myapp-[a-z2-9]{5}", answer.get("adit-suggestion"))
        # Another run of the same owner joins only when it says so.
        refused(Call(token, Adit_Name="myapp").on(client), 409, "taken")
        free = Call(other, Adit_Name=answer.get("adit-suggestion")).on(client)
        assert welcome(free).get("adit-name") == answer.get("adit-suggestion")


def test_a_reserved_name_is_its_owners(way, token):
    assert way.command("name", "reserve", "shop", "--owner", "alice").returncode == 0
    bob = create_token(way, "--owner", "bob")

    def kept():
        with way.client() as client:
            return Call(bob, Adit_Name="shop").on(client).status == 409
    until(kept, "the name is kept for its owner")
    with way.client() as client:
        assert welcome(Call(token, Adit_Name="shop").on(client)).get("adit-name") == "shop"


def test_the_same_instance_needs_its_secret(way, token):
    it = OtherAgent(way, token=token, name="a1")
    it.call()
    assert way.get("/", [("Host", f"a1.{ZONE}")]).body == b"hello"      # so it has spoken
    again = {"Adit_Name": "a1", "Adit_Instance": b64(it.instance), "Adit_Connection": "slot=0, sequence=2"}
    with way.client() as first, way.client() as second:
        refused(Call(token, **again).on(first), 409, "taken")
        refused(Call(token, **again, Adit_Secret=b64(bytes(32))).on(first), 409, "taken")
        welcome(Call(token, **again, Adit_Secret=it.secret).on(first))
        late = {**again, "Adit_Connection": "slot=0, sequence=1", "Adit_Secret": it.secret}
        refused(Call(token, **late).on(second), 409, "sequence")
    it.stop()


def test_an_agent_whose_first_answer_was_lost_just_asks_again(way, token):
    """Nothing was said on the first connection, of which the edge does not know that it is dead."""
    instance = b64(os.urandom(16))
    stranger = create_token(way, "--owner", "bob")
    again = {"Adit_Name": "a1", "Adit_Instance": instance, "Adit_Connection": "slot=0, sequence=2"}
    with way.client() as first, way.client() as second:
        welcome(Call(token, Adit_Name="a1", Adit_Instance=instance).on(first))
        refused(Call(stranger, **again).on(second), 409, "taken")
        refused(Call(token, **{**again, "Adit_Instance": b64(os.urandom(16))}).on(second), 409, "taken")
        welcome(Call(token, **again).on(second))


def test_a_ticket_gives_a_random_name_again(way, token):
    it = OtherAgent(way, token=token)
    first = it.call()
    it.stop()
    way.stop()
    way.addresses.clear()
    way.start()     # It has forgotten everything but its keys.
    again = OtherAgent(way, token=token)
    again.instance, again.ticket, again.secret = it.instance, it.ticket, it.secret
    other = OtherAgent(way, token=create_token(way, "--owner", "bob"))
    other.instance, other.ticket = it.instance, it.ticket
    try:
        assert other.call().get("adit-name") != first.get("adit-name"), "a ticket is its owner's"
        assert again.call().get("adit-name") == first.get("adit-name")
    finally:
        again.stop()
        other.stop()


def test_so_many_tunnels(way, token):
    clients = [way.client() for _ in range(4)]
    for client in clients[:3]:
        welcome(Call(token).on(client))
    answer = Call(token).on(clients[3])
    refused(answer, 429, "tunnels")
    assert int(answer.get("retry-after")) > 0
    for client in clients:
        client.close()


def test_so_many_connections_of_an_address(edge, tunnels):    # pylint: disable=unused-argument
    way = edge(**zone(tunnels={"per_address": 2}))
    with way.client() as first, way.client() as second, way.client() as third:
        welcome(Call().on(first))
        welcome(Call().on(second))
        answer = Call().on(third)
        refused(answer, 429, "connections")
        assert int(answer.get("retry-after")) > 0
        first.close()   # Its place is free when the edge has seen that.

        def let_in():
            with way.client() as client:
                return Call().on(client).status == 101
        until(let_in, "a place")


def test_so_many_handshakes_of_an_address(way):
    with way.client() as client:
        refused(Call().on(client), 401, "no-token")
        answer = next(one for one in iter(lambda: Call().on(client), None) if one.status != 401)
    refused(answer, 429, "handshakes")
    assert int(answer.get("retry-after")) > 0


# ---- keys ---------------------------------------------------------------------------------------------

class KeyHolder:
    """A connection of an agent that has a key. OpenSSL itself: Python's ssl has no exporter."""

    def __init__(self, way, protocol=None):
        self.key = ed25519.Ed25519PrivateKey.generate()
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_alpn_protos([b"http/1.1"])
        if protocol:
            context.set_max_proto_version(protocol)
        self.sock = SSL.Connection(context, socket.create_connection(way.tls_at))
        self.sock.set_tlsext_host_name(ZONE.encode())
        self.sock.set_connect_state()
        self.sock.do_handshake()

    @property
    def public(self):
        return b64(self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))

    def authorization(self, nonce, name=ZONE, other=None):
        exporter = (other or self).sock.export_keying_material(b"EXPORTER-adit-tunnel-1", 32)
        message = b"adit-tunnel/1\0" + exporter + len(name).to_bytes(2, "big") + name.encode() + nonce.encode()
        return f'Adit-Key key="{self.public}", nonce="{nonce}", signature="{b64(self.key.sign(message))}"'

    def call(self, authorization=None):
        """Status, Adit-Reason and the nonce that is offered."""
        call = Call(Authorization=authorization)
        self.sock.sendall((f"GET {PATH} HTTP/1.1\r\nHost: {ZONE}\r\n"
                           + "".join(f"{n}: {v}\r\n" for n, v in call.fields.items() if v) + "\r\n").encode())
        got = b""
        while b"\r\n\r\n" not in got:
            got += self.sock.recv(65536)
        head, _, body = got.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        while length and len(body) < int(length[1]):
            body += self.sock.recv(65536)
        text = head.decode()
        found = [re.search(what, text) for what in (r"Adit-Reason: (\S+)", r'Adit-Key nonce="([^"]+)"')]
        return int(text[9:12]), *(one and one[1] for one in found)

    def close(self):
        self.sock.close()


@pytest.fixture
def holder(edge, pki, tunnels):     # pylint: disable=unused-argument
    way = edge(**zone(pki.zone, tunnels={"anonymous": "off"}))
    open_ones = []

    def make(protocol=None, known=True):
        it = KeyHolder(way, protocol)
        open_ones.append(it)
        if known:
            assert way.command("token", "create", "--owner", "kim", "--key", it.public).returncode == 0
        return it
    yield make
    for it in open_ones:
        it.close()


def test_a_key_signs(holder):
    it = holder()
    status, reason, nonce = it.call()
    assert (status, reason) == (401, "no-token") and nonce
    assert it.call(it.authorization(nonce))[0] == 101


def test_signatures_are_of_one_connection_name_and_nonce(holder):
    it, other = holder(), holder()
    nonce = it.call()[2]
    for wrong in (it.authorization(nonce, other=other), it.authorization(nonce, name="x" + ZONE)):
        status, reason, again = it.call(wrong)
        assert (status, reason) == (401, "bad-signature") and again
    status, reason, again = it.call(it.authorization(other.call()[2]))
    assert (status, reason) == (401, "stale-nonce") and again
    assert it.call(it.authorization("x"))[1] == "stale-nonce"
    assert it.call(it.authorization(again))[0] == 101, "the nonce that came with the refusal is good"


def test_a_key_that_nobody_knows(holder):
    it = holder(known=False)
    assert it.call(it.authorization(it.call()[2]))[:2] == (401, "bad-token")


def test_a_client_certificate_is_a_grant(edge, pki, tunnels):   # pylint: disable=unused-argument
    config = zone(pki.zone, tunnels={"anonymous": "off"})
    config["sites"][f"*.{ZONE}"]["tls"]["client"] = {"ca": pki.ca.file, "mode": "optional"}
    way = edge(**config)
    mine = pki.ca.client_context(["http/1.1"], cert=pki.client)
    with TlsClient(way.tls_at, context=mine, name=ZONE) as client:
        refused(Call().on(client), 401, "bad-certificate")
    print_of = pki.client.x509.fingerprint(hashes.SHA256()).hex()
    assert way.command("token", "create", "--owner", "carol", "--certificate", print_of).returncode == 0
    with TlsClient(way.tls_at, context=mine, name=ZONE) as client:
        welcome(Call(Adit_Name="carols").on(client))
    with TlsClient(way.tls_at, context=pki.ca.client_context(["http/1.1"]), name=ZONE) as client:
        refused(Call().on(client), 401, "no-token")


# ---- in clear -----------------------------------------------------------------------------------------

def test_who_comes_through_a_proxy_is_not_from_here(way, token):
    for field in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        with way.client() as client:
            refused(Call(token, **{field: "127.0.0.1"}).on(client), 403, "clear")


def test_a_proxy_header_is_not_from_here(edge, tunnels):    # pylint: disable=unused-argument
    way = edge(**zone(listen=[{"at": "127.0.0.1:0", "proxy_protocol": ["127.0.0.1"]}]))
    with way.client() as client:
        client.send(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n")
        refused(Call().on(client), 403, "clear")


def test_clear_may_be_allowed(edge, tunnels):    # pylint: disable=unused-argument
    way = edge(**zone(tunnels={"insecure_clear": "on"}))
    with way.client() as client:
        welcome(Call(X_Forwarded_For="192.0.2.7").on(client))


# ---- bytes that come too early --------------------------------------------------------------------------

def test_bytes_before_the_101_end_the_connection(way, token):
    call = Call(token, Adit_Name="early")
    head = f"GET {PATH} HTTP/1.1\r\nHost: {ZONE}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in call.fields.items())
    with socket.create_connection(way.at, WAIT) as sock:
        sock.sendall(head.encode() + b"\r\n" + PREFACE)
        got = b""
        try:
            while data := sock.recv(65536):
                got += data
        except ConnectionResetError:
            pass
    assert PREFACE not in got and got.count(b"HTTP/1.1") <= 1, got
    until(lambda: json.loads(way.command("tunnels", "--json").stdout)["tunnels"] == [], "nobody is kept for it")


def test_a_request_byte_by_byte(way, token):
    call = Call(token)
    head = f"GET {PATH} HTTP/1.1\r\nHost: {ZONE}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in call.fields.items())
    with Client(way.at) as client:
        for byte in (head + "\r\n").encode():
            client.send(bytes([byte]))
        assert client.answer_head().status == 101
