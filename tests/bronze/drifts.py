"""How a source may drift, and what docs/bronze.md says must become of it, for each setting of the contract."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FORMATS = ("csv", "json", "parquet")
FIRST = pa.table({"id": ["1"], "a": ["x"]})


@dataclass(frozen=True)
class Drift:
    """Two files of one source, one batch each, and what the second one comes to."""

    name: str
    format: str
    settings: str
    first: pa.Table
    second: pa.Table
    rows: list[dict[str, Any]] = field(default_factory=list)
    """What lands of the second file, without nulls; ``_rescued`` as it is after json.loads."""
    refused: str = ""
    """Words of the error that refuses the batch."""
    quarantined: int = 0
    changes: dict[str, list[str]] = field(default_factory=dict)
    """What the receipt of the second batch says."""

    def content(self, table: pa.Table) -> bytes:
        if self.format == "parquet":
            buffer = io.BytesIO()
            pq.write_table(table, buffer)
            return buffer.getvalue()
        if self.format == "json":
            return "".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode()
        rows = [table.column_names, *([str(value) for value in row.values()] for row in table.to_pylist())]
        return "".join(",".join(row) + "\n" for row in rows).encode()


def of_columns() -> Iterator[Drift]:
    """Columns that come, go, change their names, their order or just their case."""
    added = pa.table({"id": ["2"], "a": ["y"], "c": ["z"]})
    renamed = pa.table({"id": ["2"], "b": ["y"]})
    lost = {"lost columns": ["a"]}
    for kind in FORMATS:
        for new in ("evolve", "rescue", "reject"):
            said = f"new_columns: {new}"
            if new == "reject":
                yield Drift("add", kind, said, FIRST, added, refused="new columns: c")
            else:
                more = {"c": "z"} if new == "evolve" else {"_rescued": {"c": "z"}}
                what = "new columns" if new == "evolve" else "rescued columns"
                yield Drift("add", kind, said, FIRST, added, [{"id": "2", "a": "y"} | more], changes={what: ["c"]})
            swapped = pa.table({"a": ["y"], "id": ["2"]})
            yield Drift("reorder", kind, said, FIRST, swapped, [{"id": "2", "a": "y"}])
            cased = pa.table({"id": ["2"], "A": ["y"]})
            yield Drift("case", kind, said, FIRST, cased, refused="only in case: A")
            for loss in ("null", "reject"):
                both = f"{said}, lost_columns: '{loss}'"
                if "reject" in (new, loss):
                    words = "new columns: b" if new == "reject" else "lost columns: a"
                    yield Drift("rename", kind, both, FIRST, renamed, refused=words)
                    continue
                more = {"b": "y"} if new == "evolve" else {"_rescued": {"b": "y"}}
                what = "new columns" if new == "evolve" else "rescued columns"
                yield Drift("rename", kind, both, FIRST, renamed, [{"id": "2"} | more], changes={what: ["b"]} | lost)
        gone = pa.table({"id": ["2"]})
        yield Drift("drop", kind, "lost_columns: 'null'", FIRST, gone, [{"id": "2"}], changes=lost)
        yield Drift("drop", kind, "lost_columns: reject", FIRST, gone, refused="lost columns: a")


Values = list[Any]
INT, LONG, TEXT = pa.int32(), pa.int64(), pa.string()
ONE, TWO = pa.struct([("x", INT)]), pa.struct([("x", INT), ("y", INT)])
TYPES: list[tuple[str, tuple[Values, pa.DataType], tuple[Values, pa.DataType, str], bool, Values]] = [
    # what it was, what it is now and Spark's name of that, whether it is narrower, what is rescued or taken
    ("widen", ([1], INT), ([7, 2**40], LONG, "bigint"), False, [7, {"v": str(2**40)}]),
    ("narrow", ([1], LONG), ([7], INT, "int"), True, [7]),
    (
        "narrow decimal",
        ([Decimal("1.00")], pa.decimal128(9, 2)),
        ([Decimal("7.5")], pa.decimal128(7, 1), "decimal(7,1)"),
        True,
        [Decimal("7.50")],
    ),
    (
        "widen decimal",
        ([Decimal("1.0")], pa.decimal128(4, 1)),
        ([Decimal("7.50"), Decimal("7.55")], pa.decimal128(9, 2), "decimal(9,2)"),
        False,
        [Decimal("7.5"), {"v": "7.55"}],
    ),
    (
        "days for times",
        ([datetime(2026, 1, 1, 5)], pa.timestamp("us")),
        ([date(2026, 1, 2)], pa.date32(), "date"),
        True,
        [datetime(2026, 1, 2)],
    ),
    (
        "times for days",
        ([date(2026, 1, 1)], pa.date32()),
        ([datetime(2026, 1, 2), datetime(2026, 1, 2, 5)], pa.timestamp("us"), "timestamp_ntz"),
        False,
        [date(2026, 1, 2), {"v": "2026-01-02 05:00:00"}],
    ),
    ("texts for numbers", ([1], LONG), (["7", "x"], TEXT, "string"), False, [7, {"v": "x"}]),
    ("numbers for texts", (["x"], TEXT), ([7], LONG, "bigint"), False, ["7"]),
    ("numbers for days", ([date(2026, 1, 1)], pa.date32()), ([7], LONG, "bigint"), False, [{"v": "7"}]),
    (
        "nested field added",
        ([{"x": 1}], ONE),
        ([{"x": 1, "y": 2}], TWO, "struct<x:int,y:int>"),
        False,
        [{"v": '{"x":1,"y":2}'}],
    ),
    ("nested field lost", ([{"x": 1, "y": 2}], TWO), ([{"x": 1}], ONE, "struct<x:int>"), False, [{"v": '{"x":1}'}]),
    (
        "nested type",
        ([{"x": 1}], ONE),
        ([{"x": 2}], pa.struct([("x", LONG)]), "struct<x:bigint>"),
        False,
        [{"v": '{"x":2}'}],
    ),
    ("nested list", ([[1]], pa.list_(INT)), ([[2]], pa.list_(LONG), "array<bigint>"), False, [{"v": "[2]"}]),
    ("nested for text", (["x"], TEXT), ([[2]], pa.list_(LONG), "array<bigint>"), False, ["[2]"]),
    ("text for nested", ([[1]], pa.list_(INT)), (["[2]"], TEXT, "string"), False, [{"v": "[2]"}]),
    ("number for nested", ([{"x": 1}], ONE), ([2], LONG, "bigint"), False, [{"v": "2"}]),
]


def of_types() -> Iterator[Drift]:
    """A column of Parquet that has another type; the texts of JSON have none."""
    for name, (was, before), (now, after, said), narrower, outcome in TYPES:
        first, second = pa.table({"v": pa.array(was, before)}), pa.table({"v": pa.array(now, after)})
        for setting in ("widen", "rescue", "reject"):
            rows = [{"_rescued": one} if isinstance(one, dict) else {"v": one} for one in outcome]
            taken = setting == "rescue" or (setting == "widen" and narrower)
            yield Drift(
                *(name, "parquet", f"changed_types: {setting}", first, second),
                **{"rows": rows, "changes": {"changed types": [f"v ({said})"]}} if taken else {"refused": "'v' is"},
            )
    for setting in ("widen", "rescue", "reject"):
        first, second = pa.table({"v": [{"x": 1}]}), pa.table({"v": [{"x": 1, "y": [2]}]})
        yield Drift("nested", "json", f"changed_types: {setting}", first, second, [{"v": '{"x": 1, "y": [2]}'}])


def of_declared() -> Iterator[Drift]:
    """Declared columns hold: a value that is none of its type is rescued, or its record is quarantined."""
    columns = "schema: declared, columns: {id: string, n: bigint}"
    for kind in FORMATS:
        first, now = pa.table({"id": ["1"], "n": [1]}), [7.0, 7.5] if kind == "parquet" else ["7", "7.5"]
        second = pa.table({"id": ["2", "3"], "n": now})
        for setting in ("widen", "rescue", "reject"):
            odd = [{"id": "3", "_rescued": {"n": "7.5"}}] if setting == "rescue" else []
            yield Drift(
                *("declared", kind, f"{columns}, changed_types: {setting}", first, second),
                rows=[{"id": "2", "n": 7}, *odd],
                quarantined=not odd,
            )
        more = pa.table({"id": ["2"], "n": [2], "c": ["z"]})
        row: dict[str, Any] = {"id": "2", "n": 2}
        rescued = {"rescued columns": ["c"]}
        yield Drift("declared, add", kind, columns, first, more, [row | {"_rescued": {"c": "z"}}], changes=rescued)
        said = f"{columns}, new_columns: evolve"
        yield Drift("declared, add", kind, said, first, more, [row | {"c": "z"}], changes={"new columns": ["c"]})
        said = f"{columns}, new_columns: reject"
        yield Drift("declared, add", kind, said, first, more, refused="new columns: c")
        gone, lost = pa.table({"id": ["2"]}), {"lost columns": ["n"]}
        yield Drift("declared, drop", kind, columns, first, gone, [{"id": "2"}], changes=lost)
        said = f"{columns}, lost_columns: reject"
        yield Drift("declared, drop", kind, said, first, gone, refused="lost columns: n")


DRIFTS = [*of_columns(), *of_types(), *of_declared()]
