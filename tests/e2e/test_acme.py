# SPDX-License-Identifier: Apache-2.0
"""Certificates by ACME through `adit serve`, from Debian's pebble, which looks at the edge's own ports:
each kind of challenge, wildcards by a hook, accounts, refused nonces, failures in plain words."""
import json
import os
import ssl
import stat

import pytest

from harness import insecure_context, reply, until
from harness.acme import Pebble
from harness.ports import free_port

pytestmark = pytest.mark.skipif(not Pebble.available(), reason="pebble is not installed")


@pytest.fixture
def pebble(tmp_path):
    """pebble(**options): a CA that validates on .http_port and .tls_port, where edge_of() listens."""
    running = []

    def start(**options):
        ports = free_port(), free_port()
        one = Pebble(tmp_path, *ports, **options)
        one.http_port, one.tls_port = ports
        running.append(one)
        return one
    yield start
    for one in running:
        one.stop()


@pytest.fixture
def edge_of(edge, origin):
    """edge_of(ca, sites, **acme): an edge on the ports where the CA looks."""
    def start(ca, sites, issuers=None, top=None, **acme):
        app = origin(lambda request: reply(200, b"hello"))
        for site in sites.values():
            site.setdefault("proxy", app.at)
        listen = [f"127.0.0.1:{ca.http_port}", {"at": f"127.0.0.1:{ca.tls_port}", "tls": "on"}]
        return edge({"listen": listen, "sites": sites,
                     "acme": {"email": "me@example.com", "issuers": issuers or [ca.issuer()], **acme},
                     **(top or {})})
    return start


def cert_rows(edge):
    done = edge.command("cert", "--json")
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)["certificates"]}


def has_certificate(edge, name):
    row = cert_rows(edge).get(name)
    return row and row["expires_s"] and not row["busy"]


def trusting(ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca.root())
    return context


def shown(edge, context, name):
    """A client to whom the edge showed a certificate: workers take new ones a moment after the log
    tells of them."""
    def attempt():
        try:
            return edge.tls_client(context, name)
        except ssl.SSLCertVerificationError:
            raise
        except ssl.SSLError:
            return None
    return until(attempt, f"a certificate for {name}")


def check_served(edge, ca, name):
    """What the edge shows for a name is trusted by who trusts pebble, and pages come."""
    with shown(edge, trusting(ca), name) as client:
        assert client.get("/", [("Host", name)]).body == b"hello"
        return client.certificate


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_a_certificate_by_each_challenge(pebble, edge_of, challenge):
    """pebble refuses every other nonce here."""
    ca = pebble(nonce_reject=50)
    edge = edge_of(ca, {"www.example.com": {}, "api.example.com": {}}, challenges=[challenge])
    for name in ("www.example.com", "api.example.com"):
        edge.wait_log(f"certificate got name={name}")
        check_served(edge, ca, name)
    by_http = "/.well-known/acme-challenge/" in ca.log
    assert by_http == (challenge == "http-01")
    row = cert_rows(edge)["www.example.com"]
    assert not row["error"] and "Pebble" in row["issuer"]


def test_what_is_kept_on_disk_outlives_the_edge(pebble, edge, edge_of):
    """Plain files, the key for adit alone; an edge that starts again asks for nothing."""
    ca = pebble()
    first = edge_of(ca, {"www.example.com": {}})
    first.wait_log("certificate got")
    served = check_served(first, ca, "www.example.com")
    state = first.dir + "/state"
    folder = state + "/certificates/www.example.com"
    with open(folder + "/certificate.pem", encoding="utf-8") as file:
        assert ssl.PEM_cert_to_DER_cert(file.read().split("-----END")[0] +
                                        "-----END CERTIFICATE-----\n") == served
    assert stat.S_IMODE(os.stat(folder + "/key.pem").st_mode) & 0o077 == 0
    with open(folder + "/status.json", encoding="utf-8") as file:
        assert json.load(file)["last_error"] == ""
    first.signal(15)
    first.wait_exit()
    ca.stop_ca()
    config = {k: v for k, v in first.config.items() if k not in ("control", "access_log")}
    second = edge(config, env={"ADIT_STATE": state})
    assert second.tls_client(insecure_context(), "www.example.com").certificate == served


