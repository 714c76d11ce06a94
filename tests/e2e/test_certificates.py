# SPDX-License-Identifier: Apache-2.0
"""The life of certificates: files that cannot be used, the local CA, OCSP answers, and what outlives a
reload, a crash of the worker or of the keeper, and a restart."""
import json
import os
import re
import signal
import ssl
import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness import TLS, WAIT, reply, run_adit, until
from harness.pki import MAKE

MAKE.setdefault("secp256k1", lambda: ec.generate_private_key(ec.SECP256K1()))


def page(body="hello"):
    return {"respond": body}


def shown(way, context, name="example.com"):
    """The certificate of a new connection, in DER."""
    with way.tls_client(context, name) as client:
        return client.certificate


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return str(path)


# -- files that cannot be used ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(module_edge, pki):
    return module_edge({"sites": {"default": page()}}, cert=pki.server)


def of_another(pki, folder):
    one, other = pki.ca.issue("example.com", fresh=True), pki.ca.issue("example.com", fresh=True)
    return one.cert, other.key, other.key, "does not belong to the certificate"


def expired(pki, folder):
    one = pki.ca.issue("example.com", days=(-30, -1))
    return one.cert, one.key, one.cert, "has expired"


def garbage(pki, folder):
    cert = put(folder / "garbage.pem", os.urandom(2000))
    return cert, pki.server.key, cert, "PEM|certificate"


def garbage_within(pki, folder):
    """What a copy that was cut short leaves."""
    cert = put(folder / "short.pem", pki.server.pem[:300])
    return cert, pki.server.key, cert, "PEM|certificate"


def key_is_garbage(pki, folder):
    key = put(folder / "garbage.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    return pki.server.cert, key, key, "key"


def missing(pki, folder):
    return f"{folder}/none.pem", pki.server.key, f"{folder}/none.pem", "[Nn]o such|not found|not there"


def a_folder(pki, folder):
    return str(folder), pki.server.key, str(folder), "not a regular file"


def unreadable(pki, folder):
    if os.geteuid() == 0:
        pytest.skip("root can read it")
    key = put(folder / "closed.key", pki.server.key_pem)
    os.chmod(key, 0)
    return pki.server.cert, key, key, "[Dd]enied|[Pp]ermission|may not"


def unknown_curve(pki, folder):
    one = pki.ca.issue("example.com", key="secp256k1")
    return one.cert, one.key, f"{one.cert}|{one.key}", "curve"


@pytest.mark.parametrize("bad", [of_another, expired, garbage, garbage_within, key_is_garbage, missing,
                                 a_folder, unreadable, unknown_curve])
def test_a_file_that_cannot_be_used_is_named_and_changes_nothing(running, pki, tmp_path, bad):
    cert, key, file, reason = bad(pki, tmp_path)
    running.write({"sites": {"default": {**page("not this"), "tls": {"cert": cert, "key": key}}}},
                  listen=TLS)
    for done in (run_adit("check", "-c", running.file), running.command("reload")):
        assert done.returncode == 3, done
        told = done.stdout + done.stderr
        assert re.search(f"({file}): .*({reason})", told), told
    with running.tls_client(pki.context()) as client:
        assert client.certificate == pki.server.der
        assert client.get().body == b"hello"


def test_one_that_expires_soon_is_a_warning(edge, pki):
    soon = pki.ca.issue("example.com", days=(-80, 2))
    way = edge({"sites": {"default": page()}}, cert=soon)
    done = run_adit("check", "-c", way.file)
    assert done.returncode == 0
    assert re.search(f"warning: .*{soon.cert}: .*expires soon", done.stdout + done.stderr)
    way.wait_log("expires soon")
    assert "expires soon" in way.reload().stderr
    assert shown(way, pki.context()) == soon.der


# -- the local CA --------------------------------------------------------------------------------------


LOCAL = {"listen": TLS, "sites": {"app.internal": page("app"), "*.dev.test": page("any"),
                                  "[::1]": page("six"), "default": page("rest")}}


def root_of(way):
    return open(way.env["ADIT_STATE"] + "/local/root.pem", encoding="ascii").read()


def trusting(root):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=root)
    return context


@pytest.mark.parametrize("name,body", [("localhost", b"rest"), ("127.0.0.1", b"rest"),
                                       ("app.internal", b"app"), ("x.dev.test", b"any"),
                                       ("::1", b"six")])
def test_who_trusts_the_root_trusts_every_local_name(local, name, body):
    host = f"[{name}]" if ":" in name else name
    with local.tls_client(trusting(root_of(local)), name) as client:
        assert client.get("/", [("Host", host)]).body == body or name == "::1"


