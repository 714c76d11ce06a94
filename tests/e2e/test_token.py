# SPDX-License-Identifier: Apache-2.0
"""`adit token`, `adit name`: who may have tunnels, kept in one file that outlasts everything."""
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import stat

import pytest

from harness import proc, reply, until
from harness.edge import program

TOKEN = re.compile(r"^adit_([0-9A-Za-z]{8})_([0-9A-Za-z]{32})\n$")
KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"   # RFC 8037, appendix A.2
PRINT = "AB:" * 31 + "AB"


@pytest.fixture
def way(edge, origin):
    return edge(proxy=origin())


def asked(way, *args):
    """The answer as JSON."""
    done = way.command(*args, "--json")
    answer = json.loads(done.stdout)
    assert (done.returncode == 0) == answer["ok"], done.stderr
    return answer


def create(way, *args):
    done = way.command("token", "create", *args)
    assert done.returncode == 0, done.stderr
    match = TOKEN.match(done.stdout)
    assert match, done.stdout
    return done.stdout.strip(), match[1]


def grants(way):
    return {one["id"]: one for one in asked(way, "token", "list")["grants"]}


def files(way):
    return [path for path in pathlib.Path(way.dir, "state").rglob("*") if path.is_file()]


def keeper_dies(way):
    pid = way.status()["keeper"]["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: way.status()["keeper"]["pid"] != pid, "another keeper")


def restart(way):
    way.stop()
    way.addresses.clear()
    way.start()


def test_a_token_is_shown_once_and_kept_as_a_hash(way):
    token, name = create(way, "--owner", "alice", "--names", "myapp,*-dev", "--ports", "20000-20010,3000",
                         "--tunnels", "3", "--rate", "100/s", "--expires", "90d", "--note", "it's \"hers\"")
    one = grants(way)[name]
    assert one["expires_ms"] - one["created_ms"] == 90 * 86400 * 1000
    assert {key: one[key] for key in ("kind", "owner", "names", "ports", "tunnels", "rate", "note", "expired")} == {
        "kind": "token", "owner": "alice", "names": ["myapp", "*-dev"], "ports": ["20000-20010", "3000"],
        "tunnels": 3, "rate": 100, "note": "it's \"hers\"", "expired": False}
    secret = token.rsplit("_", 1)[1]
    assert secret not in way.command("token", "list").stdout + json.dumps(one) + way.log
    kept = [path for path in files(way) if path.name.startswith("state.db")]
    assert kept
    for path in kept:
        assert secret.encode() not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    table = way.command("token", "list").stdout
    assert re.search(rf"{name} +token +alice +myapp,\*-dev; ports 20000-20010,3000; 3 tunnels; 100 requests/s", table)


def test_several_are_good_at_once_until_they_are_revoked(way):
    first, first_id = create(way)
    _, second_id = create(way)
    assert list(grants(way)) == [first_id, second_id]
    assert grants(way)[first_id]["owner"] == "default"
    done = way.command("token", "revoke", first)   # a whole token, as somebody has it at hand
    assert done.returncode == 0 and first_id in done.stdout
    assert list(grants(way)) == [second_id]
    done = way.command("token", "revoke", first_id)
    assert done.returncode == 1 and "there is no grant" in done.stderr


def test_keys_and_certificates_in_the_place_of_tokens(way):
    key = asked(way, "token", "create", "--key", KEY, "--owner", "bob")
    certificate = asked(way, "token", "create", "--certificate", PRINT)
    assert "token" not in key and "token" not in certificate
    assert [one["kind"] for one in grants(way).values()] == ["key", "certificate"]
    assert "already" in asked(way, "token", "create", "--certificate", PRINT.replace(":", "").lower())["error"]
    assert "already" in asked(way, "token", "create", "--key", KEY)["error"]


@pytest.mark.parametrize("args, says", [
    (("create", "--names", "A"), "`A` is no name"),
    (("create", "--names", "a b,-c"), "`-c` is no name"),
    (("create", "--names", ",".join("a" * 60 + str(i) for i in range(65))), "at most 64 names"),
    (("create", "--ports", "0"), "no range of ports"),
    (("create", "--ports", "20-10"), "no range of ports"),
    (("create", "--ports", "70000"), "no range of ports"),
    (("create", "--owner", "a b"), "no name of an owner"),
    (("create", "--owner", "x" * 64), "no name of an owner"),
    (("create", "--tunnels", "1000000000"), "at most"),
    (("create", "--tunnels", "many"), "takes a number"),
    (("create", "--rate", "-1"), "takes a number"),
    (("create", "--expires", "soon"), "such as 90d"),
    (("create", "--expires", "0s"), "such as 90d"),
    (("create", "--note", "x" * 200), "a note has at most"),
    (("create", "--key", "abc"), "no Ed25519 public key"),
    (("create", "--key", KEY + "="), "no Ed25519 public key"),
    (("create", "--certificate", PRINT[:-2]), "no SHA-256 fingerprint"),
    (("create", "--certificate", PRINT, "--key", KEY), "not both"),
    (("create", "--certificate", "/nonexistent.pem"), "No such file"),
    (("create", "--certificate", "/dev/null"), "there is no certificate"),
    (("revoke",), "revoke ID"),
    (("frob",), "say create, list or revoke ID"),
])
def test_mistakes(way, args, says):
    done = way.command("token", *args)
    assert done.returncode in (1, 2) and says in done.stderr, done.stderr
    assert not grants(way)


def test_they_outlast_reloads_crashes_upgrades_and_restarts(way, tmp_path):
    _, name = create(way, "--owner", "alice")
    assert way.command("name", "reserve", "shop", "--owner", "alice").returncode == 0
    before = grants(way)
    worker = way.worker_pid
    way.reload(way.config)
    os.kill(worker, signal.SIGKILL)
    until(lambda: way.status()["worker"]["pid"] not in (0, worker), "another worker")
    assert grants(way) == before
    keeper_dies(way)
    assert grants(way) == before
    other = str(tmp_path / "adit")
    shutil.copy(program(), other)
    os.chmod(other, 0o755)
    assert way.command("upgrade", other).returncode == 0
    assert grants(way) == before
    _, second = create(way)
    restart(way)
    assert list(grants(way)) == [name, second]
    assert [(one["name"], one["owner"]) for one in asked(way, "name", "list")["names"]] == [("shop", "alice")]
    assert asked(way, "token", "revoke", name)["in_force"]


def test_a_power_cut_loses_nothing_that_was_answered(way):
    """The file as it is on disk right after the answer, without anything being closed."""
    names = [create(way)[1] for _ in range(5)]
    copy = pathlib.Path(way.dir, "copy")
    shutil.copytree(pathlib.Path(way.dir, "state"), copy)
    way.stop()
    shutil.rmtree(pathlib.Path(way.dir, "state"))
    shutil.move(copy, pathlib.Path(way.dir, "state"))
    for path in [pathlib.Path(way.dir, "state"), *files(way)]:
        if os.geteuid() == 0:
            shutil.chown(path, "nobody", "nogroup")
    way.addresses.clear()
    way.start()
    assert list(grants(way)) == names


@pytest.mark.parametrize("damage, says", [
    (lambda path: path.write_bytes(b"\0" * 4096 + path.read_bytes()[4096:]), "damaged"),
    (lambda path: path.write_bytes(path.read_bytes()[:4096] + b"Z" * 4096 + path.read_bytes()[8192:]), "damaged"),
    (lambda path: path.write_bytes(b""), "it is empty"),
    (lambda path: path.write_bytes(b"a letter to somebody else\n" * 99), "not a database"),
    (lambda path: path.write_bytes(path.read_bytes()[:6000]), "damaged"),
    (lambda path: newer(path), "a newer adit"),
], ids=["head", "page", "empty", "letter", "cut", "newer"])
def test_a_damaged_file_is_told_and_left_as_it_is(way, damage, says):
    create(way)
    way.stop()
    path = pathlib.Path(way.dir, "state", "state.db")
    whole = path.read_bytes()
    damage(path)
    damaged = path.read_bytes()
    way.addresses.clear()
    way.start()
    assert way.get().status == 200   # whoever wants no tunnels does not suffer
    for args in (("token", "list"), ("token", "create"), ("name", "reserve", "a", "--owner", "b")):
        done = way.command(*args)
        assert done.returncode == 1 and says in done.stderr and "state.db" in done.stderr, done.stderr
    assert says in way.log
    assert path.read_bytes() == damaged
    path.write_bytes(whole)          # a backup
    assert len(grants(way)) == 1


def newer(path):
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()


def test_somebody_looks_into_the_file_while_it_is_used(way):
    """Who backs it up or looks at it by the tools of SQLite is no obstacle."""
    create(way)
    path = pathlib.Path(way.dir, "state", "state.db")
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    db.execute("BEGIN")
    assert db.execute("SELECT count(*) FROM grants").fetchone() == (1,)
    create(way)
    assert db.execute("SELECT count(*) FROM grants").fetchone() == (1,)
    db.execute("COMMIT")
    assert db.execute("SELECT count(*) FROM grants").fetchone() == (2,)
    db.close()


def test_without_a_state_directory_they_last_as_long_as_the_edge(edge, origin, tmp_path):
    file = tmp_path / "file"
    file.write_text("no directory")
    way = edge(proxy=origin(), env={"ADIT_STATE": str(file)})
    answer = asked(way, "token", "create", "--owner", "alice", "--names", "a,b")
    assert "forgotten when adit ends" in answer["note"]
    asked(way, "token", "create", "--key", KEY)
    asked(way, "name", "reserve", "shop", "--owner", "alice")
    before, names = grants(way), asked(way, "name", "list")["names"]
    keeper_dies(way)
    assert grants(way) == before
    assert asked(way, "name", "list")["names"] == names
    assert asked(way, "token", "create")["in_force"]


# ---- names and domains ---------------------------------------------------------------------------


def test_a_reserved_name_has_one_owner(way):
    assert way.command("name", "reserve", "shop", "--owner", "alice").returncode == 0
    assert way.command("name", "reserve", "shop", "--owner", "alice").returncode == 0
    done = way.command("name", "reserve", "shop", "--owner", "bob")
    assert done.returncode == 1 and "reserved for alice" in done.stderr
    assert "shop" in way.command("name", "list").stdout
    assert way.command("name", "release", "shop").returncode == 0
    done = way.command("name", "release", "shop")
    assert done.returncode == 1 and "not reserved" in done.stderr
    assert way.command("name", "reserve", "shop", "--owner", "bob").returncode == 0


@pytest.mark.parametrize("args, says", [
    (("reserve", "shop"), "whose is it to be?"),
    (("reserve", "shop", "--owner", ""), "no name of an owner"),
    (("reserve", "Shop", "--owner", "a"), "no name"),
    (("reserve", "a.b", "--owner", "a"), "no name"),
    (("add-domain", "com", "--owner", "a"), "no domain"),
    (("add-domain", "a..b", "--owner", "a"), "no domain"),
    (("add-domain", "*.a.b", "--owner", "a"), "no domain"),
    (("release", "a", "--owner", "a"), "goes with"),
    (("check", "a.b"), "there is no domain"),
    (("frob", "a"), "say list, reserve"),
])
def test_mistakes_with_names(way, args, says):
    done = way.command("name", *args)
    assert done.returncode in (1, 2) and says in done.stderr, done.stderr


def domain(way, name="app.customer.com"):
    return next((one for one in asked(way, "name", "list")["names"] if one["name"] == name), None)


def test_a_domain_is_its_owners_while_the_record_is_there(edge, origin, dns):
    way = edge(proxy=origin(), resolver=dns.at)
    added = asked(way, "name", "add-domain", "app.customer.com", "--owner", "alice")["domain"]
    assert added["record"] == "_adit.app.customer.com" and added["value"].startswith("adit-owner=")
    until(lambda: domain(way)["why"] == "there is no TXT record", "the first answer")
    dns.texts[added["record"]] = ["other", "adit-owner=mallory"]
    asked(way, "name", "check", "app.customer.com")
    until(lambda: "something else" in domain(way)["why"], "the wrong record")
    assert not domain(way)["proved"]
    dns.texts[added["record"]] = ["v=spf1 -all", added["value"]]
    asked(way, "name", "check", "app.customer.com")
    until(lambda: domain(way)["proved"], "the proof")
    assert way.wait_log("domain proved name=app.customer.com owner=alice")
    # Nobody can say: it stays. No such name: it is taken away.
    dns.broken.add(added["record"])
    asked(way, "name", "check", "app.customer.com")
    until(lambda: domain(way)["why"], "the failure")
    assert domain(way)["proved"]
    restart(way)
    assert domain(way)["proved"]
    dns.broken.clear()
    del dns.texts[added["record"]]
    asked(way, "name", "check", "app.customer.com")
    until(lambda: not domain(way)["proved"], "its being taken away")
    assert way.wait_log("domain taken away name=app.customer.com owner=alice: there is no TXT record")
    # It is still alice's to prove again, with the same record, and nobody else's.
    again = asked(way, "name", "add-domain", "app.customer.com", "--owner", "alice")["domain"]
    assert again["value"] == added["value"]
    done = way.command("name", "add-domain", "app.customer.com", "--owner", "bob")
    assert done.returncode == 1 and "belongs to alice" in done.stderr
    assert way.command("name", "release", "app.customer.com").returncode == 0
    assert domain(way) is None


def test_the_table_of_tunnels_is_there_and_empty(way):
    assert asked(way, "tunnels")["tunnels"] == []
    assert way.command("tunnels").stdout == "no tunnels\n"
    done = way.command("kick", "nobody", "--reason", "he is not there")
    assert done.returncode == 1 and "there is no tunnel `nobody`" in done.stderr
