# SPDX-License-Identifier: Apache-2.0
"""What https means for requests: the redirect to it, HSTS, which names share a connection, and what
origin and log are told. The handshake itself is in other files."""
import json
import os
import socket
import ssl
import time

import pytest

from harness import BOTH, TLS, Reset, reply, run_adit

LONG = "/a%20path/x?q=1&r=%2F"
SEEN = {"x-version": "$tls_version", "x-cipher": "$tls_cipher", "x-sni": "$tls_server_name",
        "x-verified": "$client_cert_verified", "x-who": "$client_cert_name",
        "x-scheme": "$scheme"}


def site(cert, app, **tls):
    return {"tls": {**cert.files, **tls}, "proxy": app.at}


def where(way, path=LONG, fields=(), host="example.com", method="GET"):
    """(status, location) of a request without TLS."""
    with way.client(way.addresses[0]) as client:
        answer = client.exchange(method, path, fields, host=host)
    return answer.status, answer.get("location")


def moved(way, path=LONG, host="example.com"):
    return 308, f"https://{host}:{way.tls_port}{path}"


# -- http to https -------------------------------------------------------------------------------------


def test_the_redirect_keeps_path_query_and_method(edge, origin, pki):
    app = origin()
    way = edge({"listen": BOTH}, proxy=app, cert=pki.server)
    assert where(way) == moved(way)
    assert where(way, "/") == moved(way, "/")
    assert where(way, method="DELETE") == moved(way)
    with way.client() as client:    # A port of the client's is not that of https.
        assert client.get("/x", host="example.com:8080").get("location") == moved(way, "/x")[1]
    assert not app.requests


def test_clear_http2_is_redirected_too(edge, origin, pki):
    way = edge({"listen": BOTH}, proxy=origin(), cert=pki.server)
    with way.h2_client() as client:
        answer = client.get(LONG)
        assert (answer.status, answer.get("location")) == moved(way)


def test_aliases_are_redirected_to_https_first(edge, origin, pki):
    """Each name is shown its own certificate and HSTS before it is sent to the main one."""
    cert = pki.ca.issue("example.com", "www.example.com")
    way = edge({"listen": BOTH, "sites": {"example.com": {
        **site(cert, origin()), "names": ["www.example.com"]}}})
    assert where(way, host="www.example.com") == moved(way, host="www.example.com")
    with way.tls_client(pki.context("http/1.1"), "www.example.com") as client:
        answer = client.get(LONG, host=f"www.example.com:{way.tls_port}")
        assert (answer.status, answer.get("location")) == moved(way)


def test_challenges_are_not_redirected(edge, origin, pki):
    app = origin()
    way = edge({"listen": BOTH}, proxy=app, cert=pki.server)
    assert where(way, "/.well-known/acme-challenge/token") == (200, None)   # Not adit's: the site's.
    assert app.last.path == "/.well-known/acme-challenge/token"
    assert where(way, "/.well-known/acme-challenges")[0] == 308


def test_what_is_not_redirected(edge, origin, pki):
    app = origin()
    way = edge({"listen": BOTH, "sites": {
        "both.test": site(pki.server, app, redirect="off"),
        "clear.test": {"tls": "off", "proxy": app.at},
        "example.com": site(pki.server, app)}})
    assert where(way, host="both.test") == (200, None)
    assert where(way, host="clear.test") == (200, None)
    assert where(way) == moved(way)


def test_a_site_overrides_the_top_level(edge, origin, pki):
    app = origin()
    way = edge({"listen": BOTH, "tls": {"redirect": "off", "hsts": "on"}, "sites": {
        "example.com": site(pki.server, app, redirect="on", hsts="off"),
        "both.test": site(pki.server, app)}})
    assert where(way) == moved(way)
    assert where(way, host="both.test") == (200, None)
    with way.tls_client(pki.context("http/1.1")) as client:
        assert "strict-transport-security" not in client.get(host="example.com").names()


