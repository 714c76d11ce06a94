# SPDX-License-Identifier: Apache-2.0
"""Sticky sessions: a signed cookie brings a client back to the server that it met first."""
import os
import re
import signal
import time

import pytest

from harness import reply, until

COOKIE = re.compile(r"(adit-[0-9a-f]{8}=[0-9a-f]{16}); Path=/; HttpOnly; SameSite=Lax")


def config(servers, balance=None, **more):
    balance = balance or {"sticky": "cookie", "else": "round-robin"}
    return {"upstreams": {"app": {"servers": servers, "balance": balance, **more}},
            "sites": {"default": {"proxy": "app"}}}


def named(origin, count):
    """Origins that say their number."""
    return [origin(lambda request, i=i: reply(200, b"%d" % i)) for i in range(count)]


def ask(way, cookie=None):
    """Who answered, and the cookie that was set."""
    with way.client() as client:
        answer = client.get("/", [("Cookie", cookie)] if cookie else [])
    assert answer.status == 200
    set_cookie = answer.get("set-cookie")
    found = COOKIE.fullmatch(set_cookie) if set_cookie else None
    assert bool(found) == bool(set_cookie), set_cookie
    return answer.body, found and found[1]


def test_a_client_comes_back_to_its_server(edge, origin):
    way = edge(config([app.at for app in named(origin, 4)]))
    clients = [ask(way) for _ in range(8)]
    assert len({who for who, _ in clients}) == 4
    for _ in range(3):
        for who, cookie in clients:
            assert ask(way, "a=b; " + cookie) == (who, None), "set only when it changes"


@pytest.mark.parametrize("value", ["0" * 16, "f" * 16, "junk", "", "%s0", "0%s"])
def test_a_forged_cookie_is_replaced(edge, origin, value):
    way = edge(config([app.at for app in named(origin, 2)]))
    who, cookie = ask(way)
    name, token = cookie.split("=")
    _, fresh = ask(way, f"{name}={value.replace('%s', token)}")
    assert fresh is not None
    assert ask(way, fresh)[1] is None


def test_when_the_server_dies_the_cookie_moves(edge, origin):
    apps = named(origin, 2)
    way = edge(config([app.at for app in apps]))
    who, cookie = ask(way)
    apps[int(who)].stop()
    other, moved = ask(way, cookie)
    assert other != who and moved not in (None, cookie)
    apps[int(who)].start()
    assert ask(way, moved) == (other, None), "it stays where it went"


def test_cookies_outlive_reload_and_a_crash_of_the_worker(edge, origin):
    apps = named(origin, 3)
    at = [app.at for app in apps]
    way = edge(config(at))
    clients = [ask(way) for _ in range(6)]
    way.reload(config(at[::-1], connections=7))
    assert all(ask(way, cookie) == (who, None) for who, cookie in clients)
    before = way.worker_pid
    os.kill(before, signal.SIGKILL)
    until(lambda: way.worker_pid not in (None, before), "another worker")
    assert all(ask(way, cookie) == (who, None) for who, cookie in clients)


@pytest.mark.parametrize("shared", ["state", "key"])
def test_a_restart_keeps_them_by_state_or_key(edge, origin, tmp_path, shared):
    balance = {"sticky": "cookie", "else": "round-robin"}
    args = {}
    if shared == "state":
        args = {"env": {"ADIT_STATE": str(tmp_path / "state")}}
    else:
        balance["key"] = "$env(STICKY_KEY)"
        args = {"env": {"STICKY_KEY": "of several edges at once"}}
    at = [app.at for app in named(origin, 3)]
    way = edge(config(at, balance), **args)
    clients = [ask(way) for _ in range(6)]
    way.signal(signal.SIGTERM)
    way.wait_exit()
    way = edge(config(at, balance), **args)
    assert all(ask(way, cookie) == (who, None) for who, cookie in clients)


def test_over_tls_the_cookie_belongs_to_the_host(edge, origin, pki):
    way = edge(config([app.at for app in named(origin, 2)]), cert=pki.server)
    with way.tls_client(pki.context()) as client:
        first = client.get()
        cookie = first.get("set-cookie")
        assert re.fullmatch(r"__Host-adit-[0-9a-f]{8}=[0-9a-f]{16}; Path=/; HttpOnly; "
                            r"SameSite=Lax; Secure", cookie), cookie
        again = client.get("/", [("Cookie", cookie.split(";")[0])])
        assert again.body == first.body and again.get("set-cookie") is None


@pytest.mark.parametrize("way_out", [{"state": "drain"}, {"weight": 0}])
def test_who_is_there_stays_and_nobody_new_comes(edge, origin, way_out):
    at = [app.at for app in named(origin, 2)]
    way = edge(config(at))
    clients = {ask(way) for _ in range(6)}
    way.reload(config([{"at": at[0], **way_out}, at[1]]))
    assert all(ask(way, cookie) == (who, None) for who, cookie in clients)
    assert {ask(way)[0] for _ in range(6)} == {b"1"}


def test_maintenance_moves_everybody(edge, origin):
    at = [app.at for app in named(origin, 2)]
    way = edge(config(at))
    clients = {ask(way) for _ in range(6)}
    way.reload(config([{"at": at[0], "state": "maintenance"}, at[1]]))
    for who, cookie in clients:
        there, moved = ask(way, cookie)
        assert there == b"1" and (moved is None) == (who == b"1")


def test_an_upgrade_keeps_them(edge, origin):
    way = edge(config([app.at for app in named(origin, 3)]))
    clients = [ask(way) for _ in range(6)]
    done = way.command("upgrade")
    assert done.returncode == 0, done.stderr
    assert all(ask(way, cookie) == (who, None) for who, cookie in clients)


def test_a_hash_places_by_what_the_request_has(edge, origin):
    """The same value meets the same server, after a reload in another order too."""
    at = [app.at for app in named(origin, 4)]
    way = edge(config(at, {"hash": "header x-user", "bound": "off"}))

    def who(user):
        with way.client() as client:
            return client.get("/", [("X-User", f"user {user}")]).body

    placed = [who(user) for user in range(40)]
    assert len(set(placed)) == 4
    assert [who(user) for user in range(40)] == placed
    way.reload(config(at[::-1], {"hash": "header x-user", "bound": "off"}))
    assert [who(user) for user in range(40)] == placed


def test_ewma_leaves_a_slow_server_alone(edge, origin):
    fast, slow = origin(), origin(lambda request: time.sleep(0.2) or reply(200))
    way = edge(config([fast.at, slow.at], "ewma"))
    with way.client() as client:
        for _ in range(30):
            assert client.get().status == 200
    # On a busy machine the fast one is slow at times as well; its half would be 15.
    assert len(slow.requests) <= 7
