"""What changed in a table between two versions, told by its log and its feed, is what changed in plain Python."""

from __future__ import annotations

import json
import random
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.delta.feed import FEED, NoFeedError, read_feed

SCHEMA = pa.schema({"id": pa.int64(), "the day": pa.date32(), "n": pa.int64()})
COLUMN = "the day"
Rows = dict[int, tuple[date | None, int]]


def as_table(rows: Rows) -> pa.Table:
    return pa.Table.from_pylist([{"id": key, COLUMN: day, "n": n} for key, (day, n) in rows.items()], schema=SCHEMA)


def some_day(draw: random.Random) -> date | None:
    return draw.choice([None, *(date(1, 1, 1) + timedelta(days=n * 400_000) for n in range(8))])


def history(path: Path, draw: random.Random, commits: int) -> list[Rows]:
    """What the table holds at each of its versions."""
    write_deltalake(str(path), as_table({}), configuration={FEED: "true"})
    rows: Rows = {}
    versions = [rows]
    while len(versions) <= commits:
        table, before = DeltaTable(str(path)), len(versions)
        kind = draw.choice(["append", "append", "update", "delete", "overwrite", "compact", "restore", "properties"])
        new = {draw.randrange(10**9): (some_day(draw), 0) for _ in range(draw.randrange(1, 4))}
        day = some_day(draw)
        which = f"\"{COLUMN}\" = DATE '{day}'" if day else f'"{COLUMN}" IS NULL'
        if kind == "append":
            rows = rows | new
            write_deltalake(str(path), as_table(new), mode="append")
        elif kind == "overwrite":
            rows = new
            write_deltalake(str(path), as_table(new), mode="overwrite")
        elif kind == "update":
            to = some_day(draw)
            rows = {key: (to, n + 1) if value == day else (value, n) for key, (value, n) in rows.items()}
            table.update({f'"{COLUMN}"': f"DATE '{to}'" if to else "CAST(NULL AS DATE)", "n": "n + 1"}, predicate=which)
        elif kind == "delete":
            rows = {key: value for key, value in rows.items() if value[0] != day}
            table.delete(which)
        elif kind == "compact":
            table.optimize.compact()
        elif kind == "restore":
            if before == 1:
                continue
            version = draw.randrange(before - 1)
            rows = versions[version]
            table.restore(version)
        else:
            table.alter.set_table_properties({"delta.logRetentionDuration": f"interval {before} days"})
        if DeltaTable(str(path)).version() == before:
            versions.append(rows)
    return versions


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(n, marks=pytest.mark.torture) for n in range(5, 300))])
def test_every_value_that_changed_is_found(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    versions = history(tmp_path, draw, 14)
    for _ in range(10):
        after, upto = sorted(draw.choices(range(len(versions)), k=2))
        feed = read_feed(tmp_path, after, upto)
        found = feed.values(None, COLUMN, 100) if feed.moved else set()  # type: ignore[arg-type]
        old, new = set(versions[after].items()), set(versions[upto].items())
        assert {day for _, (day, _) in old ^ new} <= found
        held = {day for rows in versions[after : upto + 1] for day, _ in rows.values()}
        assert found <= held, "a value that no version had"
        assert feed.moved or old == new


def test_what_changes_no_row_is_no_change(tmp_path: Path) -> None:
    for n in range(3):
        write_deltalake(str(tmp_path), as_table({n: (None, n)}), mode="append", configuration={FEED: "true"})
    table = DeltaTable(str(tmp_path))
    table.optimize.compact()
    table.alter.set_table_properties({"delta.logRetentionDuration": "interval 7 days"})
    assert not read_feed(tmp_path, 2, DeltaTable(str(tmp_path)).version()).moved
    assert not read_feed(tmp_path, 2, 2).moved


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A table of three versions, each with a day of its own."""
    for n in range(3):
        rows = {n: (date(2026, 1, 1 + n), n)}
        write_deltalake(str(tmp_path / "t"), as_table(rows), mode="append", configuration={FEED: "true"})
    return tmp_path / "t"


def refused(path: Path, after: int, most: int = 100) -> str:
    with pytest.raises(NoFeedError) as caught:
        read_feed(path, after, DeltaTable(str(path)).version()).values(None, COLUMN, most)  # type: ignore[arg-type]
    return str(caught.value)


def test_a_log_that_was_cleaned_up(three: Path) -> None:
    DeltaTable(str(three)).create_checkpoint()
    (three / "_delta_log" / f"{1:020d}.json").unlink()
    assert refused(three, 0) == "has no log of its version 1 any more"
    assert read_feed(three, 1, 2).values(None, COLUMN, 100) == {date(2026, 1, 3)}  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [0, 2, 3])
def test_a_feed_that_was_switched_off(three: Path, after: int) -> None:
    for on in ("false", "true"):
        DeltaTable(str(three)).alter.set_table_properties({FEED: on})
        write_deltalake(str(three), as_table({}).slice(0, 0), mode="append")
        write_deltalake(str(three), as_table({9: (None, 9)}), mode="append")
    assert refused(three, after) == "kept no change feed"


def test_other_columns(three: Path) -> None:
    more = as_table({9: (None, 9)}).append_column("more", pa.array([1]))
    write_deltalake(str(three), more, mode="append", schema_mode="merge")
    assert refused(three, 2) == "has other columns now"


def test_files_that_are_gone(three: Path) -> None:
    for file in three.glob("*.parquet"):
        file.unlink()
    assert refused(three, 1).startswith("has a change feed that can't be read: ")


def test_too_many_values(three: Path) -> None:
    assert refused(three, 0, most=1) == f"changed in more than 1 values of '{COLUMN}'"


def test_a_date_that_python_has_not(three: Path) -> None:
    late = as_table({9: (None, 9)}).set_column(1, COLUMN, pa.array([4_000_000], pa.int32()).cast(pa.date32()))
    write_deltalake(str(three), late, mode="append")
    assert refused(three, 2).startswith(f"has a value of '{COLUMN}' that can't be looked for: ")


def test_times_are_utc(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, 12, 30, 0, 1, tzinfo=UTC)
    rows = pa.table({"at": pa.array([moment, None], pa.timestamp("us", "UTC"))})
    write_deltalake(str(tmp_path), rows.slice(0, 0), configuration={FEED: "true"})
    write_deltalake(str(tmp_path), rows, mode="append")
    found: Any = read_feed(tmp_path, 0, 1).values(None, "at", 9)  # type: ignore[arg-type]
    assert found == {moment, None}


def test_deleted_by_marks(spark: Any, tmp_path: Path) -> None:
    """Marks beside the files, which just Spark reads: the rows that they take away changed, and no others."""
    table = f"delta.`{tmp_path}`"
    kept = "'delta.enableChangeDataFeed' = 'true', 'delta.enableDeletionVectors' = 'true'"
    spark.sql(f"CREATE TABLE {table} (id INT, day DATE) USING delta TBLPROPERTIES ({kept})")
    spark.sql(f"INSERT INTO {table} SELECT id, DATE '2026-01-01' + CAST(id AS INT) FROM range(0, 20, 1, 1)")
    spark.sql(f"DELETE FROM {table} WHERE id IN (3, 5)")
    feed = read_feed(tmp_path, 1, 2)
    assert feed.in_place
    assert feed.values(spark, "day", 9) == {date(2026, 1, 4), date(2026, 1, 6)}
    log = json.loads((tmp_path / "_delta_log" / f"{2:020d}.json").read_text().splitlines()[-1])
    assert log, "the delete was written"
    shutil.rmtree(tmp_path / "_change_data", ignore_errors=True)
