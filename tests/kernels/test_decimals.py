"""Decimals become the doubles that Python's ``float`` makes of them, wherever they stand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakehouse.kernels.decimals import nearest_doubles

TYPES = [(9, 2), (15, 0), (15, 15), (18, 2), (18, 18), (38, 0), (38, 18), (38, 38), (60, 30)]


def made(digits: list[int | None], precision: int, scale: int) -> list[Decimal | None]:
    """Decimals of that many digits, by their whole numbers."""
    most = 10**precision
    whole = [None if one is None else abs(one) % most * (-1 if one < 0 else 1) for one in digits]
    return [None if one is None else Decimal(f"{one}E-{scale}") for one in whole]


def array(values: list[Any], precision: int, scale: int) -> pa.Array:
    kind = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    return pa.array(values, kind)


@pytest.mark.parametrize(("precision", "scale"), TYPES)
@given(st.lists(st.none() | st.integers(-(10**60), 10**60) | st.integers(-(10**9), 10**9)))
@example([-230, 230, None, 2**53, 2**53 + 1, -(2**53) - 1, 999_999_999_999_999_999, 0])
def test_the_nearest_double(precision: int, scale: int, digits: list[int | None]) -> None:
    values = made(digits, precision, scale)
    wanted = [None if one is None else float(one) for one in values]
    column = array(values, precision, scale)
    for spot in range(len(values) + 1):
        assert nearest_doubles(column[spot:]).to_pylist() == wanted[spot:]
    chunked = pa.chunked_array([column[:1], column[1:]])
    assert nearest_doubles(chunked).to_pylist() == wanted
    assert nearest_doubles(chunked).type == pa.float64()


def test_decimals_within_other_values() -> None:
    kind, price, double = pa.decimal128(12, 2), Decimal("-2.30"), -2.3
    struct = pa.struct([("a", kind), ("b", pa.string())])
    for given_, value, wanted in (
        (pa.list_(kind), [price, None], [double, None]),
        (pa.large_list(pa.list_(kind)), [[price], None, []], [[double], None, []]),
        (struct, {"a": price, "b": "x"}, {"a": double, "b": "x"}),
        (pa.map_(pa.string(), kind), [("x", price)], [("x", double)]),
        (pa.map_(kind, pa.list_(struct)), [(price, [{"a": None, "b": None}])], [(double, [{"a": None, "b": None}])]),
    ):
        assert nearest_doubles(pa.array([value, None], given_)).to_pylist() == [wanted, None]
    plain = pa.array(["2.30", None])
    assert nearest_doubles(plain) is plain
    assert nearest_doubles(pa.chunked_array([], kind)).type == pa.float64()
