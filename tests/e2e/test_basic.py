# SPDX-License-Identifier: Apache-2.0
"""One exchange at a time: what goes in comes out."""
import os
import threading

import pytest

from harness import reply


def test_get_passes_status_fields_and_body(edge, origin):
    app = origin(lambda request: reply(203, b"hello", [("X-App", "one"), ("Set-Cookie", "a=1"),
                                                       ("Set-Cookie", "b=2")]))
    asked = [("X-Asked", "yes"), ("Accept", "a"), ("Accept", "b")]
    answer = edge(proxy=app).get("/path?q=1", asked)

    assert (answer.status, answer.body) == (203, b"hello")
    assert answer.get("x-app") == "one"
    assert answer.all("set-cookie") == ["a=1", "b=2"]
    assert (app.last.method, app.last.target) == ("GET", "/path?q=1")
    assert app.last.get("x-asked") == "yes"
    assert ", ".join(app.last.all("accept")).replace(" ", "") == "a,b"
    assert app.last.get("host") == "example.com"


@pytest.mark.parametrize("size", [0, 1, 1000, 16384, 65536, 1_000_003])
def test_bodies_of_any_size_pass_both_ways(edge, origin, size):
    body = os.urandom(size)
    app = origin(lambda request: reply(200, request.body))
    answer = edge(proxy=app).exchange("POST", "/", body=body)
    assert answer.body == body
    assert app.last.get("content-length") == str(size)


@pytest.mark.parametrize("status", [200, 201, 204, 206, 301, 304, 400, 404, 418, 500, 503, 599])
def test_any_final_status_passes_and_the_connection_goes_on(edge, origin, status):
    app = origin(lambda request: reply(status, b"" if status in (204, 304) else b"body"))
    with edge(proxy=app).client() as client:
        for _ in range(2):
            answer = client.get()
            assert answer.status == status
            assert answer.body == (b"" if status in (204, 304) else b"body")


def test_http_1_0_client_gets_a_closed_connection(edge, origin):
    app = origin(lambda request: reply(200, chunks=[b"one", b"two"]))
    with edge(proxy=app).client() as client:
        answer = client.get(version="HTTP/1.0")
        assert answer.body == b"onetwo"
        assert not answer.all("transfer-encoding"), "HTTP/1.0 has no chunked coding"
        assert client.at_end()
    assert app.last.version == "HTTP/1.1"


def test_http_1_0_origin_ends_its_body_by_closing(edge, origin):
    app = origin(lambda request: reply(200, b"old ways", version="HTTP/1.0", length=False,
                                       close=True))
    with edge(proxy=app).client() as client:
        assert client.get().body == b"old ways"
        assert client.get().body == b"old ways", "the client's connection is not the origin's"
    assert len(app.conns) == 2


def test_bytes_written_one_at_a_time_by_both_sides(edge, origin):
    def play(conn):
        conn.read_request()
        conn.send_slowly(reply(200, chunks=[b"slow", b"er"], trailers=[("X-End", "1")]))
    app = origin(play=play)
    with edge(proxy=app).client() as client:
        for byte in b"POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc":
            client.send(bytes([byte]))
        assert client.answer("POST").body == b"slower"
    assert app.last.body == b"abc"


def test_clients_never_get_each_others_bytes(edge, origin):
    app = origin(lambda request: reply(200, request.target.encode() * 500,
                                       [("X-Me", request.get("x-me"))]))
    way = edge(proxy=app, workers=2)
    wrong = []

    def run(me):
        with way.client() as client:
            for turn in range(40):
                target = f"/{me}/{turn}"
                answer = client.get(target, [("X-Me", str(me))])
                if answer.body != target.encode() * 500 or answer.get("x-me") != str(me):
                    wrong.append((target, answer))
    threads = [threading.Thread(target=run, args=(me,)) for me in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(app.requests) == 24 * 40


def test_what_goes_out_is_written_anew(edge, origin):
    app = origin()
    with edge(proxy=app).client() as client:
        client.send(b"GET / HTTP/1.1\r\nhOsT:  example.com \t\r\n"
                    b"X-Space:\t \tkept  inside\t\r\n\r\n")
        assert client.answer().status == 200
    assert app.last.get("x-space") == "kept  inside"
    assert b"\t\r\n" not in app.raw and b" \r\n" not in app.raw


@pytest.mark.parametrize("parts", [[b"\r\nGET"], [b"\r\n", b"GET"], [b"\r", b"\nGET"]],
                         ids=["at once", "before", "in two"])
def test_an_empty_line_before_a_request_is_forgiven(edge, origin, parts):
    """RFC 9112 2.2: a server SHOULD ignore at least one CRLF before the request line."""
    pause = threading.Event()
    with edge(proxy=origin()).client() as client:
        for part in parts:
            client.send(part)
            pause.wait(0.05)    # Most likely a packet of its own; fine if it is not.
        client.send(b" / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert client.answer().status == 200
