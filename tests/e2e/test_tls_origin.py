# SPDX-License-Identifier: Apache-2.0
"""Origins behind TLS: never trusted silently, and told who asks."""
import contextlib
import socket
import ssl
import threading

import pytest

from harness import reply, until


def upstream(*apps, retry=None, **tls):
    protocol = tls.pop("protocol", None)
    app = {"servers": [getattr(app, "at", app) for app in apps], "tls": tls,
           "protocol": protocol, "retry": retry}
    return {"upstreams": {"app": {k: v for k, v in app.items() if v}},
            "sites": {"default": {"proxy": "app"}}}


def test_an_origin_of_ones_own_authority(edge, origin, pki):
    app = origin(tls=pki.origin_context("http/1.1"))
    way = edge(upstream(app, ca=pki.ca.file))
    for _ in range(3):
        assert way.get("/x").body == b"hello"
    assert len(app.conns) == 1, "it is pooled like any other"
    assert app.last.get("host") == "example.com"
    assert app.conns[0].sock.tls.selected_alpn_protocol() == "http/1.1"


BAD = {
    "unknown authority": (lambda pki: pki.other.issue(*pki.NAMES), {},
                          "unable to get local issuer|unknown"),
    "expired": (lambda pki: pki.ca.issue(*pki.NAMES, days=(-30, -1)), {}, "expired"),
    "not yet": (lambda pki: pki.ca.issue(*pki.NAMES, days=(5, 30)), {}, "not yet valid"),
    "wrong address": (lambda pki: pki.ca.issue("other.test"), {}, "(?i)mismatch"),
    "wrong name": (lambda pki: pki.server, {"name": "app.internal"}, "(?i)mismatch"),
    "for clients": (lambda pki: pki.ca.issue(*pki.NAMES, client=True), {}, "purpose"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_certificate_is_502_with_the_reason_in_the_log(edge, origin, pki, case):
    make, tls, reason = BAD[case]
    app = origin(tls=pki.origin_context(cert=make(pki)))
    way = edge(upstream(app, ca=pki.ca.file, **tls))
    assert way.get().status == 502
    assert not app.requests
    until(lambda: app.bad_handshakes, "the origin being told")
    way.wait_log(f"(?i){reason}")
    line = way.access()[0]
    assert line["status"] == 502 and line["error"].startswith("tls"), line


def test_the_systems_authorities_do_not_know_ours(edge, origin, pki):
    app = origin(tls=pki.origin_context())
    assert edge(upstream(app)).get().status == 502
    assert edge(proxy=app).get().status == 502
    assert not app.requests


def test_verify_off_trusts_anybody(edge, origin, pki):
    app = origin(tls=pki.origin_context(cert=pki.other.issue("nobody.test", days=(-9, -1))))
    assert edge(upstream(app, verify="off")).get().body == b"hello"


def test_a_name_in_the_address_is_sent_and_verified(edge, origin, pki, dns):
    asked = []
    context = pki.origin_context(cert=pki.ca.issue("localhost"))
    context.sni_callback = lambda tls, name, context: asked.append(name)
    app = origin(tls=context)
    way = edge(upstream(f"https://localhost:{app.port}", ca=pki.ca.file))
    assert way.get().body == b"hello"
    assert asked == ["localhost"]


def test_a_name_of_the_users_is_sent_and_verified(edge, origin, pki):
    asked = []
    context = pki.origin_context(cert=pki.ca.issue("app.internal"))
    context.sni_callback = lambda tls, name, context: asked.append(name)
    app = origin(tls=context)
    assert edge(upstream(app, ca=pki.ca.file, name="app.internal")).get().body == b"hello"
    assert asked == ["app.internal"]


def test_an_address_is_not_sent_as_a_name(edge, origin, pki):
    """RFC 6066 3: literal addresses are not permitted in SNI."""
    asked = []
    context = pki.origin_context()
    context.sni_callback = lambda tls, name, context: asked.append(name)
    assert edge(upstream(origin(tls=context), ca=pki.ca.file)).get().status == 200
    assert asked == [None]


def test_an_origin_that_wants_a_certificate(edge, origin, pki):
    app = origin(tls=pki.origin_context(ask=pki.ca))
    way = edge(upstream(app, ca=pki.ca.file, cert=pki.client.cert, key=pki.client.key))
    assert way.get().body == b"hello"
    shown = app.conns[0].sock.tls.getpeercert()
    assert (("commonName", "alice"),) in shown["subject"]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_an_origin_that_wants_one_and_gets_none(edge, origin, pki, version):
    app = origin(tls=pki.origin_context(ask=pki.ca, version=version))
    assert edge(upstream(app, ca=pki.ca.file)).get().status == 502
    assert not app.requests


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_sessions_are_used_again(edge, origin, pki, version):
    app = origin(lambda request: reply(200, b"bye", close=True),
                 tls=pki.origin_context(version=version))
    way = edge(upstream(app, ca=pki.ca.file))
    for _ in range(4):
        assert way.get().body == b"bye"
    assert [conn.sock.tls.session_reused for conn in app.conns][1:] == [True] * 3


def test_a_minimum_of_1_3(edge, origin, pki):
    app = origin(tls=pki.origin_context(version="1.2"))
    assert edge(upstream(app, ca=pki.ca.file, min_version="1.3")).get().status == 502
    assert edge(upstream(app, ca=pki.ca.file)).get().status == 200


def test_big_bodies_both_ways(edge, origin, pki):
    app = origin(lambda request: reply(200, request.body), tls=pki.origin_context())
    way = edge(upstream(app, ca=pki.ca.file))
    body = bytes(range(256)) * 12000
    assert way.exchange("POST", "/", body=body).body == body


def test_tls_on_both_sides(edge, origin, pki):
    app = origin(tls=pki.origin_context())
    way = edge(upstream(app, ca=pki.ca.file), cert=pki.server)
    with way.tls_client(pki.context("http/1.1")) as client:
        for _ in range(5):
            assert client.get().body == b"hello"


# -- what goes wrong ------------------------------------------------------------------------------------


def broken_close(conn):
    conn.fill(5)
    conn.close()


def broken_reset(conn):
    conn.fill(5)
    conn.reset()


def not_tls(conn):
    conn.fill()
    conn.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    conn.read_to_end()


def half_a_record(conn):
    conn.fill()
    conn.send(b"\x16\x03\x03\x40\x00" + b"x" * 100)
    conn.close()


@pytest.mark.parametrize("play", [broken_close, broken_reset, not_tls, half_a_record])
def test_a_handshake_that_fails_is_502(edge, origin, pki, play):
    app = origin(play=play)
    way = edge(upstream("https://" + app.at, ca=pki.ca.file, retry={"attempts": 1}))
    assert way.get().status == 502
    line = way.access()[0]
    assert (line["status"], line["side"]) == (502, "up")


def test_a_slow_handshake_is_504(edge, origin, pki):
    app = origin(play=lambda conn: conn.read_to_end())
    way = edge(upstream("https://" + app.at, ca=pki.ca.file), timeouts={"connect": "500ms"})
    assert way.get().status == 504


def test_another_server_is_asked(edge, origin, pki):
    good = origin(tls=pki.origin_context())
    closing = origin(play=broken_close)
    expired = origin(tls=pki.origin_context(cert=pki.ca.issue(*pki.NAMES, days=(-30, -1))))
    way = edge(upstream("https://" + closing.at, expired, good, ca=pki.ca.file,
                        retry={"attempts": 2}))
    for _ in range(6):
        assert way.exchange("POST", "/", body=b"x").body == b"hello"


def test_an_origin_that_closes_an_idle_connection(edge, origin, pki):
    """close_notify and FIN while it is pooled: the next request takes a new one."""
    app = origin(tls=pki.origin_context())
    way = edge(upstream(app, ca=pki.ca.file))
    assert way.get().body == b"hello"
    with contextlib.suppress(OSError):  # it has gone by itself
        app.conns[0].sock.shutdown(socket.SHUT_RDWR)
    for _ in range(3):
        assert way.exchange("POST", "/", body=b"x").body == b"hello"


def test_a_body_cut_without_close_notify_is_not_whole(edge, origin, pki):
    """A body that ends with the connection is whole only when TLS says so (RFC 9112 9.8)."""
    def play(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of the")
        conn.sock.sock.shutdown(socket.SHUT_RDWR)
    way = edge(upstream(origin(play=play, tls=pki.origin_context()), ca=pki.ca.file))
    with way.client() as client:
        client.ask("GET")
        assert client.cut_body() == b"half of the"


def test_a_body_ended_by_close_notify_is_whole(edge, origin, pki):
    app = origin(lambda r: reply(200, b"all of it", length=False, close=True),
                 tls=pki.origin_context())
    answer = edge(upstream(app, ca=pki.ca.file)).get()
    assert (answer.status, answer.body) == (200, b"all of it")


def test_requests_at_once(edge, origin, pki):
    gate = threading.Barrier(10)

    def handler(request):
        gate.wait(10)
        return reply(200, request.target.encode())
    app = origin(handler, tls=pki.origin_context())
    way = edge(upstream(app, ca=pki.ca.file))
    clients = [way.client().ask("GET", f"/{i}") for i in range(10)]
    assert [c.answer().body for c in clients] == [b"/%d" % i for i in range(10)]


def test_credentials_of_an_origin_change_with_a_reload(edge, origin, pki):
    app = origin(lambda request: reply(200, b"x", close=True), tls=pki.origin_context())
    way = edge(upstream(app, ca=pki.other.file))
    assert way.get().status == 502
    way.reload(upstream(app, ca=pki.ca.file))
    assert way.get().status == 200
    way.reload(upstream(app, ca=pki.other.file))
    assert way.get().status == 502
    assert isinstance(app.bad_handshakes[0], (ssl.SSLError, OSError))
