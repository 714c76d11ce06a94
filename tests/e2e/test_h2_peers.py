# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 clients of others: curl, nghttp, h2load and python3-h2, in front of HTTP/1.1 origins."""
import hashlib
import re
import subprocess
import threading

import pytest

from harness import BOTH, Reset, reply, until

KIB = 1 << 10


@pytest.fixture
def start(edge, origin, pki):
    """start(handler): an origin and an edge that speaks h2 in clear and over TLS to its clients."""
    def begin(handler=None, play=None, at=None, **top):
        app = origin(handler, play=play) if play or not at else at
        top.setdefault("listen", BOTH)
        way = edge({"sites": {"default": {"proxy": getattr(app, "at", app),
                                          "tls": {**pki.server.files, "redirect": "off"}}}}, **top)
        return app, way
    return begin


@pytest.fixture(params=["tls", "clear"])
def context(request, pki):
    return pki.context("h2") if request.param == "tls" else None


def echo(request):
    return reply(200, request.body)


def run(*args, **options):
    done = subprocess.run([*map(str, args)], capture_output=True, timeout=60, check=False, **options)
    assert done.returncode == 0, done.stderr.decode("latin-1")[-2000:]
    return done.stdout.decode("latin-1")


# -- curl, nghttp, h2load ---------------------------------------------------------------------------


def curl(way, *args, clear=False, path="/"):
    base = f"http://127.0.0.1:{way.port}" if clear else f"https://localhost:{way.tls_port}"
    how = "--http2-prior-knowledge" if clear else "--http2"
    return run("curl", "-sS", how, *args, base + path)


@pytest.mark.parametrize("clear", [False, True], ids=["tls", "clear"])
def test_curl(start, pki, tmp_path, clear):
    app, way = start(echo)
    (tmp_path / "body").write_bytes(b"0123456789" * 50000)
    trust = ("--cacert", pki.ca.file)
    assert curl(way, *trust, "-w", "%{http_version} %{http_code}", clear=clear) == "2 200"
    assert curl(way, *trust, "-d", "posted", clear=clear) == "posted"
    assert curl(way, *trust, "-T", tmp_path / "body", clear=clear) == "0123456789" * 50000
    assert "HTTP/2 200" in curl(way, *trust, "-I", clear=clear)
    assert [r.method for r in app.requests] == ["GET", "POST", "PUT", "HEAD"]


def test_curl_uploads_what_it_knows_no_length_of(start, pki):
    app, way = start(echo)
    assert run("curl", "-sS", "--http2", "--cacert", pki.ca.file, "-T", "-",
               f"https://localhost:{way.tls_port}/", input=b"x" * 300000) == "x" * 300000
    assert app.last.get("transfer-encoding") == "chunked"


def test_nghttp_fetches_many_over_one_connection(start):
    app, way = start(lambda request: reply(200, request.target.encode() * 100))
    said = run("nghttp", "-ns", *[f"https://127.0.0.1:{way.tls_port}/{i}" for i in range(20)])
    assert len(re.findall(r"s +200 +\w+ /\d+$", said, re.M)) == 20, said
    assert len(app.requests) == 20


def test_nghttp_posts_with_trailers(start, tmp_path):
    (tmp_path / "body").write_bytes(b"hello nghttp")
    app, way = start(echo)
    run("nghttp", "-nv", "-d", tmp_path / "body", "--no-content-length", "--trailer=x-sum: 42",
        f"http://127.0.0.1:{way.port}/")
    assert app.last.body == b"hello nghttp"
    assert ("x-sum", "42") in [(n.lower(), v) for n, v in app.last.trailers]


@pytest.mark.parametrize("clear", [False, True], ids=["tls", "clear"])
def test_h2load_loses_nothing(start, nginx, tmp_path, clear):
    (tmp_path / "file").write_bytes(b"x" * 1000)
    _, way = start(at=nginx(tmp_path).at, workers=2)
    url = f"http://127.0.0.1:{way.port}" if clear else f"https://127.0.0.1:{way.tls_port}"
    said = run("h2load", "-n", "4000", "-c", "8", "-m", "32", url + "/file")
    assert "4000 succeeded, 0 failed, 0 errored, 0 timeout" in said, said
    assert "status codes: 4000 2xx" in said


