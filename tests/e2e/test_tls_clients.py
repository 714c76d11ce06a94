# SPDX-License-Identifier: Apache-2.0
"""Client certificates: off, optional, required; who the client is, in fields and in the log."""
import base64
import ssl
import subprocess

import pytest

from harness import TLS, reply

SHOW = {"x-subject": "$client_cert_subject", "x-name": "$client_cert_name",
        "x-serial": "$client_cert_serial", "x-fingerprint": "$client_cert_fingerprint",
        "x-verified": "$client_cert_verified", "x-cert": "$client_cert",
        "x-version": "$tls_version", "x-cipher": "$tls_cipher", "x-sni": "$tls_server_name"}


def start(edge, origin, pki, mode, **top):
    app = origin()
    client = {"mode": mode, "ca": pki.ca.file} if mode != "off" else "off"
    return app, edge({"sites": {"default": {
        "proxy": app.at, "tls": {**pki.server.files, "client": client},
        "headers": {"request": {"set": SHOW}}}}}, listen=TLS, **top)


def answered(way, context):
    """Whether it was answered. In TLS 1.3 a refusal comes after the client's handshake ended."""
    try:
        with way.tls_client(context) as client:
            return client.get().status
    except (ssl.SSLError, EOFError, ConnectionError) as refusal:
        return refusal


def test_who_the_client_is(edge, origin, pki):
    app, way = start(edge, origin, pki, "required")
    with way.tls_client(pki.context("http/1.1", cert=pki.client)) as client:
        assert client.get().status == 200
        assert client.get().status == 200
    told = {name: app.last.get(name) for name in SHOW}
    assert told["x-name"] == "alice"
    assert "CN=alice" in told["x-subject"].replace(" ", "")
    assert int(told["x-serial"], 16) == pki.client.serial
    assert told["x-fingerprint"].replace(":", "").lower() == pki.client.fingerprint
    assert told["x-verified"] == "on"
    assert base64.b64decode(told["x-cert"]) == pki.client.der
    assert told["x-version"] in ("1.3", "TLSv1.3") and "AES" in told["x-cipher"]
    assert told["x-sni"] == "example.com"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_required_and_absent(edge, origin, pki, version):
    app, way = start(edge, origin, pki, "required")
    refusal = answered(way, pki.context("http/1.1", version=version))
    assert refusal not in range(200, 400), refusal
    assert not app.requests


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("mode", ["optional", "required"])
def test_of_an_unknown_authority(edge, origin, pki, version, mode):
    app, way = start(edge, origin, pki, mode)
    stranger = pki.other.issue(client=True, common="mallory")
    refusal = answered(way, pki.context("http/1.1", version=version, cert=stranger))
    if mode == "optional" and refusal == 200:
        assert app.last.get("x-verified", "off") == "off" and not app.last.get("x-name")
    else:
        assert refusal not in range(200, 400), refusal
        assert not app.requests


def test_expired_and_for_servers_only(edge, origin, pki):
    app, way = start(edge, origin, pki, "required")
    for cert in (pki.ca.issue(client=True, common="late", days=(-30, -1)), pki.server):
        refusal = answered(way, pki.context("http/1.1", cert=cert))
        assert refusal not in range(200, 400), refusal
    assert not app.requests


def test_optional_and_absent(edge, origin, pki):
    app, way = start(edge, origin, pki, "optional")
    assert answered(way, pki.context("http/1.1")) == 200
    assert app.last.get("x-verified", "off") == "off"
    assert not app.last.get("x-subject")


def test_optional_and_shown(edge, origin, pki):
    app, way = start(edge, origin, pki, "optional")
    assert answered(way, pki.context("http/1.1", cert=pki.client)) == 200
    assert (app.last.get("x-verified"), app.last.get("x-name")) == ("on", "alice")


def test_off_is_not_asked_for(edge, origin, pki):
    app, way = start(edge, origin, pki, "off")
    assert answered(way, pki.context("http/1.1", cert=pki.client)) == 200
    assert not app.last.get("x-subject")


def test_a_client_cannot_say_who_it_is_itself(edge, origin, pki):
    app, way = start(edge, origin, pki, "optional")
    with way.tls_client(pki.context("http/1.1")) as client:
        client.get("/", [("X-Name", "alice"), ("X-Verified", "on")])
    assert "alice" not in app.last.all("x-name")
    assert "on" not in app.last.all("x-verified")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_the_identity_is_resumed_with_the_session(edge, origin, pki, version):
    app, way = start(edge, origin, pki, "required")
    context = pki.context("http/1.1", version=version, cert=pki.client)
    with way.tls_client(context) as client:
        client.get()
        session = client.tls.session
    with way.tls_client(context, session=session) as client:
        assert client.get().status == 200
    assert (app.last.get("x-name"), app.last.get("x-verified")) == ("alice", "on")


def test_a_session_of_one_site_opens_no_other(edge, origin, pki):
    """A ticket from a site without client certificates must not pass where they are required."""
    app = origin(lambda request: reply(200, request.get("host").encode()))
    cert = pki.ca.issue("open.test", "closed.test")
    way = edge({"listen": TLS, "sites": {
        "open.test": {"tls": cert.files, "proxy": app.at},
        "closed.test": {"tls": {**cert.files, "client": {"mode": "required", "ca": pki.ca.file}},
                        "proxy": app.at}}})
    for version in ("1.2", "1.3"):
        context = pki.context("http/1.1", version=version)
        with way.tls_client(context, "open.test") as client:
            assert client.get(host="open.test").status == 200
            assert client.get(host="closed.test").status == 421
            session = client.tls.session
        try:
            with way.tls_client(context, "closed.test", session=session) as client:
                status = client.get(host="closed.test").status
        except (ssl.SSLError, EOFError, ConnectionError):
            status = None
        assert status is None or status >= 400
    assert "closed.test" not in [r.get("host") for r in app.requests]


def test_curl_with_a_certificate(edge, origin, pki):
    app, way = start(edge, origin, pki, "required")
    done = subprocess.run(["curl", "-sS", "--cacert", pki.ca.file, "--cert", pki.client.cert,
                           "--key", pki.client.key, f"https://localhost:{way.tls_port}/"],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout == "hello", done.stderr
    assert app.last.get("x-name") == "alice"


def test_the_log_says_who(edge, origin, pki, tmp_path):
    """As a variable in an answer's field, which is what routes and logs have in common."""
    app = origin()
    way = edge({"sites": {"default": {
        "proxy": app.at, "tls": {**pki.server.files,
                                 "client": {"mode": "required", "ca": pki.ca.file}},
        "headers": {"response": {"set": {"x-you-are": "$client_cert_name"}}}}}}, listen=TLS)
    with way.tls_client(pki.context("http/1.1", cert=pki.client)) as client:
        assert client.get().get("x-you-are") == "alice"
    line = way.access()[0]
    assert line["client_cert"] == "alice", line
