"""The page of the long suites says what they printed, whichever of them ran; seeds that failed are kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.laws import corpus
from tests.torture import HEAD, MARK, Torture

REPOSITORY = Path(__file__).parents[2]
KAFKA = "tests/sources/kafka/test_faults.py::test_a_history_of_everything"


def ran(folder: Path, outcomes: dict[str, bool]) -> list[list[str]]:
    plugin = Torture(folder / "page.md", folder / "outcomes.json", folder / "seeds.json")
    for node, passed in outcomes.items():
        report: Any = SimpleNamespace(nodeid=node, passed=passed, skipped=False, when="call")
        plugin.pytest_runtest_logreport(report)
    interrupted: Any = SimpleNamespace(nodeid="tests/c.py::slow[1]", passed=True, skipped=False, when="setup")
    plugin.pytest_runtest_logreport(interrupted)
    plugin.pytest_sessionfinish()
    return [line.split(" | ") for line in (folder / "page.md").read_text().partition(HEAD)[2].splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "page.md").write_text(f"Words.\n{MARK}")
    (tmp_path / "seeds.json").write_text('{"tests/a.py::kill": []}')
    return tmp_path


def test_a_line_for_each_suite(folder: Path) -> None:
    first = ran(folder, {f"tests/a.py::kill[{seed}]": seed != 3 for seed in range(5)})
    assert [line[1:4] for line in first] == [["5", "1: 3", "0 to 4"]]
    second = ran(folder, {"tests/b.py::seeded[no id]": True, "tests/b.py::seeded[few, slow]": True})
    assert second[0] == first[0]
    assert second[1][1:4] == ["2", "0", "few, slow; no id"]
    assert (folder / "page.md").read_text().startswith("Words.\n")
    assert ran(folder, {"tests/b.py::alone": True})[1][1:4] == ["1", "0", "-"]


def test_slices_add_up(folder: Path) -> None:
    names = [f"tests/b.py::call[EIO-{number:020}]" for number in range(30)]
    ran(folder, {name: name != names[7] for name in names} | {"tests/a.py::kill[3]": False})
    lines = ran(folder, {"tests/b.py::call[kill]": True, "tests/a.py::kill[7]": True, "tests/a.py::kill[8]": True})
    assert lines[0][1:4] == ["3", "1: 3", "3, 7 to 8"]
    assert lines[1][1:4] == ["31", f"1: EIO-{7:020}", "31 cases"]
    outcomes = folder / "outcomes.json"
    outcomes.write_text(outcomes.read_text().replace(f"{datetime.now(UTC):%Y-%m-%d}", "2000-01-01"))
    lines = ran(folder, {"tests/a.py::kill[3]": True})
    assert lines[0][1:4] == ["3", "0", "3, 7 to 8"]
    assert lines[0][4].startswith("2000-01-01 to 20")
    assert lines[1][4] == "2000-01-01 |"


def test_a_seed_that_failed_is_kept(folder: Path) -> None:
    ran(folder, {"tests/a.py::kill[3]": False, "tests/a.py::kill[4]": True, "tests/c.py::pause[30]": False})
    ran(folder, {"tests/a.py::kill[3]": True, "tests/a.py::kill[1]": False})
    assert corpus.read(folder / "seeds.json") == {"tests/a.py::kill": [1, 3]}


def test_seeds_that_failed_are_run_each_time() -> None:
    for test in corpus.read():
        file, _, name = test.partition("::")
        text = (REPOSITORY / file).read_text()
        assert f"def {name}(" in text and f'"{test}"' in text
    marks = {param.values[0]: bool(param.marks) for param in corpus.seeds(KAFKA, quick=1, every=3)}
    assert marks == {0: False, 1: True, 2: True, 29: False}
