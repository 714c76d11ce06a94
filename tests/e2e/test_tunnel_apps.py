# SPDX-License-Identifier: Apache-2.0
"""Applications that people really show to others, on every road (issue 5): a Vite development server
whose modules are replaced in an open browser, server-sent events in one, git's clone and push."""
import os
import subprocess
import threading

import pytest

from harness import WAIT, reply, until
from harness.apps import GitServer, Vite
from harness.browser import Browser


@pytest.fixture
def vite():
    running = []

    def start(*args):
        running.append(Vite(*args))
        return running[-1]
    yield start
    for one in running:
        one.stop()


@pytest.fixture
def browser(tmp_path, pki):
    with Browser(tmp_path, trust=pki.ca) as opened:
        yield opened


WORD = 'document.getElementById("word").textContent'
COLOUR = 'getComputedStyle(document.getElementById("word")).color'


def test_vite_replaces_modules_in_an_open_page(road, vite, browser):
    """The page asks for dozens of modules and keeps a WebSocket; what is saved on the laptop is on the
    visitor's screen without a reload."""
    app = vite()
    way = road(app.target)
    assert browser.open(way.origin + "/") is None
    browser.wait_for(f"{WORD} == 'first'")
    browser.wait_said(app.CONNECTED)
    browser.ask("window.mark = 'still the same page'")
    app.edit("word.js", 'export const word = "second";\n')
    browser.wait_for(f"{WORD} == 'second'")
    app.edit("look.css", "#word { color: rgb(7, 8, 9); }\n")
    browser.wait_for(f"{COLOUR} == 'rgb(7, 8, 9)'")
    assert browser.ask("window.mark") == "still the same page"
    app.edit("index.html", app.FILES["index.html"].replace("<p ", "<h1>new</h1><p "))
    browser.wait_for("document.querySelector('h1') && window.mark === undefined", "the reload")


LISTENER = b"""<!doctype html><title>events</title><link rel=icon href="data:,"><script>
window.events = [];
new EventSource("/events").addEventListener("message", event => {
  events.push(event.data);
  fetch("/seen", {method: "POST", body: event.data});
});
</script>"""


def test_server_sent_events_in_a_browser(road, origin, browser):
    """The app says the next event only after the page has told it that it saw the last one."""
    seen = threading.Semaphore(0)
    count = 20

    def play(conn):
        while True:
            request = conn.read_request()
            if request.path == "/events":
                conn.send(reply(200, length=False, fields=[("Content-Type", "text/event-stream"),
                                                           ("Cache-Control", "no-cache")]))
                for i in range(count):
                    conn.send(b"data: %d\n\n" % i)
                    assert seen.acquire(timeout=WAIT), f"event {i} was not seen"
                conn.read_to_end()
                return
            if request.path == "/seen":
                seen.release()
            conn.send(reply(200, LISTENER, [("Content-Type", "text/html")]))
    way = road(origin(play=play).port)
    assert browser.open(way.origin + "/") is None
    browser.wait_for(f"window.events && events.length >= {count}")
    assert browser.ask("events") == [str(i) for i in range(count)]


PUSHES = {   # what git says of a body larger than its buffer, and of one that it has whole
    "chunked": ("-c", "http.postBuffer=65536", "-c", "http.version=HTTP/1.1"),
    "with a length": ("-c", "http.postBuffer=8m")}


@pytest.mark.parametrize("push", PUSHES)
def test_git_clone_and_push(road, tmp_path, push):
    """A body of unknown length goes over HTTP/1.1: over HTTP/2 the libcurl of Debian 12 now and then asks git
    for more after its end, and git waits for that in vain, with every window open."""
    app = GitServer(tmp_path)
    way = road(app.target)
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "no_proxy": "*",
           **({"GIT_SSL_CAINFO": way.authority.file} if way.authority else {})}

    def git(*args, **options):
        done = subprocess.run(
            ["git", "-c", f"http.curloptResolve={way.name}:{way.port}:127.0.0.1", "-c",
             "user.name=t", "-c", "user.email=t@t", *args], check=False,
            capture_output=True, text=True, timeout=WAIT * 4, stdin=subprocess.DEVNULL,
            env=env, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout
    try:
        one, two = tmp_path / "one", tmp_path / "two"
        git("clone", "-q", f"{way.origin}/repo.git", one)
        (one / "big").write_bytes(bytes(range(256)) * 8192 + one.name.encode())
        (one / "noise").write_bytes(subprocess.run(["head", "-c", "3000000", "/dev/urandom"], check=True,
                                                   capture_output=True).stdout)
        git("add", ".", cwd=one)
        git("commit", "-q", "-m", "one", cwd=one)
        git(*PUSHES[push], "push", "-q", "origin", "HEAD:main", cwd=one)
        git("clone", "-q", "-b", "main", f"{way.origin}/repo.git", two)
        assert (two / "noise").read_bytes() == (one / "noise").read_bytes()
        assert git("rev-parse", "HEAD", cwd=one) == git("rev-parse", "HEAD", cwd=two)
    finally:
        app.stop()


def test_a_page_says_where_it_is(road, origin, browser):
    """The app knows the visitor's scheme, host and address from the fields that the edge writes."""
    app = origin(lambda request: reply(200, b"<title>here</title>", [("Content-Type", "text/html")]))
    way = road(app.port)
    assert browser.open(way.origin + "/page") is None
    browser.wait_for("document.title == 'here'")
    first = until(lambda: app.requests and app.requests[0], "the request")
    assert first.get("x-forwarded-proto") == way.scheme
    assert first.get("x-forwarded-host") == f"{way.name}:{way.port}"
    assert first.get("x-forwarded-for") == "127.0.0.1"
    assert first.get("host") == f"{way.name}:{way.port}"
