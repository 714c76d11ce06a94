# SPDX-License-Identifier: Apache-2.0
"""Chromium, headless, with the authority in its own store: pages over h2, redirected to https."""
import os
import re
import subprocess

import pytest

from harness import BOTH, reply

PAGE = b"""<!doctype html><title>page</title><link rel=stylesheet href=/style.css>
<pre id=out></pre><script>
addEventListener("load", async () => {
  const answer = await fetch("/echo", {method: "POST", body: "x".repeat(100000)});
  const all = [...performance.getEntriesByType("navigation"),
               ...performance.getEntriesByType("resource")];
  document.getElementById("out").textContent = JSON.stringify({
    url: location.href, secure: isSecureContext, echoed: (await answer.text()).length,
    protocols: all.map(entry => entry.nextHopProtocol)});
});
</script>"""


def site(request):
    if request.path == "/echo":
        return reply(200, request.body)
    kind, body = ("text/css", b"pre {color: red}") if request.path.endswith("css") else \
        ("text/html", PAGE)
    return reply(200, body, [("Content-Type", kind)])


@pytest.fixture
def browse(tmp_path):
    """browse(url, trust=authority): the page's DOM once its scripts are done."""
    def visit(url, trust=None):
        home = tmp_path / "home"
        store = home / ".pki/nssdb"
        store.mkdir(parents=True)
        subprocess.run(["certutil", "-d", f"sql:{store}", "-N", "--empty-password"], check=True)
        if trust:
            subprocess.run(["certutil", "-d", f"sql:{store}", "-A", "-t", "C,,", "-n", "test",
                            "-i", trust.file], check=True)
        done = subprocess.run(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync",
             "--disable-component-update", f"--user-data-dir={home}/data",
             "--host-resolver-rules=MAP * 127.0.0.1", "--virtual-time-budget=5000",
             "--dump-dom", url], capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "HOME": str(home)}, stdin=subprocess.DEVNULL)
        return done.stdout
    return visit


def test_a_page_over_h2_by_way_of_http(edge, origin, pki, browse):
    app = origin(site)
    way = edge({"listen": BOTH, "sites": {"example.com": {"proxy": app.at,
                                                          "tls": pki.server.files}}})
    shown = browse(f"http://example.com:{way.port}/page", trust=pki.ca)
    assert f'"url":"https://example.com:{way.tls_port}/page"' in shown, shown
    assert '"secure":true' in shown and '"echoed":100000' in shown
    protocols = re.search(r'"protocols":\[(.*?)\]', shown)[1].replace('"', "").split(",")
    assert len(protocols) >= 2 and set(protocols) == {"h2"}, protocols
    assert {r.path for r in app.requests} >= {"/page", "/style.css", "/echo"}


def test_it_does_not_open_what_it_does_not_trust(edge, origin, pki, browse):
    """That the test above could fail."""
    app = origin(site)
    way = edge(proxy=app, cert=pki.server)
    shown = browse(f"https://example.com:{way.tls_port}/page")
    assert "protocols" not in shown or not app.requests
    assert "/page" not in [r.path for r in app.requests]
