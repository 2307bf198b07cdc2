"""Declared types hold whatever kind the source is; a value that a type can't hold exactly is rescued or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from lakehouse.config import Project
from lakehouse.errors import ConfigError, ContractError
from tests.bronze.landed import Landed
from tests.bronze.test_contract import files

MakeProject = Callable[..., Project]
COLUMNS = '{id: bigint, amount: "decimal(6,2)", day: date, at: timestamp, odd: string}'


def declared(format_: str, **settings: str) -> str:
    listed = "".join(f", {name}: '{value}'" for name, value in settings.items())
    return f"  s: {{type: files, format: {format_}, path: data/raw/*{listed}, columns: {COLUMNS}}}"


def values(project: Project) -> list[dict[str, Any]]:
    names = ("id", "amount", "day", "at", "odd", "_rescued")
    rows = sorted(Landed(project, "s").kinds["record"], key=lambda row: row["_row"])
    return [{name: row[name] for name in names if row.get(name) is not None} for row in rows]


GOOD = {"id": 1, "amount": Decimal("12.50"), "day": date(2026, 1, 31), "at": datetime(2026, 1, 31, 12, tzinfo=UTC)}
TEXT = ("1", "12.5", "2026-01-31", "2026-01-31T12:00:00Z")


def test_what_a_type_cannot_hold_is_rescued(spark: Any, make_project: MakeProject) -> None:
    project = make_project(declared("csv", changed_types="rescue"))
    bad = [
        ("1.5", "1.005", "2026-02-30", "12:00"),
        ("9223372036854775808", "10000", "2026-01-31 12:00", "2026-01-31 12:00:00.1234567"),
        ("0x1", "1e2", "31.1.2026", "now"),
    ]
    good = [TEXT, ("-7", "1.5000", "", "2026-01-31")]
    lines = ["id,amount,day,at,odd", *(",".join((*row, "x")) for row in (*bad, *good))]
    assert files(project, True, "\n".join(lines) + "\n").error is None
    found = values(project)
    assert [json.loads(row["_rescued"]) for row in found[:3]] == [dict(zip(GOOD, row, strict=True)) for row in bad]
    assert all(row.keys() == {"odd", "_rescued"} for row in found[:3])
    assert found[3:] == [
        GOOD | {"odd": "x"},
        {"id": -7, "amount": Decimal("1.50"), "at": datetime(2026, 1, 31, tzinfo=UTC), "odd": "x"},
    ]


@pytest.mark.parametrize(
    ("setting", "kind", "value", "want"),
    [
        ("widen", pa.int32(), 7, (7, None)),
        ("widen", pa.float64(), 7.0, None),
        ("rescue", pa.float64(), 7.0, (7, None)),
        ("rescue", pa.float64(), 7.5, (None, '{"n":"7.5"}')),
        ("rescue", pa.string(), "7", (7, None)),
        ("reject", pa.int32(), 7, None),
    ],
)
def test_types_that_change(
    spark: Any, make_project: MakeProject, setting: str, kind: Any, value: Any, want: Any
) -> None:
    project = make_project(f"  s: {{type: files, format: parquet, path: data/raw/*, changed_types: {setting}}}")
    result = files(project, False, pa.table({"n": [1]}), pa.table({"n": pa.array([value], kind)}))
    if want is None:
        assert isinstance(result.error, ContractError) and "'n' is" in result.error.message
        return
    assert result.error is None
    (row,) = (row for row in Landed(project, "s").kinds["record"] if row["_batch"] == 1)
    assert (row["n"], row.get("_rescued")) == want


def test_an_unknown_type_is_named(make_project: MakeProject) -> None:
    with pytest.raises(ConfigError, match="must be a type, such as"):
        make_project("  s: {type: files, format: csv, path: data/raw/*, columns: {a: number}}")