def test_a_proxy_in_front_that_speaks_tls(edge, origin, pki):
    app = origin()
    way = edge({"listen": BOTH, "trusted_proxies": ["127.0.0.0/8"]}, proxy=app, cert=pki.server)
    said = [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https")]
    assert where(way, fields=said) == (200, None)
    assert app.last.get("x-forwarded-proto") == "https"
    assert where(way, fields=[said[0], ("X-Forwarded-Proto", "http")]) == moved(way)
    assert where(way, fields=[("Forwarded", "for=203.0.113.7;proto=https")]) == (200, None)
    assert where(way) == moved(way)


def test_a_stranger_cannot_say_that_it_is_secure(edge, origin, pki):
    way = edge({"listen": BOTH}, proxy=origin(), cert=pki.server)
    assert where(way, fields=[("X-Forwarded-Proto", "https"),
                              ("Forwarded", "proto=https")]) == moved(way)


def test_nothing_to_redirect_to(edge, origin):
    """Without a TLS listener a site with TLS is served in clear."""
    way = edge({"sites": {"example.com": {"proxy": origin().at}}})
    assert where(way) == (200, None)


# -- HSTS ----------------------------------------------------------------------------------------------

YEAR = 365 * 86400


@pytest.mark.parametrize("said, sent", [
    ("on", f"max-age={YEAR}"),
    ("off", None),
    ("180d", f"max-age={180 * 86400}"),
    ({"max_age": "0s"}, "max-age=0"),
    ({"subdomains": "on"}, f"max-age={YEAR}; includeSubDomains"),
    ({"max_age": "730d", "subdomains": "on", "preload": "on"},
     f"max-age={2 * YEAR}; includeSubDomains; preload")])
def test_hsts(edge, origin, pki, said, sent):
    app = origin(lambda request: reply(200, b"x"))
    way = edge({"listen": BOTH, "sites": {"default": {
        "tls": {**pki.server.files, "hsts": said, "redirect": "off"},
        "routes": [{"path": "/fixed", "respond": "ok"}, {"path": "/gone", "respond": 410},
                   {"path": "/away", "redirect": "/x"}, {"path": "/", "proxy": app.at}]}}})
    with way.tls_client(pki.context("http/1.1")) as client, way.client() as clear:
        for path in ("/", "/fixed", "/gone", "/away", "/nothing"):
            assert client.get(path).get("strict-transport-security") == sent, path
            assert "strict-transport-security" not in clear.get(path).names(), path
    with way.h2_client(pki.context("h2")) as client:
        assert client.get("/").get("strict-transport-security") == sent


def test_hsts_is_not_in_the_redirect_to_https(edge, origin, pki):
    """RFC 6797 7.2: never by an insecure way."""
    way = edge({"listen": BOTH, "tls": {"hsts": "on"}}, proxy=origin(), cert=pki.server)
    answer = way.get()
    assert answer.status == 308 and "strict-transport-security" not in answer.names()


def test_an_origins_hsts_is_replaced(edge, origin, pki):
    app = origin(lambda request: reply(200, b"x", [("Strict-Transport-Security", "max-age=5")]))
    way = edge({"listen": TLS, "tls": {"hsts": "1d"}}, proxy=app, cert=pki.server)
    with way.tls_client(pki.context("http/1.1")) as client:
        assert client.get().get("strict-transport-security") == "max-age=86400"


# -- which names share a connection ----------------------------------------------------------------------


@pytest.fixture
def names(edge, origin, pki):
    """one and two share a certificate, three has its own, four the shared one and other rules."""
    app = origin(lambda request: reply(200, request.get("host").encode()))
    shared = pki.ca.issue("one.test", "two.test", "four.test")
    way = edge({"listen": TLS, "sites": {
        "one.test": site(shared, app), "two.test": site(shared, app),
        "three.test": site(pki.ca.issue("three.test"), app),
        "four.test": site(shared, app, client={"mode": "optional", "ca": pki.ca.file})}})
    return way, app


ROWS = [("one.test", 200), ("two.test", 200), ("three.test", 421), ("four.test", 421),
        ("one.test", 200)]


def test_one_connection_for_the_names_of_one_certificate(names, pki):
    """RFC 9110 15.5.20: others get 421 and the connection goes on."""
    way, app = names
    with way.tls_client(pki.context("http/1.1"), "one.test") as client:
        assert [(host, client.get(host=host).status) for host, _ in ROWS] == ROWS
    assert [r.get("host") for r in app.requests] == ["one.test", "two.test", "one.test"]


def test_http2_shares_connections_by_the_same_rules(names, pki):
    """RFC 9113 9.1.1: browsers do so by themselves."""
    way, app = names
    with way.h2_client(pki.context("h2"), "one.test") as client:
        assert [(host, client.get(authority=host).status) for host, _ in ROWS] == ROWS
        streams = [client.begin(authority=host) for host, _ in ROWS]    # All at once, too.
        assert [s.answer().status for s in streams] == [status for _, status in ROWS]
        assert not client.gone and client.goaway is None
    assert {r.get("host") for r in app.requests} == {"one.test", "two.test"}


def test_a_host_that_no_site_has(names, pki):
    way, app = names
    with way.tls_client(pki.context("http/1.1"), "one.test") as client:
        assert client.get(host="nobody.test").status == 421
    assert not app.requests


def test_a_stricter_minimum_is_another_policy(edge, origin, pki):
    app, cert = origin(), pki.ca.issue("old.test", "new.test")
    way = edge({"listen": TLS, "sites": {
        "old.test": site(cert, app), "new.test": site(cert, app, min_version="1.3")}})
    with way.tls_client(pki.context("http/1.1", version="1.2"), "old.test") as client:
        assert client.get(host="old.test").status == 200
        assert client.get(host="new.test").status == 421
    with pytest.raises(ssl.SSLError):
        way.tls_client(pki.context("http/1.1", version="1.2"), "new.test")


def test_a_site_without_tls_is_not_served_by_it(edge, origin, pki):
    app = origin()
    way = edge({"listen": BOTH, "sites": {
        "example.com": site(pki.server, app), "clear.example.com": {"tls": "off", "proxy": app.at}}})
    with way.tls_client(pki.context("http/1.1")) as client:
        assert client.get(host="clear.example.com").status == 421
        assert client.get(host="example.com").status == 200


def test_the_host_may_be_written_otherwise(edge, origin, pki):
    way = edge({"listen": TLS, "sites": {"example.com": site(pki.server, origin())}})
    with way.tls_client(pki.context("http/1.1")) as client:
        for host in ("EXAMPLE.com", "example.com:443", f"example.com:{way.tls_port}", "example.com."):
            assert client.get(host=host).status == 200, host


def test_421_is_said_to_grpc_as_a_status(names, pki):
    way, _ = names
    with way.h2_client(pki.context("h2"), "one.test") as client:
        answer = client.exchange("POST", "/a.B/C", [("content-type", "application/grpc"),
                                                    ("te", "trailers")], authority="three.test")
        assert answer.status == 200
        assert (answer.get("grpc-status") or dict(answer.trailers)["grpc-status"]) == "14"


@pytest.mark.parametrize("path, status", [("/down.A/B", "14"), ("/none.A/B", "12"),
                                          ("/private.A/B", "7"), ("/login.A/B", "16")])
def test_adits_own_errors_are_said_to_grpc_as_a_status(edge, pki, path, status):
    """A gRPC client does not look at the HTTP status or at a page; another one gets both."""
    way = edge({"listen": TLS, "sites": {"default": {"tls": pki.server.files, "routes": [
        {"path": "/down.A/*", "proxy": "127.0.0.1:1"}, {"path": "/private.A/*", "respond": 403},
        {"path": "/login.A/*", "respond": 401}]}}})
    with way.h2_client(pki.context("h2")) as client:
        answer = client.exchange("POST", path, [("content-type", "application/grpc+proto"),
                                                ("te", "trailers")])
        assert answer.status == 200 and answer.get("content-type").startswith("application/grpc")
        assert {**dict(answer.fields), **dict(answer.trailers)}["grpc-status"] == status
        assert answer.body == b""
        plain = client.exchange("POST", path, [("content-type", "text/plain")])
        assert plain.status >= 400 and "grpc-status" not in plain.names()


# -- what origin and log are told ----------------------------------------------------------------------


def told_edge(edge, pki, app, **top):
    return edge({"listen": BOTH, "sites": {"default": {
        "proxy": app.at, "headers": {"request": {"set": SEEN}},
        "tls": {**pki.server.files, "redirect": "off",
                "client": {"mode": "optional", "ca": pki.ca.file}}}}}, **top)


def test_the_origin_hears_of_https(edge, origin, pki):
    app = origin()
    way = told_edge(edge, pki, app)
    lies = [("X-Forwarded-Proto", "http"), ("X-Who", "root"), ("X-Verified", "on"),
            ("X-SNI", "lie.test")]
    with way.tls_client(pki.context("http/1.1", version="1.3")) as client:
        assert client.get("/", lies).status == 200
    told = {name: app.last.get(name, "") for name in SEEN}
    assert told == {"x-version": "TLSv1.3", "x-cipher": client.tls.cipher()[0], "x-sni": "example.com",
                    "x-verified": "off", "x-who": "", "x-scheme": "https"}
    assert app.last.get("x-forwarded-proto") == "https"
    with way.h2_client(pki.context("h2", version="1.2", cert=pki.client)) as client:
        assert client.get("/").status == 200
    assert (app.last.get("x-version"), app.last.get("x-who"), app.last.get("x-verified")) \
        == ("TLSv1.2", "alice", "on")
    assert app.last.get("x-forwarded-proto") == "https"
    way.get("/", lies)
    told = {name: app.last.get(name, "") for name in SEEN}
    assert told == {"x-version": "", "x-cipher": "", "x-sni": "", "x-verified": "off", "x-who": "",
                    "x-scheme": "http"}


def test_forwarded_says_https(edge, origin, pki):
    app = origin()
    way = edge({"listen": TLS, "forwarded": "rfc7239"}, proxy=app, cert=pki.server)
    with way.tls_client(pki.context("http/1.1")) as client:
        client.get()
    assert "proto=https" in app.last.get("forwarded")


def test_the_access_log_tells(edge, origin, pki):
    way = told_edge(edge, pki, origin())
    with way.tls_client(pki.context("http/1.1", cert=pki.client)) as client:
        client.get("/one")
        cipher = client.tls.cipher()[0]
    with way.h2_client(pki.context("h2")) as client:
        client.get("/two")
    way.get("/three")
    one, two, three = way.access(3)
    assert (one["tls"], one["cipher"], one["client_cert"]) == ("TLSv1.3", cipher, "alice")
    assert two["tls"] == "TLSv1.3" and "client_cert" not in two
    assert (one["protocol"], two["protocol"]) == ("HTTP/1.1", "HTTP/2")
    assert not {"tls", "cipher", "client_cert"} & set(three)


# -- listeners -----------------------------------------------------------------------------------------


def test_several_ports_speak_tls_and_the_first_is_redirected_to(edge, origin, pki):
    way = edge({"listen": ["127.0.0.1:0", *TLS, *TLS, {"at": "127.0.0.1:0", "tls": "off"}]},
               proxy=origin(), cert=pki.server)
    assert way.schemes == ["http", "https", "https", "http"]
    assert where(way)[1] == f"https://example.com:{way.addresses[1][1]}{LONG}"
    for at in way.addresses[1:3]:
        with socket.create_connection(at) as sock, \
                pki.context("http/1.1").wrap_socket(sock, server_hostname="example.com") as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")


def test_a_reload_turns_a_port_to_tls_and_back(edge, origin, pki):
    app = origin()
    way = edge(proxy=app)
    at = "%s:%d" % way.at
    assert way.get().status == 200
    way.reload({"listen": [{"at": at, "tls": "on"}]}, proxy=app, cert=pki.server)
    with socket.create_connection(way.at) as sock, \
            pki.context("http/1.1").wrap_socket(sock, server_hostname="example.com") as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    way.reload({"listen": [at]}, proxy=app)
    assert way.get().status == 200


def checked(folder, **config):
    path = folder / "adit.yaml"
    path.write_text(json.dumps(config))
    done = run_adit("check", "-c", path)
    return done.returncode, done.stdout + done.stderr


def start_as_nobody(folder, **config):
    """What `adit serve` says to a user who may not have ports below 1024."""
    path = folder / "adit.yaml"
    path.write_text(json.dumps({"control": str(folder / "control"), **config}))
    nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    return run_adit("serve", "-c", path, "--state", folder / "state", **nobody)


def privileged_ports():
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        return int(file.read()) > 443


@pytest.mark.skipif(not privileged_ports(), reason="here anybody may have port 80")
def test_without_listen_a_site_with_tls_wants_the_ports_of_the_web(tmp_path):
    tmp_path.chmod(0o777)
    done = start_as_nobody(tmp_path, sites={"example.com": {"proxy": 3000}})
    assert done.returncode == 1, done.stderr
    assert "80" in done.stderr and "root" in done.stderr and "listen" in done.stderr


# -- mistakes ------------------------------------------------------------------------------------------

MISTAKES = [
    ({"tls": {"cert": "x.pem"}}, "key"),
    ({"tls": {"key": "x.pem"}}, "cert"),
    ({"tls": {"cert": "/none/x.pem", "key": "/none/x.key"}}, "/none/x.pem"),
    ({"ssl_certificate": "x.pem"}, "did you mean `tls`"),
    ({"tls": {"clinet": "off"}}, "did you mean `client`"),
    ({"tls": {"client": {"mode": "required"}}}, "ca"),
    ({"tls": {"client": "required"}}, "ca"),
    ({"tls": {"on_demand": "on"}}, "ask"),
    ({"tls": {"hsts": {"preload": "on"}}}, "subdomains"),
    ({"tls": {"min_version": "1.1"}}, "1.2"),
    ({"tls": {"protocols": ["h3"]}}, "h2"),
]


@pytest.mark.parametrize("wrong, word", MISTAKES, ids=[json.dumps(w) for w, _ in MISTAKES])
def test_mistakes_are_named(tmp_path, wrong, word):
    code, said = checked(tmp_path, listen=[":8080", {"at": ":8443", "tls": "on"}],
                         sites={"example.com": {"proxy": 3000, **wrong}})
    assert code == 3 and word in said and "adit.yaml" in said, said


@pytest.mark.parametrize("top", [{"listen": [":80", ":443"]}, {}], ids=["listen", "no listen"])
def test_a_wildcard_needs_a_hook_or_files(tmp_path, top):
    """Also where there is no TLS listener because nothing else has TLS."""
    code, said = checked(tmp_path, **top, sites={"*.example.com": {"proxy": 3000, "tls": "on"}})
    assert code == 3 and "DNS hook" in said and "no TLS listener" not in said, said
    code, said = checked(tmp_path, **top, sites={"*.example.com": {"proxy": 3000}, "default": {
        "respond": "ok"}})
    assert code == 0 and "has no TLS" in said, said


# -- limits --------------------------------------------------------------------------------------------


def test_limits_streams(edge, origin, pki):
    """Announced, and enforced: the stream above it is refused, which a client may try again."""
    app = origin()
    way = edge({"listen": TLS, "limits": {"streams": 3}}, proxy=app, cert=pki.server)
    with way.h2_client(pki.context("h2")) as client:
        client.ping()
        assert client.remote[3] == 3
        held = [client.begin("POST", "/", body=None) for _ in range(3)]
        for stream in held:
            stream.end()
        assert [s.answer().status for s in held] == [200] * 3
    way.reload({"listen": [{"at": "127.0.0.1:%d" % way.tls_port, "tls": "on"}],
                "limits": {"streams": 7}}, proxy=app, cert=pki.server)
    with way.h2_client(pki.context("h2")) as client:
        client.ping()
        assert client.remote[3] == 7


def test_more_streams_than_the_limit_are_refused(edge, origin, pki):
    way = edge({"listen": TLS, "limits": {"streams": 2}}, proxy=origin(), cert=pki.server)
    with way.h2_client(pki.context("h2")) as client:
        client.ping()
        client.conn.remote_settings[3] = 100    # A client that does not listen.
        client.conn.remote_settings.acknowledge()
        held = [client.begin("POST", "/", body=None) for _ in range(2)]
        third = client.begin()
        with pytest.raises(Reset) as refused:
            third.answer()
        assert refused.value.code == 7
        for stream in held:
            stream.end()
            assert stream.answer().status == 200


def test_the_handshake_has_a_deadline(edge, origin, pki):
    way = edge({"listen": TLS, "timeouts": {"handshake": "300ms"}}, proxy=origin(),
               cert=pki.server)
    with way.tls_client(pki.context("http/1.1")) as quick, \
            socket.create_connection(way.tls_at, 10) as slow:
        slow.sendall(b"\x16\x03\x01")
        began = time.monotonic()
        try:
            while slow.recv(100):   # An alert, perhaps.
                pass
        except ConnectionResetError:
            pass
        assert 0.2 <= time.monotonic() - began < 8
        assert quick.get().status == 200    # Who came through is not meant.
