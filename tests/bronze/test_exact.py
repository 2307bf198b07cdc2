"""What bronze keeps as text or JSON says all of the value; what can't be told apart is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.config import Project
from lakehouse.errors import ContractError
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed
from tests.laws.shop import rows_of

NOON = datetime(2026, 1, 1, 12, 0, 0, 123456, UTC)
OWN = """
from lakehouse.tables.batch import Batch

class Rows:
    def __init__(self, name, options, folder):
        self.sql = options["sql"]

    def waiting(self, cursors):
        return "rows"

    def plan(self, session, cursors):
        return None if cursors else Batch(cursor={"end": 1}, took="rows", read=lambda session: session.sql(self.sql))
"""


def own(make_project: Any, sql: str, settings: str) -> Project:
    project: Project = make_project(f'  s: {{type: jobs.own.Rows, options: {{sql: "{sql}"}}, {settings}}}')
    (project.folder / "jobs" / "own.py").write_text(OWN)
    return project


def test_microseconds_and_nulls_are_rescued(spark: Any, make_project: Any) -> None:
    project = make_project("  s: {type: files, format: parquet, path: data/raw/*, new_columns: rescue}")
    folder: Path = project.folder / "data" / "raw"
    pq.write_table(pa.table({"n": [1]}), folder / "1.parquet")
    assert ingest(project).exit_code == 0
    nested = [{"at": NOON, "local": NOON.replace(tzinfo=None), "none": None}]
    kind = pa.struct({"at": pa.timestamp("us", "UTC"), "local": pa.timestamp("us"), "none": pa.int64()})
    pq.write_table(pa.table({"n": [2], "more": pa.array(nested, kind)}), folder / "2.parquet")
    assert ingest(project).exit_code == 0
    (row,) = rows_of(project.path("bronze.s"), "n = 2")
    said = json.loads(json.loads(row["_rescued"])["more"])
    assert said == {"at": "2026-01-01T12:00:00.123456Z", "local": "2026-01-01T12:00:00.123456", "none": None}


def test_a_record_that_is_kept_as_json_is_kept_whole(spark: Any, make_project: Any) -> None:
    sql = "SELECT 'x' AS id, TIMESTAMP'2026-01-01 12:00:00.123456Z' AS at, NULL AS none, 'r' AS _file, 0L AS _row"
    project = own(make_project, sql, "columns: {id: bigint, at: timestamp, none: string}")
    (result,) = ingest(project).results
    assert (result.error, result.quarantined) == (None, 1)
    (row,) = rows_of(project.path("bronze.s"), "_kind = 'reject'")
    assert json.loads(row["_raw"]) == {"id": "x", "at": "2026-01-01T12:00:00.123456Z", "none": None}


def test_two_rejects_of_one_place_are_refused(spark: Any, make_project: Any) -> None:
    sql = "SELECT concat('x', id) AS id, 'r' AS _file, 0L AS _row FROM range(2)"
    (result,) = ingest(own(make_project, sql, "columns: {id: bigint}")).results
    assert isinstance(result.error, ContractError)
    assert "2 rejects have one place: r, 0; nothing landed" in str(result.error)


def test_a_type_that_is_declared_later_is_named(spark: Any, make_project: Any) -> None:
    for settings, name in (("", "1"), (", columns: {a: bigint}", "2")):
        project = make_project(f"  s: {{type: files, format: csv, path: data/raw/*{settings}}}")
        (project.folder / "data" / "raw" / f"{name}.csv").write_text("a\n1\n")
        (result,) = ingest(project).results
    assert isinstance(result.error, ContractError)
    assert "the column 'a' is bigint now and string in bronze; nothing landed" in str(result.error)
    assert "Declare the one that it has" in str(result.error)


@pytest.mark.parametrize(
    ("settings", "known"),
    [("columns: {x: bigint}", False), ("changed_types: widen", True), ("changed_types: rescue", True)],
)
@pytest.mark.parametrize("together", [True, False])
def test_files_of_several_types_land_in_one_batch_as_in_two(
    spark: Any, make_project: Any, settings: str, known: bool, together: bool
) -> None:
    """What bronze has, or is declared to have, decides for each file by itself."""
    project = make_project(f"  s: {{type: files, format: parquet, path: data/raw/*, {settings}}}")
    folder: Path = project.folder / "data" / "raw"
    tables = [
        pa.table({"x": pa.array([number], kind)}) for number, kind in enumerate((pa.int64(), pa.int32(), pa.int16()))
    ]
    if known:
        pq.write_table(pa.table({"x": [9]}), folder / "0.parquet")
        assert ingest(project).exit_code == 0
    for number, table in enumerate(tables, 1):
        pq.write_table(table, folder / f"{number}.parquet")
        if not together:
            assert ingest(project).exit_code == 0
    report = ingest(project)
    assert report.exit_code == 0, report.results[0].error
    assert sorted(row["x"] for row in Landed(project, "s").kinds["record"]) == [0, 1, 2, *[9] * known]


@pytest.mark.parametrize("other", [pa.int32(), pa.string()])
def test_files_of_several_types_are_refused_where_nothing_decides(
    spark: Any, make_project: Any, other: pa.DataType
) -> None:
    project = make_project("  s: {type: files, format: parquet, path: data/raw/*}")
    for number, kind in enumerate((pa.int64(), other)):
        pq.write_table(pa.table({"x": pa.array([1]).cast(kind)}), project.folder / "data" / "raw" / f"{number}.parquet")
    (result,) = ingest(project).results
    assert isinstance(result.error, ContractError)
    assert "the column 'x' is" in str(result.error) and "Declare its type in conf/" in str(result.error)


def test_rescued_columns_that_differ_in_case_keep_their_names(spark: Any, make_project: Any) -> None:
    project = make_project("  s: {type: files, format: csv, path: data/raw/*, columns: {a: string}}")
    for name in ("More", "more"):
        (project.folder / "data" / "raw" / f"{name}.csv").write_text(f"a,{name}\n{name},1\n")
    (result,) = ingest(project).results
    assert result.error is None
    rescued = {row["a"]: row["_rescued"] for row in Landed(project, "s").kinds["record"]}
    assert rescued == {"More": '{"More":"1"}', "more": '{"more":"1"}'}
