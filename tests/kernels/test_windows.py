"""Windows against a plain-Python oracle that looks at every event for every point, in exact numbers."""

from __future__ import annotations

import doctest
import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import DefinitionError
from lakehouse.kernels import exact, windows
from lakehouse.kernels.aggregations import hop_of
from lakehouse.kernels.exact import Exact
from lakehouse.kernels.windows import HOUR, Span, Windows, tiled, whole

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
US = pa.timestamp("us", "UTC")
Event = dict[str, Any]

hours = st.one_of(st.integers(-30, 30), st.floats(-30, 30).map(lambda n: round(n, 2)))
moments = st.one_of(st.none(), hours.map(lambda n: EPOCH + timedelta(hours=n)))
keys = st.sampled_from(["a", "b", "", None])
values = st.one_of(st.none(), st.sampled_from([0.1, -0.0, 0.0, 1e16, -1e16, 3.0, math.nan, 1e-300]))
events = st.lists(st.fixed_dictionaries({"k": keys, "t": moments, "v": values, "n": st.integers(-5, 5)}), max_size=14)
points = st.lists(st.fixed_dictionaries({"k": keys, "t": moments}), min_size=1, max_size=5)
spans = st.tuples(st.sampled_from([None, 1, 5, 24]), st.sampled_from([1, 2, 24])).map(
    lambda one: Span(None if one[0] is None else one[0] * HOUR, one[1] * HOUR)
)


def seen(point: Event, given: list[Event], span: Span) -> list[Event]:
    """The events of a window, in order, found by looking at each."""
    if point["k"] is None or point["t"] is None:
        return []
    found = []
    for event in given:
        if event["k"] != point["k"] or event["t"] is None or event["t"] >= point["t"]:
            continue
        if span.length is not None:
            hop = timedelta(microseconds=span.hop)
            begin = point["t"] - timedelta(microseconds=span.length)
            begin -= (begin - EPOCH) % hop
            if event["t"] < begin:
                continue
        found.append(event)
    return sorted(found, key=lambda one: (one["t"], one["n"]))


def of(given: list[Event], name: str, kind: pa.DataType) -> pa.Array:
    return pa.array([one[name] for one in given], kind)


def kernel(given: list[Event], asked: list[Event], spans: list[Span], bounds: Any = whole) -> Windows:
    numbers = of(given, "n", pa.int64())
    return Windows.of(
        [of(asked, "k", pa.string())],
        of(asked, "t", US),
        [of(given, "k", pa.string())],
        of(given, "t", US),
        bounds(spans),
        lambda rows: pa.table({"n": numbers.take(pa.array(rows))}),
    )


@given(events, points, st.lists(spans, min_size=1, max_size=3))
def test_windows_hold_what_they_should(given: list[Event], asked: list[Event], spans: list[Span]) -> None:
    found = kernel(given, asked, spans)
    assert sorted(found.points) == list(range(len(asked)))
    for span, windows_of_span in zip(spans, found.spans, strict=True):
        for spot, first, after in zip(found.points, windows_of_span.first, windows_of_span.after, strict=True):
            wanted = seen(asked[spot], given, span)
            rows = [given[row] for row in found.events[first:after]]
            assert [(row["t"], row["n"]) for row in rows] == [(one["t"], one["n"]) for one in wanted]


@given(
    events, st.lists(points.map(lambda one: one[0]), min_size=1, max_size=12), st.lists(spans, min_size=1), st.data()
)
def test_pieces_hold_the_same(given: list[Event], asked: list[Event], spans: list[Span], data: st.DataObject) -> None:
    found = kernel(given, asked, spans)
    with patch.object(windows, "_PIECE", data.draw(st.integers(1, 5))):
        pieces = list(found.pieces())
    assert sum(rows.stop - rows.start for rows, _ in pieces) <= 2 * len(found.events)
    for spot, whole_span in enumerate(found.spans):
        cut = [
            found.events[rows][first:after].tolist()
            for rows, held in pieces
            for first, after in zip(held[spot].first, held[spot].after, strict=True)
        ]
        assert cut == [
            found.events[first:after].tolist() for first, after in zip(whole_span.first, whole_span.after, strict=True)
        ]


