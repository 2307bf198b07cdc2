"""Law 7: everything after bronze can be deleted and is rebuilt from bronze, equal to what it was."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.pipeline import build, ingest
from tests.laws.shop import SOURCES, TABLES, Row, agree, write_orders

FIRST: list[Row] = [(1, 1, "ada", 10, "new"), (2, 3, "bob", 25, "paid"), (None, 1, "eve", 5, "new")]
SECOND: list[Row] = [(1, 2, "ada", 15, "paid"), (2, 2, "bob", 99, "late"), (3, 1, "dan", 5000, "new")]
THIRD: list[Row] = [(2, 4, "cy", 1, "new"), (1, 1, "ada", 11, "new")]


def run(project: Project) -> None:
    for part in (ingest, build):
        report = part(project)
        assert report.exit_code == 0, [str(result.error) for result in report.results if result.error]


@pytest.mark.parametrize(
    "lost",
    [
        *(pytest.param(lost, marks=pytest.mark.torture) for lost in ("silver", "gold", "state")),
        "silver state",
        "silver gold state",
    ],
)
def test_what_is_deleted_comes_back(spark: Any, make_project: Any, lost: str) -> None:
    project = make_project(SOURCES, TABLES)
    rows: list[Row] = []
    for name, more in (("1", FIRST), ("2", SECOND)):
        write_orders(project.folder, name, more)
        rows += more
        run(project)
    for folder in lost.split():
        shutil.rmtree(project.root / folder)
    run(project)
    agree(project.root, rows)
    # It goes on from there too.
    write_orders(project.folder, "3", THIRD)
    run(project)
    agree(project.root, rows + THIRD)
