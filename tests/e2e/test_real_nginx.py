# SPDX-License-Identifier: Apache-2.0
"""Debian's own documentation, served by Debian's nginx, fetched by curl: every byte compared."""
import os
import random
import subprocess
from urllib.parse import quote

import pytest

ROOT = "/usr/share/doc"
CONNECTIONS = 32


def files(limit=None):
    """Regular files below ROOT that anyone may read, in a fixed order or a fixed choice of them."""
    found = []
    for folder, _, names in os.walk(ROOT):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and os.stat(path).st_mode & 0o004:
                found.append(path[len(ROOT) + 1:])
    found.sort()
    if limit and len(found) > limit:
        found = random.Random(42).sample(found, limit)
    return found


def fetch(way, names, to, *options):
    """One curl with many connections fetches all of them."""
    config = to / "curl.conf"
    with open(config, "w", encoding="utf-8") as file:
        for number, name in enumerate(names):
            file.write(f'url = "http://127.0.0.1:{way.port}/{quote(name)}"\n'
                       f'output = "{to}/{number}"\n')
    done = subprocess.run(["curl", "-sS", "--fail", "--parallel", "--parallel-immediate",
                           "--parallel-max", str(CONNECTIONS), "-K", str(config), *options],
                          capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]


def compare(names, to):
    for number, name in enumerate(names):
        with open(f"{ROOT}/{name}", "rb") as wanted, open(to / str(number), "rb") as got:
            assert wanted.read() == got.read(), name


@pytest.mark.parametrize("limit", [400, pytest.param(None, id="all", marks=[
    pytest.mark.long, pytest.mark.timeout(1800)])])
def test_every_byte_of_the_documentation(edge, nginx, tmp_path, limit):
    way = edge(proxy=nginx(ROOT).at, workers=2)
    names = files(limit)
    assert len(names) > 100
    fetch(way, names, tmp_path)
    compare(names, tmp_path)


def test_the_same_through_gzip(edge, nginx, tmp_path):
    server = nginx(ROOT)
    way = edge({"sites": {"default": {"proxy": server.at, "compress": {
        "types": ["text/plain", "text/html", "application/octet-stream"]}}}}, workers=2)
    names = files(300)
    fetch(way, names, tmp_path, "--compressed")
    compare(names, tmp_path)


def test_ranges_and_validators_of_a_real_server(edge, nginx):
    way = edge(proxy=nginx(ROOT).at)
    name = next(n for n in files() if os.path.getsize(f"{ROOT}/{n}") > 5000)
    with open(f"{ROOT}/{name}", "rb") as file:
        wanted = file.read()
    with way.client() as client:
        whole = client.get("/" + quote(name))
        part = client.get("/" + quote(name), [("Range", "bytes=1000-1999")])
        assert (part.status, part.body) == (206, wanted[1000:2000])
        again = client.get("/" + quote(name), [("If-None-Match", whole.get("etag"))])
        assert again.status == 304
        head = client.exchange("HEAD", "/" + quote(name))
        assert head.get("content-length") == str(len(wanted))
        assert client.get("/no/such/file").status == 404
