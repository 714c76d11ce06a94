# SPDX-License-Identifier: Apache-2.0
"""What testssl.sh, which looks for every known weakness, has to say: nothing above "low"."""
import json
import subprocess

import pytest

from harness import BOTH, reply

# Fields of the page's own, which are no business of an edge; a page without them is "medium".
SAFE = [("Content-Security-Policy", "default-src 'self'"), ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]
HARMLESS = {"OK", "INFO", "LOW", "DEBUG"}
# Warnings of the tool about itself: this machine's OpenSSL has no GOST and no RC4 to try with, and
# its s_client, whose input is empty, may leave before a ticket of TLS 1.3 has come, whoever serves.
ABOUT_ITSELF = {"engine_problem", "RC4", "sessionresumption_ticket"}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", ["as it comes", "1.3 only"])
def test_no_finding_above_low(edge, origin, pki, tmp_path, how):
    url = "http://127.0.0.1:1/"     # Of a responder nobody asks; without one it is a finding.
    certs = [pki.ca.issue("localhost", "127.0.0.1", key=key, days=(-1, 89), ocsp_url=url)
             for key in ("ecdsa", "rsa")]
    app = origin(lambda request: reply(200, b"hello", SAFE))
    way = edge({"listen": BOTH, "sites": {"default": {"proxy": app.at, "tls": {
        "certs": [cert.files for cert in certs], "hsts": {"max_age": "365d"},
        "min_version": "1.3" if how == "1.3 only" else "1.2"}}}})
    done = subprocess.run(
        ["testssl", "--quiet", "--warnings", "off", "--color", "0", "--nodns", "none", "--ip",
         "127.0.0.1", "--openssl", "/usr/bin/openssl", "--fast", "--add-ca", pki.ca.file,
         "--jsonfile", f"{tmp_path}/out", f"https://localhost:{way.tls_port}/"],
        capture_output=True, text=True, timeout=800, check=False, stdin=subprocess.DEVNULL)
    findings = json.loads((tmp_path / "out").read_text())
    assert len(findings) > 50, done.stdout[-3000:]
    bad = [f"{f['severity']} {f['id']}: {f['finding']}" for f in findings
           if f["severity"] not in HARMLESS and f["id"] not in ABOUT_ITSELF]
    assert not bad, "\n".join(bad)
