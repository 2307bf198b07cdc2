"""The page of the long suites says what they printed, whichever of them ran; seeds that failed are kept."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.laws import corpus
from tests.torture import HEAD, MARK, Torture

REPOSITORY = Path(__file__).parents[2]
KAFKA = "tests/sources/kafka/test_faults.py::test_a_history_of_everything"


def ran(page: Path, outcomes: dict[str, bool]) -> list[str]:
    plugin = Torture(page, page.with_name("seeds.json"))
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
    kept = tmp_path / "seeds.json"
    kept.write_text("{}")
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
    assert json.loads(kept.read_text()) == {"tests/a.py::kill": [3]}
    ran(page, {"tests/a.py::kill[1]": False, "tests/b.py::seeded[no id]": False})
    assert corpus.read(kept) == {"tests/a.py::kill": [1, 3]}


def test_seeds_that_failed_are_run_each_time() -> None:
    for test in corpus.read():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (REPOSITORY / file).read_text()
        assert f'"{test}"' in (REPOSITORY / file).read_text()
    marks = {param.values[0]: bool(param.marks) for param in corpus.seeds(KAFKA, quick=1, every=3)}
    assert marks == {0: False, 1: True, 2: True, 29: False}
