# SPDX-License-Identifier: Apache-2.0
"""Handshakes with independent clients: versions, names, certificates, ALPN, resumption."""
import hashlib
import re
import ssl
import subprocess

import pytest

from harness import BOTH, TLS, insecure_context, reply, run_adit, until


def s_client(way, *args, ask=b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n",
             name="example.com"):
    """OpenSSL's own client: asks, and gives all that it prints."""
    sni = ["-servername", name] if name else ["-noservername"]
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{way.tls_port}", *sni,
                           "-ign_eof", *args], input=ask, capture_output=True, timeout=20,
                          check=False)
    return (done.stdout + done.stderr).decode("latin-1")


def curl(way, *args, path="/", scheme="https", host="example.com"):
    port = way.tls_port if scheme == "https" else way.port
    return subprocess.run(["curl", "-sS", "--resolve", f"{host}:{port}:127.0.0.1", *args,
                           f"{scheme}://{host}:{port}{path}"], capture_output=True, text=True,
                          timeout=20, check=False)


def site(cert, app, **tls):
    return {"tls": {**cert.files, **tls}, "proxy": app.at}


def test_curl_trusts_it_and_gets_the_page(edge, origin, pki):
    app = origin()
    way = edge(proxy=app, cert=pki.server)
    done = curl(way, "--cacert", pki.ca.file, "--http1.1", "-v")
    assert done.stdout == "hello", done.stderr
    assert "TLSv1.3" in done.stderr and "server accepted http/1.1" in done.stderr
    assert app.last.get("x-forwarded-proto") == "https"


def test_curl_without_the_authority_does_not(edge, origin, pki):
    done = curl(edge(proxy=origin(), cert=pki.server))
    assert done.returncode == 60, done.stderr


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_both_versions_by_openssl(edge, origin, pki, version):
    way = edge(proxy=origin(), cert=pki.server)
    said = s_client(way, "-tls" + version.replace(".", "_"), "-CAfile", pki.ca.file)
    assert "HTTP/1.1 200" in said and "Verify return code: 0" in said, said
    assert f"TLSv{version}" in said
    line = way.access()[0]
    assert line["tls"] in (version, f"TLSv{version}") and line["cipher"], line


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_older_ones_are_refused_with_an_alert(edge, origin, pki, version):
    said = s_client(edge(proxy=origin(), cert=pki.server), version, "-cipher", "ALL@SECLEVEL=0")
    assert "alert protocol version" in said, said


def test_a_minimum_of_1_3(edge, origin, pki):
    way = edge(proxy=origin(), cert=pki.server, tls={"min_version": "1.3"})
    assert "alert protocol version" in s_client(way, "-tls1_2")
    assert "HTTP/1.1 200" in s_client(way, "-tls1_3")


@pytest.mark.parametrize("cipher", ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256",
                                    "NULL", "DES-CBC3-SHA"])
def test_weak_suites_of_1_2_are_refused(edge, origin, pki, cipher):
    said = s_client(edge(proxy=origin(), cert=[pki.server, pki.rsa]), "-tls1_2", "-cipher",
                    cipher + "@SECLEVEL=0")
    assert "HTTP/1.1 200" not in said
    assert "handshake failure" in said or "no cipher" in said, said


def test_suites_that_the_user_names(edge, origin, pki):
    way = edge(proxy=origin(), cert=pki.server,
               tls={"ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"})
    assert "ECDHE-ECDSA-AES256-GCM-SHA384" in s_client(way, "-tls1_2")
    assert "handshake failure" in s_client(way, "-tls1_2", "-cipher",
                                           "ECDHE-ECDSA-AES128-GCM-SHA256")


def test_curves_that_the_user_names(edge, origin, pki):
    way = edge(proxy=origin(), cert=pki.server, tls={"curves": ["P-384"]})
    assert "Server Temp Key: ECDH, secp384r1" in s_client(way)
    assert "HTTP/1.1 200" not in s_client(way, "-curves", "X25519")


# -- ALPN ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("offer,agreed", [
    (["http/1.1"], "http/1.1"), (["h2"], "h2"), (["h2", "http/1.1"], "h2"),
    (["http/1.1", "h2"], "h2"), ([], None), (["spdy/3", "http/1.1"], "http/1.1")])
def test_alpn(edge, origin, pki, offer, agreed):
    way = edge(proxy=origin(), cert=pki.server)
    with way.tls_client(pki.context(*offer)) as client:
        assert client.alpn == agreed
        if agreed != "h2":
            assert client.get().body == b"hello"


