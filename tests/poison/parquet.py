"""Parquet that is poisoned: torn, lying, flipped, and sound files of what Spark would cut or refuse."""

from __future__ import annotations

import math
from datetime import date, datetime, time
from decimal import Decimal
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.poison.kinds import Kind, Record, whole


def written(table: pa.Table, **options: Any) -> bytes:
    buffer = BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def column(values: list[Any], kind: pa.DataType, name: str = "x") -> pa.Table:
    return pa.table({name: pa.array(values, kind)})


TEXTS = pa.table({"id": ["g1", "g2"]})
SOUND = written(TEXTS)
BIG = written(pa.table({"id": [f"{i:05}" for i in range(2000)]}), compression="none", write_page_checksum=True)
FIX: tuple[bytes, Record] = (written(pa.table({"id": ["mended"]})), {"id": "mended"})


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def no_utf8() -> bytes:
    """A column that says it is text, and is not."""
    raw = pa.array([b"g1", b"\xff\xfe"], pa.binary())
    return written(pa.table({"id": pa.Array.from_buffers(pa.string(), 2, raw.buffers())}))


def bad(name: str, content: bytes, reason: str = "it is no sound Parquet file") -> Kind:
    return whole(name, content, reason, FIX)


def doubled(*names: str) -> bytes:
    return written(pa.Table.from_arrays([pa.array(["x"])] * len(names), names=list(names)))


BROKEN = [
    bad("empty", b""),
    bad("magic-alone", b"PAR1"),
    bad("truncated-footer", SOUND[:-12]),
    bad("truncated-half", SOUND[: len(SOUND) // 2]),
    bad("no-last-magic", SOUND[:-4]),
    bad("garbage-behind", SOUND + b"garbage!"),
    bad("csv-by-another-name", b"id,name\n1,a\n"),
    bad("footer-longer-than-file", SOUND[:-8] + (2**31 - 1).to_bytes(4, "little") + b"PAR1"),
    bad("footer-of-no-length", SOUND[:-8] + (0).to_bytes(4, "little") + b"PAR1"),
    bad("footer-cut-short", SOUND[:-8] + (7).to_bytes(4, "little") + b"PAR1"),
    bad("flipped-in-the-data", flipped(BIG, len(BIG) // 2)),
    bad("flipped-in-the-footer", flipped(SOUND, len(SOUND) - 12 - len(SOUND) // 4)),
    bad("encrypted-magic", SOUND[:-4] + b"PARE"),
    bad("text-that-is-not-utf8", no_utf8(), "UTF8"),
    bad("nanoseconds", written(column([1], pa.timestamp("ns"))), "counts nanoseconds"),
    bad("time-of-day", written(column([time(1)], pa.time64("us"))), "is of the type time"),
    bad("half-floats", written(column([np.float16(1)], pa.float16())), "is of the type float16"),
    bad("decimal-of-39-digits", written(column([Decimal(1)], pa.decimal256(39, 0))), "more than 38 digits"),
    bad("nanoseconds-inside", written(column([[1]], pa.list_(pa.timestamp("ns")))), "counts nanoseconds"),
    bad("uuid", written(column([b"\1" * 16], pa.uuid())), "is of the type UUID"),
    bad("space-inside", written(column([[{"a b": 1}]], pa.list_(pa.struct({"a b": pa.int8()})))), "a field 'a b'"),
    bad("case-clash-inside", written(column([{"a": 1, "A": 2}], pa.struct({"a": pa.int8(), "A": pa.int8()}))), "twice"),
    bad("doubled-column", doubled("id", "id"), "is there twice"),
    bad("case-clash", doubled("id", "ID"), "is there twice"),
    bad("engine-column", doubled("id", "_receipt"), "a name that bronze keeps for itself"),
    bad("nameless-column", doubled("id", ""), "has no name"),
]
SINGLE = [
    ("negative-zero", [-0.0], pa.float64(), "zero"),
    ("not-a-number", [math.nan], pa.float64(), "nan"),
    ("infinite", [math.inf, -math.inf], pa.float64(), "endless"),
    ("year-1", [date(1, 1, 1), date(9999, 12, 31), date(1582, 10, 10)], pa.date32(), "day"),
    ("year-1-times", [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)], pa.timestamp("us"), "at"),
    ("beyond-long", [2**64 - 1, 0], pa.uint64(), "unsigned"),
    ("38-digits", [Decimal("9" * 38), Decimal("-" + "9" * 38)], pa.decimal128(38, 0), "decimal"),
    ("zero-width", ["\u200b", "\u200d"], pa.string(), "id"),
    ("nul-in-text", ["a\0b"], pa.string(), "id"),
    ("html", ["<script>alert(1)</script>"], pa.string(), "id"),
    ("nulls", [None, None], pa.string(), "id"),
    ("large-text", ["x", "y"], pa.large_string(), "id"),
]
PARQUET = [
    *BROKEN,
    *(
        Kind(name, written(column(values, kind, place)), tuple({place: value} for value in values))
        for name, values, kind, place in SINGLE
    ),
    Kind("no-rows", written(TEXTS.slice(0, 0))),
    Kind(
        "column-of-nulls",
        written(column([None], pa.null(), "void").append_column("id", pa.array(["1"]))),
        ({"id": "1"},),
    ),
    Kind(
        "dictionary",
        written(column(["a", "a"], pa.dictionary(pa.int32(), pa.string()), "id")),
        ({"id": "a"}, {"id": "a"}),
    ),
    Kind("sql-in-a-name", doubled("x`; DROP TABLE s; --"), ({"x_DROP_TABLE_s_--": "x"},)),
    Kind(
        "old-int96",
        written(column([datetime(2026, 1, 1)], pa.timestamp("us"), "old"), use_deprecated_int96_timestamps=True),
        ({"old": datetime(2026, 1, 1)},),
    ),
]
