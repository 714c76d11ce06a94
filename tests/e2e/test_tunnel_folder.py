# SPDX-License-Identifier: Apache-2.0
"""`adit ./folder`: files through a tunnel, whole and in parts, and nothing but these (issue 5)."""
import os

import pytest

from harness.tunnel import Road, zone

pytestmark = pytest.mark.usefixtures("tunnels")

BIG = os.urandom(3 << 20)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "with index").mkdir()
    (root / ".git").mkdir()
    (tmp_path / "secret").write_text("secret")
    (root / "hello.txt").write_text("hello, file")
    (root / "empty.css").write_text("")
    (root / "big.bin").write_bytes(BIG)
    (root / "with index" / "index.html").write_text("<h1>index</h1>")
    (root / ".git" / "config").write_text("secret")
    (root / "out").symlink_to("../secret")
    return root


@pytest.fixture
def road(edge, agent, folder):
    way = edge(**zone())
    it = agent(way, f"{folder}/")
    return Road(way, it.name)


def test_files_and_folders(road):
    hello = road.get("/hello.txt")
    assert (hello.status, hello.body) == (200, b"hello, file")
    assert hello.get("content-type") == "text/plain; charset=utf-8"
    assert hello.get("accept-ranges") == "bytes" and hello.get("x-content-type-options") == "nosniff"
    assert road.get("/empty.css").body == b""
    assert road.get("/big.bin").body == BIG
    assert road.get("/with%20index/").body == b"<h1>index</h1>"
    listing = road.get("/")
    assert listing.get("content-type") == "text/html; charset=utf-8"
    assert b'href="./sub/"' in listing.body and b'href="./with%20index/"' in listing.body
    assert b".git" not in listing.body
    moved = road.get("/with%20index?a=b")
    assert (moved.status, moved.get("location")) == (308, "/with%20index/?a=b")
    assert road.get("//sub").get("location") == "/sub/"


@pytest.mark.parametrize("path", [
    "/none", "/hello.txt/", "/.git/config", "/%2egit/config", "/out", "/..%2fsecret", "/sub/%2e%2e/%2e%2e/secret",
    "/hello.txt%00", "/sub%2fx"])
def test_nothing_else(road, path):
    answer = road.get(path)
    assert answer.status in (400, 404) and b"secret" not in answer.body


def test_what_the_client_has_is_not_sent_again(road):
    first = road.get("/hello.txt")
    tag, date = first.get("etag"), first.get("last-modified")
    for field in ("If-None-Match", tag), ("If-None-Match", f'"x", W/{tag}'), ("If-Modified-Since", date):
        answer = road.get("/hello.txt", [field])
        assert (answer.status, answer.body, answer.get("etag")) == (304, b"", tag)
    assert road.get("/hello.txt", [("If-None-Match", '"other"'), ("If-Modified-Since", date)]).status == 200
    assert road.get("/hello.txt", [("If-Match", '"other"')]).status == 412


def test_parts(road):
    for spec, part in ("0-4", b"hello"), ("-4", b"file"), ("7-", b"file"), ("7-99", b"file"):
        answer = road.get("/hello.txt", [("Range", f"bytes={spec}")])
        assert (answer.status, answer.body) == (206, part)
        start = b"hello, file".index(part)
        assert answer.get("content-range") == f"bytes {start}-{start + len(part) - 1}/11"
    none = road.get("/hello.txt", [("Range", "bytes=11-")])
    assert (none.status, none.get("content-range")) == (416, "bytes */11")
    tag = none.get("etag")
    assert road.get("/hello.txt", [("Range", "bytes=0-1,3-4")]).status == 200
    assert road.get("/hello.txt", [("Range", "bytes=0-4"), ("If-Range", tag)]).status == 206
    assert road.get("/hello.txt", [("Range", "bytes=0-4"), ("If-Range", '"other"')]).status == 200
    assert road.get("/big.bin", [("Range", "bytes=1000000-2999999")]).body == BIG[1000000:3000000]


def test_methods(road):
    with road.client() as client:
        head = client.exchange("HEAD", "/big.bin")
        assert (head.status, head.get("content-length"), head.body) == (200, str(len(BIG)), b"")
        assert client.exchange("POST", "/hello.txt", [], b"x").status == 405


def test_an_edge_refuses_for_now(tmp_path):
    from harness import run_adit
    config = tmp_path / "adit.yaml"
    config.write_text(f"sites: {{example.com: {{files: {tmp_path}}}}}\n")
    done = run_adit("check", str(config))
    assert done.returncode != 0 and "does not serve files yet" in done.stdout + done.stderr
