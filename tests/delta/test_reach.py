"""Which files and ranges given keys can be in: never too few, whatever the type of the key."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.delta.reach import Reach, comparable, reach

DAY, MOMENT = date(1969, 12, 20), datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
BYTES = ["61", "C328", "E282AC", "F09F9880"]
KINDS: dict[str, Callable[[int], Any]] = {
    "int": lambda n: n - 30,
    "string": lambda n: f"{'é' * (n % 40)}\u1234{n}'\\" if n % 2 else f"{chr(0x10300 + n)} {n}",
    "date": lambda n: DAY + timedelta(days=n),
    "timestamp": lambda n: MOMENT + timedelta(microseconds=333 * n),
    "double": lambda n: n / 3,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_of_a_key_is_within_reach(spark: Any, tmp_path: Path, kind: str) -> None:
    """Files of ten rows in order, keys that are there and keys that are not."""
    make, draw = KINDS[kind], random.Random(kind)
    there = sorted({make(n) for n in range(0, 60, 2)})
    path = tmp_path / "t"
    frame = spark.createDataFrame([(key, n) for n, key in enumerate(there)], f"`a key` {kind}, n int")
    frame = frame.withColumnRenamed("a key", "a_key")
    frame.coalesce(1).sortWithinPartitions("a_key").write.format("delta").option("maxRecordsPerFile", 10).save(
        str(path)
    )
    for count in (1, 3, 20):
        wanted = draw.sample([make(n) for n in range(60)], count)
        keys = spark.createDataFrame([(key,) for key in wanted], f"a_key {kind}")
        sql = comparable("a_key", dict(keys.dtypes)["a_key"])
        ends = keys.selectExpr(f"min({sql})", f"max({sql})").collect()[0] if sql else (None, None)
        found = reach(path, ["a_key"], keys, count)
        assert reach(path, ["a_key"], keys, count, tuple(ends)) in (found, Reach(path, found.version, [], "false"))
        near = found.rows(spark)
        rows = {row["n"] for row in near.join(keys, "a_key").collect()}
        assert rows == {n for n, key in enumerate(there) if key in wanted}
        if found.condition:
            whole = spark.read.format("delta").load(str(path)).alias("t").where(found.condition)
            assert {row["n"] for row in whole.join(keys, "a_key").collect()} == rows
        assert kind == "double" or count > 1 or near.count() <= 10, "one key is in one file"
    newer = spark.createDataFrame([(make(n),) for n in (70, 71)], f"a_key {kind}")
    if sql:
        for asked, nothing in ((newer, True), (newer.union(keys), False)):
            ends = asked.selectExpr(f"min({sql})", f"max({sql})").collect()[0]
            found = reach(path, ["a_key"], asked, asked.count(), tuple(ends))
            assert (found.files == []) == nothing or kind == "string"
            there_now = {row["n"] for row in found.rows(spark).join(asked, "a_key").collect()}
            assert there_now == (set() if nothing else rows)


def test_bytes_that_are_no_text_are_looked_for_everywhere(spark: Any, tmp_path: Path) -> None:
    """Python gets another character for them, which sorts elsewhere."""
    path = tmp_path / "t"
    frame = spark.createDataFrame([(text,) for text in BYTES], "hex string").selectExpr(
        "CAST(unhex(hex) AS STRING) AS k"
    )
    frame.coalesce(1).sortWithinPartitions("k").write.format("delta").option("maxRecordsPerFile", 3).save(str(path))
    found = reach(path, ["k"], frame.where("hex(k) = 'C328'"), 1)
    assert (found.files, found.condition) == (None, "")
