"""Tables that don't need each other run at once, each in a session of its own; a failure stops what depends on it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.pipeline import Report, Result, running, steps
from lakehouse.pipeline.planning import Plan, Step


def step(name: str, *inputs: str) -> Step:
    return Step(f"gold.{name}", "build", tuple(f"gold.{read}" for read in inputs), "update", "")


def test_at_once_and_after_what_is_read() -> None:
    """Three that need each other's threads to be running end; what reads them begins after them."""
    together, ended = threading.Barrier(3, timeout=20), list[str]()

    def work(one: Step) -> Result:
        if not one.inputs:
            together.wait()
        ended.append(one.address)
        return Result(one.address, "build", "done")

    plan = Plan((step("a"), step("b"), step("c"), step("last", "a", "b", "c")))
    results = running._in_order(plan, work, lambda event: None)
    assert [result.status for result in results] == ["done"] * 4
    assert ended[-1] == "gold.last"


def test_a_failure_stops_what_depends_on_it_and_nothing_else() -> None:
    def work(one: Step) -> Result:
        if one.address == "gold.bad":
            return Result(one.address, "build", "failed", error=LakehouseError("bad"))
        return Result(one.address, "build", "done")

    steps_ = (step("bad"), step("good"), step("reads", "bad", "good"), step("on", "reads"), step("other", "good"))
    results = running._in_order(Plan(steps_), work, lambda event: None)
    assert {result.address: result.status for result in results} == {
        "gold.bad": "failed",
        "gold.good": "done",
        "gold.reads": "stopped",
        "gold.on": "stopped",
        "gold.other": "done",
    }
    assert Report(results, 0.0).exit_code == 4


def test_each_table_has_a_session_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transaction ids are settings of a session: two tables of one would write each other's."""
    used: list[Any] = []

    def gold(session: Any, workspace: Any, address: str) -> Result:
        used.append(session)
        return Result(address, "build", "done")

    monkeypatch.setattr(steps, "_gold", gold)
    spark: Any = SimpleNamespace(newSession=object)
    for address in ("gold.a", "gold.b"):
        steps.do_step(spark, SimpleNamespace(), address)  # type: ignore[arg-type]
    assert len({id(session) for session in used}) == 2
    assert spark not in used
