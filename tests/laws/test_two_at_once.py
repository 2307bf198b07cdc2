"""Two commands on one project at once: on different tables both go on, on the same one waits or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import Project
from tests.laws.children import one_child
from tests.laws.shop import SOURCES, TABLES, Row, agree, rows_of, write_orders
from tests.laws.test_exactly_once import FIRST, SECOND, counts_add_up, run_all

BOTH = SOURCES + "\n  others: {type: files, format: csv, path: data/raw/others.csv}"


@pytest.mark.torture
@pytest.mark.parametrize("tables", ["different", "the same", "the same without waiting"])
def test_two_at_once(spark: Any, engine: Project, make_project: Any, tmp_path: Path, tables: str) -> None:
    project = make_project(BOTH, TABLES)
    (project.folder / "data" / "raw" / "others.csv").write_text("a\n1\n2\n")
    landed: list[Row] = []
    with one_child(engine, tmp_path / "one.log") as one, one_child(engine, tmp_path / "other.log") as other:
        assert one.java != other.java  # both are up
        for name, rows in (("1", FIRST), ("2", SECOND), ("3", [(9, 1, "fay", 3, "new")])):
            write_orders(project.folder, name, rows)
            landed += rows
            if tables == "different":
                one.begin(project, "run", "--select", "+gold.totals")
                other.begin(project, "ingest", "--select", "bronze.others")
                codes = {one.ended(), other.ended()}
                assert codes == {0}, one.said() + other.said()
            else:
                wait = ["--wait", "60"] if tables == "the same" else []
                one.begin(project, "run", *wait)
                other.begin(project, "run", *wait)
                codes = {one.ended(), other.ended()}
                assert codes <= ({0} if wait else {0, 6}) and 0 in codes, one.said() + other.said()
        said = one.said() + other.said()
    assert "Traceback" not in said
    run_all(project)
    agree(project.root, landed)
    counts_add_up(project, landed)
    assert sorted(row["a"] for row in rows_of(project.path("bronze.others"), "_kind = 'record'")) == ["1", "2"]
