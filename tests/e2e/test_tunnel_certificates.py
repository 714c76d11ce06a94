# SPDX-License-Identifier: Apache-2.0
"""Client certificates in place of tokens (issue 5): the agent shows one, the edge knows it by its
fingerprint, whoever has issued it."""
import json
import ssl
import subprocess

import pytest

from harness import reply, run_adit, until
from harness.tls import TlsClient
from harness.tunnel import ZONE, Road, create_token, zone
from test_tunnel_handshake import Call, refused, welcome

pytestmark = pytest.mark.usefixtures("tunnels")


@pytest.fixture
def way(edge, pki):
    return edge(**zone(pki.zone, workers=2, tunnels={"anonymous": "off"}))


@pytest.fixture
def mine(pki):
    """Of an authority that nobody knows."""
    return pki.other.issue(client=True, common="laptop")


def grant(way, cert, *options):
    done = way.command("token", "create", "--owner", "carol", "--certificate", cert.cert, *options, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)["id"]


def shown(way, pki, cert, version=None, alpn=("http/1.1",), session=None):
    context = pki.ca.client_context(alpn, cert=cert, version=version)
    return TlsClient(way.tls_at, context=context, name=ZONE, session=session)


def last_words(it):
    assert it.wait_exit() == 4
    return it.wait_event("ended")


def test_an_agent_with_a_certificate(way, pki, mine, agent, origin):
    it_is = grant(way, mine)
    app = origin(lambda request: reply(200, b"from the laptop"))
    it = agent(way, app.port, "as", "myapp", "--cert", mine.cert, "--key", mine.key, trust=pki.ca, expect_exit=4)
    assert Road(way, it.name, pki.ca).get("/").body == b"from the laptop"
    one = json.loads(way.command("tunnels", "--json").stdout)["tunnels"][0]
    assert (one["owner"], one["grant"], one["name"]) == ("carol", it_is, "myapp")
    assert way.command("token", "revoke", it_is).returncode == 0
    assert "revoked" in last_words(it)["text"]
    assert Road(way, it.name, pki.ca).get("/").status == 404


def test_one_file_for_both_and_no_token_beside_it(way, pki, mine, agent, origin, tmp_path):
    grant(way, mine)
    both = tmp_path / "both.pem"
    both.touch(mode=0o600)
    both.write_bytes(mine.pem + mine.key_pem)
    it = agent(way, origin().port, "as", "myapp", "--cert", both, trust=pki.ca, token="adit_not_good")
    assert it.name == f"myapp.{ZONE}"


def test_a_certificate_of_a_file(way, pki, mine, agent, origin, tmp_path):
    grant(way, mine)
    file = tmp_path / "adit-agent.yaml"
    file.write_text(f"server: https://{ZONE}:{way.tls_port}\ncert: {mine.cert}\nkey: {mine.key}\n"
                    f"tunnels: {{web: {{http: {origin().port}, name: myapp}}}}\n")
    assert agent(way, f"start -c {file}", trust=pki.ca).name == f"myapp.{ZONE}"


@pytest.mark.parametrize("days,granted,reason,says", [
    ((-1, 30), False, "bad-certificate", "does not know this certificate"),
    ((-30, -1), True, "expired", "has expired"),
    ((-30, -1), False, "expired", "has expired"),
    ((1, 30), True, "bad-certificate", "not good yet")])
def test_certificates_that_are_refused(way, pki, agent, origin, days, granted, reason, says):
    """Neither stops the handshake of TLS, so that there are words for it."""
    cert = pki.other.issue(client=True, common="laptop", days=days)
    if granted:
        grant(way, cert)
    it = agent(way, origin().port, "--cert", cert.cert, "--key", cert.key, trust=pki.ca, wait=False, expect_exit=4)
    ended = last_words(it)
    assert (ended["status"], ended["reason"]) == (401, reason) and says in ended["text"], ended


def test_a_tunnel_ends_with_its_certificate(way, pki, agent, origin):
    cert = pki.other.issue(client=True, common="laptop", days=(-1, 6 / 86400))
    grant(way, cert)
    it = agent(way, origin().port, "--cert", cert.cert, "--key", cert.key, trust=pki.ca, expect_exit=4)
    assert "certificate has expired" in it.wait_event("ended", timeout=30)["text"]


def test_whichever_ends_first_is_told(way, pki, mine):
    grant(way, mine, "--expires", "1h")
    with shown(way, pki, mine) as client:
        assert 3500 < int(welcome(Call().on(client)).get("Adit-Expires")) <= 3600
    short = pki.other.issue(client=True, common="short", days=(-1, 600 / 86400))
    grant(way, short, "--expires", "1h")
    with shown(way, pki, short) as client:
        assert int(welcome(Call().on(client)).get("Adit-Expires")) <= 601


def test_the_anonymous_are_those_that_show_none(edge, pki, mine):
    way = edge(**zone(pki.zone))
    with shown(way, pki, None) as client:
        welcome(Call().on(client))
    with shown(way, pki, mine) as client:
        refused(Call().on(client), 401, "bad-certificate")