# -- what a request and an answer are made of ---------------------------------------------------------


def test_methods_and_bodies(start, context):
    app, way = start(echo)
    with way.h2_client(context) as client:
        assert client.get().status == 200
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = client.exchange(method, "/p?q=1", body=method.encode())
            assert (answer.status, answer.body) == (200, method.encode())
        assert client.exchange("OPTIONS", "*").status == 200
        head = client.exchange("HEAD", "/")
        assert (head.status, head.body) == (200, b"")
    assert [r.target for r in app.requests[:2]] == ["/", "/p?q=1"]
    assert len(app.conns) == 1


@pytest.mark.parametrize("status", [204, 304, 404, 500])
def test_statuses(start, context, status):
    _, way = start(lambda request: reply(status))
    with way.h2_client(context) as client:
        assert client.get().status == status
        assert client.get().status == status


def test_every_framing_of_an_answer(start, context):
    answers = {"/length": reply(200, b"abc" * 9999), "/none": reply(200, b""),
               "/chunked": reply(200, chunks=[b"abc" * 3333] * 3),
               "/close": reply(200, b"abc" * 9999, length=False, close=True)}
    _, way = start(lambda request: answers[request.path])
    with way.h2_client(context) as client:
        for path in answers:
            answer = client.get(path)
            assert answer.body == (b"" if path == "/none" else b"abc" * 9999), path
            assert not answer.names() & {"connection", "transfer-encoding", "keep-alive"}
    assert answer.status == 200


def test_a_cut_answer_is_a_reset_stream(start, context):
    _, way = start(lambda r: reply(200, b"abc", [("Content-Length", "9")], length=False,
                                   close=True))
    with way.h2_client(context) as client:
        stream = client.begin().wait_head()
        with pytest.raises(Reset):
            stream.wait_end()
        assert stream.body == b"abc"
        client.ping()


def test_trailers_both_ways(start, context):
    app, way = start(lambda request: reply(200, chunks=[b"body"], trailers=[("X-Sum", "7")]))
    with way.h2_client(context) as client:
        stream = client.begin("POST", "/", [("te", "trailers"), ("trailer", "x-up")], body=None)
        stream.send(b"data").end([("x-up", "8")])
        answer = stream.answer()
    assert answer.body == b"body" and ("x-sum", "7") in answer.trailers
    assert app.last.body == b"data"
    assert [(n.lower(), v) for n, v in app.last.trailers] == [("x-up", "8")]


def test_hints_come_ahead(start, context):
    hinted = threading.Event()

    def handler(request):
        request.conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        request.conn.wait(hinted)
        return reply(200, b"page")
    _, way = start(handler)
    with way.h2_client(context) as client:
        stream = client.begin()
        stream.wait(lambda: stream.interim, "the hint")
        assert (stream.interim[0][":status"], stream.interim[0]["link"]) == ("103", "</a.css>")
        hinted.set()
        assert stream.answer().body == b"page"


def test_a_client_waits_for_100(start, context):
    def play(conn):
        conn.read_request_head()
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        conn.send(reply(200, conn.read(4)))
        conn.read_to_end()
    _, way = start(play=play)
    with way.h2_client(context) as client:
        stream = client.begin("PUT", "/", [("expect", "100-continue"), ("content-length", "4")],
                              body=None)
        stream.wait(lambda: stream.interim, "100")
        assert stream.interim[0][":status"] == "100"
        assert stream.send(b"body", end=True).answer().body == b"body"


def test_a_dialogue(start, context):
    """An answer that begins before the request has ended, word by word."""
    def play(conn):
        request = conn.read_request_head()
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (part := conn.read_chunk(request)) is not None:
            conn.send(b"%x\r\n%s\r\n" % (len(part), part.upper()))
        conn.send(b"0\r\n\r\n")
    _, way = start(play=play)
    with way.h2_client(context) as client:
        stream = client.begin("POST", body=None)
        for word in (b"one", b"two", b"three"):
            stream.send(word)
            assert stream.read(len(word)) == word.upper()
        stream.end()
        stream.answer()


