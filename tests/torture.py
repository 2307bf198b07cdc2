"""What the long suites showed, written to docs/reliability.md: a pytest plugin, active under ``-m torture``."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.laws import corpus

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
MARK = "<!-- written by make torture -->\n"
HEAD = "| suite | cases | failed | seeds or cases | date (UTC) |\n|---|---|---|---|---|\n"


class Torture:
    """Counts each suite's cases. A suite that a run leaves out keeps the line of the run before; cases of one day
    add up, since a suite of hours is run in slices."""

    def __init__(self, page: Path = PAGE, seeds: Path = corpus.FILE) -> None:
        self.page, self.seeds = page, seeds
        self.outcomes: dict[str, dict[str, bool]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped or (report.passed and report.when != "call"):
            return  # a case that was interrupted has passed its setup alone
        suite, _, case = report.nodeid.partition("[")
        case = case.rstrip("]") or "-"
        self.outcomes[suite][case] = self.outcomes[suite].get(case, True) and report.passed

    def pytest_sessionfinish(self) -> None:
        if not self.outcomes:
            return
        words, mark, table = self.page.read_text().partition(MARK)
        assert mark, f"{self.page} has lost the line that its table follows"
        lines = {match[1]: match[0] for match in re.finditer(r"^\| `([^`]+)` .*\n", table, re.MULTILINE)}
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        for suite, cases in self.outcomes.items():
            cases = _before(lines.get(suite, ""), today) | cases
            failed = [case for case, passed in cases.items() if not passed]
            lines[suite] = (
                f"| `{suite}` | {len(cases)} | {len(failed)}{': ' + ', '.join(failed) if failed else ''} "
                f"| {_shown(list(cases))} | {today} |\n"
            )
        self.page.write_text(words + mark + HEAD + "".join(lines[suite] for suite in sorted(lines)))
        failures = {
            suite: [int(case) for case, passed in cases.items() if not passed and case.isdigit()]
            for suite, cases in self.outcomes.items()
        }
        corpus.keep(failures, self.seeds)


def _before(line: str, today: str) -> dict[str, bool]:
    """Which cases the line of an earlier run of the day names, and whether they passed."""
    if not line.endswith(f"| {today} |\n"):
        return {}
    _, _, failed, shown, _, _ = re.split(r" ?\| ?", line.removeprefix("| "))[:6]
    bad = failed.partition(": ")[2].split(", ")
    if match := re.fullmatch(r"(\d+) to (\d+)", shown):
        return {str(seed): str(seed) not in bad for seed in range(int(match[1]), int(match[2]) + 1)}
    return {} if shown.endswith(" cases") else {case: case not in bad for case in shown.split(", ")}


def _shown(cases: list[str]) -> str:
    """Numbers that follow each other as a range, few names in full, many as their count."""
    if all(case.isdigit() for case in cases):
        numbers = sorted(map(int, cases))
        if len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1)):
            return f"{numbers[0]} to {numbers[-1]}"
        return ", ".join(map(str, numbers))
    text = ", ".join(cases)
    return text.replace("|", "\\|") if len(text) <= 160 else f"{len(cases)} cases"
