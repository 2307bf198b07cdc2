"""Exact sums against Python's fractions: any numbers, any order, any grouping."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakehouse.kernels.exact import Exact

DOUBLES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1000, 1000),
    st.integers(-(2**60), 2**60).map(float),
    st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 2.0**-1022, 1.7976931348623157e308, 1e16, 0.1]),
)

FEW_BITS = st.lists(st.integers(-(2**54), 2**54).map(lambda n: float(n) * 2.0**-50), min_size=1, max_size=40)
"""Numbers of one size, whose sums the processor can round."""
NUMBERS = st.one_of(st.lists(DOUBLES, min_size=1, max_size=40), FEW_BITS)


def nearest(exact: Fraction) -> float:
    try:
        return exact.numerator / exact.denominator
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def fractions(exact: Exact) -> list[Fraction]:
    return [Fraction(one) * Fraction(2) ** (32 * exact.low) for one in exact.whole()]


@given(NUMBERS)
def test_every_range_is_its_exact_sum(values: list[float]) -> None:
    exact = Exact.of(np.array(values))
    size = len(values)
    first, after = (
        np.array(one) for one in zip(*[(i, j) for i in range(size + 1) for j in range(i, size + 1)], strict=True)
    )
    wanted = [sum(map(Fraction, values[i:j]), Fraction(0)) for i, j in zip(first, after, strict=True)]
    got = exact.between(first, after)
    assert fractions(got) == wanted
    assert got.rounded().tolist() == [nearest(one) for one in wanted]


LIMBS = st.one_of(st.integers(-(2**62), 2**62), st.integers(-(2**54), 2**54), st.integers(-(2**20), 2**20))


@example([2**53 + 5, 2**23], 0)  # would be rounded to 2**53 + 4, and that down
@example([1, 2**53 + 5, 2**23], 0)
@given(st.lists(LIMBS, min_size=1, max_size=4), st.sampled_from([-33, -29, -28, -2, -1, 0, 1, 25, 26]))
def test_sums_of_any_many_rows_are_rounded_once(limbs: list[int], low: int) -> None:
    exact = Exact(low, np.array(limbs)[:, np.newaxis], np.empty((0, 1), np.int64))
    number = sum(Fraction(limb) * Fraction(2) ** (32 * (low + spot)) for spot, limb in enumerate(limbs))
    assert exact.rounded().tolist() == [nearest(Fraction(number))]


@given(st.lists(DOUBLES, min_size=1, max_size=30), st.data())
def test_grouping_changes_no_bit(values: list[float], data: st.DataObject) -> None:
    exact = Exact.of(np.array(values))
    starts = np.array(sorted({0, *data.draw(st.lists(st.integers(0, len(values) - 1)))}))
    groups = exact.groups(starts)
    ends = [*starts[1:].tolist(), len(values)]
    assert fractions(groups) == [
        sum(map(Fraction, values[i:j]), Fraction(0)) for i, j in zip(starts, ends, strict=True)
    ]
    once, twice = exact.total(), groups.total()
    assert fractions(once) == fractions(twice)
    assert once.rounded().tobytes() == twice.rounded().tobytes()
    order = data.draw(st.permutations(range(len(values))))
    assert Exact.of(np.array(values)[order]).total().rounded().tobytes() == once.rounded().tobytes()


@given(st.lists(DOUBLES, min_size=1, max_size=10), st.lists(DOUBLES, min_size=1, max_size=10))
def test_sets_of_different_sizes_are_added(left: list[float], right: list[float]) -> None:
    one, other = Exact.of(np.array(left)).total(), Exact.of(np.array(right)).total()
    assert fractions(one.plus(other)) == [sum(map(Fraction, left + right), Fraction(0))]


@given(st.lists(DOUBLES, min_size=1, max_size=10))
def test_squares(values: list[float]) -> None:
    squares = Exact.of(np.array(values)).square()
    assert fractions(squares) == [Fraction(one) ** 2 for one in values]
    assert fractions(squares.total()) == [sum((Fraction(one) ** 2 for one in values), Fraction(0))]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_whole_numbers(values: list[int]) -> None:
    exact = Exact.of(np.array(values, np.int64))
    assert fractions(exact) == values
    assert fractions(exact.total()) == [sum(values)]
    assert fractions(exact.square().total()) == [sum(one * one for one in values)]


ODD = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "1": 1.0}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("1 nan 1", math.nan), ("inf 1", math.inf), ("-inf 1", -math.inf), ("inf -inf", math.nan), ("1 1", 2.0)],
)
def test_what_is_no_number(words: str, wanted: float) -> None:
    values = np.array([*(ODD[word] for word in words.split()), 1.0, math.nan])
    exact = Exact.of(values)
    last = len(values) - 2
    got = exact.between(np.array([0, last]), np.array([last, last + 1]))
    np.testing.assert_equal(got.rounded(), [wanted, 1.0])  # those of one range are not in another
    np.testing.assert_equal(exact.take(np.arange(last)).total().rounded(), [wanted])


def test_a_row_that_does_not_count_is_nothing() -> None:
    exact = Exact.of(np.array([1.0, math.nan, 3.0]), np.array([True, False, True]))
    assert exact.total().rounded().tolist() == [4.0]
    assert Exact.of(np.array([7, 9]), np.array([False, True])).total().rounded().tolist() == [9.0]
    assert len(Exact.of(np.array([], np.float64)).total()) == 1