def test_alpn_without_a_common_protocol(edge, origin, pki):
    """RFC 7301 3.2: no_application_protocol."""
    way = edge(proxy=origin(), cert=pki.server)
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        way.tls_client(pki.context("imap"))


def test_protocols_that_the_user_names(edge, origin, pki):
    way = edge(proxy=origin(), cert=pki.server, tls={"protocols": ["http/1.1"]})
    with way.tls_client(pki.context("h2", "http/1.1")) as client:
        assert client.alpn == "http/1.1"


# -- names and certificates -----------------------------------------------------------------------


def names_edge(edge, pki, app):
    made = {name: pki.ca.issue(*sans) for name, sans in {
        "exact": ["a.wild.test"], "wild": ["*.wild.test"], "other": ["other.test"],
        "default": ["fallback.test"]}.items()}
    way = edge({"listen": TLS, "sites": {
        "a.wild.test": site(made["exact"], app), "*.wild.test": site(made["wild"], app),
        "other.test": site(made["other"], app), "default": site(made["default"], app)}})
    return way, made


@pytest.mark.parametrize("name,which", [
    ("a.wild.test", "exact"), ("A.Wild.TEST", "exact"), ("b.wild.test", "wild"),
    ("other.test", "other"), ("unknown.test", "default"), ("wild.test", "default"),
    (None, "default")])
def test_the_name_asked_for_chooses_the_certificate(edge, origin, pki, name, which):
    way, made = names_edge(edge, pki, origin())
    with way.tls_client(insecure_context(), name) as client:
        assert client.certificate == made[which].der
        assert client.get(host=name or "unknown.test").body == b"hello"


