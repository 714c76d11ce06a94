# SPDX-License-Identifier: Apache-2.0
"""ACME against a CA with a script: what pebble cannot be made to do. Renewal and short lives, renewal
information, rate limits, a second CA, names on demand, and a certificate that is never lost."""
import json
import ssl
import subprocess
import threading
import time

import pytest

from harness import WAIT, insecure_context, reply, until
from harness.acme import AcmeCA, Problem


@pytest.fixture
def ca(tmp_path):
    one = AcmeCA(tmp_path)
    yield one
    one.stop()


@pytest.fixture
def edge_of(edge, origin):
    """edge_of(sites, issuers, **acme): an edge whose clients speak TLS on .tls_at."""
    def start(sites, issuers, **acme):
        app = origin(lambda request: reply(200, b"hello"))
        for site in sites.values():
            site.setdefault("proxy", app.at)
        return edge({"listen": ["127.0.0.1:0", {"at": "127.0.0.1:0", "tls": "on"}], "sites": sites,
                     "acme": {"issuers": issuers, **acme}})
    return start


NAME = "www.example.com"


def row(edge, name=NAME):
    done = edge.command("cert", "--json")
    assert done.returncode == 0, done.stderr
    return next((r for r in json.loads(done.stdout)["certificates"] if r["name"] == name), None)


def serial(edge, ca, name=NAME):
    """Of the certificate that is served; None when there is none."""
    try:
        with edge.tls_client(ca.authority.client_context(), name) as client:
            return ssl.DER_cert_to_PEM_cert(client.certificate)
    except ssl.SSLCertVerificationError:
        raise
    except ssl.SSLError:
        return None


def wait_serial(edge, ca, name=NAME, other_than=None):
    def changed():
        found = serial(edge, ca, name)
        return found if found != other_than else None
    return until(changed, f"a certificate for {name}")


def orders(ca, plan="x"):
    return [p for _, p in ca.asked("order", plan) if p and "identifiers" in p]


def start_again(edge, first):
    """Another edge with the configuration and the state of one that has ended."""
    config = {k: v for k, v in first.config.items() if k not in ("control", "access_log")}
    return edge(config, env={"ADIT_STATE": first.dir + "/state"})


# ---- renewal --------------------------------------------------------------------------------------


def test_a_short_life_is_renewed_in_time(ca, edge_of):
    """Certificates that live for seconds: there is always one that is valid."""
    ca.plan.lifetime = 6
    edge = edge_of({NAME: {}}, [ca.issuer()])
    first = wait_serial(edge, ca)
    second = wait_serial(edge, ca, other_than=first)
    wait_serial(edge, ca, other_than=second)
    assert not row(edge)["error"]


def test_what_is_served_is_kept_when_a_renewal_fails(ca, edge_of):
    edge = edge_of({NAME: {}}, [ca.issuer()])
    first = wait_serial(edge, ca)
    ca.plan.finalize_problem = Problem("serverInternal", 500, "the HSM is on fire")
    assert edge.command("cert", "renew", NAME).returncode == 0
    line = edge.wait_log("no certificate name=")
    assert "the HSM is on fire" in line and "the one before is served on" in line
    assert serial(edge, ca) == first
    assert "the HSM is on fire" in row(edge)["error"]
    assert edge.reload().returncode == 0
    assert serial(edge, ca) == first
    ca.plan.finalize_problem = None
    assert edge.command("cert", "renew", NAME).returncode == 0
    wait_serial(edge, ca, other_than=first)
    until(lambda: not row(edge)["error"], "the error is forgotten")


def test_a_window_in_the_past_renews_at_once(ca, edge_of):
    ca.plan.window = (-7200, -3600)
    edge = edge_of({NAME: {}}, [ca.issuer()])
    until(lambda: len(orders(ca)) >= 2, "the certificate is renewed")
    ca.plan.window = (80 * 86400, 81 * 86400)
    assert "replaces" not in orders(ca)[0]
    assert orders(ca)[1]["replaces"].count(".") == 1
    assert ca.asked("ari")
    wait_serial(edge, ca)


def test_a_window_in_the_future_is_kept_to(ca, edge_of):
    ca.plan.window = (40 * 86400, 41 * 86400)
    ca.plan.window_retry = 3600
    edge = edge_of({NAME: {}}, [ca.issuer()])
    wait_serial(edge, ca)

    def renews():
        at = row(edge)["renews_s"] - time.time()
        return 39.9 * 86400 < at < 41.1 * 86400
    until(renews, "the renewal is moved into the window")
    assert len(ca.asked("ari")) == 1


