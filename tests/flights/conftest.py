"""The example, built. Whoever asks for it must only read: it is one lake for the whole test run."""

from __future__ import annotations

from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.pipeline import Report
from tests.flights.built import build_the_example

MONTHS = 12
"""The notebooks need a year: nine months to learn from and three to be asked about."""


@pytest.fixture(scope="session")
def flights_run(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Report]:
    """The example's project in a folder of its own, after ``lakehouse run`` on the year that ends on 2026-11-17."""
    folder = tmp_path_factory.getbasetemp() / "flights"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LAKEHOUSE_PROJECT", "LAKEHOUSE_ENV"):
            patch.delenv(name, raising=False)
        return build_the_example(folder, MONTHS)


@pytest.fixture(scope="session")
def flights_project(flights_run: tuple[Project, Report]) -> Project:
    """The project of ``flights_run``; its run went well."""
    project, report = flights_run
    assert report.exit_code == 0, [str(result.error) for result in report.results if result.error]
    return project
