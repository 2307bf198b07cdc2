"""What the long suites showed, written to docs/reliability.md: a pytest plugin, active under ``-m torture``."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.laws import corpus

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
OUTCOMES = Path(__file__).parent / "laws" / "corpus" / "outcomes.json"
MARK = "<!-- written by make torture -->\n"
HEAD = "| suite | cases | failed | seeds or cases | dates (UTC) |\n|---|---|---|---|---|\n"
FAILED = " failed"
Cases: TypeAlias = dict[str, str]
"""When each was run last, as a date, and whether it failed then."""


class Torture:
    """Counts each suite's cases; what a run leaves out stands as it was, since a suite of hours is run in slices."""

    def __init__(self, page: Path = PAGE, outcomes: Path = OUTCOMES, seeds: Path = corpus.FILE) -> None:
        self.page, self.file, self.seeds = page, outcomes, seeds
        self.outcomes: dict[str, dict[str, bool]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped or (report.passed and report.when != "call"):
            return  # a case that was interrupted has passed its setup alone
        suite, _, case = report.nodeid.partition("[")
        cases = self.outcomes.setdefault(suite, {})
        case = case.rstrip("]")
        cases[case] = cases.get(case, True) and report.passed

    def pytest_sessionfinish(self) -> None:
        if not self.outcomes:
            return
        known: dict[str, Cases] = json.loads(self.file.read_text()) if self.file.exists() else {}
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        for suite, cases in self.outcomes.items():
            known.setdefault(suite, {}).update({case: today + FAILED * (not passed) for case, passed in cases.items()})
        self.file.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
        words, mark, _ = self.page.read_text().partition(MARK)
        assert mark, f"{self.page} has lost the line that its table follows"
        self.page.write_text(words + mark + HEAD + "".join(_line(suite, known[suite]) for suite in sorted(known)))
        failures = {
            suite: [int(case) for case, passed in cases.items() if not passed and case.isdigit()]
            for suite, cases in self.outcomes.items()
        }
        corpus.keep(failures, self.seeds)


def _line(suite: str, cases: Cases) -> str:
    failed = [case or "-" for case, ended in cases.items() if ended.endswith(FAILED)]
    dates = sorted(ended.removesuffix(FAILED) for ended in cases.values())
    said = f"{len(failed)}{': ' + ', '.join(failed) if failed else ''}"
    return (
        f"| `{suite}` | {len(cases)} | {said} | {_shown(list(cases))} | {' to '.join({dates[0]: 0, dates[-1]: 0})} |\n"
    )


def _shown(cases: list[str]) -> str:
    """Numbers as ranges, few names in full, many as their count."""
    if all(case.isdigit() for case in cases):
        numbers = sorted(map(int, cases))
        starts = [number for number in numbers if number - 1 not in numbers]
        ends = [number for number in numbers if number + 1 not in numbers]
        return ", ".join(f"{a} to {b}" if a < b else str(a) for a, b in zip(starts, ends, strict=True))
    text = "; ".join(case or "-" for case in sorted(cases))
    return text.replace("|", "\\|") if len(text) <= 160 else f"{len(cases)} cases"
