"""What a table remembers beside it: once for each commit, whoever of the two writers appended it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse.delta import Commit, read_state, remember_notes, remember_stop
from lakehouse.pipeline import plan, run
from lakehouse.tables.notes import noted
from tests.laws.shop import SOURCES, TABLES, write_orders

REJECT = "'reject' AS _kind, 'o' AS _origin, 7L AS _batch, 'f' AS _file, 1L AS _row, array('bad') AS _reasons"


def remembered(path: Path) -> list[tuple[Any, ...]]:
    state = read_state(path)
    assert state is not None
    return sorted((row["_kind"], row["_origin"], row["_receipt"]) for row in state.rows("SELECT * FROM t"))


@pytest.mark.parametrize("folder", ["plain", "with space", "a[1]^|b"])
def test_once_for_each_commit(spark: Any, tmp_path: Path, folder: str) -> None:
    """Also where Spark wrote between, and where deltalake can't write; a checkpoint comes every ten versions."""
    path = tmp_path / folder / "memory"
    for number in [*range(13), 5, 12]:
        notes = noted([{"_kind": "receipt", "_receipt": f"{number:02}"}], "o")
        remember_notes(spark.newSession(), Commit("o", number, f"number {number}"), notes, path)
    stop = spark.sql(f"SELECT {REJECT}")
    for _ in range(3):
        remember_stop(Commit("o:blocking", 3, "stops"), stop, noted([{"_kind": "quality"}], "o"), path)
    notes = noted([{"_kind": "receipt", "_receipt": "13"}], "o")
    remember_notes(spark.newSession(), Commit("o", 13, "the last"), notes, path)
    receipts = [("receipt", "o", f"{number:02}") for number in range(14)]
    assert remembered(path) == [*[("quality", "o", None)] * 3, *receipts, ("reject", "o", None)]
    log = path / "_delta_log"
    assert [file.name for file in log.glob("*.checkpoint.parquet")] == [f"{10:020}.checkpoint.parquet"]
    assert [entry["userMetadata"] for entry in DeltaTable(str(path)).history(1)] == ["lakehouse the last"]


def test_a_plan_names_the_table_that_cant_be_read(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it stops; a file that is gone is no reason to say nothing of other tables."""
    other = "  others: {type: files, format: csv, path: data/raw/others*.csv}"
    project = make_project(f"{SOURCES}\n{other}", TABLES)
    write_orders(project.folder, "1", [(1, 1, "ada", 10, "new")])
    assert run(project).exit_code == 0
    (receipt,) = project.path("bronze.orders").glob("_kind=receipt/*.parquet")
    receipt.unlink()
    monkeypatch.setattr("lakehouse.bronze.receipts._known", {})  # a plan is a process of its own
    steps = {step.address: (step.action, step.why) for step in plan(project).steps}
    assert steps["bronze.others"][0] == "unchanged"
    assert {steps[name][0] for name in ("bronze.orders", "silver.orders", "gold.totals")} == {"blocked"}
    assert receipt.name in steps["bronze.orders"][1]
