"""The page of the long suites says what they printed, whichever of them ran."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.torture import HEAD, MARK, Torture


def ran(page: Path, outcomes: dict[str, bool]) -> list[str]:
    plugin = Torture(page)
    for node, passed in outcomes.items():
        report: Any = SimpleNamespace(nodeid=node, passed=passed, skipped=False, when="call")
        plugin.pytest_runtest_logreport(report)
    interrupted: Any = SimpleNamespace(nodeid="tests/c.py::slow[1]", passed=True, skipped=False, when="setup")
    plugin.pytest_runtest_logreport(interrupted)
    plugin.pytest_sessionfinish()
    return page.read_text().partition(HEAD)[2].splitlines()


def test_a_line_for_each_suite(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Words.\n{MARK}")
    first = ran(page, {f"tests/a.py::kill[{seed}]": seed != 3 for seed in range(5)})
    assert [line.split(" | ")[1:4] for line in first] == [["5", "1: 3", "0 to 4"]]
    second = ran(page, {"tests/b.py::seeded[no id]": True, "tests/b.py::seeded[local times]": True})
    assert second[0] == first[0]
    assert second[1].split(" | ")[1:4] == ["2", "0", "no id, local times"]
    third = ran(page, {"tests/a.py::kill[7]": True})
    assert third[0].split(" | ")[1:4] == ["6", "1: 3", "0, 1, 2, 3, 4, 7"]  # in slices
    fourth = ran(page, {"tests/a.py::kill[3]": True})
    assert fourth[0].split(" | ")[1:4] == ["6", "0", "0, 1, 2, 3, 4, 7"]
    page.write_text(page.read_text().replace(fourth[0][-14:], "| 2000-01-01 |"))
    assert ran(page, {"tests/a.py::kill[8]": True})[0].split(" | ")[1:4] == ["1", "0", "8"]
    assert page.read_text().startswith("Words.\n")
