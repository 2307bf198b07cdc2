"""What happens to the table itself: it is emptied, dropped, altered, and what it lands then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lakehouse.config import Project
from lakehouse.errors import ConfigError, LakehouseError, SourceChangedError
from lakehouse.pipeline import ingest
from tests.bronze.landed import Landed
from tests.sources.jdbc.test_incremental import landed_rows
from tests.sources.jdbc.test_snapshot import ingested

Make = Callable[..., Project]
FILL = "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 5) i"


def newest(project: Project, names: list[str]) -> dict[int, tuple[str, ...]]:
    """Each key's row as it landed last, in these columns, as psql would write it."""
    found: dict[int, tuple[str, ...]] = {}
    for row in sorted(Landed(project, "t").kinds["record"], key=lambda row: row["_batch"]):
        found[row["id"]] = tuple("" if row.get(name) is None else str(row[name]) for name in names)
    return found


def at_the_source(sql: Any, names: list[str]) -> dict[int, tuple[str, ...]]:
    return {int(row[0]): tuple(row[1:]) for row in sql(f"SELECT {', '.join(['id', *names])} FROM t")}


def error_of(project: Project) -> LakehouseError:
    (result,) = ingest(project).results
    assert result.error is not None
    return result.error


ALTERED = [
    ("ADD w int DEFAULT 7", ["v", "w"], 5),
    ("ADD w int DEFAULT (1 + random())::int", ["v", "w"], 5),  # Postgres writes the rows anew for this one
    ("ADD w int", ["v", "w"], 0),
    ("ADD w int; ALTER TABLE t ALTER w SET DEFAULT 3", ["v", "w"], 0),
    ("RENAME v TO w", ["w"], 5),
    ("DROP v", [], 0),
    ("DROP v; ALTER TABLE t ADD v text DEFAULT 'again'", ["v"], 5),
    ("ALTER v TYPE varchar(40)", ["v"], 0),
    ("ALTER v TYPE bytea USING v::bytea", [], 5),
]


@pytest.mark.parametrize("parted", [False, pytest.param(True, marks=pytest.mark.torture)], ids=["plain", "partitioned"])
@pytest.mark.parametrize(("change", "names", "again"), ALTERED, ids=[case[0] for case in ALTERED])
def test_values_that_come_by_altering_land(
    source: Make, sql: Any, change: str, names: list[str], again: int, parted: bool
) -> None:
    """No transaction has written the rows, and yet they are others."""
    sql(f"CREATE TABLE t (id int PRIMARY KEY, v text) {'PARTITION BY RANGE (id)' if parted else ''}")
    if parted:
        sql("CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (3)")
        sql("CREATE TABLE high PARTITION OF t FOR VALUES FROM (3) TO (100)")
    sql(FILL)
    project = source("table: public.t, cursor: id")
    ingested(project)
    sql(f"ALTER TABLE t {change}")
    if "bytea" in change:  # of another type than bronze has: as the contract says
        assert "'v'" in str(error_of(project))
        return
    result = ingested(project)
    assert result.read == again
    assert newest(project, names) == at_the_source(sql, names)
    assert ingested(project).status == "unchanged"


@pytest.mark.parametrize(
    "change", ["ADD w int DEFAULT 7", "ADD w int", "RENAME v TO w", "DROP v", "ALTER v TYPE varchar(40)"]
)
def test_a_snapshot_is_taken_again_when_the_columns_are_others(source: Make, sql: Any, change: str) -> None:
    sql(f"CREATE TABLE t (id int PRIMARY KEY, v text); {FILL}")
    project = source("table: public.t")
    ingested(project)
    sql(f"ALTER TABLE t {change}")
    assert ingested(project).read == 5
    assert ingested(project).status == "unchanged"


def test_without_a_key_new_columns_are_no_trouble_and_filled_ones_are(source: Make, sql: Any) -> None:
    sql("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, 'a')")
    project = source("table: public.t, cursor: id")
    ingested(project)
    sql("ALTER TABLE t ADD w int; ALTER TABLE t DROP v; INSERT INTO t VALUES (2, 3)")
    assert ingested(project).read == 1
    sql("ALTER TABLE t ADD x int DEFAULT 5; INSERT INTO t VALUES (3, 3)")
    error = error_of(project)
    assert isinstance(error, SourceChangedError) and "sources.t.key" in str(error)


def test_an_emptied_table_that_is_filled_again(source: Make, sql: Any) -> None:
    sql(f"CREATE TABLE t (id int PRIMARY KEY, v text); {FILL}")
    project = source("table: public.t, cursor: id")
    ingested(project)
    sql("TRUNCATE t")
    assert ingested(project).read == 0  # a receipt alone: numbers count from here
    sql("INSERT INTO t VALUES (1, 'v1'), (2, 'other'), (9, 'new')")
    sql("TRUNCATE t; INSERT INTO t VALUES (1, 'v1'), (2, 'two'), (9, 'new')")
    assert ingested(project).read == 2
    receipts = Landed(project, "t").receipts
    assert receipts[max(receipts)]["took"] == "2 rows (1 already landed)"
    assert newest(project, ["v"]) | at_the_source(sql, ["v"]) == newest(project, ["v"])


def test_a_dropped_table_says_so_and_may_come_back(source: Make, sql: Any) -> None:
    sql(f"CREATE TABLE t (id int PRIMARY KEY, v text); {FILL}")
    project = source("table: public.t, cursor: id")
    ingested(project)
    sql("ALTER TABLE t RENAME TO kept")
    error = error_of(project)
    assert isinstance(error, ConfigError) and 'no table "public"."t"' in str(error)
    sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT * FROM kept; DROP TABLE kept")
    sql("INSERT INTO t VALUES (6, 'v6')")
    assert ingested(project).read == 1
    assert set(landed_rows(project).values()) == {1}