def test_a_wildcard_by_the_dns_hook(pebble, edge_of, tmp_path):
    """The hook is told what to do by arguments and environment, and cleans up."""
    ca = pebble()
    hook = tmp_path / "hook"
    control = f"http://127.0.0.1:{ca.dns_control}"
    hook.write_text(f"""#!/bin/sh
set -e
echo "$1 $2 $3 $ADIT_DOMAIN" >>"$HOOK_LOG"
case $1 in
present) curl -sf -d "{{\\"host\\":\\"$2.\\",\\"value\\":\\"$3\\"}}" {control}/set-txt ;;
cleanup) curl -sf -d "{{\\"host\\":\\"$2.\\"}}" {control}/clear-txt ;;
esac
""", encoding="utf-8")
    hook.chmod(0o755)
    log = tmp_path / "hook.log"
    log.touch()
    log.chmod(0o666)
    os.environ["HOOK_LOG"] = str(log)
    try:
        edge = edge_of(ca, {"*.example.com": {"tls": {"dns": str(hook)}}})
    finally:
        del os.environ["HOOK_LOG"]
    edge.wait_log("certificate got name=\\*.example.com")
    check_served(edge, ca, "anything.example.com")
    until(lambda: "cleanup" in log.read_text(), "the hook cleans up")
    present, cleanup = (line.split() for line in log.read_text().splitlines())
    assert present == ["present", "_acme-challenge.example.com", present[2], "example.com"]
    assert cleanup == ["cleanup", *present[1:]]


def test_a_hook_that_fails_is_quoted(pebble, edge_of, tmp_path):
    ca = pebble()
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\necho the provider says no >&2\nexit 3\n", encoding="utf-8")
    hook.chmod(0o755)
    edge = edge_of(ca, {"*.example.com": {"tls": {"dns": str(hook)}}})
    edge.wait_log("no certificate name=.*the provider says no")
    assert "the provider says no" in cert_rows(edge)["*.example.com"]["error"]


def test_an_external_account(pebble, edge_of):
    secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    ca = pebble(eab={"kid-1": secret})
    edge = edge_of(ca, {"www.example.com": {}},
                   issuers=[ca.issuer(eab={"kid": "kid-1", "key": secret})])
    edge.wait_log("certificate got")
    check_served(edge, ca, "www.example.com")


def test_a_missing_external_account_is_named(pebble, edge_of):
    ca = pebble(eab={"kid-1": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"})
    edge = edge_of(ca, {"www.example.com": {}})
    edge.wait_log("no certificate name=www.example.com: .*wants an account made with it before")
    assert "`eab`" in cert_rows(edge)["www.example.com"]["error"]


def test_a_ca_that_looks_elsewhere_says_so_in_plain_words(pebble, edge, origin):
    """pebble looks at ports where nobody listens: both kinds of challenge fail, the second reason is
    told with the CA's own words, and the edge waits before it tries again."""
    ca = pebble()
    app = origin(lambda request: reply(200, b"hello"))
    one = edge({"listen": ["127.0.0.1:0", {"at": "127.0.0.1:0", "tls": "on"}],
                "acme": {"issuers": [ca.issuer()]}, "sites": {"www.example.com": {"proxy": app.at}}})
    line = one.wait_log("no certificate name=www.example.com")
    assert "the CA could not connect to www.example.com" in line
    assert "ports 80 and 443 open" in line and "the CA says:" in line
    assert "there is none to serve" in line and "next attempt" in line
    row = cert_rows(one)["www.example.com"]
    assert "could not connect" in row["error"]
    table = one.command("cert").stdout
    assert "www.example.com" in table and "could not connect" in table
    assert sum("certificate ordered" in ln for ln in one.lines) == 1


def test_a_ca_that_lost_the_account(pebble, edge_of):
    """pebble forgets everything when it starts again; the account is made anew by the same key."""
    ca = pebble()
    edge = edge_of(ca, {"www.example.com": {}})
    edge.wait_log("certificate got")
    ca.stop_ca()
    ca.start()
    assert edge.command("cert", "renew", "www.example.com").returncode == 0
    until(lambda: sum("certificate got" in ln for ln in edge.lines) == 2, "the second certificate")
    check_served(edge, ca, "www.example.com")


def test_ecdsa_and_rsa(pebble, edge_of):
    """Both orders are for one name, whose challenge by TLS has one answer at a time."""
    ca = pebble()
    edge = edge_of(ca, {"www.example.com": {}}, key="both", challenges=["tls-alpn-01"])
    until(lambda: sum("certificate got" in ln for ln in edge.lines) == 2, "two certificates")
    for ciphers, kind in (("ECDHE-RSA-AES128-GCM-SHA256", "rsa"),
                          ("ECDHE-ECDSA-AES128-GCM-SHA256", "ecdsa")):
        context = trusting(ca)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
        with shown(edge, context, "www.example.com") as client:
            assert kind in client.tls.cipher()[0].lower()


def test_an_edge_that_ends_in_the_middle_of_an_order(pebble, edge, origin):
    """The CA is there and does not answer: the edge still ends in time."""
    ca = pebble()
    os.kill(ca.process.pid, 19)
    try:
        app = origin(lambda request: reply(200, b"hello"))
        one = edge({"listen": ["127.0.0.1:0", {"at": "127.0.0.1:0", "tls": "on"}],
                    "acme": {"issuers": [ca.issuer()]},
                    "sites": {"www.example.com": {"proxy": app.at}}})
        one.wait_log("certificate ordered")
        one.stop()
    finally:
        os.kill(ca.process.pid, 18)