def test_ecdsa_and_rsa_by_what_the_client_takes(edge, origin, pki):
    way = edge(proxy=origin(), cert=[pki.rsa, pki.server])
    for args, kind in [(["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], "RSA"),
                       (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "ECDSA"),
                       (["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], "RSA"),
                       (["-tls1_3", "-sigalgs", "ecdsa_secp256r1_sha256"], "ECDSA"),
                       (["-tls1_3"], "ECDSA")]:
        said = s_client(way, *args)
        assert "HTTP/1.1 200" in said, (args, said)
        signature = re.search("Peer signature type: (.*)", said)[1]
        assert signature.startswith(kind), (args, signature)


def test_the_whole_chain_is_sent(edge, origin, pki):
    middle = pki.ca.authority("Middle").authority("Lower")
    way = edge(proxy=origin(), cert=middle.issue("example.com"))
    with way.tls_client(pki.context()) as client:
        assert client.get().status == 200


def test_a_certificate_swapped_while_running(edge, origin, pki):
    """Connections go on, newcomers see the new one."""
    cert = pki.ca.issue("example.com", fresh=True)
    way = edge(proxy=origin(), cert=cert)
    new = pki.ca.issue("example.com", fresh=True)
    with way.tls_client(pki.context("http/1.1")) as old:
        assert old.get().status == 200
        new.write(cert.cert, cert.key)
        way.reload()
        until(lambda: shown(way, pki) == new.der, "the new certificate")
        assert old.get().status == 200
    assert not [line for line in way.access(2) if line.get("error")]


def shown(way, pki):
    with way.tls_client(pki.context()) as client:
        return client.certificate


def test_a_key_that_does_not_fit_changes_nothing(edge, origin, pki):
    cert, other = pki.ca.issue("example.com", fresh=True), pki.ca.issue("example.com", fresh=True)
    way = edge(proxy=origin(), cert=cert)
    other.write(pki.folder + "/unused.pem", cert.key)
    done = way.command("reload")
    assert done.returncode != 0
    assert cert.key in done.stderr + done.stdout + way.log
    assert "key" in done.stderr + done.stdout
    assert shown(way, pki) == cert.der
    done = run_adit("check", "-c", way.file)
    assert done.returncode == 3 and cert.key in done.stdout + done.stderr


# -- resumption -------------------------------------------------------------------------------------


def resumed(way, context, session, alpn=None):
    with way.tls_client(context, session=session) as client:
        assert client.get().status == 200
        return client.tls.session_reused, client.tls.session


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_session_is_resumed_also_after_a_reload(edge, origin, pki, version):
    way = edge(proxy=origin(), cert=pki.server, workers=2)
    context = pki.context("http/1.1", version=version)
    reused, session = resumed(way, context, None)
    assert not reused
    for _ in range(3):
        reused, session = resumed(way, context, session)
        assert reused
    way.reload(proxy=origin().at, cert=pki.server)
    assert resumed(way, context, session)[0]


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_resumes(edge, origin, pki, tmp_path, version):
    way = edge(proxy=origin(), cert=pki.server)
    assert "HTTP/1.1 200" in s_client(way, version, "-sess_out", f"{tmp_path}/s")
    assert "Reused, TLS" in s_client(way, version, "-sess_in", f"{tmp_path}/s")


def test_tickets_off(edge, origin, pki):
    way = edge(proxy=origin(), cert=pki.server, tls={"tickets": "off"})
    for version in ("1.2", "1.3"):
        context = pki.context("http/1.1", version=version)
        session = resumed(way, context, None)[1]
        assert not (session and session.has_ticket)


def test_a_session_survives_the_worker(edge, origin, pki):
    """Ticket keys belong to the keeper, not to the process that a crash takes away."""
    way = edge(proxy=origin(), cert=pki.server)
    context = pki.context("http/1.1")
    session = resumed(way, context, None)[1]
    worker = way.worker_pid
    subprocess.run(["kill", "-KILL", str(worker)], check=True)
    until(lambda: way.status()["worker"]["pid"] != worker, "another worker")
    assert resumed(way, context, session)[0]


# -- http and https side by side -----------------------------------------------------------------------


def test_http_redirects_to_https(edge, origin, pki):
    way = edge({"listen": BOTH}, proxy=origin(), cert=pki.server)
    answer = way.get("/path?q=1", host="example.com")
    assert answer.status == 308
    assert answer.get("location") == f"https://example.com:{way.tls_port}/path?q=1"


def test_redirect_off_and_a_site_without_tls(edge, origin, pki):
    app = origin()
    way = edge({"listen": BOTH, "sites": {
        "example.com": site(pki.server, app, redirect="off"),
        "clear.test": {"tls": "off", "proxy": app.at}}})
    assert way.get(host="example.com").body == b"hello"
    assert way.get(host="clear.test").body == b"hello"


def test_hsts(edge, origin, pki):
    app = origin()
    way = edge({"listen": BOTH, "sites": {"default": site(
        pki.server, app, redirect="off", hsts={"max_age": "180d", "subdomains": "on"})}})
    with way.tls_client(pki.context("http/1.1")) as client:
        assert client.get().get("strict-transport-security") == \
            "max-age=15552000; includeSubDomains"
    assert way.get().get("strict-transport-security") is None


def test_a_name_that_the_certificate_does_not_cover_is_misdirected(edge, origin, pki):
    """RFC 9110 15.5.20. A name that it covers may share the connection, as browsers do."""
    app = origin()
    both = pki.ca.issue("one.test", "two.test")
    alone = pki.ca.issue("three.test")
    way = edge({"listen": TLS, "sites": {
        "one.test": site(both, app), "two.test": site(both, app), "three.test": site(alone, app)}})
    with way.tls_client(pki.context("http/1.1"), "one.test") as client:
        assert client.get(host="one.test").status == 200
        assert client.get(host="two.test").status == 200
        assert client.get(host="three.test").status == 421
        assert client.get(host="one.test").status == 200


def test_failed_handshakes_are_counted(edge, origin, pki):
    way = edge(proxy=origin(), cert=pki.server)
    before = way.status()
    for _ in range(3):
        s_client(way, "-tls1_1", "-cipher", "ALL@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        way.tls_client(pki.other.client_context())

    def difference():
        new, old = flat(way.status()), flat(before)
        return {k: v - old.get(k, 0) for k, v in new.items() if "tls" in k or "handshake" in k}
    until(lambda: sum(difference().values()) >= 3, "the failures in the counters")


def flat(value, name=""):
    """The numbers of a JSON document by their path."""
    if isinstance(value, dict):
        return {k: v for key, part in value.items() for k, v in flat(part, f"{name}.{key}").items()}
    if isinstance(value, list):
        return {k: v for i, part in enumerate(value) for k, v in flat(part, f"{name}.{i}").items()}
    return {name: value} if isinstance(value, (int, float)) else {}


def test_the_same_page_by_every_version_and_key(edge, origin, pki):
    """A cross product, each with its own client: nothing depends on how bytes were encrypted."""
    body = bytes(range(256)) * 4000
    way = edge(proxy=origin(lambda request: reply(200, body)), cert=[pki.server, pki.rsa])
    for version in ("1.2", "1.3"):
        for suite in ("ECDHE+AESGCM", "ECDHE+CHACHA20"):
            with way.tls_client(pki.context("http/1.1", version=version, ciphers=suite)) as client:
                assert hashlib.sha256(client.get().body).digest() == hashlib.sha256(body).digest()
