# SPDX-License-Identifier: Apache-2.0
"""Who may ask: allow and deny by address, basic_auth by name and password."""
import base64
import subprocess

from harness import program


def login(user, password):
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return [("Authorization", "Basic " + text)]


def made(password):
    """The line that `adit password` makes."""
    run = subprocess.run([program(), "password"], input=password + "\n", text=True, timeout=60,
                         capture_output=True, check=True)
    assert run.stdout.startswith("pbkdf2-sha256:") and run.stdout.count("\n") == 1
    return run.stdout.strip()


def test_only_who_is_allowed_gets_in(edge, origin):
    app = origin()
    way = edge({"trusted_proxies": ["127.0.0.1"], "sites": {"default": {
        "allow": ["10.0.0.0/8", "not 10.9.0.0/16"],
        "routes": [{"path": "/open", "allow": "off", "proxy": app.at},
                   {"path": "/less", "deny": ["10.1.0.0/16"], "proxy": app.at},
                   {"proxy": app.at}]}}})
    asked = 0
    for path, client, status in [
            ("/", "10.1.2.3", 200), ("/", "10.9.2.3", 403), ("/", "192.0.2.1", 403),
            ("/less", "10.1.2.3", 403), ("/less", "10.2.2.3", 200), ("/less", "192.0.2.1", 403),
            ("/open", "192.0.2.1", 200)]:
        answer = way.get(path, [("X-Forwarded-For", client)])
        assert answer.status == status, (path, client)
        asked += status == 200
    assert len(app.requests) == asked
    assert way.get("/").status == 403      # 127.0.0.1 itself
    assert b"10." not in way.get("/").body


def test_a_password_opens_the_site(edge, origin):
    app = origin()
    way = edge({"sites": {"default": {
        "basic_auth": {"users": {"ann": made("open sesame"), "bob": "plain:$env(ADIT_E2E_BOB)"},
                       "realm": "the cave"},
        "routes": [{"path": "/public", "basic_auth": "off", "proxy": app.at},
                   {"proxy": app.at}]}}}, env={"ADIT_E2E_BOB": "a: \u00fc"})
    refused = way.get("/")
    assert refused.status == 401
    assert refused.get("www-authenticate") == 'Basic realm="the cave", charset="UTF-8"'
    for fields in login("ann", "open Sesame"), login("eve", "open sesame"), login("bob", "a"), \
            [("Authorization", "Basic !")]:
        answer = way.get("/", fields)
        assert (answer.status, answer.get("www-authenticate")) == (401, refused.get("www-authenticate"))
    assert not app.requests
    for fields in login("ann", "open sesame"), login("bob", "a: \u00fc"), login("ann", "open sesame"):
        assert way.get("/", fields).status == 200
        assert "authorization" not in app.last.names()
    assert way.get("/public", login("x", "y")).status == 200
    assert app.last.get("authorization") == login("x", "y")[0][1]   # it is the origin's there


def test_users_who_are_known_do_not_wait_for_who_guesses(edge, origin):
    app = origin()
    way = edge({"workers": 1, "sites": {"default": {
        "basic_auth": {"users": {"ann": made("right")}}, "proxy": app.at}}})
    assert way.get("/", login("ann", "right")).status == 200
    with way.client() as one, way.client() as two, way.client() as three, way.client() as four, \
            way.client() as five:
        guesses = (one, two, three, four)
        for client in guesses:
            client.ask("GET", "/", login("ann", "wrong"))
        five.ask("GET", "/", login("ann", "right"))
        assert five.answer().status == 200
        for client in guesses:
            assert client.answer().status in (401, 503)


def test_who_goes_while_a_password_is_computed_leaves_nothing(edge, origin):
    app = origin()
    way = edge({"sites": {"default": {
        "basic_auth": {"users": {"ann": made("right")}}, "proxy": app.at}}})
    for _ in range(8):
        with way.client() as client:
            client.ask("GET", "/", login("ann", "wrong"))
            client.reset()
    assert way.get("/", login("ann", "right")).status == 200
    assert len(app.requests) == 1