def test_a_token_goes_before_a_certificate(way, pki, mine):
    token = create_token(way, "--owner", "alice")
    with shown(way, pki, mine) as client:
        welcome(Call(token).on(client))


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_no_session_stands_for_a_certificate(way, pki, mine, version):
    """Each connection proves that it has the key; and a session of a visitor's is none of an agent's."""
    grant(way, mine)
    with shown(way, pki, mine, version) as client:
        welcome(Call().on(client))
        session = client.tls.session
        assert not session.has_ticket
    with shown(way, pki, mine, version) as client:
        welcome(Call().on(client))
        assert not client.tls.session_reused
    visitor = pki.ca.client_context(["http/1.1", "other"], cert=mine, version=version)
    with TlsClient(way.tls_at, context=visitor, name=ZONE) as client:
        client.get("/", host=ZONE)
        session = client.tls.session
        assert session.has_ticket
    visitor.set_alpn_protocols(["http/1.1"])
    with TlsClient(way.tls_at, context=visitor, name=ZONE, session=session) as client:
        welcome(Call().on(client))
        assert not client.tls.session_reused


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_who_shows_none_comes_back_with_his_session(way, pki, version):
    token = create_token(way, "--owner", "alice")
    context = pki.ca.client_context(["http/1.1"], version=version)
    with TlsClient(way.tls_at, context=context, name=ZONE) as client:
        refused(Call().on(client), 401, "no-token")
        session = client.tls.session
    with TlsClient(way.tls_at, context=context, name=ZONE, session=session) as client:
        welcome(Call(token).on(client))
        assert client.tls.session_reused


@pytest.mark.parametrize("name,alpn,asked", [(ZONE, "http/1.1", True), (ZONE, "h2,http/1.1", False),
                                             (ZONE, None, False), (f"myapp.{ZONE}", "http/1.1", False)])
def test_only_who_may_be_an_agent_is_asked(way, pki, name, alpn, asked):
    """A browser that visits the edge's own name would ask its user for a certificate."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{way.tls_port}", "-servername", name,
                           "-CAfile", pki.ca.file, "-msg", *(["-alpn", alpn] if alpn else [])],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                          check=False, timeout=30)  # the edge's first frames come out as well
    assert "ServerHello" in done.stdout, done.stdout + done.stderr
    assert ("CertificateRequest" in done.stdout) == asked


def test_a_chain_without_end(way, pki, mine, tmp_path):
    """What a stranger may make the edge read is bounded."""
    grant(way, mine)
    more = b"".join(pki.other.authority(f"Middle {i}").pem for i in range(40))
    mine.cert = str(tmp_path / "chain.pem")
    with open(mine.cert, "wb") as file:
        file.write(mine.pem + more)
    with pytest.raises((ssl.SSLError, EOFError, OSError)):
        with shown(way, pki, mine) as client:
            Call().on(client)
    assert way.get("/", [("Host", "x." + ZONE)]).status == 308, "nobody else notices"


def test_a_site_that_asks_its_visitors(edge, pki, mine):
    """Its own authorities are for them. Where it insists, agents need a certificate of these too."""
    config = zone(pki.zone, tunnels={"anonymous": "off"})
    config["sites"][f"*.{ZONE}"]["tls"]["client"] = {"ca": pki.ca.file, "mode": "optional"}
    way = edge(**config)
    grant(way, mine)
    with shown(way, pki, mine) as client:
        welcome(Call().on(client))
    config["sites"][f"*.{ZONE}"]["tls"]["client"]["mode"] = "required"
    way = edge(**config)
    grant(way, mine)
    with pytest.raises((ssl.SSLError, EOFError, OSError)):
        with shown(way, pki, mine) as client:
            Call().on(client)


def test_visitors_are_told_apart_from_agents(edge, pki, mine, origin):
    """A certificate that nobody stands for says nothing about who a client of another site is."""
    app = origin()
    config = zone(pki.zone)
    config["sites"][ZONE] = {"tls": pki.zone.files, "proxy": app.at, "headers": {"request": {"set": {
        "x-verified": "$client_cert_verified", "x-name": "$client_cert_name",
        "x-print": "$client_cert_fingerprint", "x-cert": "$client_cert"}}}}
    way = edge(**config)
    with shown(way, pki, mine) as client:
        assert client.get("/", [("Host", ZONE)]).status == 200
    told = app.last
    assert told.get("x-verified") == "off"
    assert not (told.get("x-name") or told.get("x-print") or told.get("x-cert"))


def test_diagnose_names_it(way, pki, mine):
    def diagnosed():
        done = run_adit("diagnose", "--server", f"https://{ZONE}:{way.tls_port}", "--ca", pki.ca.file,
                        "--cert", mine.cert, "--key", mine.key)
        return done.returncode, done.stdout
    code, text = diagnosed()
    assert code == 1 and "does not know this certificate" in text and "--certificate" in text, text
    grant(way, mine)
    until(lambda: diagnosed()[0] == 0, "a certificate that is known")
