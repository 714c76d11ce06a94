# SPDX-License-Identifier: Apache-2.0
"""The command line: what it prints, where it points and how it exits."""
import json
import os
import re

import pytest

from harness import run_adit

COMMANDS = ["serve", "proxy", "check", "schema", "help", "reload", "status"]
GOOD = "sites:\n  example.com:\n    proxy: 3000\n"


def written(tmp_path, text, name="adit.yaml"):
    file = tmp_path / name
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize("args", [["--help"]] + [[c, "--help"] for c in COMMANDS], ids=" ".join)
def test_help_everywhere(args):
    done = run_adit(*args)
    assert done.returncode == 0
    assert "adit" in done.stdout
    assert not done.stderr
    for command in COMMANDS if args == ["--help"] else args[:1]:
        assert command in done.stdout


@pytest.mark.parametrize("args", [["no-such-command"], ["serve", "--no-such-option"], ["proxy"],
                                  ["check", "--no-such-option"], ["serve", "-c"],
                                  ["proxy", "not an address", "3000"]], ids=" ".join)
def test_misuse_is_exit_2_with_a_hint(args):
    done = run_adit(*args)
    assert done.returncode == 2
    assert done.stderr and not done.stdout
    assert "help" in done.stderr


def test_a_mistyped_command_is_guessed():
    done = run_adit("relaod")
    assert done.returncode == 2
    assert "reload" in done.stderr


def test_version():
    done = run_adit("--version")
    assert done.returncode == 0
    assert re.match(r"adit \d", done.stdout)


def test_check_of_a_good_file(tmp_path):
    file = written(tmp_path, GOOD)
    for args in (["check", file], ["check", "-c", file], ["serve", "-c", file, "--check"]):
        done = run_adit(*args)
        assert done.returncode == 0, done.stderr
    done = run_adit("check", file, "--json")
    told = json.loads(done.stdout)
    assert (told["ok"], told["errors"], told["diagnostics"]) == (True, 0, [])


def test_check_points_at_the_place_and_the_nearest_name(tmp_path):
    file = written(tmp_path, "sites:\n  example.com:\n    proxi: 3000\n")
    done = run_adit("check", file)
    assert done.returncode == 3
    assert f"{file}:3:5" in done.stderr
    assert "proxi: 3000" in done.stderr, "the line itself is shown"
    assert "proxy" in done.stderr, "and what was probably meant"


def test_check_in_json(tmp_path):
    file = written(tmp_path, "sites:\n  example.com:\n    proxi: 3000\ntimeouts: {idel: 5s}\n")
    done = run_adit("check", "--json", file)
    assert done.returncode == 3
    told = json.loads(done.stdout)
    errors = told["diagnostics"]
    assert (told["ok"], told["errors"]) == (False, 2)
    assert [(e["line"], e["column"]) for e in errors] == [(3, 5), (4, 12)]
    assert errors[0]["file"] == file
    assert "proxy" in str(errors[0]) and "idle" in str(errors[1])


def test_check_finds_every_error_at_once(tmp_path):
    file = written(tmp_path, "listen: nonsense\nworkers: 9999\nsites:\n  a b: {respond: x}\n"
                             "  ok.test: {respond: 999}\ntimeouts: {idle: 5}\n")
    done = run_adit("check", file)
    assert done.returncode == 3
    for line in (1, 2, 4, 5):
        assert f"{file}:{line}:" in done.stderr


def test_an_error_in_an_included_file_names_that_file(tmp_path):
    written(tmp_path, "sites:\n  b.test: {respnd: x}\n", "extra.yaml")
    file = written(tmp_path, GOOD + "include: extra.yaml\n")
    done = run_adit("check", file)
    assert done.returncode == 3
    assert "extra.yaml:2:12" in done.stderr


@pytest.mark.parametrize("args", [["check"], ["serve", "-c"]], ids=["check", "serve"])
def test_a_missing_file_is_a_clear_error(tmp_path, args):
    done = run_adit(*args, str(tmp_path / "none.yaml"))
    assert done.returncode in (1, 3)
    assert re.search("none.yaml.*(not found|No such file)", done.stderr)


def test_serve_refuses_a_bad_file(tmp_path):
    file = written(tmp_path, "sites: {example.com: {proxi: 3000}}")
    done = run_adit("serve", "-c", file)
    assert done.returncode == 3
    assert f"{file}:1:" in done.stderr


def test_schema_is_json_schema():
    done = run_adit("schema")
    assert done.returncode == 0
    schema = json.loads(done.stdout)
    assert "$schema" in schema
    assert {"listen", "sites", "upstreams", "timeouts"} <= set(schema["properties"])


def test_help_of_a_directive():
    done = run_adit("help", "proxy")
    assert done.returncode == 0 and "proxy" in done.stdout
    done = run_adit("help", "timeouts.idle")
    assert done.returncode == 0 and "60s" in done.stdout
    done = run_adit("help", "timeoust")
    assert done.returncode == 2 and "timeouts" in done.stderr
    for name in json.loads(run_adit("schema").stdout)["properties"]:
        done = run_adit("help", name)
        assert done.returncode == 0 and len(done.stdout.splitlines()) > 2, name


def test_status_for_people_and_programs(edge, origin):
    way = edge(proxy=origin())
    for _ in range(3):
        way.get()
    done = way.command("status")
    assert done.returncode == 0
    assert str(way.port) in done.stdout
    status = way.status()
    assert status["worker"]["pid"] > 0
    assert str(way.port) in json.dumps(status)
    assert '"requests": 3' in json.dumps(status)


@pytest.mark.parametrize("command", ["status", "reload"])
def test_commands_without_a_server(tmp_path, command):
    done = run_adit(command, "--control", tmp_path / "none")
    assert done.returncode == 1
    assert "none" in done.stderr


def test_proxy_in_one_line(edge, origin):
    app = origin()
    way = edge(args=["proxy", "127.0.0.1:0", app.at])
    assert way.get("/x").body == b"hello"
    assert app.last.get("x-forwarded-for") == "127.0.0.1"


def test_proxy_with_several_targets(edge, origin):
    apps = [origin(), origin()]
    way = edge(args=["proxy", "127.0.0.1:0", str(apps[0].port), "http://" + apps[1].at])
    with way.client() as client:
        for _ in range(60):
            assert client.get().status == 200
    assert all(app.requests for app in apps), "each is drawn with one half of the chances"


def test_serve_without_a_file_shows_itself(edge, tmp_path):
    """The demo edge: a first look without writing anything, at port 8080 or the next one that is free."""
    way = edge(args=["serve"], env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)})
    assert way.get(host=f"127.0.0.1:{way.port}").status == 200
    way.wait_log(f"http://127.0.0.1:{way.port}/ ")
    way.stop()


def test_a_pipe_gets_no_colours():
    assert "\x1b" not in run_adit("--help").stdout
    assert "\x1b" not in run_adit("check", os.devnull).stderr