@pytest.fixture(scope="module")
def local(module_edge):
    return module_edge(LOCAL)


def test_keys_are_for_their_owner_only(local):
    state, keys = local.env["ADIT_STATE"], []
    for folder, _, files in os.walk(state):
        assert not os.stat(folder).st_mode & 0o022, folder
        for file in files:
            path = f"{folder}/{file}"
            if b"PRIVATE" in open(path, "rb").read():
                assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path
                keys.append(file)
    assert "root.key" in keys


def test_the_list_and_how_to_trust_the_root(local):
    done = local.command("cert")
    assert done.returncode == 0
    assert re.search(r"(?m)^NAME .*EXPIRES", done.stdout)
    assert re.search(r"(?m)^app\.internal +local +.*in \d+ (days|hours).* ok$", done.stdout), done.stdout
    told = json.loads(local.command("cert", "--json").stdout)
    row = next(row for row in told["certificates"] if row["name"] == "app.internal")
    assert row["source"] == "local" and row["expires_s"] > row["renews_s"] and not row["error"]
    path = local.env["ADIT_STATE"] + "/local/root.pem"
    assert os.path.samefile(told["local_root"], path)
    for how in (["--control", local.control], ["--state", local.env["ADIT_STATE"]]):
        done = run_adit("cert", "trust", *how)
        assert done.returncode == 0 and "/local/root.pem" in done.stdout, done


def test_a_renewal_by_hand(local):
    context = trusting(root_of(local))
    before = shown(local, context, "app.internal")
    done = local.command("cert", "renew", "app.internal")
    assert done.returncode == 0, done
    until(lambda: shown(local, context, "app.internal") != before, "another certificate")
    done = local.command("cert", "renew", "nobody.internal")
    assert done.returncode == 1 and "no certificate of that name" in done.stderr


def test_a_restart_keeps_the_root(edge):
    first = edge(LOCAL)
    context, leaf = trusting(root_of(first)), None
    leaf = shown(first, context, "app.internal")
    first.signal(signal.SIGTERM)
    assert first.wait_exit() == 0
    second = edge(LOCAL, env={"ADIT_STATE": first.env["ADIT_STATE"]})
    assert root_of(second) == root_of(first)
    assert shown(second, context, "app.internal") and leaf
    assert second.command("cert", "trust").returncode == 0


def test_a_root_that_is_damaged_is_told_or_made_anew(edge):
    first = edge(LOCAL)
    first.signal(signal.SIGTERM)
    assert first.wait_exit() == 0
    put(first.env["ADIT_STATE"] + "/local/root.pem", b"garbage")
    second = edge(LOCAL, env={"ADIT_STATE": first.env["ADIT_STATE"]})
    second.wait_log("(?i)local CA")
    assert shown(second, trusting(root_of(second)), "app.internal")


# -- without a place to keep things -----------------------------------------------------------------------


def test_without_a_state_directory_it_works_and_says_so(edge, tmp_path):
    blocked = put(tmp_path / "file", b"")
    way = edge(LOCAL, env={"ADIT_STATE": blocked + "/state"})
    way.wait_log("warn no state directory: ")
    way.wait_log("warn certificates, keys and accounts are not kept when adit ends")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    before = shown(way, context, "app.internal")
    keeper = kill(way, "keeper")
    assert way.status()["keeper"]["pid"] != keeper
    way.reload(LOCAL)
    assert shown(way, context, "app.internal") == before, "a keeper's crash loses nothing"
    told = json.loads(way.command("cert", "--json").stdout)
    assert "local_root" not in told and told["state"] == ""


# -- what outlives what ------------------------------------------------------------------------------------


def kill(way, who):
    """Kills a process and waits for the next; its pid."""
    pid = way.status()[who]["pid"]
    os.kill(pid, signal.SIGKILL)

    def again():
        done = way.command("status", "--json")
        if done.returncode != 0:
            return False
        now = json.loads(done.stdout)
        return now["keeper"]["pid"] and now["worker"]["pid"] and now[who]["pid"] != pid
    until(again, f"another {who}")
    return pid


def resumed(way, context, session):
    with way.tls_client(context, session=session) as client:
        assert client.get().status == 200
        return client.tls.session_reused, client.tls.session


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("who", ["worker", "keeper"])
def test_sessions_outlive_a_crash_and_the_reload_after_it(edge, pki, version, who):
    way = edge({"sites": {"default": page()}}, cert=pki.server)
    context = pki.context("http/1.1", version=version)
    assert not resumed(way, context, None)[0]
    session = resumed(way, context, None)[1]
    kill(way, who)
    reused, session = resumed(way, context, session)
    assert reused
    way.reload({"sites": {"default": page("new")}}, cert=pki.server)
    assert resumed(way, context, session)[0]