def test_a_profile_is_asked_for(ca, edge_of):
    ca.plan.profiles = {"shortlived": "six days"}
    edge = edge_of({NAME: {}}, [ca.issuer(profile="shortlived")])
    wait_serial(edge, ca)
    assert orders(ca)[0]["profile"] == "shortlived"


def test_a_profile_that_is_not_there_is_named(ca, edge_of):
    ca.plan.profiles = {"classic": "the usual"}
    edge = edge_of({NAME: {}}, [ca.issuer(profile="shortlived")])
    edge.wait_log('has no profile "shortlived", only: classic')
    assert not orders(ca)


# ---- failures -------------------------------------------------------------------------------------


def test_a_rate_limit_is_respected(ca, edge_of):
    """Retry-After goes before our own pauses; nothing is ordered again."""
    ca.plan.order_problem = Problem("rateLimited", 429, "too many certificates", retry_after=7200)
    edge = edge_of({NAME: {}}, [ca.issuer()])
    line = edge.wait_log("no certificate name=")
    assert "the CA's rate limit is reached (the CA says: too many certificates)" in line
    assert "rate limit" in row(edge)["error"]
    assert edge.reload().returncode == 0
    with open(f"{edge.dir}/state/certificates/{NAME}/status.json", encoding="utf-8") as file:
        status = json.load(file)
    assert 7000 < status["next_attempt"] - time.time() <= 7200
    assert len(orders(ca)) == 1


def test_failures_are_not_repeated_at_once(ca, edge_of):
    """A reload and new clients do not make the edge ask again before its time."""
    ca.plan.challenge_problem = {k: Problem("unauthorized", detail="got a 404")
                                 for k in ca.plan.offers}
    edge = edge_of({NAME: {}}, [ca.issuer()])
    edge.wait_log("no certificate name=")
    asked = len(ca.log)
    for _ in range(3):
        assert serial(edge, ca) is None
        edge.reload()
    assert len(ca.log) == asked
    assert len(orders(ca)) == 2     # each kind of challenge once
    assert "got a 404" in row(edge)["error"]


def test_a_restart_does_not_forget_the_pause(ca, edge, edge_of):
    ca.plan.order_problem = Problem("rateLimited", 429, retry_after=7200)
    first = edge_of({NAME: {}}, [ca.issuer()])
    first.wait_log("no certificate name=")
    first.signal(15)
    first.wait_exit()
    asked = len(ca.log)
    second = start_again(edge, first)
    assert "rate limit" in row(second)["error"]
    assert len(ca.log) == asked


def test_the_second_issuer_when_the_first_fails(ca, edge_of):
    ca.at("broken").order_problem = Problem("serverInternal", 500)
    edge = edge_of({NAME: {}}, [ca.issuer("broken"), ca.issuer("good")])
    wait_serial(edge, ca)
    assert not orders(ca, "good")[0].get("replaces")
    assert orders(ca, "broken") and not row(edge)["error"]


def test_both_reasons_are_told_when_both_issuers_fail(ca, edge_of):
    ca.at("one").order_problem = Problem("rejectedIdentifier", 400, "not on our list")
    ca.at("two").challenge_problem = {k: Problem("caa", detail="CAA says other.example")
                                      for k in ca.plan.offers}
    edge = edge_of({NAME: {}}, [ca.issuer("one"), ca.issuer("two")])
    line = edge.wait_log("no certificate name=")
    assert f"the CA does not issue for {NAME} (the CA says: not on our list)" in line
    assert f"a CAA record of {NAME} forbids this CA" in line


def test_a_certificate_for_another_key_is_not_served(ca, edge_of):
    ca.plan.other_key = True
    edge = edge_of({NAME: {}}, [ca.issuer()])
    edge.wait_log("no certificate name=.*the certificate that came is for another key")
    assert serial(edge, ca) is None


def test_a_ca_that_cannot_be_trusted(ca, edge_of):
    """Its web server's certificate is signed by nobody we know."""
    edge = edge_of({NAME: {}}, [{"directory": ca.directory()}])
    edge.wait_log("no certificate name=.*no answer from https://localhost:")
    assert not ca.log


def test_junk_of_a_ca_harms_nobody(ca, edge_of):
    ca.plan.junk = {"order": b'{"status":' + b"[" * 5000}
    edge = edge_of({NAME: {}, "files.example": {"tls": "off"}}, [ca.issuer()])
    edge.wait_log("no certificate name=")
    assert edge.get("/", [("Host", "files.example")]).body == b"hello"


@pytest.mark.parametrize("path", ["dir", "authz", "ari"])
def test_a_ca_that_hangs_does_not_hold_the_edge(ca, edge_of, path):
    """The edge ends at once, not when the CA has answered or its time is over."""
    ca.plan.window = (86400, 90000)
    ca.plan.hang = (path,)
    edge = edge_of({NAME: {}}, [ca.issuer()])
    until(lambda: ca.asked(path), "the CA is asked")
    began = time.monotonic()
    edge.stop()
    assert time.monotonic() - began < 8


