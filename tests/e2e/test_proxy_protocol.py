# SPDX-License-Identifier: Apache-2.0
"""The PROXY protocol of those who connect on behalf of others."""
import socket
import struct
import subprocess

import pytest

from harness import Client, TlsClient, until
from harness.client import request

HERE = ["127.0.0.1"]
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"


def block(command=0x21, family=0x11, body=None):
    """A header of version 2; by default as LINE says it."""
    if body is None:
        body = (socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") +
                struct.pack("!HH", 56324, 443))
    return SIGNATURE + bytes([command, family]) + struct.pack("!H", len(body)) + body


def listener(sources=None, tls=False):
    return {"at": "127.0.0.1:0", "tls": tls, "proxy_protocol": sources or HERE}


def count(way, name):
    return way.status()["counters"][name]


def is_turned_away(way):
    """The reset may come while connect() still looks."""
    try:
        with way.client() as conn:
            conn.at_end()
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize("header,client", [
    (LINE, "192.0.2.7"),
    (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (block(), "192.0.2.7"),
    (block(family=0x21, body=socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + b"\0\1\0\2"),
     "2001:db8::7"),
    (block(command=0x20), "127.0.0.1"),
    (block(command=0x20, family=0, body=b""), "127.0.0.1"),
    (block(family=0, body=b""), "127.0.0.1"),
], ids=["v1", "v1-6", "v1-unknown", "v2", "v2-6", "v2-local", "v2-local-empty", "v2-unspec"])
def test_the_client_is_the_one_in_the_header(edge, origin, header, client):
    app = origin()
    way = edge(proxy=app, listen=[listener()])
    with way.client() as conn:
        conn.send(header + request("GET", "/one") + request("GET", "/two"))
        assert conn.answer("GET").status == 200
        assert conn.answer("GET").status == 200
    assert [r.get("x-forwarded-for") for r in app.requests] == [client, client]
    assert client in way.access()[0]["client"]
    assert count(way, "proxy_headers") == 1


def test_a_client_behind_a_unix_socket_has_no_address(edge, origin):
    app = origin()
    way = edge(proxy=app, listen=[listener()])
    with way.client() as conn:
        conn.send(block(family=0x31, body=bytes(216)))
        assert conn.get().status == 200
    assert "x-forwarded-for" not in app.last.names()


def test_byte_by_byte(edge, origin):
    app = origin()
    way = edge(proxy=app, listen=[listener()])
    for header in (LINE, block()):
        with way.client() as conn:
            for i in range(len(header)):
                conn.send(header[i:i + 1])
            assert conn.get().status == 200
    assert app.last.get("x-forwarded-for") == "192.0.2.7"


BAD = {
    "missing": [b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", b"\x16\x03\x01\x02\0\x01", b"P\0",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    "malformed": [b"PROXY TCP4 1.1.1.1 2.2.2.2 1 99999\r\n", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n\n",
                  b"PROXY " + b"x" * 200, block(body=b"short"),
                  block(body=bytes(12) + b"\x04\0\x09")],
    "unsupported": [block(command=0x31), block(command=0x22), block(family=0x51),
                    SIGNATURE + b"\x21\x11\xff\xff"],
    "checksum": [block(body=bytes(12) + b"\x03\0\x04\1\2\3\4")],
}


@pytest.mark.parametrize("reason,header", [(r, h) for r, rows in BAD.items() for h in rows])
def test_bad_headers_close_the_connection(edge, origin, reason, header):
    app = origin()
    way = edge(proxy=app, listen=[listener()])
    with way.client() as conn:
        conn.send(header)
        until(lambda: count(way, f"proxy_header_{reason}") == 1, "the reason")
        conn.at_end()
    assert not app.requests
    assert count(way, "proxy_headers") == 0


def test_others_may_not_connect(edge, origin):
    way = edge(proxy=origin(), listen=[listener(["127.0.0.2", "10.0.0.0/8"])])
    assert is_turned_away(way)
    assert count(way, "proxy_header_untrusted") == 1
    with way.client(source="127.0.0.2") as conn:
        conn.send(LINE)
        assert conn.get().status == 200


def test_who_says_nothing_is_not_waited_for(edge, origin):
    way = edge(proxy=origin(), listen=[listener()], timeouts={"handshake": "300ms"})
    with way.client() as conn:
        conn.send(LINE[:20])
        conn.at_end()
    assert count(way, "proxy_header_late") == 1
    until(lambda: count(way, "connections_open") == 0, "the end of the connection")


def test_who_goes_away_early_is_counted(edge, origin):
    way = edge(proxy=origin(), listen=[listener()])
    way.client().close()
    until(lambda: count(way, "proxy_header_closed") == 1, "the end")


def test_a_header_before_tls(edge, origin, pki):
    app = origin()
    way = edge(proxy=app, cert=pki.server, listen=[listener(tls=True)])
    with way.tls_client(pki.context("http/1.1"), first=LINE) as conn:
        assert conn.get().status == 200
    assert app.last.get("x-forwarded-for") == "192.0.2.7"
    assert app.last.get("x-forwarded-proto") == "https"


def test_a_header_before_h2_in_clear(edge, origin):
    app = origin()
    way = edge(proxy=app, listen=[listener()])
    with way.h2_client(first=block()) as client:
        assert client.get("/").status == 200
    assert app.last.get("x-forwarded-for") == "192.0.2.7"


def test_what_the_client_writes_itself_is_not_believed(edge, origin):
    """The header's address is a client like any other."""
    app = origin()
    way = edge(proxy=app, listen=[listener()], trusted_proxies=["127.0.0.1"])
    with way.client() as conn:
        conn.send(LINE)
        conn.get("/", [("X-Forwarded-For", "6.6.6.6")])
    assert app.last.get("x-forwarded-for") == "192.0.2.7"


def test_a_reload_changes_who_may(edge, origin):
    app = origin()
    way = edge(proxy=app)
    at = f"127.0.0.1:{way.port}"
    old = way.client()
    assert old.get().status == 200
    way.reload(proxy=app, listen=[{"at": at, "proxy_protocol": HERE}])
    with way.client() as conn:
        conn.send(LINE)
        assert conn.get().status == 200
    assert old.get().status == 200
    way.reload(proxy=app, listen=[{"at": at, "proxy_protocol": ["10.0.0.0/8"]}])
    assert is_turned_away(way)
    way.reload(proxy=app, listen=[at])
    assert way.get().status == 200
    assert old.get().status == 200
    old.close()


def test_a_unix_listener(edge, origin, tmp_path):
    app = origin()
    way = edge(proxy=app, listen=[{"at": f"unix:{tmp_path}/in", "proxy_protocol": ["unix"]}])
    with way.client() as conn:
        conn.send(block())
        assert conn.get().status == 200
    assert app.last.get("x-forwarded-for") == "192.0.2.7"


# -- real senders ---------------------------------------------------------------------------

TCP = """
listen front
  mode tcp
  bind 127.0.0.1:{{port}} {bind}
  server adit 127.0.0.1:{port} {send}
"""


@pytest.mark.parametrize("send", [
    "send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id",
    "send-proxy check inter 100ms", "send-proxy-v2 check inter 100ms"])
def test_haproxy_in_front(edge, origin, haproxy, send):
    app = origin()
    way = edge(proxy=app, listen=[listener()])
    front = haproxy(TCP.format(bind="", port=way.port, send=send))
    with Client(front.at, source="127.0.0.9") as conn:
        assert conn.get().status == 200
    assert app.last.get("x-forwarded-for") == "127.0.0.9"
    for reason in ("malformed", "checksum", "missing", "unsupported"):
        assert count(way, f"proxy_header_{reason}") == 0


@pytest.mark.parametrize("send", ["send-proxy-v2-ssl", "send-proxy-v2-ssl-cn",
                                  "send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,"
                                  "cert-sig,cert-key,authority,crc32c"])
def test_haproxy_that_ends_tls(edge, origin, haproxy, pki, tmp_path, send):
    app = origin()
    way = edge(proxy=app, listen=[listener()])
    pem = tmp_path / "server.pem"
    pem.write_bytes(pki.server.pem + pki.server.key_pem)
    bind = f"ssl crt {pem} ca-file {pki.ca.file} verify optional"
    front = haproxy(TCP.format(bind=bind, port=way.port, send=send))
    mine = pki.ca.issue("client.test", client=True, common="client")
    with TlsClient(front.at, pki.context(cert=mine), source="127.0.0.9") as conn:
        assert conn.get().status == 200
    assert app.last.get("x-forwarded-for") == "127.0.0.9"
    assert app.last.get("x-forwarded-proto") == "https"
    assert count(way, "proxy_headers") == 1


def test_curl_that_sends_it(edge, origin):
    app = origin()
    way = edge(proxy=app, listen=[listener()])
    done = subprocess.run(["curl", "-sS", "--haproxy-protocol", f"http://127.0.0.1:{way.port}/"],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout == "hello", done.stderr
    assert app.last.get("x-forwarded-for") == "127.0.0.1"