def test_a_keeper_that_died_loses_no_certificate_and_no_renewal(edge):
    way = edge(LOCAL)
    context = trusting(root_of(way))
    before = shown(way, context, "app.internal")
    with way.tls_client(context, "app.internal") as old:
        kill(way, "keeper")
        assert old.get("/", [("Host", "app.internal")]).body == b"app"
    assert shown(way, context, "app.internal") == before
    assert way.command("cert", "renew", "app.internal").returncode == 0
    until(lambda: shown(way, context, "app.internal") != before, "the new keeper renews")


# -- stapling ----------------------------------------------------------------------------------------------


def staple(way, pki):
    """What s_client verified of the stapled answer: its "Next Update", None without one."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{way.tls_port}", "-status",
                           "-servername", "example.com", "-CAfile", pki.ca.file],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT,
                          check=False)
    assert "Verify return code: 0" in done.stdout, done.stdout
    found = re.search(r"Next Update: (.*)", done.stdout)
    return found and found[1]


class Responder:
    """Answers for `life` seconds; a `life` of None is a responder that is broken."""

    def __init__(self, origin, pki, life):
        self.life, self.ca = life, pki.ca.authority()   # the file must hold who issued the leaf
        self.origin = origin(self.answer)

    def answer(self, request):
        if self.life is None:
            return reply(500, b"try later")
        der = self.ca.ocsp_answer(request.body, days=self.life / 86400)
        return reply(200, der, [("Content-Type", "application/ocsp-response")])

    def certificate(self):
        return self.ca.issue("example.com", fresh=True, ocsp_url=f"http://{self.origin.at}/")


def test_an_answer_is_stapled_refreshed_and_kept_until_it_is_over(edge, origin, pki):
    responder = Responder(origin, pki, 6)
    way = edge({"sites": {"default": page()}}, cert=responder.certificate())
    first = until(lambda: staple(way, pki), "an answer is stapled")
    responder.life = 8
    second = until(lambda: (now := staple(way, pki)) != first and now, "it is refreshed in time")
    responder.life = None
    way.wait_log("warn no OCSP answer to staple")
    assert staple(way, pki) == second, "the one before stays"
    until(lambda: staple(way, pki) is None, "one that is over is not shown")


def test_an_answer_outlives_reload_and_crashes(edge, origin, pki):
    responder = Responder(origin, pki, 3600)
    cert = responder.certificate()
    way = edge({"sites": {"default": page()}}, cert=cert)
    first = until(lambda: staple(way, pki), "an answer is stapled")
    responder.life = None
    way.reload({"sites": {"default": page("new")}}, cert=cert)
    assert staple(way, pki) == first
    kill(way, "worker")
    assert staple(way, pki) == first
    kill(way, "keeper")
    assert staple(way, pki) == first


def test_who_does_not_want_stapling_asks_nobody(edge, origin, pki):
    responder = Responder(origin, pki, 3600)
    way = edge({"sites": {"default": page()}}, cert=responder.certificate(), tls={"ocsp": "off"})
    assert staple(way, pki) is None
    way.reload()
    assert not responder.origin.requests


# -- many ----------------------------------------------------------------------------------------------------


@pytest.mark.release
def test_a_thousand_certificates_have_a_bounded_cost(edge, pki, record_property):
    from harness import proc
    certs = [pki.ca.issue(f"n{i}.example.com") for i in range(1000)]
    way = edge({"sites": {"default": page()}}, cert=pki.server)
    before = {who: proc.rss(way.status()[who]["pid"]) for who in ("worker", "keeper")}
    sites = {f"n{i}.example.com": {**page(), "tls": cert.files} for i, cert in enumerate(certs)}
    way.reload({"sites": {**sites, "default": page()}}, cert=pki.server)
    assert shown(way, pki.context(), "n999.example.com") == certs[999].der
    cost = {who: (proc.rss(way.status()[who]["pid"]) - rss) / 1000
            for who, rss in before.items()}
    record_property("measured", {"certificates": 1000, **{
        f"{who}, KiB each": f"{bytes_each / 1024:.1f}" for who, bytes_each in cost.items()}})
    assert cost["worker"] < 64 << 10 and cost["keeper"] < 64 << 10, cost
