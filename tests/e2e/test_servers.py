# SPDX-License-Identifier: Apache-2.0
"""Servers that change while the edge runs: watched files, names and services, hosts, `adit server`."""
import json
import os
import signal

import dnslib

from harness import reply, until


def app(origin, text, at="127.0.0.1:0", **more):
    return origin(lambda request: reply(200, text.encode(), **more), at=at)


def upstream(edge, servers, **top):
    return edge({"upstreams": {"app": {"servers": servers, "balance": "round-robin"}},
                 "sites": {"default": {"proxy": "app"}}}, **top)


def answers(way, n=12):
    return {way.get().body.decode() for _ in range(n)}


def listed(way, *args):
    done = way.command("server", "list", *args, "--json")
    assert done.returncode == 0, done.stderr
    return {row["address"]: row for row in json.loads(done.stdout)["servers"]}


def write(path, servers):
    """Replaces the file whole, as most programs do."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(servers))
    os.replace(beside, path)


# -- watched files --------------------------------------------------------------------------


def test_a_watched_file(edge, origin, tmp_path):
    one, two, three = (app(origin, name) for name in ("one", "two", "three"))
    path = tmp_path / "list.yaml"
    path.write_text(f"- {two.at}\n")
    way = upstream(edge, [one.at, {"file": str(path)}])
    assert answers(way) == {"one", "two"}
    write(path, [two.at, {"at": three.at, "weight": 2}])
    until(lambda: answers(way) == {"one", "two", "three"}, "the third server", 15)
    path.write_text(f"- {three.at}\n")  # in place
    until(lambda: answers(way) == {"one", "three"}, "the second server gone", 15)
    write(path, [])
    until(lambda: answers(way) == {"one"}, "an empty list", 15)


def test_what_is_wrong_in_a_watched_file_is_told_and_the_last_list_stays(edge, origin, tmp_path):
    one = app(origin, "one")
    path = tmp_path / "list.yaml"
    path.write_text(f"- {one.at}\n")
    way = upstream(edge, [{"file": str(path)}])
    path.write_text(f"- {one.at}\n- {{at: 127.0.0.1:1, wieght: 2}}\n")
    way.wait_log(r"list\.yaml:2:\d+: unknown key `wieght`.*its last list stays")
    assert answers(way) == {"one"}
    os.remove(path)
    path.write_text("")  # half of a file is no list
    way.wait_log(r"nothing in the configuration.*its last list stays")
    os.remove(path)
    assert answers(way) == {"one"}
    two = app(origin, "two")
    write(path, [two.at])
    until(lambda: answers(way) == {"two"}, "the new list", 15)


def test_a_watched_file_that_is_not_there_or_wrong_ends_the_start(edge, tmp_path):
    path = tmp_path / "list.yaml"
    config = {"upstreams": {"app": {"servers": [{"file": str(path)}]}},
              "sites": {"default": {"proxy": "app"}}}
    file = tmp_path / "a.json"
    file.write_text(json.dumps(config))
    from harness.edge import run_adit
    done = run_adit("check", str(file))
    assert done.returncode == 3 and "cannot read" in done.stderr + done.stdout
    path.write_text("- {at: 3000, weight: none}\n")
    done = run_adit("check", str(file))
    assert done.returncode == 3 and "list.yaml:1:" in done.stderr + done.stdout


# -- commands -------------------------------------------------------------------------------


def test_commands_are_in_force_at_once(edge, origin):
    one, two = app(origin, "one"), app(origin, "two")
    way = upstream(edge, [one.at])
    assert way.command("server", "add", "app", two.at, "weight=3").returncode == 0
    assert answers(way) == {"one", "two"}
    assert listed(way)[two.at]["weight"] == 3
    assert way.command("server", "drain", "app", one.at).returncode == 0
    assert answers(way) == {"two"}
    until(lambda: listed(way)[one.at]["state"] == "draining", "its state")
    assert way.command("server", "ready", "app", one.at).returncode == 0
    assert answers(way) == {"one", "two"}
    assert way.command("server", "maintenance", "app", two.at).returncode == 0
    assert answers(way) == {"one"}
    assert way.command("server", "weight", "app", one.at, "5").returncode == 0
    assert way.command("server", "remove", "app", two.at).returncode == 0
    assert listed(way, "app").keys() == {one.at}
    text = way.command("server", "list").stdout
    assert "UPSTREAM" in text and one.at in text and "weight 5" in text


def test_mistakes_in_commands(edge, origin):
    one = app(origin, "one")
    way = upstream(edge, [one.at])
    for args, says in [
            (("drain", "ap", one.at), "did you mean `app`"),
            (("drain", "app", "127.0.0.1:1"), "has no server 127.0.0.1:1"),
            (("drain", "app", "nonsense"), "the address has no port"),
            (("add", "app", one.at), "already"),
            (("add", "app", "https://127.0.0.1:1"), "tls: {name:"),
            (("add", "app", "127.0.0.1:1", "weight=0"), "weight=1"),
            (("weight", "app", one.at, "1001"), "1 to 1000"),
            (("list", "apq"), "did you mean `app`")]:
        done = way.command("server", *args)
        assert done.returncode == 1 and says in done.stderr, (args, done.stderr)
    assert way.command("server", "drain", "app").returncode == 2
    assert way.command("server", "explode").returncode == 2
    assert not way.status()["servers"]["overrides"]


def test_what_was_commanded_outlives_reload_and_crashes(edge, origin):
    one, two = app(origin, "one"), app(origin, "two")
    way = upstream(edge, [one.at, two.at])
    assert way.command("server", "maintenance", "app", one.at).returncode == 0
    assert answers(way) == {"two"}
    way.reload()
    assert answers(way) == {"two"}
    keeper = way.status()["keeper"]["pid"]
    os.kill(keeper, signal.SIGKILL)
    way.forgive()
    until(lambda: way.command("status").returncode == 0 and
          way.status()["keeper"]["pid"] != keeper, "another keeper")
    assert way.status()["servers"]["overrides"][0]["state"] == "maintenance"
    worker = way.worker_pid
    os.kill(worker, signal.SIGKILL)
    until(lambda: way.worker_pid not in (0, worker), "another worker")
    assert answers(way) == {"two"}
    way.reload({"upstreams": {"app": {"servers": [two.at]}}, "sites": {"default": {"proxy": "app"}}})
    way.wait_log("no longer in the configuration")
    assert not way.status()["servers"]["overrides"]


def test_a_tunnel_lives_on_while_other_servers_change(edge, origin):
    def pipe(conn):
        conn.read_request()
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                  b"Upgrade: pipe/1\r\n\r\n")
        while True:
            data = conn.read_some()
            if not data:
                return
            conn.send(data)
    one, two = origin(play=pipe), app(origin, "two")
    way = upstream(edge, [one.at])
    client = way.client()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: pipe/1\r\n\r\n")
    assert client.answer_head().status == 101
    for args in [("add", "app", two.at), ("drain", "app", one.at), ("weight", "app", two.at, "9"),
                 ("remove", "app", one.at)]:
        assert way.command("server", *args).returncode == 0
        client.send(b"ping")
        assert client.read(4) == b"ping"
    assert answers(way, 4) == {"two"}


# -- names ----------------------------------------------------------------------------------


def test_each_address_of_a_name_is_a_server(edge, origin, dns):
    one = app(origin, "one", at="127.0.0.1:0")
    app(origin, "two", at=f"127.0.0.2:{one.port}")
    dns.records["app.internal"] = ["127.0.0.1", "127.0.0.2"]
    way = upstream(edge, [f"app.internal:{one.port}"], resolver=dns.at)
    assert answers(way) == {"one", "two"}
    rows = listed(way)
    assert len(rows) == 2 and rows[one.at]["at"] == f"app.internal:{one.port}"
    assert way.command("server", "drain", "app", one.at).returncode == 0
    assert answers(way) == {"two"}
    way.reload()
    assert answers(way) == {"two"}, "what belongs to a name outlives a reload"
    dns.records["app.internal"] = ["127.0.0.1"]
    until(lambda: len(listed(way)) == 1, "one address fewer", 15)


def test_an_address_of_a_name_is_removed_and_added_and_removed(edge, origin, dns):
    one = app(origin, "one", at="127.0.0.1:0")
    app(origin, "two", at=f"127.0.0.2:{one.port}")
    dns.records["app.internal"] = ["127.0.0.1", "127.0.0.2"]
    way = upstream(edge, [f"app.internal:{one.port}"], resolver=dns.at)
    assert answers(way) == {"one", "two"}
    for _ in range(2):
        assert way.command("server", "remove", "app", one.at).returncode == 0
        assert answers(way) == {"two"}
        assert way.command("server", "add", "app", one.at).returncode == 0
        assert answers(way) == {"one", "two"}


class Services:
    """SRV records for the name server: (priority, weight, port, target)."""

    def __init__(self, dns):
        self.records = {}
        inner = dns.resolve

        def resolve(request, handler):
            name = str(request.q.qname).rstrip(".").lower()
            if dnslib.QTYPE[request.q.qtype] != "SRV" or name not in self.records:
                return inner(request, handler)
            answer = request.reply()
            for record in self.records[name]:
                answer.add_answer(dnslib.RR(request.q.qname, dnslib.QTYPE.SRV, ttl=1,
                                            rdata=dnslib.SRV(*record)))
            return answer
        dns.resolve = resolve


def test_a_service_and_its_priorities(edge, origin, dns):
    one, two, last = app(origin, "one"), app(origin, "two"), app(origin, "last")
    dns.records["a.internal"] = ["127.0.0.1"]
    services = Services(dns)
    name = "_http._tcp.app.internal"
    services.records[name] = [(1, 1, one.port, "a.internal"), (1, 1, two.port, "a.internal"),
                              (9, 1, last.port, "a.internal")]
    way = upstream(edge, [f"srv://{name}"], resolver=dns.at)
    assert answers(way) == {"one", "two"}
    services.records[name] = [(1, 1, two.port, "a.internal"), (9, 1, last.port, "a.internal")]
    until(lambda: answers(way) == {"two"}, "the record gone", 15)
    services.records[name] = [(9, 1, last.port, "a.internal")]
    until(lambda: answers(way) == {"last"}, "what is left", 15)
    services.records[name] = []
    way.wait_log("keeps its last addresses")
    assert answers(way, 4) == {"last"}


def test_a_changed_hosts_file(edge, origin, tmp_path):
    one = app(origin, "one", at="127.0.0.1:0")
    app(origin, "two", at=f"127.0.0.2:{one.port}")
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 app.internal\n")
    linked = tmp_path / "linked"
    linked.symlink_to(hosts)
    way = upstream(edge, [f"app.internal:{one.port}"], env={"ADIT_HOSTS": str(linked)})
    assert answers(way) == {"one"}
    other = tmp_path / "other"
    other.write_text("127.0.0.2 app.internal\n")
    linked.unlink()
    linked.symlink_to(other)
    until(lambda: answers(way) == {"two"}, "the other address", 15)