def test_windows_of_whole_hops_end_at_their_hop() -> None:
    given = [{"k": "a", "t": EPOCH + timedelta(hours=at), "v": None, "n": at} for at in range(6)]
    asked = [{"k": "a", "t": EPOCH + timedelta(hours=5)}]
    found = kernel(given, asked, [Span(4 * HOUR, HOUR), Span(4 * HOUR, 2 * HOUR)], tiled)
    assert [(one.first.tolist(), one.after.tolist()) for one in found.spans] == [([1], [5]), ([0], [4])]


@given(events, points, spans)
def test_what_they_come_to(given: list[Event], asked: list[Event], span: Span) -> None:
    found = kernel(given, asked, [span])
    every = found.spans[0]
    column = of(given, "v", pa.float64()).take(pa.array(found.events))
    there = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    some, doubles = every.of(there), column.drop_null().to_numpy()
    sums = Exact.of(doubles)
    total = windows.total(some, sums)
    means = windows.mean(total, some.count)
    spread = windows.variance(total, windows.total(some, sums.square()), some.count)
    least = windows.doubles(-windows.greatest(some, -windows.ordered(doubles)))
    most = windows.doubles(windows.greatest(some, windows.ordered(doubles)))
    places, sizes = windows.newest(some, 3)
    ends = np.cumsum(sizes)
    for spot, row in enumerate(found.points):
        point = asked[row]
        these = [one["v"] for one in seen(point, given, span) if one["v"] is not None]
        assert every.count[spot] == len(seen(point, given, span))
        assert some.count[spot] == len(these)
        got = [doubles[place] for place in places[ends[spot] - sizes[spot] : ends[spot]]]
        np.testing.assert_equal(got, these[::-1][:3])
        if not these:
            assert math.isnan(means[spot])
            continue
        nan = any(map(math.isnan, these))
        wanted = math.nan if nan else float(sum(map(Fraction, these), Fraction(0)))
        np.testing.assert_equal([total.rounded()[spot], means[spot]], [wanted, wanted / len(these)])
        np.testing.assert_equal(spread[spot], math.nan if nan or len(these) < 2 else sample_variance(these))
        numbers = [one for one in these if not math.isnan(one)]
        np.testing.assert_equal(least[spot] + 0.0, min(numbers) + 0.0 if numbers else math.nan)
        np.testing.assert_equal(most[spot] + 0.0, math.nan if nan else max(numbers) + 0.0)


def sample_variance(these: list[float]) -> float:
    exactly = [Fraction(one) for one in these]
    mean = sum(exactly, Fraction(0)) / len(exactly)
    return float(sum(((one - mean) ** 2 for one in exactly), Fraction(0)) / (len(exactly) - 1))


def test_whole_sums_and_their_limit() -> None:
    most = 2**63 - 1
    sums = Exact.of(np.array([most, -most - 1, -5, 2**40]))
    places = np.arange(4)
    assert windows.fits(sums.between(places, places + 1)).tolist() == [most, -most - 1, -5, 2**40]
    assert windows.fits(sums.total()).tolist() == [2**40 - 6]
    assert windows.fits(Exact.of(np.array([2**33, 2**35])).total()).tolist() == [2**33 + 2**35]
    with pytest.raises(DefinitionError, match=f"a sum is {2 * most}, beyond 64 bits"):
        windows.fits(Exact.of(np.array([most, most])).total())
    # Together below the limit by their high bits alone.
    high, low = 2**62 + 2**32 - 1, 2**62 - 1
    sums = Exact.of(np.array([high, low])).between(np.array([0, 0]), np.array([1, 2]))
    with pytest.raises(DefinitionError, match=f"a sum is {high + low}, beyond 64 bits"):
        windows.fits(sums)


def test_hops() -> None:
    minutes = lambda window: hop_of(window) // timedelta(minutes=1)  # noqa: E731
    assert [minutes(timedelta(hours=h)) for h in (1, 11.9, 12, 24 * 11.9, 24 * 12)] == [5, 5, 60, 60, 1440]


def test_the_examples_run() -> None:
    assert doctest.testmod(windows).failed == doctest.testmod(exact).failed == 0
