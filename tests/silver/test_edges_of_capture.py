"""At the edges of capturing changes: what is too late, new columns, rebuilds that are given up, rules that move on."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from lakehouse.local.lake import Lake
from lakehouse.pipeline import ingest, run
from lakehouse.pipeline.maintaining import maintain
from tests.laws.shop import rows_of
from tests.laws.test_exactly_once import Killed, dies

SOURCES = "  things: {type: files, format: json, path: data/raw/*.jsonl}"
LATE = """
from datetime import timedelta
from pyspark.sql import functions as F
from lakehouse import silver
from lakehouse.quality import not_null

@silver.table(
    key="id", sequence_by="at", apply_as_deletes="op = 'delete'", late_by=timedelta(hours=3), expect=[not_null("word")]
)
def things(bronze_things):
    return bronze_things.select(
        "id", F.to_timestamp("at").alias("at"), "op", "word",
    )
"""


def test_what_is_too_late_is_kept_out_live_and_rebuilt_alike(spark: Any, make_project: Any) -> None:
    """Later than three hours behind the newest of the batches *before*; within a batch nothing is late."""
    project = make_project(SOURCES, LATE)

    def land(number: int, *rows: tuple[str, int, str, str | None]) -> None:
        lines = [
            json.dumps({"id": key, "at": f"2026-01-01 {hour:02}:00:00", "op": op, "word": word})
            for key, hour, op, word in rows
        ]
        (project.folder / "data" / "raw" / f"{number}.jsonl").write_text("".join(f"{line}\n" for line in lines))

    def found() -> tuple[dict[str, str], list[str]]:
        kept = rows_of(project.state("silver.things"), "_kind = 'reject'")
        origin = max(kept, key=lambda row: int(row["_origin"].split(":")[2]))["_origin"] if kept else ""
        reasons = sorted(reason for row in kept if row["_origin"] == origin for reason in row["_reasons"])
        return {row["id"]: row["word"] for row in rows_of(project.path("silver.things"))}, reasons

    land(1, ("a", 1, "upsert", "old"), ("b", 10, "upsert", "b"), ("y", 23, "upsert", None))  # a bad row sets no mark
    assert run(project).exit_code == 0
    land(
        2, ("c", 7, "upsert", "on time"), ("d", 6, "upsert", "late"), ("b", 6, "delete", None), ("e", 14, "upsert", "e")
    )
    assert ingest(project).exit_code == 0
    land(3, ("f", 10, "upsert", "late too"), ("b", 11, "delete", None), ("g", 11, "upsert", "g"))
    assert run(project).exit_code == 0
    rows = {"a": "old", "c": "on time", "e": "e", "g": "g"}
    late = "too late: at is more than 3:00:00 behind 2026-01-01 "
    reasons = ["not_null(word)", *[f"{late}10:00:00"] * 2, f"{late}14:00:00"]
    assert found() == (rows, reasons)
    make_project(SOURCES, LATE.replace('"id", F.to_timestamp', '"id", F.try_to_timestamp'))
    assert run(project).exit_code == 0
    assert found() == (rows, reasons)


WIDE = """
from lakehouse import silver

@silver.table(key="id", sequence_by="seq", apply_as_deletes="op = 'delete'", except_column_list=["op"])
def things(bronze_things):
    return bronze_things.drop("_file", "_row", "_batch", "_ingested_at", "_rescued")
"""


@pytest.mark.torture
def test_a_new_column_keeps_what_was_deleted_deleted(spark: Any, make_project: Any) -> None:
    """Bronze takes a new column; the table is rebuilt with it, and a delete from before still meets its late insert."""
    project = make_project(SOURCES, WIDE)

    def land(number: int, *rows: dict[str, Any]) -> list[dict[str, Any]]:
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
        (project.folder / "data" / "raw" / f"{number}.jsonl").write_text(text)
        assert run(project).exit_code == 0
        return sorted(rows_of(project.path("silver.things")), key=lambda row: row["id"])

    land(1, {"id": "a", "seq": "5", "op": "delete"}, {"id": "b", "seq": "1", "op": "upsert"})
    found = land(2, {"id": "c", "seq": "2", "op": "upsert", "more": "x"})
    assert found == [{"id": "b", "seq": "1", "more": None}, {"id": "c", "seq": "2", "more": "x"}]
    found = land(3, {"id": "a", "seq": "4", "op": "upsert", "more": "y"}, {"id": "b", "seq": "0", "op": "upsert"})
    assert found == [{"id": "b", "seq": "1", "more": None}, {"id": "c", "seq": "2", "more": "x"}]
    # A key that changes is a delete of the old one and an insert of the new one.
    found = land(4, {"id": "b", "seq": "6", "op": "delete"}, {"id": "B", "seq": "6", "op": "upsert", "more": "z"})
    assert [row["id"] for row in found] == ["B", "c"]


ODD = """
from lakehouse import silver

