"""Parquet: its own types land; what Spark would cut, misread or choke on is quarantined whole."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from itertools import permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.config import FilesSource
from lakehouse.sources.files.parquet import inspect_parquet, row_files
from lakehouse.sources.files.planning import plan_batch
from tests.sources.readers import counted_readers

SOURCE = FilesSource(type="files", format="parquet", path="*.parquet")
Batch = Any


def planned(folder: Path, **files: bytes | pa.Table) -> Batch:
    for name, content in files.items():
        (folder / f"{name}.parquet").write_bytes(content if isinstance(content, bytes) else written(content))
    batch = plan_batch("s", SOURCE, folder, [])
    assert batch is not None
    return batch


def written(table: pa.Table, **options: Any) -> bytes:
    buffer = BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def no_groups(schema: pa.Schema) -> bytes:
    buffer = BytesIO()
    pq.ParquetWriter(buffer, schema, version="2.6").close()
    return buffer.getvalue()


def test_own_types_are_kept(spark: Any, tmp_path: Path) -> None:
    at = datetime(2026, 1, 31, 12, 0, 0, 123456, UTC)
    row = {
        "whole": 2**40,
        "small": 7,
        "real": 0.1,
        "price": Decimal("12.30"),
        "day": date(2026, 1, 31),
        "at": at,
        "text": "é",
        "raw": b"\0\xff",
        "yes": True,
        "tags": ["a", None],
        "inner": {"x": 1, "y": [1.5]},
        "map": [("k", 1)],
        "nothing": None,
    }
    types = {
        **{"whole": pa.int64(), "small": pa.int16(), "real": pa.float64(), "price": pa.decimal128(9, 2)},
        **{"day": pa.date32(), "at": pa.timestamp("us", "UTC"), "text": pa.string(), "raw": pa.binary()},
        **{"yes": pa.bool_(), "tags": pa.list_(pa.string()), "map": pa.map_(pa.string(), pa.int32())},
        **{"inner": pa.struct([("x", pa.int32()), ("y", pa.list_(pa.float64()))]), "nothing": pa.null()},
    }
    table = pa.table({name: pa.array([value], types[name]) for name, value in row.items()})
    batch = planned(tmp_path, a=table)
    assert (batch.records, batch.rejects) == (1, ())
    frame = batch.read(spark)
    assert dict(frame.dtypes) == {
        **{"whole": "bigint", "small": "smallint", "real": "double", "price": "decimal(9,2)", "day": "date"},
        **{"at": "timestamp", "text": "string", "raw": "binary", "yes": "boolean", "tags": "array<string>"},
        **{"inner": "struct<x:int,y:array<double>>", "map": "map<string,int>", "_file": "string", "_row": "bigint"},
    }
    found = frame.collect()[0].asDict(recursive=True)
    assert found.pop("at").astimezone(UTC) == at
    want = {name: value for name, value in row.items() if name not in ("at", "nothing")}
    assert found == want | {"raw": bytearray(b"\0\xff"), "map": {"k": 1}, "_file": "a.parquet", "_row": 0}


def test_rows_are_numbered_in_each_file(spark: Any, tmp_path: Path) -> None:
    table = pa.table({"n": list(range(2500))})
    batch = planned(tmp_path, a=written(table, row_group_size=1000), b=table)
    for name in "ab":
        rows = batch.read(spark).where(f"_file = '{name}.parquet'").orderBy("_row").collect()
        assert [(row.n, row._row) for row in rows] == [(i, i) for i in range(2500)]


def test_int96_times_are_read(spark: Any, tmp_path: Path) -> None:
    table = pa.table({"before": [1], "at": pa.array([1_000], pa.timestamp("ns"))})
    frame = planned(tmp_path, a=written(table, use_deprecated_int96_timestamps=True)).read(spark)
    assert dict(frame.dtypes)["at"] == "timestamp"
    assert frame.collect()[0].at.microsecond == 1


@pytest.mark.parametrize("kind", [pa.int32(), pa.timestamp("us")])
def test_a_file_without_rows_keeps_its_columns(spark: Any, tmp_path: Path, kind: pa.DataType) -> None:
    schema = pa.schema([("a", kind)])
    batch = planned(tmp_path, none=no_groups(schema), empty=schema.empty_table())
    assert (batch.records, batch.rejects) == (0, ())
    frame = batch.read(spark)
    assert frame.columns == ["a", "_file", "_row"]
    assert frame.count() == 0


SOUND = written(pa.table({"a": list(range(1000))}), compression="snappy")
NANOS = pa.timestamp("ns")
REFUSED: dict[str, tuple[bytes, str]] = {
    "no bytes": (b"", "no sound Parquet file"),
    "no Parquet": (b"a,b\n1,2\n", "no sound Parquet file"),
    "a torn footer": (SOUND[:-3], "no sound Parquet file"),
    "half of it": (SOUND[: len(SOUND) // 2], "no sound Parquet file"),
    "a length that lies": (SOUND[:-8] + b"\xff\xff\xff\x7f" + SOUND[-4:], "no sound Parquet file"),
    "flipped bytes in a page": (SOUND[:40] + bytes(200) + SOUND[240:], "no sound Parquet file"),
    "nanoseconds": (written(pa.table({"b": [1], "at": pa.array([1], NANOS)}), version="2.6"), "'at' counts nano"),
    "nanoseconds inside": (
        written(pa.table({"s": pa.array([{"x": {"at": 1}}], pa.struct([("x", pa.struct([("at", NANOS)]))]))})),
        "'s.x.at' counts nanoseconds",
    ),
    "nanoseconds in no row group": (no_groups(pa.schema([("at", NANOS)])), "'at' counts nanoseconds"),
    "a time of day": (written(pa.table({"t": pa.array([1], pa.time64("us"))})), "'t' is of the type time"),
    "half floats": (written(pa.table({"h": pa.array([1.5], pa.float32()).cast(pa.float16())})), "float16"),
    "50 digits": (written(pa.table({"d": pa.array([1], pa.decimal256(50, 2))})), "more than 38 digits"),
    "a column twice": (written(pa.table([pa.array([1])] * 2, names=["a", "a"])), "there twice"),
    "a column in two cases": (written(pa.table({"a": [1], "A": [2]})), "there twice"),
    "a uuid": (written(pa.table({"u": pa.array([b"\1" * 16], pa.uuid())})), "'u' is of the type UUID"),
    **{
        f"a field with {bad!a} in its name": (
            written(pa.table({"s": pa.array([[{f"a{bad}b": 1}]])})),
            f"'s' has a field {f'a{bad}b'!r}, a name that Delta refuses",
        )
        for bad in " ,;{}()\n\t="
    },
    "a field refused in a map": (
        written(
            pa.table({"m": pa.array([[("k", {"a b": 1})]], pa.map_(pa.string(), pa.struct([("a b", pa.int8())])))})
        ),
        "'m' has a field 'a b'",
    ),
    "a field in two cases": (
        written(pa.table({"s": pa.array([{"x": {"a": 1, "A": 2}}])})),
        "'s' has a field 'A' twice",
    ),
    "a column of ours": (written(pa.table({"_kind": [1]})), "keeps for itself"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_spark_would_misread_is_quarantined_whole(tmp_path: Path, name: str) -> None:
    data, reason = REFUSED[name]
    batch = planned(tmp_path, bad=data, good=pa.table({"a": [1, 2]}))
    assert batch.records == 2
    (reject,) = batch.rejects
    assert (reject.file, reject.offset, reject.line, reject.raw) == ("bad.parquet", 0, 0, data)
    assert reason in reject.reason


@pytest.mark.parametrize("name", ["_a.parquet", "12:30.parquet"])
def test_a_name_that_spark_passes_over_is_quarantined(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(SOUND)
    found = inspect_parquet(tmp_path / name, name)
    assert "rename it" in found.rejects[0].reason


@pytest.mark.parametrize("year", [1, 1500, 1969, 2026, 2262, 2263, 3000, 9999])
def test_a_row_keeps_its_old_times(tmp_path: Path, year: int) -> None:
    at = datetime(year, 7, 8, 1, 2, 3, 456789)
    rows = pa.table({"at": pa.array([None, at], pa.timestamp("us"))})
    (tmp_path / "a.parquet").write_bytes(written(rows, use_deprecated_int96_timestamps=True))
    ((row, raw),) = row_files(tmp_path / "a.parquet", {1})
    with pq.ParquetFile(BytesIO(raw), coerce_int96_timestamp_unit="us") as file:
        assert file.schema.column(0).physical_type == "INT96"
        assert (row, file.read().to_pylist()) == (1, [{"at": at}])


def test_spark_reads_the_same_old_time_in_a_row_of_its_own(spark: Any, tmp_path: Path) -> None:
    text = "9999-12-31 23:59:59.999999"
    rows = pa.table({"at": pa.array([datetime(3000, 1, 1), datetime.fromisoformat(text)], pa.timestamp("us"))})
    (tmp_path / "a.parquet").write_bytes(written(rows, use_deprecated_int96_timestamps=True))
    ((_, raw),) = row_files(tmp_path / "a.parquet", {1})
    (tmp_path / "row.parquet").write_bytes(raw)
    found = [
        spark.read.parquet(str(tmp_path / name)).selectExpr("unix_micros(max(at)) AS at").collect()[0].at
        for name in ("a.parquet", "row.parquet")
    ]
    assert found == [253402300799999999] * 2


def test_old_times_beside_others_keep_their_types(spark: Any, tmp_path: Path) -> None:
    """Spark writes so: a timestamp as INT96, a timestamp_ntz never."""
    session = spark.newSession()
    session.conf.set("spark.sql.parquet.outputTimestampType", "INT96")
    sql = "SELECT TIMESTAMP '3000-01-01 00:00:00' AS at, TIMESTAMP_NTZ '3000-01-01 00:00:00.5' AS here, ARRAY(1) AS n"
    session.sql(sql).coalesce(1).write.parquet(str(tmp_path / "out"))
    (path,) = (tmp_path / "out").glob("*.parquet")
    ((_, raw),) = row_files(path, {0})
    (tmp_path / "row.parquet").write_bytes(raw)
    frames = [spark.read.parquet(str(file)) for file in (path, tmp_path / "row.parquet")]
    assert frames[0].dtypes == frames[1].dtypes == [("at", "timestamp"), ("here", "timestamp_ntz"), ("n", "array<int>")]
    assert frames[0].collect() == frames[1].collect()


def test_columns_in_another_order_need_no_other_reader(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = counted_readers(monkeypatch)
    columns: dict[str, list[Any]] = {"a": [1], "b": ["x"], "c": [1.5]}
    orders = ["".join(order) for order in permutations(columns)]
    batch = planned(tmp_path, **{order: pa.table({name: columns[name] for name in order}) for order in orders})
    rows = batch.read(spark).collect()
    assert sorted((row._file, row.a, row.b, row.c) for row in rows) == [
        (f"{order}.parquet", 1, "x", 1.5) for order in orders
    ]
    assert len(opened) == 1
