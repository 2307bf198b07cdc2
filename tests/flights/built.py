"""The example's lake, built once for a test run by the pipeline, from files staged up to a fixed day."""

from __future__ import annotations

import shutil
from datetime import date
from functools import cache
from pathlib import Path

from lakehouse.config import Project, load_project
from lakehouse.pipeline import Report, run

REPOSITORY = Path(__file__).parents[2]
UNTIL = date(2026, 11, 19)


def copy_of_the_example(folder: Path) -> Project:
    """The repository's own conf/, jobs/, features/ and notebooks/ in a folder of their own; nothing is staged."""
    for part in ("conf", "jobs", "features", "notebooks"):
        shutil.copytree(
            REPOSITORY / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        )
    return load_project(folder, "local")


@cache
def build_the_example(folder: Path, months: int) -> tuple[Project, Report]:
    """Stage and run the whole way. Cached: fixtures that are registered in two places share one lake.

    A Spark session must be open, or the run opens one that outlives it.
    """
    from jobs.flights.stage import stage

    project = copy_of_the_example(folder)
    stage(folder / "data" / "raw", UNTIL, months=months)
    return project, run(project)
