# SPDX-License-Identifier: Apache-2.0
"""What tokens mean for live tunnels: how they end, and what the lists say of them meanwhile."""
import json
import os
import re
import signal
import time

import pytest

from harness import until
from harness.tunnel import ZONE, create_token, visit, zone

pytestmark = pytest.mark.usefixtures("tunnels")


@pytest.fixture
def way(edge):
    return edge(**zone(workers=2, tunnels={"anonymous": "off"}))


def asked(way, *args):
    done = way.command(*args, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def tunnels(way):
    return {one["name"]: one for one in asked(way, "tunnels")["tunnels"]}


def test_a_list_of_what_there_is(way, app, agent):
    token = create_token(way, "--owner", "alice")
    it = agent(way, app.port, "as", "myapp", token=token)
    assert visit(way).body == b"from the laptop"
    one = tunnels(way)["myapp"]
    assert (one["state"], one["owner"], one["instances"], one["connections"], one["kind"]) == (
        "live", "alice", 1, 1, "http")
    assert one["zone"] == f"*.{ZONE}" and one["url"] == f"http://myapp.{ZONE}:{way.port}"
    assert one["from"].startswith("127.0.0.1:") and one["agent"].startswith("adit/")
    assert one["grant"] == token.split("_")[1]
    used = asked(way, "token", "list")["grants"][0]
    assert used["used_ms"] > 0 and used["used_ms"] >= used["created_ms"]
    until(lambda: tunnels(way)["myapp"]["rtt_us"], "the time to the agent and back")
    assert 0 < tunnels(way)["myapp"]["rtt_us"] < 1_000_000
    table = way.command("tunnels").stdout
    assert re.search(r"\bRTT\b", table) and re.search(r" \d+\.\d ms ", table), table
    it.stop()
    until(lambda: not tunnels(way), "an empty list")


def test_a_revoked_token_ends_its_tunnels_and_no_others(way, app, agent):
    first, second = create_token(way, "--owner", "alice"), create_token(way, "--owner", "alice")
    it = agent(way, app.port, "as", "one", token=first, expect_exit=4)
    agent(way, app.port, "as", "two", token=second)
    assert way.command("token", "revoke", first).returncode == 0
    ended = it.wait_event("ended")
    assert "revoked" in json.dumps(ended) or ended.get("reason") == "bad-token"
    assert it.wait_exit() == 4
    until(lambda: set(tunnels(way)) == {"two"}, "the end of one")
    assert visit(way, "two").status == 200
    assert visit(way, "one").status == 404


def test_an_expired_token_ends_its_tunnels(way, app, agent):
    token = create_token(way, "--expires", "6s")
    it = agent(way, app.port, "as", "myapp", token=token, expect_exit=None)
    assert visit(way).status == 200
    it.wait_event("ended", timeout=20)
    until(lambda: not tunnels(way), "its end")
    assert asked(way, "token", "list")["grants"][0]["expired"]


def test_a_name_that_is_reserved_for_another_ends_the_tunnel_that_has_it(way, app, agent):
    it = agent(way, app.port, "as", "shop", token=create_token(way, "--owner", "bob"), expect_exit=None)
    assert way.command("name", "reserve", "shop", "--owner", "alice").returncode == 0
    it.wait_event("ended")
    it = agent(way, app.port, "as", "shop", token=create_token(way, "--owner", "alice"))
    assert tunnels(way)["shop"]["owner"] == "alice"


def test_scopes_are_kept(way, app, agent):
    token = create_token(way, "--names", "myapp,*-dev", "--tunnels", "1")
    agent(way, app.port, "as", "x-dev", token=token)
    it = agent(way, app.port, "as", "other", token=token, wait=False, expect_exit=None)
    assert it.wait_exit() != 0
    assert [event["status"] for event in it.events if event.get("event") == "ended"] == [403], it.describe()


def test_a_kicked_agent_stays_away(way, app, agent):
    it = agent(way, app.port, "as", "myapp", token=create_token(way), expect_exit=4)
    done = way.command("kick", "myapp", "--reason", "it is too loud")
    assert done.returncode == 0 and "1 tunnel ended" in done.stdout
    assert "it is too loud" in json.dumps(it.wait_event("ended"))
    assert it.wait_exit() == 4
    until(lambda: not tunnels(way), "its end")
    assert way.command("kick", "myapp").returncode == 1


def test_what_a_worker_leaves_is_parked_by_the_next(way, app, agent):
    """The rows of the worker that died say which names are to be kept free."""
    it = agent(way, app.port, "as", "myapp", token=create_token(way, "--owner", "alice"), expect_exit=None)
    it.freeze()                 # it cannot come back by itself
    worker = way.worker_pid
    os.kill(worker, signal.SIGKILL)
    until(lambda: way.worker_pid not in (0, worker), "another worker")
    until(lambda: tunnels(way).get("myapp", {}).get("state") == "parked", "the parked name")
    assert tunnels(way)["myapp"]["owner"] == "alice"
    it.thaw()
    assert visit(way).body == b"from the laptop"
    until(lambda: tunnels(way)["myapp"]["state"] == "live", "its return")


def test_a_keeper_that_died_takes_nothing_from_agents(way, app, agent):
    agent(way, app.port, "as", "myapp", token=create_token(way, "--owner", "alice"))
    keeper = way.status()["keeper"]["pid"]
    os.kill(keeper, signal.SIGKILL)
    until(lambda: way.status()["keeper"]["pid"] != keeper, "another keeper")
    assert visit(way).status == 200
    assert tunnels(way)["myapp"]["state"] == "live"
    agent(way, app.port, "as", "other", token=create_token(way))


def test_an_upgrade_takes_nothing_from_agents(way, app, agent):
    it = agent(way, app.port, "as", "myapp", token=create_token(way, "--owner", "alice"), expect_exit=None)
    assert way.command("upgrade").returncode == 0
    until(lambda: tunnels(way).get("myapp", {}).get("state") == "live", "its tunnel at the new worker")
    assert visit(way).body == b"from the laptop"
    assert it.running()


def test_a_damaged_state_file_ends_no_tunnel_and_refuses_nobody_for_good(way, app, agent):
    """An agent is told to come again, which it does; it is not told that its token is bad."""
    token = create_token(way, "--owner", "alice")
    way.stop()
    path = os.path.join(way.dir, "state", "state.db")
    with open(path, "rb") as file:
        whole = file.read()
    with open(path, "wb") as file:
        file.write(b"no database\n" * 999)
    way.addresses.clear()
    way.start()
    it = agent(way, app.port, "as", "myapp", token=token, wait=False, expect_exit=None)
    assert it.wait_event("failed")["status"] == 503
    assert not [event for event in it.events if event.get("event") == "ended"]
    with open(path, "wb") as file:
        file.write(whole)
    assert way.command("token", "list").returncode == 0
    it.wait_event("ready", timeout=30)
    assert visit(way).status == 200


def test_an_own_domain_has_a_tunnel_while_its_record_is_there(edge, app, agent, dns):
    way = edge({"workers": 2, "sites": {"default": {"tunnels": {"at": ZONE}}}}, resolver=dns.at)
    token = create_token(way, "--owner", "alice")
    early = agent(way, app.port, "as", "app.customer.test", token=token, wait=False, expect_exit=None)
    assert early.wait_event("ended")["status"] == 403
    record = asked(way, "name", "add-domain", "app.customer.test", "--owner", "alice")["domain"]
    dns.texts[record["record"]] = [record["value"]]
    assert way.command("name", "check", "app.customer.test").returncode == 0
    until(lambda: asked(way, "name", "list")["names"][0]["proved"], "the proof")
    stranger = agent(way, app.port, "as", "app.customer.test", token=create_token(way, "--owner", "bob"),
                     wait=False, expect_exit=None)
    assert stranger.wait_event("ended")["status"] in (403, 409)
    it = agent(way, app.port, "as", "app.customer.test", token=token, expect_exit=None)
    assert way.get("/", [("Host", f"app.customer.test:{way.port}")]).body == b"from the laptop"
    assert tunnels(way)["app.customer.test"]["url"] == f"http://app.customer.test:{way.port}"
    del dns.texts[record["record"]]
    assert way.command("name", "check", "app.customer.test").returncode == 0
    it.wait_event("ended")
    until(lambda: not tunnels(way), "its end")


def test_a_tunnel_gets_no_more_requests_in_a_second_than_its_token_allows(way, app, agent):
    agent(way, app.port, "as", "myapp", token=create_token(way, "--rate", "5/s"))
    agent(way, app.port, "as", "other", token=create_token(way))
    answers = [visit(way) for _ in range(30)]
    assert 5 <= sum(one.status == 200 for one in answers) < 30
    refused = next(one for one in answers if one.status == 503)
    assert int(refused.get("retry-after")) >= 1
    assert way.wait_log("more requests in a second")
    assert all(visit(way, "other").status == 200 for _ in range(30))
    until(lambda: visit(way).status == 200, "the next second")


def test_the_tunnels_of_a_token_share_its_rate(way, app, agent):
    """On all cores, and over changes of what tokens there are."""
    token = create_token(way, "--rate", "20/s")
    names = [f"app{i}" for i in range(6)]
    for name in names:
        agent(way, app.port, "as", name, token=token)
    began = time.monotonic()
    answers = []
    for turn in range(10):
        answers += [visit(way, name).status for name in names for _ in range(5)]
        create_token(way)
    took = time.monotonic() - began
    assert set(answers) <= {200, 503}
    assert 20 <= answers.count(200) <= 20 + 20 * took + 1, (answers.count(200), took)
