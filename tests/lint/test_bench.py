# SPDX-License-Identifier: Apache-2.0
"""bench/: that its rows, systems and targets fit together, and what its report makes of samples. What it
measures is no part of any test."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCH = Path(__file__).parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import report  # noqa: E402
from scenarios import GROUPS, SCENARIOS, TARGETS  # noqa: E402
from system import Invalid, System  # noqa: E402
from systems import SYSTEMS  # noqa: E402


@pytest.fixture(scope="module")
def run():
    """bench/run as a module."""
    sys.dont_write_bytecode = True  # it has no .py, so what Python kept would lie beside it
    loader = SourceFileLoader("bench_run", str(BENCH / "run"))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def sample(cost, rate=1000.0, p99=50.0):
    return {"cpu_us": cost, "rate": rate, "busy": 1.0, "foreign": 0.0, "p99_us": p99}


def data(**scenarios):
    found = {"scenarios": {name.replace("_", "-"): results for name, results in scenarios.items()},
             "systems": {"adit-tunnel": "an edge"}, "date": "2026-01-02T03:04:05Z", "seconds": 1.0,
             "rounds": 2}
    found["verdicts"] = report.verdicts(found)
    return found


def cells(text, system):
    """A table's row of a system, by the titles."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in text.splitlines() if line.startswith("|")]
    return dict(zip(lines[0], next(line for line in lines if line[0] == system)))


# ---- rows, systems, targets -------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_row_names_systems_that_can_take_part(run, name):
    scenario = SCENARIOS[name]
    named = {*scenario.systems, *([scenario.rival] if scenario.rival else [])}
    assert named <= SYSTEMS.keys()
    able = [system for system in SYSTEMS if run.takes_part(system, scenario)]
    assert able
    assert not scenario.rival or scenario.rival in able


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_has_a_row(run, name):
    assert any(run.takes_part(name, scenario) for scenario in SCENARIOS.values())


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.text)
def test_a_target_is_of_systems_in_its_row(run, target):
    scenario = SCENARIOS[target.scenario]
    assert run.takes_part(target.system, scenario)
    if target.reference not in ("", "best", "one server"):
        assert run.takes_part(target.reference, scenario)


def test_titles_are_all_different():
    titles = [scenario.title for scenario in SCENARIOS.values()]
    assert len({*titles, "Targets", "Systems"}) == len(titles) + 2


def test_every_tunnel_row_is_in_its_group():
    assert {name for name in SCENARIOS if name.startswith("tunnel-")} == set(GROUPS["tunnel"])


# ---- what is installed for a run --------------------------------------------------------------------


def test_npm_is_asked_only_for_the_row_that_needs_it(run, monkeypatch):
    asked = []
    for system in SYSTEMS.values():
        monkeypatch.setattr(system, "find", lambda self: "/")
        monkeypatch.setattr(system, "version", lambda self: "1")
    monkeypatch.setattr(SYSTEMS["tunnelmole"], "install", lambda self: asked.append(1))
    bench = SimpleNamespace()
    assert "tunnelmole" not in run.present(bench, list(SYSTEMS), ["128", "tunnel-h2"])[0]
    assert not asked
    assert "tunnelmole" in run.present(bench, list(SYSTEMS), ["tunnel-bulk"])[0]
    assert asked == [1]


def test_what_cannot_be_installed_is_not_measured(run, monkeypatch):
    monkeypatch.setattr(SYSTEMS["tunnelmole"], "find", lambda self: "/")
    monkeypatch.setattr(SYSTEMS["tunnelmole"], "install", lambda self: "no network")
    assert run.present(SimpleNamespace(), ["tunnelmole"], ["tunnel-1"]) == (
        [], {"tunnelmole": "no network, so not measured"})


# ---- the report -------------------------------------------------------------------------------------


def test_a_system_that_fails_is_shown_as_such():
    results = {"adit-tunnel": [sample(500), sample(700)], "ssh-r": [sample(1200), sample(1800)],
               "tunnelmole": [sample(9000), {"failed": "a stall (after 3 good answers)"}]}
    text = report.render(data(tunnel_bulk=results))
    row = cells(text, "tunnelmole")
    assert row.pop("CPU us/request") == "fails"
    assert {*row.values()} == {"tunnelmole", "-"}
    assert "tunnelmole fails: a stall (after 3 good answers)." in text
    assert cells(text, "adit-tunnel")["MiB/CPU s"] == "1667"
    assert cells(text, "adit-tunnel")["x ssh-r"] == "0.40"


def test_only_systems_that_may_fail_survive_a_wrong_answer(run):
    def wrong(bench, system):
        raise Invalid("'load' had 1 errors: load: an answer was wrong", "an answer was wrong")

    class Fails(System):
        may_fail = True

    assert run.take_or_fail(None, Fails(None), wrong) == {"failed": "an answer was wrong"}
    with pytest.raises(Invalid):
        run.take_or_fail(None, System(None), wrong)


@pytest.mark.parametrize("foreign, verdict", [(0.04, "met"), (0.06, "met, noisy")])
def test_a_rate_beside_other_work_is_noisy(foreign, verdict):
    mine = {**sample(10, 4000), "foreign": foreign}
    text = report.render(data(tunnel_32={"adit-tunnel": [mine], "ssh-r": [sample(20)]}))
    verdicts = text[text.index("### Targets"):]
    assert cells(verdicts, "tunnel, 32 visitors: requests/s / ssh -R")["verdict"] == verdict


def test_update_puts_tables_where_older_ones_were():
    first = data(tunnel_32={"adit-tunnel": [sample(10, 4000)], "ssh-r": [sample(20)]})
    second = data(tunnel_bulk={"adit-tunnel": [sample(10)], "ssh-r": [sample(15)]})
    text = "# Results\n\nProse.\n\n## After\n\nMore prose.\n"
    text = report.update(text, first)
    again = report.update(report.update(text, second), second)
    assert again == report.update(text, second)
    assert again.startswith("# Results\n\nProse.\n") and again.endswith("## After\n\nMore prose.\n")
    for name in ("tunnel-32", "tunnel-bulk"):
        assert again.count(f"### {SCENARIOS[name].title}\n") == 1
    verdicts = again[again.index("### Targets"):]
    assert cells(verdicts, "tunnel, 32 visitors: requests/s / ssh -R")["verdict"] == "met"
    assert cells(verdicts, "tunnel, 1 MiB: bytes per CPU second / ssh -R") == {
        "target": "tunnel, 1 MiB: bytes per CPU second / ssh -R", "wanted": ">= 2",
        "measured": "1.500", "verdict": "missed"}
