# SPDX-License-Identifier: Apache-2.0
"""Origins by name: asked for, remembered for their TTL, asked for again."""
import time

from harness import reply, until


def named(origin, address, port=0):
    return origin(lambda request: reply(200, address.encode()), at=f"{address}:{port}")


def test_an_origin_by_name(edge, origin, dns):
    app = named(origin, "127.0.0.1")
    dns.records["app.internal"] = ["127.0.0.1"]
    way = edge(proxy=f"app.internal:{app.port}", resolver=dns.at)
    assert way.get().body == b"127.0.0.1"
    assert ("app.internal", "A") in dns.queries


def test_names_of_the_hosts_file_need_no_name_server(edge, origin, dns):
    app = named(origin, "127.0.0.1")
    assert edge(proxy=f"localhost:{app.port}", resolver=dns.at).get().body == b"127.0.0.1"


def test_only_a_hosts_file_that_has_changed_is_told_of(edge, origin, tmp_path):
    old = named(origin, "127.0.0.1")
    named(origin, "127.0.0.2", old.port)
    hosts = tmp_path / "hosts"
    tmp_path.chmod(0o755)

    def told():
        return way.log.count("hosts has changed")

    def move(address):
        hosts.write_text(f"{address} app.internal\n")
        until(lambda: way.get().body == address.encode(), "the new address")
    hosts.write_text("127.0.0.1 app.internal\n")
    way = edge(proxy=f"app.internal:{old.port}", env={"ADIT_HOSTS": str(hosts)})
    assert way.get().body == b"127.0.0.1"
    move("127.0.0.2")
    until(lambda: told() == 1, "what is said of it")
    assert way.command("upgrade").returncode == 0
    time.sleep(1)                   # what is not said cannot be waited for; a slow keeper has not looked yet
    assert told() == 1, way.log
    move("127.0.0.1")


def test_a_name_is_asked_for_again_at_its_ttl(edge, origin, dns):
    old = named(origin, "127.0.0.1")
    new = named(origin, "127.0.0.2", old.port)
    dns.records["app.internal"] = ["127.0.0.1"]
    way = edge(proxy=f"app.internal:{old.port}", resolver=dns.at)
    assert way.get().body == b"127.0.0.1"
    dns.records["app.internal"] = ["127.0.0.2"]
    until(lambda: way.get().body == b"127.0.0.2", "the new address", 10)
    assert new.requests


def test_a_name_with_several_addresses_uses_them_all(edge, origin, dns):
    one = origin(lambda request: reply(200, close=True), at="127.0.0.1:0")
    two = origin(lambda request: reply(200, close=True), at=f"127.0.0.2:{one.port}")
    dns.records["app.internal"] = ["127.0.0.1", "127.0.0.2"]
    way = edge(proxy=f"app.internal:{one.port}", resolver=dns.at)
    until(lambda: way.get() and one.requests and two.requests, "both being used", 10)


def test_an_address_that_died_is_passed_over(edge, origin, dns):
    one = named(origin, "127.0.0.1")
    two = named(origin, "127.0.0.2", one.port)
    dns.records["app.internal"] = ["127.0.0.1", "127.0.0.2"]
    way = edge(proxy=f"app.internal:{one.port}", resolver=dns.at)
    assert way.get().status == 200
    one.stop()
    for _ in range(10):
        assert way.get().body == b"127.0.0.2"
    assert two.requests


def test_an_ipv6_only_name(edge, origin, dns):
    app = named(origin, "127.0.0.1")
    six = origin(lambda request: reply(200, b"six"), at="[::1]:0")
    dns.records["six.internal"] = ["::1"]
    way = edge(proxy=f"six.internal:{six.port}", resolver=dns.at)
    assert way.get().body == b"six"
    assert not app.requests


def test_a_name_that_does_not_exist_is_503_until_it_does(edge, origin, dns):
    app = named(origin, "127.0.0.1")
    way = edge(proxy=f"later.internal:{app.port}", resolver=dns.at)
    answer = way.get()
    assert answer.status in (502, 503)
    way.wait_log("not-resolved|does not resolve|later.internal")
    dns.records["later.internal"] = ["127.0.0.1"]
    until(lambda: way.get().status == 200, "the name being found", 20)


def test_a_name_server_that_dies_leaves_the_last_address_in_use(edge, origin, dns):
    app = named(origin, "127.0.0.1")
    dns.records["app.internal"] = ["127.0.0.1"]
    way = edge(proxy=f"app.internal:{app.port}", resolver=dns.at)
    assert way.get().status == 200
    asked = len(dns.queries)
    dns.silent.add("app.internal")
    until(lambda: len(dns.queries) > asked or way.get().status != 200, "it being asked again", 10)
    for _ in range(5):
        assert way.get().status == 200
