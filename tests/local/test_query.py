"""SQL over the tables: what it answers, and what it refuses."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.errors import LakehouseError, NotBuiltError, StorageError, UsageError
from lakehouse.local import Lake, open_lake


def test_tables_are_joined_across_layers(lake: Lake) -> None:
    answer = lake.sql("SELECT delay, n FROM bronze.delays AS b JOIN gold.carriers g USING (carrier)")
    assert answer.fetchall() == [("12", 1)]


@pytest.mark.parametrize(
    "query",
    [
        "select carrier from gold.carriers",
        "from GOLD.Carriers select carrier",
        'select g.carrier from "gold"."carriers" as g',
        "with gold as (select 1) select carrier from gold.carriers",
        "select carrier from gold.carriers where n in (select min(n) from gold.carriers);",
    ],
)
def test_ways_to_name_a_table(lake: Lake, query: str) -> None:
    assert lake.sql(query).fetchall() == [("AA",)]


def test_bronze_shows_records_only(lake: Lake) -> None:
    answer = lake.sql("SELECT * FROM bronze.delays")
    assert answer.columns == ["carrier", "delay", "_file", "_row", "_batch", "_ingested_at"]
    assert len(answer.fetchall()) == 2


def test_times_are_utc_whatever_the_machine_thinks(
    lake: Lake, landed: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    answer = lake.sql("SELECT seen, seen::VARCHAR, hour(seen) FROM gold.carriers").fetchall()
    assert answer == [(landed, "2026-01-02 03:04:05.6007+00", 3)]


def test_a_table_is_a_relation(lake: Lake, landed: datetime) -> None:
    assert lake.table("gold.carriers").filter("n = 1").fetchall() == [("AA", 1, landed)]


@pytest.mark.parametrize("query", ["describe gold.carriers", "summarize gold.carriers", "explain from gold.carriers"])
def test_statements_about_tables(lake: Lake, query: str) -> None:
    assert lake.sql(query).fetchall()


def test_only_tables_that_are_named_are_opened(project: Path, lake: Lake) -> None:
    (project / "lake" / "bronze" / "delays" / "_delta_log" / f"{0:020}.json").write_text("torn")
    assert lake.sql("SELECT n FROM gold.carriers").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT 1; SELECT 2", "one SQL statement is needed, not 2"),
        ("", "one SQL statement is needed, not 0"),
        ("DROP VIEW gold.carriers", "not DROP"),
        ("CREATE TABLE x AS SELECT 1", "not CREATE"),
        ("INSERT INTO gold.carriers VALUES (1)", "not INSERT"),
        ("COPY (SELECT 1) TO 'x.csv'", "not COPY"),
        ("ATTACH 'x.db'", "not ATTACH"),
        ("INSTALL delta", "not LOAD"),
        ("SET lock_configuration = false", "not SET"),
        ("PRAGMA database_list", "not PRAGMA"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled by configuration"),
        ("SELECT * FROM read_text('/etc/passwd')", "disabled by configuration"),
        ("SELECT * FROM glob('/*')", "disabled by configuration"),
        ("SELECT * FROM '/etc/passwd'", "there is no table '/etc/passwd'"),
        ("SELECT * FROM 'https://example.com/x.csv'", "there is no table"),
        ("SELECT * FROM lake", "there is no table 'lake'"),
        ("SELEC 1", "syntax error"),
        ("SELECT nn FROM gold.carriers", '"n"'),
    ],
)
def test_refused(lake: Lake, query: str, said: str) -> None:
    with pytest.raises(LakehouseError) as caught:
        lake.sql(query).fetchall()
    assert said in caught.value.message


def test_explain_of_something_that_writes_writes_nothing(project: Path, lake: Lake) -> None:
    with pytest.raises(LakehouseError):
        lake.sql(f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{project}/x.csv'").fetchall()
    assert not (project / "x.csv").exists()


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("SELECT * FROM carriers", "Did you mean gold.carriers?"),
        ("SELECT * FROM gold.cariers", "Did you mean 'gold.carriers'?"),
        ("SELECT * FROM golden.carriers", "Did you mean 'gold.carriers'?"),
    ],
)
def test_an_unknown_table_offers_the_nearest(lake: Lake, query: str, hint: str) -> None:
    with pytest.raises(UsageError, match="there is no table") as caught:
        lake.sql(query)
    assert caught.value.hint == hint


def test_a_table_that_is_not_built_names_the_command(lake: Lake) -> None:
    with pytest.raises(NotBuiltError, match="not built") as caught:
        lake.sql("SELECT * FROM bronze.planes")
    assert "lakehouse ingest" in caught.value.hint


def test_files_that_are_not_a_table_named_are_out_of_reach(project: Path, lake: Lake) -> None:
    bronze, gold = project / "lake" / "bronze" / "delays", project / "lake" / "gold" / "carriers"
    others = [*bronze.rglob("*.parquet"), *bronze.rglob("*.json"), *gold.rglob("*.json")]
    for file in others:
        with pytest.raises(UsageError, match="disabled by configuration"):
            lake.sql(f"SELECT * FROM read_text('{file}'), gold.carriers").fetchall()
    rejects = next(bronze.glob("_kind=reject/*.parquet"))
    with pytest.raises(UsageError, match="disabled by configuration"):
        lake.sql(f"SELECT * FROM read_parquet('{rejects}'), bronze.delays").fetchall()


def test_a_column_that_came_later_is_null_before(project: Path, lake: Lake) -> None:
    folder = project / "lake" / "silver" / "grown"
    write_deltalake(folder, pa.table({"a": pa.array([1], pa.int64())}))
    later = {"a": pa.array([2], pa.int64()), "b": pa.array([{"x": [1]}], pa.struct({"x": pa.list_(pa.int64())}))}
    write_deltalake(folder, pa.table(later), mode="append", schema_mode="merge")
    assert lake.sql("SELECT * FROM silver.grown ORDER BY a").fetchall() == [(1, None), (2, {"x": [1]})]


def test_a_partition_is_a_column(project: Path, lake: Lake) -> None:
    rows = pa.table({"day": ["1", "2", None], "n": pa.array([1, 2, 3], pa.int64())})
    write_deltalake(project / "lake" / "gold" / "daily", rows, partition_by=["day"])
    assert lake.sql("SELECT n, day FROM gold.daily ORDER BY n").fetchall() == [(1, "1"), (2, "2"), (3, None)]


def test_types_are_those_of_the_table(project: Path, lake: Lake) -> None:
    schema = {
        "i": pa.int32(),
        "d": pa.decimal128(10, 2),
        "day": pa.date32(),
        "m": pa.map_(pa.string(), pa.int64()),
        "s": pa.struct({"a b": pa.list_(pa.decimal128(5, 1)), "c": pa.bool_()}),
        "raw": pa.binary(),
    }
    row = {"i": 1, "d": Decimal("1.50"), "day": date(2026, 1, 1), "m": [("k", 1)], "raw": b"\x00\xff"}
    rows = pa.Table.from_pylist([{**row, "s": {"a b": [Decimal("0.1")], "c": True}}], schema=pa.schema(schema))
    write_deltalake(project / "lake" / "silver" / "typed", rows)
    answer = lake.sql("FROM silver.typed")
    assert [str(kind) for kind in answer.types] == [
        "INTEGER",
        "DECIMAL(10,2)",
        "DATE",
        "MAP(VARCHAR, BIGINT)",
        'STRUCT("a b" DECIMAL(5,1)[], c BOOLEAN)',
        "BLOB",
    ]
    ((i, d, day, m, s, raw),) = answer.fetchall()
    assert (i, d, day, raw) == (1, Decimal("1.50"), date(2026, 1, 1), b"\x00\xff")
    assert (m, s) == ({"k": 1}, {"a b": [Decimal("0.1")], "c": True})


def test_an_empty_table_has_its_columns(project: Path, lake: Lake) -> None:
    write_deltalake(project / "lake" / "silver" / "none", pa.table({"n": pa.array([], pa.int64())}))
    assert lake.sql("SELECT count(*), max(n) FROM silver.none").fetchall() == [(0, None)]


def test_a_file_that_is_gone_is_said(project: Path, lake: Lake) -> None:
    for file in (project / "lake" / "gold" / "carriers").glob("*.parquet"):
        file.unlink()
    with pytest.raises(StorageError, match=r"gold\.carriers at version 1 can't be read"):
        lake.sql("SELECT * FROM gold.carriers")


def test_a_folder_whose_name_is_a_pattern(project: Path) -> None:
    moved = project.parent / "a[b]*c 'd'"
    project.rename(moved)
    lake = open_lake(moved)
    assert lake.sql("SELECT n FROM gold.carriers").fetchall() == [(1,)]
    assert lake.snapshot("bronze.delays").rows == 2