@silver.table(
    key="good", sequence_by="rows", apply_as_deletes="op = 'delete'", except_column_list=["op"], keep_versions=True
)
def things(bronze_things):
    return bronze_things.select("good", "rows", "op")
"""


@pytest.mark.torture
def test_a_rebuild_that_is_given_up_leaves_what_was_remembered(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new definition is killed on its way and taken back: what was deleted stays deleted, what was known is known."""
    project = make_project(SOURCES, ODD)

    def land(number: int, key: str, rows: str, op: str) -> None:
        line = json.dumps({"good": key, "rows": rows, "op": op})
        (project.folder / "data" / "raw" / f"{number}.jsonl").write_text(f"{line}\n")

    for number, event in enumerate([("a", "1", "upsert"), ("a", "5", "delete"), ("b", "2", "upsert")]):
        land(number, *event)
        assert run(project).exit_code == 0
    make_project(SOURCES, ODD.replace('"op")', '"op").where("true")'))
    with monkeypatch.context() as patched:
        dies(patched, "lakehouse.silver.merging", "remember_fold", "after")
        with pytest.raises(Killed):
            run(project)
    make_project(SOURCES, ODD)
    land(3, "a", "3", "upsert")
    assert run(project, wait=60).exit_code == 0
    assert [row["good"] for row in rows_of(project.path("silver.things"))] == ["b"]
    assert sorted(Lake(project).versions("silver.things").column("good").to_pylist()) == ["a", "b"]
    shutil.rmtree(project.path("silver.things"))
    land(4, "a", "4", "upsert")
    assert run(project).exit_code == 0
    assert [row["good"] for row in rows_of(project.path("silver.things"))] == ["b"]
    assert maintain(project, older_than=timedelta(0)).exit_code == 0
    for what in ("fold", "versions"):
        assert len(list((project.root / "state" / "silver").glob(f"things.{what}.*"))) == 1, "what was given up is gone"
    assert sorted(Lake(project).versions("silver.things").column("good").to_pylist()) == ["a", "b"]


FRESH = """
from pyspark.sql import functions as F
from lakehouse import silver
from lakehouse.quality import fresh_within

@silver.table(key="id", expect=[fresh_within("at", "2h")])
def things(bronze_things):
    return bronze_things.select("id", F.to_timestamp("at").alias("at"))
"""


@pytest.mark.torture
def test_what_was_let_through_once_is_finished(spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between receipt and table, and started again when what was fresh is not any more."""
    from lakehouse.pipeline.workspace import Workspace

    project = make_project(SOURCES, FRESH)
    now = [datetime.fromisoformat("2026-01-01T12:00Z")]
    monkeypatch.setattr("lakehouse.pipeline.running.Workspace", partial(Workspace, now=lambda: now[0]))
    line = json.dumps({"id": "a", "at": "2026-01-01 11:00:00"})
    (project.folder / "data" / "raw" / "1.jsonl").write_text(f"{line}\n")
    with monkeypatch.context() as patched:
        dies(patched, "lakehouse.silver.merging", "record", "after")
        with pytest.raises(Killed):
            run(project)
    now[0] = datetime.fromisoformat("2026-01-01T17:00Z")
    line = json.dumps({"id": "b", "at": "2026-01-01 16:30:00"})
    (project.folder / "data" / "raw" / "2.jsonl").write_text(f"{line}\n")
    assert run(project, wait=60).exit_code == 0
    assert sorted(row["id"] for row in rows_of(project.path("silver.things"))) == ["a", "b"]
