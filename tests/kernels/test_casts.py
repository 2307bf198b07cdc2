"""Columns in other types: what would be changed, or is of another kind, is refused."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.kernels.casts import exactly

US = pa.timestamp("us", "UTC")
CENTS = pa.decimal128(10, 2)
ONE, NOON = datetime(2026, 2, 2, tzinfo=UTC), datetime(2026, 2, 2, 12, tzinfo=UTC)
A_MAP = pa.map_(pa.string(), pa.float64())


def column(values: list[Any], kind: pa.DataType | None) -> pa.ChunkedArray:
    whole = pa.array([*values, None], kind)
    return pa.chunked_array([whole.slice(0, 1), whole.slice(1)], whole.type)


@pytest.mark.parametrize(
    ("values", "given", "kind", "wanted"),
    [
        ([300], None, pa.int16(), [300]),
        ([7.0, -2.0], None, pa.int64(), [7, -2]),
        ([7], None, pa.float64(), [7.0]),
        ([0.1, math.inf], None, pa.float32(), [float(np.float32(0.1)), math.inf]),
        ([Decimal("0.1")], None, pa.float32(), [float(np.float32(0.1))]),
        ([Decimal("0.6"), Decimal("3.9")], None, pa.float64(), [0.6, 3.9]),
        ([0.6, 3.9, 1.5], None, CENTS, [Decimal("0.60"), Decimal("3.90"), Decimal("1.50")]),
        ([Decimal("1.5")], None, CENTS, [Decimal("1.50")]),
        ([7], None, CENTS, [Decimal("7.00")]),
        (["a"], pa.large_string(), pa.string(), ["a"]),
        (["a"], pa.dictionary(pa.int8(), pa.string()), pa.string(), ["a"]),
        ([], pa.null(), US, []),
        ([None], pa.float64(), pa.string(), [None]),
        ([date(2026, 2, 2)], None, US, [ONE]),
        ([ONE], US, pa.date32(), [date(2026, 2, 2)]),
        ([ONE], pa.timestamp("us", "America/New_York"), pa.date32(), [date(2026, 2, 2)]),
        ([NOON], pa.timestamp("ns", "UTC"), US, [NOON]),
        ([NOON.replace(tzinfo=None)], pa.timestamp("s"), US, [NOON]),
        ([[1.0, None], []], None, pa.list_(pa.int32()), [[1, None], []]),
        ([[0.1]], pa.large_list(pa.float64()), pa.list_(pa.float32()), [[float(np.float32(0.1))]]),
        ([{"a": 1}], None, pa.struct([("a", pa.int8()), ("b", US)]), [{"a": 1, "b": None}]),
        ([[("k", 1.5)]], A_MAP, pa.map_(pa.string(), CENTS), [[("k", Decimal("1.50"))]]),
    ],
)
def test_what_is_the_same_in_another_type(
    values: list[Any], given: pa.DataType | None, kind: pa.DataType, wanted: list[Any]
) -> None:
    got = exactly(column(values, given), kind)
    assert (got.type, got.to_pylist()) == (kind, [*wanted, None])


@pytest.mark.parametrize(
    ("values", "given", "kind"),
    [
        ([2], None, pa.bool_()),
        ([True], None, pa.int64()),
        (["7"], None, pa.int64()),
        ([7], None, pa.string()),
        ([NOON], None, pa.string()),
        ([7], None, US),
        ([b"a"], None, pa.string()),
        ([300], None, pa.int8()),
        ([2**63], pa.uint64(), pa.int64()),
        ([1.5], None, pa.int64()),
        ([math.nan], None, pa.int64()),
        ([2**53 + 1], None, pa.float64()),
        ([1e300], None, pa.float32()),
        ([1.239], None, CENTS),
        ([Decimal("1.239")], None, CENTS),
        ([10**10], None, CENTS),
        ([Decimal("12345678901234567890.5")], None, pa.float64()),
        ([NOON], None, pa.date32()),
        ([ONE.replace(hour=5)], pa.timestamp("us", "America/New_York"), pa.date32()),
        ([1], pa.timestamp("ns", "UTC"), US),
        ([[1e300]], None, pa.list_(pa.float32())),
        ([["7"]], None, pa.list_(pa.int64())),
        ([{"a": 1.239}], None, pa.struct([("a", CENTS)])),
        ([{"a": 1, "b": 2}], None, pa.struct([("a", pa.int64())])),
        ([[("k", 1.239)]], A_MAP, pa.map_(pa.string(), CENTS)),
    ],
)
def test_what_would_be_changed(values: list[Any], given: pa.DataType | None, kind: pa.DataType) -> None:
    with pytest.raises(pa.ArrowInvalid):
        exactly(column(values, given), kind)
