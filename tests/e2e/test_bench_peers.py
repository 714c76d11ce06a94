# SPDX-License-Identifier: Apache-2.0
"""What the benchmark compares tunnels with and no package of Debian's has: the client of Tunnelmole from
npm, and our stand-in for its service. Each answer comes through them byte for byte, or the benchmark
would measure something else."""
import concurrent.futures
import http.client
import os
import shutil
import sys
from types import SimpleNamespace

import pytest
from harness.apps import MIB, Store, blob, blob_hash

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench"))

from system import make_certificate  # noqa: E402
from tunnels import Tunnelmole  # noqa: E402


@pytest.fixture
def tunnelmole(tmp_path):
    """Started with a store of bytes behind it, as bench/run does it."""
    if not shutil.which("npm"):
        pytest.skip("no npm")
    certificate, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    make_certificate(certificate, key)
    store = Store()
    bench = SimpleNamespace(directory=str(tmp_path), certificate=certificate, key=key, nice=0,
                            cpu_proxy=min(os.sched_getaffinity(0)), started=[],
                            ends=SimpleNamespace(port=store.port))
    system = Tunnelmole(bench, "tunnel")
    try:
        missing = system.install()
        if missing and not os.environ.get("CI"):
            pytest.skip(missing)
        assert missing is None
        system.start()
        yield system
    finally:
        system.stop()
        store.stop()


def ask(system, method, path, body=None, host="bench.test"):
    """Status and body of an answer."""
    client = http.client.HTTPConnection("127.0.0.1", system.port, timeout=30)
    try:
        client.request(method, path, body, {"Host": host})
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()


@pytest.mark.long
def test_answers_come_through_tunnelmole_byte_for_byte(tunnelmole):
    for size in (1, 128, 10240, MIB, 3 * MIB + 5):
        assert ask(tunnelmole, "GET", f"/{size}") == (200, b"".join(blob(size)))
    sent = b"".join(blob(MIB, 7))
    assert ask(tunnelmole, "PUT", "/", sent) == (200, f"{blob_hash(MIB, 7)} {MIB}".encode())
    assert ask(tunnelmole, "GET", "/128", host="other.test")[0] == 404
    with concurrent.futures.ThreadPoolExecutor(32) as visitors:
        sizes = [1000 + 37 * i for i in range(96)]
        answers = visitors.map(lambda size: ask(tunnelmole, "GET", f"/{size}"), sizes)
        for size, answer in zip(sizes, answers):
            assert answer == (200, b"".join(blob(size)))


@pytest.mark.long
def test_visitors_hear_when_the_client_of_tunnelmole_is_gone(tunnelmole):
    tunnelmole.others[0].kill()
    tunnelmole.others[0].wait()
    assert ask(tunnelmole, "GET", "/128")[0] in (404, 502)