# ---- on demand --------------------------------------------------------------------------------------


@pytest.fixture
def gate(origin):
    """The service behind `ask`: says yes to what is in .allowed."""
    one = origin(lambda request: reply(
        200 if request.target.partition("domain=")[2] in one.allowed else 403, b""))
    one.allowed = set()
    one.url = f"http://{one.at}/may"
    return one


def on_demand(edge_of, ca, gate, **acme):
    return edge_of({"default": {"tls": {"on_demand": "on"}}}, [ca.issuer()], ask=gate.url, **acme)


def test_a_name_that_is_allowed_gets_a_certificate(ca, edge_of, gate):
    gate.allowed.add("shop.example.net")
    edge = on_demand(edge_of, ca, gate)
    assert not ca.log
    wait_serial(edge, ca, "shop.example.net")
    with edge.tls_client(ca.authority.client_context(), "shop.example.net") as client:
        assert client.get("/", [("Host", "shop.example.net")]).body == b"hello"
    assert len(orders(ca)) == 1
    assert row(edge, "shop.example.net")["expires_s"]


def test_a_name_that_is_not_allowed_gets_none(ca, edge_of, gate):
    edge = on_demand(edge_of, ca, gate)
    assert serial(edge, ca, "evil.example.net") is None
    line = edge.wait_log("no certificate on demand name=evil.example.net")
    assert "answered with status 403" in line
    for _ in range(5):
        assert serial(edge, ca, "evil.example.net") is None
    assert sum("domain=evil.example.net" in r.target for r in gate.requests) == 1
    assert not ca.log


def test_new_names_are_limited(ca, edge_of, gate):
    names = [f"n{i}.example.net" for i in range(6)]
    gate.allowed.update(names)
    edge = on_demand(edge_of, ca, gate, on_demand_limit="2/1h")

    def knock(name):
        serial(edge, ca, name)
    threads = [threading.Thread(target=knock, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def refused():
        log = edge.lines[:]
        for name in names:
            if not any(f"name={name}" in line for line in log):
                knock(name)         # of those who come at the same moment one may have to come again
        return sum("`on_demand_limit` is reached" in line for line in log) >= 4
    until(refused, "the limit")
    until(lambda: sum("certificate got" in ln for ln in edge.lines) == 2, "two certificates")
    assert len(orders(ca)) == 2


def test_on_demand_certificates_outlive_the_edge(ca, edge, edge_of, gate):
    gate.allowed.add("shop.example.net")
    first = on_demand(edge_of, ca, gate)
    served = wait_serial(first, ca, "shop.example.net")
    first.signal(15)
    first.wait_exit()
    second = start_again(edge, first)
    assert serial(second, ca, "shop.example.net") == served
    assert len(orders(ca)) == 1


def test_names_that_are_none_are_not_asked_for(ca, edge_of, gate):
    edge = on_demand(edge_of, ca, gate)
    for name in ("localhost", "-", "a_b.example", "xn--" + "a" * 50):
        with pytest.raises(ssl.SSLError):
            edge.tls_client(insecure_context(), name)
    assert not ca.log


# ---- stapling -----------------------------------------------------------------------------------


def test_an_ocsp_answer_is_fetched_and_stapled(ca, edge_of, origin):
    responder = origin(lambda request: reply(200, ca.authority.ocsp_answer(request.body),
                                             [("Content-Type", "application/ocsp-response")]))
    ca.plan.ocsp_url = f"http://{responder.at}/ocsp"
    edge = edge_of({NAME: {}}, [ca.issuer()])
    wait_serial(edge, ca)

    def staple():
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{edge.tls_port}",
                               "-servername", NAME, "-status"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=WAIT, check=False)
        return "OCSP Response Status: successful" in done.stdout
    until(staple, "the answer is stapled")
    assert responder.requests[0].method == "POST"


def test_a_revoked_certificate_is_replaced(ca, edge_of, origin):
    from cryptography.x509 import ocsp
    state = [ocsp.OCSPCertStatus.REVOKED]

    def answer(request):
        return reply(200, ca.authority.ocsp_answer(request.body, state[0]),
                     [("Content-Type", "application/ocsp-response")])
    responder = origin(answer)
    ca.plan.ocsp_url = f"http://{responder.at}/ocsp"
    edge = edge_of({NAME: {}}, [ca.issuer()])
    edge.wait_log("the certificate has been revoked")
    state[0] = ocsp.OCSPCertStatus.GOOD
    until(lambda: len(orders(ca)) >= 2, "a new certificate is ordered")
    assert "no certificate name=" not in edge.log
