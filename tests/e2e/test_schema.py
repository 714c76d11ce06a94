# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema that editors get: what `adit check` accepts it accepts, and plain mistakes it finds."""
import json
import pathlib
import re

import pytest

from harness import run_adit

yaml = pytest.importorskip("yaml")
EXAMPLES = sorted((pathlib.Path(__file__).parents[2] / "examples").glob("*.yaml"))
TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict,
         "array": list}


def is_a(value, name):
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, TYPES[name])


class Schema:
    """As much of JSON Schema 2020-12 as adit's uses."""

    def __init__(self, text):
        self.root = json.loads(text)

    def error(self, value, rules=None, at=""):
        rules = self.root if rules is None else rules
        if "$ref" in rules:
            found = self.error(value, self.root["$defs"][rules["$ref"].rpartition("/")[2]], at)
            if found:
                return found
        found = self.scalar_error(value, rules, at)
        if found or not isinstance(value, (dict, list)):
            return found
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in parts:
            found = self.inner_error(key, inner, value, rules, at)
            if found:
                return found
        missing = [key for key in rules.get("required", []) if key not in value]
        return f"{at} needs {missing[0]}" if missing else None

    def scalar_error(self, value, rules, at):
        same = [v for v in rules.get("enum", [value]) if v == value and type(v) is type(value)]
        if not same or ("const" in rules and rules["const"] is not value):
            return f"{at} is another word"
        names = rules.get("type", [])
        names = [names] if isinstance(names, str) else names
        if names and not any(is_a(value, name) for name in names):
            return f"{at} is no {names}"
        if "pattern" in rules and not re.search(rules["pattern"], value):
            return f"{at} does not look like {rules['pattern']}"
        if not rules.get("minimum", value) <= value <= rules.get("maximum", value) \
                if is_a(value, "number") else False:
            return f"{at} is out of range"
        choices = [self.error(value, choice, at) for choice in rules.get("anyOf", [])]
        return choices[0] if choices and all(choices) else None

    def inner_error(self, key, inner, value, rules, at):
        if isinstance(value, list):
            return self.error(inner, rules.get("items", {}), f"{at}[{key}]")
        known = rules.get("properties", {}).get(key, rules.get("additionalProperties", {}))
        if known is False:
            return f"{at} has no {key}"
        return self.error(inner, known, f"{at}.{key}")


@pytest.fixture(scope="module")
def schema():
    done = run_adit("schema")
    assert done.returncode == 0
    return Schema(done.stdout)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_examples_fit(schema, file):
    assert schema.error(yaml.safe_load(file.read_text())) is None


@pytest.mark.parametrize("text, part", [
    ("lisen: 80", "has no lisen"),
    ("log: loud", "another word"),
    ("workers: 1000", "out of range"),
    ("timeouts: {connect: soon}", "does not look like"),
    ("listen: {backlog: 2}", "needs at"),
    ("sites: {a.test: {proxi: 3000}}", "has no proxi"),
])
def test_mistakes_are_found(schema, text, part):
    assert part in schema.error(yaml.safe_load(text))
