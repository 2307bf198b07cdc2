"""Few rows written without Spark: the table is what Spark would have made of it, for Spark and for its feed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse.delta import Commit, create, read_state
from lakehouse.delta.commit import table_properties
from lakehouse.delta.difference import CHANGE, _by_spark, apply_changes
from lakehouse.delta.few import write_few
from lakehouse.errors import ConservationError

COLUMNS = {
    "d": "DOUBLE",
    "f": "FLOAT",
    "m": "DECIMAL(38,2)",
    "s": "STRING",
    "t": "TIMESTAMP",
    "n": "TIMESTAMP_NTZ",
    "day": "DATE",
    "b": "BOOLEAN",
    "raw": "BINARY",
    "i": "INT",
    "many": "ARRAY<DOUBLE>",
    "parts": "STRUCT<x: DOUBLE, y: ARRAY<INT>>",
    '`Odd.name"q"`': "STRING",
}
LOW = (
    "double('-infinity')", "float(0)", "'-99999999999999999999'", "''", "timestamp'1970-01-01 00:00:00'",
    "timestamp_ntz'1583-01-01 00:00:00.000001'", "date'0001-01-01'", "false", "X''", "-2147483648", "array()",
    "named_struct('x', double('nan'), 'y', array(1))", "'a'",
)  # fmt: skip
HIGH = (
    "double('nan')", "float('nan')", "'99999999999999999999'", "repeat('\\uD83D\\uDE00', 80)",
    "timestamp'2026-11-28 12:00:00.999999'", "timestamp_ntz'9999-12-30 00:00:00'", "date'9999-12-31'", "true",
    "X'FFFE'", "2147483647", "array(double('nan'), null)", "named_struct('x', 1e9, 'y', null)", "'z'",
)  # fmt: skip
CONDITIONS = [
    *("d > 1e300", "d = 'NaN'", "d < -1e300", "f > 5", "m > 99999999999", "m < -99999999999", "s > 'zzz'", "s = ''"),
    *("t > timestamp'2026-11-28 12:00:00.999998'", "n > timestamp_ntz'9999-12-29 00:00:00'", "day > date'9999-12-30'"),
    *("day < date'0001-01-02'", "b", "NOT b", "raw = X'FFFE'", "i > 2147483646", "parts.x > 1e8", "parts.y IS NULL"),
    *("`Odd.name\"q\"` = 'z'", "d IS NULL", "m IS NULL", "k > 3"),
]


def rows(spark: Any, ids: range, values: tuple[str, ...], change: str) -> Any:
    told = ", ".join(f"CAST({v} AS {k}) AS {n}" for v, (n, k) in zip(values, COLUMNS.items(), strict=True))
    return spark.sql(
        f"SELECT CAST(id AS BIGINT) AS k, {told}, '{change}' AS {CHANGE} FROM range({ids.start}, {ids.stop})"
    )


def started(session: Any, path: Path) -> None:
    first = rows(session, range(4), LOW, "inserted").drop(CHANGE)
    create(
        first.unionByName(rows(session, range(4, 6), HIGH, "").drop(CHANGE)), path, properties=table_properties(0, "f")
    )


def shown(frame: Any) -> list[str]:
    kept = [name for name in frame.columns if not name.startswith("_commit")]
    return sorted(map(repr, frame.select(*(f"`{name}`" for name in kept)).collect()))


def test_as_spark_would_have(spark: Any, tmp_path: Path) -> None:
    """Rows of all types at their ends: found by any condition, in the table and in its feed, under one commit."""
    found = []
    for own in ("few", "spark"):
        path, session = tmp_path / own, spark.newSession()
        started(session, path)
        steps = [
            [rows(session, range(6, 8), HIGH, "inserted"), rows(session, range(8, 10), LOW, "inserted")],
            [rows(session, range(1, 2), HIGH, "updated"), rows(session, range(2, 3), LOW, "deleted")],
            [rows(session, range(3, 4), HIGH, "deleted"), rows(session, range(20, 21), HIGH, "inserted")],
        ]
        for number, (one, other) in enumerate(steps):
            changes = one.unionByName(other)
            counts = {row[CHANGE]: row["count"] for row in changes.groupBy(CHANGE).count().collect()}
            commit = Commit("app", number, f"step {number}")
            commit.apply(session)
            for _ in range(2):  # the second is passed over
                if own == "few":
                    assert write_few(changes, path, ["k"], counts, CHANGE, commit) is not None
                else:
                    _by_spark(changes, path, ["k"], counts, "")
        table = spark.read.format("delta").load(str(path))
        feed = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 1).load(str(path))
        state = read_state(path)
        assert state is not None and (state.version, state.cursor("app"), state.fingerprint) == (3, 2, "f")
        assert [one.get("userMetadata") for one in DeltaTable(str(path)).history(3)] == [
            f"lakehouse step {number}" for number in (2, 1, 0)
        ]
        found.append([shown(table), shown(feed), *(shown(table.where(one)) for one in CONDITIONS)])
    for ours, theirs in zip(*found, strict=True):
        assert ours == theirs
    assert sum(map(bool, found[0])) > 18


def test_what_is_left_to_spark(spark: Any, tmp_path: Path) -> None:
    """Keys that the two take for equal otherwise, texts that are none, times beyond the calendar, odd folders."""
    cases = {
        "double": "CAST(id AS DOUBLE) AS k, 'x' AS v",
        "bytes": "id AS k, CAST(X'FF' AS STRING) AS v",
        "columns": "id AS k, 'x' AS v, 1 AS w",
        "a[1]": "id AS k, 'x' AS v",
    }
    for name, sql in cases.items():
        path, session = tmp_path / name, spark.newSession()
        own = sql if name != "columns" else cases["a[1]"]
        create(session.sql(f"SELECT {own} FROM range(3)"), path, properties=table_properties(0, "f"))
        commit = Commit("app", 1, "one")
        commit.apply(session)
        more = session.sql(f"SELECT {sql}, IF(id < 3, 'updated', 'inserted') AS {CHANGE} FROM range(2, 4)")
        counts = {"updated": 1, "inserted": 1}
        assert write_few(more, path, ["k"], counts, CHANGE, commit) is None
        if name != "columns":
            apply_changes(more, path, ["k"], counts)
            assert DeltaTable(str(path)).to_pyarrow_table().num_rows == 4 if name != "bytes" else True


def test_a_time_that_the_calendar_lacks_is_found(spark: Any, tmp_path: Path) -> None:
    path, session = tmp_path / "t", spark.newSession()
    create(session.sql("SELECT 0L AS k, timestamp'2026-01-01' AS t"), path, properties=table_properties(0, "f"))
    commit = Commit("app", 1, "one")
    far = session.sql(f"SELECT 1L AS k, timestamp_micros(400000000000000000L) AS t, 'inserted' AS {CHANGE}")
    assert write_few(far, path, ["k"], {"inserted": 1}, CHANGE, commit) == {"inserted": 1}
    assert session.read.format("delta").load(str(path)).where("t > timestamp'9999-01-01'").count() == 1


def test_other_rows_than_were_counted(spark: Any, tmp_path: Path) -> None:
    """A key that is in the changes and not in the table is no update: the table is to be rebuilt."""
    path, session = tmp_path / "t", spark.newSession()
    create(session.sql("SELECT 0L AS k, 'x' AS v"), path, properties=table_properties(0, "f"))
    Commit("app", 1, "one").apply(session)
    changes = session.sql(f"SELECT 7L AS k, 'y' AS v, 'updated' AS {CHANGE}")
    with pytest.raises(ConservationError, match="is a key there twice"):
        apply_changes(changes, path, ["k"], {"updated": 1})
    state = read_state(path)
    assert state is not None and state.rebuild


def test_checkpoints_are_ours(spark: Any, tmp_path: Path) -> None:
    """Each tenth version has one, which Spark reads: rows, properties and which commits were made."""
    path, session = tmp_path / "t", spark.newSession()
    create(session.sql("SELECT 0L AS k, 'x' AS v"), path, properties=table_properties(0, "f"))
    for number in range(1, 13):
        Commit("app" if number > 3 else "early", number, "more").apply(session)
        apply_changes(
            session.sql(f"SELECT {number}L AS k, 'x' AS v, 'inserted' AS {CHANGE}"), path, ["k"], {"inserted": 1}
        )
    log = path / "_delta_log"
    assert [file.name for file in log.glob("*.checkpoint.parquet")] == [f"{10:020}.checkpoint.parquet"]
    for file in (*log.glob("0*[0-9].json"), *log.glob("0*.crc")):
        if int(file.name[:20]) < 10:
            file.unlink()
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    Commit("early", 3, "again").apply(session)
    _by_spark(session.sql(f"SELECT 99L AS k, 'x' AS v, 'inserted' AS {CHANGE}"), path, ["k"], {"inserted": 1}, "")
    found = session.read.format("delta").load(str(path))
    assert sorted(row["k"] for row in found.collect()) == list(range(13))
    properties = {row["key"]: row["value"] for row in session.sql(f"SHOW TBLPROPERTIES delta.`{path}`").collect()}
    assert properties["lakehouse.fingerprint"] == "f"
