"""Rules of conf/: they know where they stand, and what is no rule has a place and the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.config import load_project
from tests.config.test_loading import BASE, problems, write


@pytest.fixture(autouse=True)
def _no_project_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKEHOUSE_PROJECT", raising=False)
    monkeypatch.delenv("LAKEHOUSE_ENV", raising=False)


EXPECT = """
expect:
  silver.orders:
    - {not_null: [customer, ordered_at]}
    - {in_range: {column: amount, low: 0, high: 1000}, on_fail: warn}
  silver.places: [{not_null: code}]
"""


def test_rules_know_where_they_stand_and_a_list_is_replaced_whole(tmp_path: Path) -> None:
    folder = write(tmp_path, BASE + EXPECT, prod="expect: {silver.places: [{unique: code, on_fail: warn}]}\n")
    rules = load_project(folder).config.expect["silver.orders"]
    assert [(rule.kind, rule.on_fail, rule.place) for rule in rules] == [
        ("not_null", None, "conf/base.yaml:13"),
        ("in_range", "warn", "conf/base.yaml:14"),
    ]
    assert rules[0].said == ["customer", "ordered_at"]
    prod = load_project(folder, "prod").config.expect
    assert [rule.kind for rule in prod["silver.orders"]] == ["not_null", "in_range"]
    assert [(rule.kind, rule.place) for rule in prod["silver.places"]] == [("unique", "conf/env/prod.yaml:1")]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("silver.x: [{not_nul: a}]", "expect.silver.x.0.not_nul: not known. Did you mean 'not_null'?"),
        (
            "silver.x: [{references: {columns: a, table: silver.y, to: b, too: b}}]",
            "too: not known. Did you mean 'to'?",
        ),
        ("silver.x: [{references: {columns: a, table: y, to: b}}]", "table: must be the address of a table"),
        ("silver.x: [{not_null: a, unique: b}]", "must say one rule of expression, fresh_within"),
        ("silver.x: [{on_fail: warn}]", "must say one rule of"),
        ("silver.x: [{not_null: []}]", "not_null: must not be empty"),
        ("silver.x: [{not_null: a, on_fail: wran}]", "on_fail: 'wran' is not known. Did you mean 'warn'?"),
        ("silver.x: [{fresh_within: {column: a, within: 2 hours}}]", "within: must be a time, such as 30s, 5m, 2h"),
        ("silver.x: [{in_range: {column: a, low: true}}]", "low: must be a number or a text"),
        ("silver.x: {not_null: a}", "expect.silver.x: must be a list"),
        ("x: [{not_null: a}]", "expect.x: must be the address of a table"),
        ("silver.x: [{one_of: {column: a, values: ['${env:HOME}']}}]", "a rule can't hold ${…}"),
    ],
)
def test_a_rule_that_is_no_rule_has_a_place_and_the_nearest_name(tmp_path: Path, rules: str, said: str) -> None:
    found = problems(write(tmp_path, f"{BASE}expect:\n  {rules}\n"))
    assert len(found) == 2 and found[1].startswith("conf/base.yaml:1") and said in found[1]