def test_cookie_crumbs_are_joined(start, context):
    """RFC 9113 8.2.3."""
    app, way = start()
    with way.h2_client(context) as client:
        client.get("/", [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")])
    assert app.last.get("cookie") == "a=1; b=2; c=3"


def test_large_heads_both_ways(start, context):
    app, way = start(lambda request: reply(200, b"", [("X-Large", "y" * 20000)]))
    with way.h2_client(context) as client:
        answer = client.get("/", [("x-large", "z" * 24000)])
        assert answer.get("x-large") == "y" * 20000
        assert app.last.get("x-large") == "z" * 24000
        assert client.get("/", [("x-large", "z" * 40000)]).status == 431
        assert client.get("/").status == 200


def test_fields_that_adit_adds(start, context):
    app, way = start()
    with way.h2_client(context) as client:
        answer = client.get("/", authority="example.com:8443")
    assert answer.get("via") == "1.1 adit"
    assert app.last.get("via") == "2 adit" or app.last.get("via") == "2.0 adit"
    assert app.last.get("host") == "example.com:8443"
    assert app.last.get("x-forwarded-proto") == ("https" if context else "http")
    assert app.last.get("x-forwarded-host") == "example.com:8443"
    line = way.access()[0]
    assert line["protocol"] == "HTTP/2", line
    assert line["host"].startswith("example.com")
    assert ("tls" in line and bool(line["tls"])) == bool(context), line


def test_http_1_1_in_clear_beside_it(start, pki):
    """One port, both protocols, in clear and by ALPN."""
    _, way = start()
    assert way.get().body == b"hello"
    with way.h2_client() as client:
        assert client.get().body == b"hello"
    with way.tls_client(pki.context("http/1.1")) as client:
        assert client.get().body == b"hello"


# -- many streams ------------------------------------------------------------------------------------


def test_a_thousand_streams_on_one_connection(start, context):
    app, way = start(lambda request: reply(200, request.target.encode()))
    with way.h2_client(context) as client:
        for start_at in range(0, 1000, 100):
            streams = [client.begin(path=f"/{start_at + i}") for i in range(100)]
            for i, stream in enumerate(streams):
                assert stream.answer().body == b"/%d" % (start_at + i)
    assert len(app.requests) == 1000


def test_a_limit_of_streams(start, context):
    """What is announced is kept: streams above it are refused, those below it are answered."""
    hold = threading.Event()
    app, way = start(lambda request: hold.wait(20) and reply(200), limits={"streams": 10})
    with way.h2_client(context) as client:
        streams = [client.begin() for _ in range(10)]
        client.ping()
        assert client.remote[3] == 10
        hold.set()
        assert [s.answer().status for s in streams] == [200] * 10


def test_a_slow_reader_does_not_block_its_neighbours(start, context):
    def handler(request):
        size = 2000 * KIB if request.path == "/large" else 100
        return reply(200, b"x" * size)
    _, way = start(handler)
    with way.h2_client(context) as client:
        slow = client.begin(path="/large")
        slow.hold = True
        slow.wait_head()
        slow.wait(lambda: len(slow.content) >= 65000, "its window being used up")
        for _ in range(50):
            assert client.get("/small").status == 200
        assert len(client.get("/large").body) == 2000 * KIB
        assert not slow.done
        slow.release()
        assert len(slow.answer().body) == 2000 * KIB


def test_a_slow_origin_does_not_block_the_neighbours_uploads(start, context):
    go_on = threading.Event()

    def play(conn):
        while True:
            request = conn.read_request_head()
            if request.path == "/slow":
                conn.wait(go_on)
            digest = hashlib.sha256()
            left = int(request.get("content-length"))
            while left:
                part = conn.read(min(left, 65536))
                digest.update(part)
                left -= len(part)
            conn.send(reply(200, digest.hexdigest().encode()))
    _, way = start(play=play)
    body = b"u" * (20 << 20)
    with way.h2_client(context) as client:
        slow = client.begin("PUT", "/slow", [("content-length", str(len(body)))], body=None)
        sender = threading.Thread(target=slow.send, args=(body, True))
        sender.start()
        small = b"v" * 300_000
        for _ in range(5):
            answer = client.exchange("PUT", "/fast", body=small)
            assert answer.body == hashlib.sha256(small).hexdigest().encode()
        go_on.set()
        sender.join()
        assert slow.answer().body == hashlib.sha256(body).hexdigest().encode()


def test_a_cancelled_request_reaches_the_origin(start, context):
    hold, ended = threading.Event(), threading.Event()

    def play(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        conn.read_to_end()
        ended.set()
    app, way = start(play=play)
    with way.h2_client(context) as client:
        stream = client.begin()
        assert stream.read(3) == b"abc"
        stream.reset()
        assert ended.wait(10), "the origin works for nobody"
        client.ping()
    hold.set()
    line = way.access()[0]
    assert line["side"] == "down", line


def test_an_answer_before_the_upload_ends_stops_it(start, context):
    """RFC 9113 8.1: after a whole answer the rest of the request may be asked not to be sent."""
    def play(conn):
        if conn.read_request_head().method == "PUT":
            conn.read(1000)     # what comes later may meet a stream that is over
        conn.send(reply(413, b"no", close=True))
        conn.close()
    _, way = start(play=play)
    with way.h2_client(context) as client:
        stream = client.begin("PUT", "/", [("content-length", "1000000")], body=None)
        stream.send(b"x" * 1000)
        stream.wait_head()
        assert stream.status == 413
        client.ping()
        way.get()


def test_urgent_before_the_rest(start, context):
    """RFC 9218: where all want more than the connection's window takes, urgency 0 goes first
    though it was asked last."""
    def handler(request):
        return reply(200, b"x" * (200 * KIB))
    app, way = start(handler)
    with way.h2_client(context, settings={4: 0}) as client:
        late = [client.begin(path=f"/{i}", fields=[("priority", "u=7")]) for i in range(3)]
        urgent = client.begin(path="/urgent", fields=[("priority", "u=0")])
        for stream in [*late, urgent]:
            stream.wait_head()
        app.wait_requests(4)
        client.ping()
        with client.changed:
            client.conn.update_settings({4: 1 << 20})
            client.flush()
        for stream in [*late, urgent]:
            stream.answer()
        last = max(i for i, number in enumerate(client.went) if number == urgent.id)
        before = [n for n in client.went[:last] if n != urgent.id]
        assert len(before) <= len(client.went) / 3, client.went


# -- the life of a connection --------------------------------------------------------------------------


def test_a_reload_drops_nothing(start, context):
    hold = threading.Event()
    app, way = start(lambda request: (request.path != "/held" or hold.wait(20)) and reply(200))
    with way.h2_client(context) as client:
        held = client.begin(path="/held")
        app.wait_requests(1)
        way.reload()
        assert client.get().status == 200
        hold.set()
        assert held.answer().status == 200
        assert client.goaway is None and client.gone is None


def test_a_drain_loses_no_request(start, context):
    hold = threading.Event()
    app, way = start(lambda request: hold.wait(20) and reply(200, b"held"), drain="20s")
    with way.h2_client(context) as busy, way.h2_client(context) as idle:
        idle.ping()
        streams = [busy.begin(path=f"/{i}") for i in range(30)]
        app.wait_requests(30)
        way.signal(15)
        code, _ = busy.wait_goaway()
        assert code == 0
        idle.wait_gone()
        assert idle.goaway and idle.goaway[0] == 0
        hold.set()
        assert [s.answer().body for s in streams] == [b"held"] * 30
        busy.wait_gone()
    assert way.wait_exit() == 0


def test_requests_on_their_way_at_the_drain_are_answered_or_refused(start, context):
    """Whoever is not in GOAWAY's count knows that nothing was done and asks again elsewhere."""
    app, way = start(lambda request: reply(200, request.target.encode()), drain="20s")
    with way.h2_client(context) as client:
        client.get()
        asked = []
        for i in range(2000):
            if client.gone or client.goaway and client.goaway[1] < 1 << 30:
                break
            if i == 20:
                way.signal(15)
            try:
                asked.append(client.begin(path=f"/{i}"))
            except AssertionError:  # it went between the look and the asking
                assert client.gone
                break
            if i % 50 == 49:
                until(lambda: asked[-1].done or asked[-1].code is not None or client.gone, "it")
        client.wait_gone()
        assert client.goaway and client.goaway[0] == 0, client.gone
        for stream in asked:
            done = stream.done and stream.status == 200
            assert done or stream.id > client.goaway[1] or stream.code == 7, \
                f"lost: {stream}, goaway {client.goaway}"
    assert way.wait_exit() == 0
