"""New and lost columns, changed types and cases: each setting's outcome, the same for one batch and for two."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.config import Project
from lakehouse.errors import ContractError
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed

MakeProject = Callable[..., Project]


def files(project: Project, together: bool, *contents: str | pa.Table) -> Any:
    """Send the files in one batch or in one each; the last result."""
    suffix = {"csv": "csv", "json": "json", "parquet": "parquet"}[project.config.sources["s"].format]
    result = None
    for number, content in enumerate(contents):
        path = project.folder / "data" / "raw" / f"{number}.{suffix}"
        if isinstance(content, str):
            path.write_text(content)
        else:
            pq.write_table(content, path)
        if not together:
            result = ingest(project).results[0]
    return ingest(project).results[0] if together else result


def source(format_: str, **settings: str) -> str:
    listed = "".join(f", {name}: '{value}'" for name, value in settings.items())
    return f"  s: {{type: files, format: {format_}, path: data/raw/*{listed}}}"


FIRST, WIDER, NARROWER = "a,b\n1,2\n", "a,b,c\n3,4,5\n", "a\n6\n"


@pytest.mark.parametrize("together", [True, False])
def test_columns_come_and_go_by_default(spark: Any, make_project: MakeProject, together: bool) -> None:
    project = make_project(source("csv"))
    result = files(project, together, FIRST, WIDER, NARROWER)
    assert (result.status, result.error) == ("done", None)
    assert "lost columns: b, c" in result.note
    if together:
        assert "new columns: c" in result.note
    assert sorted(Landed(project, "s").records) == [
        ("data/raw/0.csv", ("a", "1"), ("b", "2"), ("c", None)),
        ("data/raw/1.csv", ("a", "3"), ("b", "4"), ("c", "5")),
        ("data/raw/2.csv", ("a", "6"), ("b", None), ("c", None)),
    ]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("setting", "second", "words"),
    [("new_columns", WIDER, "new columns: c"), ("lost_columns", NARROWER, "lost columns: b")],
)
def test_columns_that_may_not_change(
    spark: Any, make_project: MakeProject, setting: str, second: str, words: str, together: bool
) -> None:
    project = make_project(source("csv", **{setting: "reject"}))
    result = files(project, together, FIRST, second, FIRST)
    assert result.status == "failed"
    assert isinstance(result.error, ContractError)
    assert result.error.exit_code == 1
    assert f"data/raw/1.csv: {words}; nothing landed" in result.error.message
    if together:
        assert not project.path("bronze.s").exists()
    else:
        assert Landed(project, "s").files == ["data/raw/0.csv"]
    (project.folder / "data" / "raw" / "1.csv").unlink()
    assert ingest(project).exit_code == 0
    assert Landed(project, "s").files == ["data/raw/0.csv", "data/raw/2.csv"]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("format_", "one", "other"), [("csv", "a\n1\n", "A\n2\n"), ("json", '{"a":1}\n', '{"A":2}\n')])
def test_columns_that_differ_only_in_case_are_refused(
    spark: Any, make_project: MakeProject, format_: str, one: str, other: str, together: bool
) -> None:
    result = files(make_project(source(format_)), together, one, other)
    assert "columns that differ from bronze's only in case: A" in str(result.error)


@pytest.mark.parametrize("first", ["", "a,b\n"])
def test_a_first_file_without_records_fixes_no_more_than_it_says(
    spark: Any, make_project: MakeProject, first: str
) -> None:
    project = make_project(source("csv", new_columns="reject", lost_columns="reject"))
    assert files(project, False, first, FIRST).status == "done"
    assert Landed(project, "s").records.keys() == {("data/raw/1.csv", ("a", "1"), ("b", "2"))}
    (project.folder / "data" / "raw" / "2.csv").write_text(WIDER)
    assert "new columns: c" in str(ingest(project).results[0].error)


@pytest.mark.parametrize("together", [True, False])
def test_a_changed_type_is_named(spark: Any, make_project: MakeProject, together: bool) -> None:
    project = make_project(source("parquet"))
    tables = [pa.table({"same": [1], "odd": pa.array([1], kind)}) for kind in (pa.int64(), pa.float64())]
    result = files(project, together, *tables)
    assert isinstance(result.error, ContractError)
    assert "'odd' is" in result.error.message
    assert "double" in result.error.message
    assert result.error.hint
    if not together:
        assert Landed(project, "s").files == ["data/raw/0.parquet"]


@pytest.mark.parametrize("together", [True, False])
def test_types_that_stay_are_no_change(spark: Any, make_project: MakeProject, together: bool) -> None:
    project = make_project(source("parquet"))
    inner = pa.struct([("x", pa.list_(pa.map_(pa.string(), pa.decimal128(9, 2)))), ("at", pa.timestamp("us", "UTC"))])
    table = pa.table({"s": pa.array([{"x": [[("k", 1)]], "at": datetime(2026, 1, 1)}], inner)})
    assert files(project, together, table, table.slice(0, 0), table).status == "done"
    assert len(Landed(project, "s").kinds["record"]) == 2


@pytest.mark.parametrize("together", [True, False])
def test_a_new_column_of_local_times(spark: Any, make_project: MakeProject, together: bool) -> None:
    project = make_project(source("parquet"))
    at = pa.array([datetime(2026, 1, 31, 12)], pa.timestamp("us"))
    result = files(project, together, pa.table({"a": [1]}), pa.table({"a": [2], "at": at}))
    assert (result.status, result.error) == ("done", None)
    assert {row["at"] for row in Landed(project, "s").kinds["record"]} == {None, datetime(2026, 1, 31, 12)}


def test_json_keys_may_be_missing_in_any_record(spark: Any, make_project: MakeProject) -> None:
    project = make_project(source("json"))
    result = files(project, False, '{"a":1}\n{"b":{"x":1.0}}\n{}\n', '{"c":null}\n')
    assert result.error is None
    values = [
        {k: row[k] for k in "abc"}
        for row in sorted(Landed(project, "s").kinds["record"], key=lambda r: (r["_batch"], r["_row"]))
    ]
    nothing = dict.fromkeys("abc")
    assert values == [nothing | {"a": "1"}, nothing | {"b": '{"x":1.0}'}, nothing, nothing]
