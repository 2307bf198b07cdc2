"""Window features, of events and of tiles, against plain Python that looks at every event for every point."""

from __future__ import annotations

import math
import random
import struct
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import DefinitionError, StorageError
from lakehouse.kernels import windows
from lakehouse.kernels.aggregations import EVENTS, Aggregation, Aggregations, Measure
from lakehouse.kernels.answers import answers
from lakehouse.kernels.measures import plain
from lakehouse.kernels.slides import Plan, slides
from lakehouse.kernels.sliding import Slides
from lakehouse.kernels.tiles import opened, order_of, packed, tile_schema, tiles_of
from tests.windows.oracle import EPOCH, come_to, in_window, rank, same

US = pa.timestamp("us", "UTC")
HOUR, DAY = 3600, 86400
Event = dict[str, Any]
TYPES = {"k": pa.string(), "t": US, "v": pa.float64(), "n": pa.int64(), "s": pa.string(), "b": pa.bool_(), "w": US}
MEASURES = tuple(Measure(name, name, name == "b") for name in ("v", "n", "s", "b", "w"))

hours = st.one_of(st.integers(-30, 30), st.integers(-3, 3), st.floats(-60, 60).map(lambda n: round(n, 1)))
moments = hours.map(lambda n: EPOCH + timedelta(hours=n))
some = st.one_of(st.none(), moments, moments, moments, moments)
names = st.sampled_from(["a", "a", "a", "b", "", None])
doubles = [0.1, -0.0, 0.0, 0.2, 1e16, -1e16, 3.0, math.nan, math.inf, -math.inf, 1e-300, 5e-324, 1.5e308]
events = st.lists(
    st.fixed_dictionaries(
        {
            "k": names,
            "t": some,
            "v": st.one_of(st.none(), st.sampled_from(doubles)),
            "n": st.one_of(st.none(), st.integers(-5, 5), st.sampled_from([2**62, -(2**62)])),
            "s": st.one_of(st.none(), st.sampled_from(["x", "y", ""])),
            "b": st.sampled_from([None, True, False]),
            "w": st.one_of(st.none(), st.integers(-9, 9).map(lambda n: EPOCH + timedelta(seconds=n))),
        }
    ),
    max_size=24,
)
points = st.lists(st.fixed_dictionaries({"k": names, "t": some}), min_size=1, max_size=5)
lengths = st.sampled_from([(HOUR, HOUR), (5 * HOUR, HOUR), (24 * HOUR, HOUR), (48 * HOUR, DAY), (5 * HOUR, DAY)])
kinds = st.sampled_from(
    [
        *((kind, "v") for kind in ("count", "sum", "mean", "min", "max", "variance", "first", "last", "last_n")),
        *((kind, "n") for kind in ("count", "sum", "mean", "min", "max", "variance", "last")),
        *(("count", EVENTS), ("last", "s"), ("first", "s"), ("last_n", "s"), ("rate", "b"), ("min", "w"), ("max", "b")),
    ]
)
features = st.lists(st.tuples(kinds, lengths, st.integers(1, 4)), min_size=1, max_size=6)


def told_of(wanted: list[Any]) -> Aggregations:
    found = []
    for number, ((kind, measure), (over, hop), most) in enumerate(wanted):
        bounded = None if kind in ("first", "last") and most == 1 else over
        found.append(Aggregation(f"f{number}", kind, measure, bounded, hop, most if kind == "last_n" else 1))
    return Aggregations("silver.e", ("k",), "t", MEASURES, tuple(found))


def table_of(given: list[Event]) -> pa.Table:
    return pa.table({name: pa.array([one[name] for one in given], kind) for name, kind in TYPES.items()})


def oracle(one: Aggregation, point: Event, given: list[Event]) -> Any:
    mine = [event for event in given if None not in (event["k"], point["t"]) and event["k"] == point["k"]]
    held = [event for event in mine if in_window(one, event["t"], point["t"])]
    held.sort(key=lambda event: (event["t"], *(rank(event[name]) for name in sorted(("v", "n", "s", "b", "w")))))
    if one.measure == EVENTS:
        return len(held)
    return come_to(one, [event[one.measure] for event in held if event[one.measure] is not None])


def overflows(told: Aggregations, given: list[Event], asked: list[Event]) -> bool:
    sums = [one for one in told.features if (one.kind, one.measure) == ("sum", "n")]
    answers = [oracle(one, point, given) for one in sums for point in asked]
    return any(one is not None and not -(2**63) <= one < 2**63 for one in answers)


@settings(max_examples=300)
@given(events, points, features, st.randoms(use_true_random=False))
def test_features_are_what_plain_python_says(
    given: list[Event], asked: list[Event], wanted: list[Any], rng: random.Random
) -> None:
    told = told_of(wanted)
    assert Aggregations.of_text(told.text) == told
    at = pa.table({name: pa.array([one[name] for one in asked], TYPES[name]) for name in ("k", "t")})
    if overflows(told, given, asked):
        with pytest.raises(DefinitionError, match="beyond 64 bits"):
            answers(told, [at["k"]], at["t"], table_of(given))
        return
    expected = {one.name: [oracle(one, point, given) for point in asked] for one in told.features}
    shuffled = rng.sample(given, len(given))
    tiles = tiles_of(table_of(given), told)
    for how in (None, tiles):
        with patch.object(windows, "_PIECE", rng.choice([1, 2, 2**15])):
            got = answers(told, [at["k"]], at["t"], table_of(shuffled), how)
        for name, values in expected.items():
            found = got[name].to_pylist()
            assert all(map(same, found, values)), (name, found, values)


@given(events, features, st.randoms(use_true_random=False))
def test_tiles_do_not_depend_on_order_and_parts(given: list[Event], wanted: list[Any], rng: random.Random) -> None:
    told = told_of(wanted)
    every = tiles_of(table_of(given), told)
    assert every.schema == tile_schema(told, TYPES)
    shuffled = rng.sample(given, len(given))
    assert text(tiles_of(table_of(shuffled), told)) == text(every)
    days: dict[Any, list[Event]] = {}
    for event in shuffled:
        days.setdefault((event["k"], event["t"] and event["t"].date()), []).append(event)
    parts = [tiles_of(table_of(part), told) for part in days.values()]
    assert text(pa.concat_tables([every.slice(0, 0), *parts])) == text(every)


def text(tiles: pa.Table) -> list[str]:
    return sorted(map(str, tiles.to_pylist()))


@given(st.lists(st.sampled_from([*doubles, 1.0, -1.0, 7e300, 2.0**40]), max_size=8))
def test_a_sum_in_a_table_is_the_sum(values: list[float]) -> None:
    from lakehouse.kernels.exact import Exact

    sums = Exact.of(pa.array(values, pa.float64()).to_numpy())
    again = opened(packed(sums))
    for one in (again, again.plus(sums)):
        assert packed(one).type == packed(sums).type
    assert packed(again).equals(packed(sums))
    assert [str(one) for one in again.rounded()] == [str(one + 0.0) for one in values]


def test_plain_values() -> None:
    assert plain(pa.chunked_array([pa.array([1, None], pa.uint8())])).type == pa.int64()
    assert plain(pa.chunked_array([pa.array([1.5], pa.float32())])).type == pa.float64()
    with pytest.raises(DefinitionError, match="beyond 64 bits"):
        plain(pa.chunked_array([pa.array([2**63], pa.uint64())]))
    rows, codes, at = order_of(table_of([]), told_of([(("count", EVENTS), (HOUR, HOUR), 1)]))
    assert len(rows) == len(codes) == len(at) == 0


@settings(max_examples=300)
@given(events, features, st.integers(-30, 70), st.lists(st.integers(0, 200), min_size=1, max_size=4))
def test_what_slides_is_what_training_says(
    given: list[Event], wanted: list[Any], horizon: int, later: list[int]
) -> None:
    """Of tiles that all lie before a moment, at it and at any time after."""
    told = told_of(wanted)
    moment = EPOCH + timedelta(hours=horizon)
    given = [event for event in given if abs(event["n"] or 0) < 2**60]
    before = table_of([event for event in given if event["t"] is not None and event["t"] < moment])
    tiles = tiles_of(before, told)
    names = sorted({*tiles["k"].to_pylist()})
    codes = np.array([names.index(key) for key in tiles["k"].to_pylist()], np.int64)
    at = np.full(len(names), ticks(moment), np.int64)
    types = {one.name: TYPES[one.name] for one in told.measures}
    plan = Plan.of(told, types)
    assert Plan.of_text(plan.text) == plan
    packed = dict(zip(names, slides(plan, tiles, codes, at, types), strict=True))
    wished = [one.name for one in told.features]
    reader = Slides(Plan.of_text(plan.text), wished)
    for key in (*names, "new"):
        for more in (0, *later):
            time = moment + timedelta(hours=more)
            point = pa.table({"k": pa.array([key]), "t": pa.array([time], US)})
            expected = answers(told, [point["k"]], point["t"], before)
            found = packed.get(key)
            got = reader.empty() if found is None else reader.values(found, ticks(time))
            for name, value in zip(wished, got, strict=True):
                value = (
                    EPOCH + timedelta(microseconds=value) if expected[name].type == US and value is not None else value
                )
                one = expected[name].to_pylist()[0]
                assert same(value, one) and str(value) == str(one), (name, value, one)


def ticks(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


def test_bytes_that_are_none() -> None:
    told = told_of([(("count", EVENTS), (HOUR, HOUR), 1)])
    reader = Slides(Plan.of(told, TYPES), [one.name for one in told.features])
    for torn in (b"", b"12", b"\x01\x00\x00\x00" * 3):
        with pytest.raises(StorageError, match="no window features"):
            reader.values(torn, 0)
    # A part that is a byte short, of as many bytes in all as its ends say.
    rows = [dict.fromkeys(TYPES) | {"k": "a", "t": EPOCH + timedelta(hours=at)} for at in (-0.9, -0.5)]
    tiles = tiles_of(table_of(rows), told)
    codes = np.zeros(len(tiles), np.int64)
    whole = slides(Plan.of(told, TYPES), tiles, codes, np.zeros(1, np.int64), TYPES)[0]
    assert whole is not None
    assert reader.values(whole, 0) == [2]
    (end,) = struct.unpack_from("<I", whole, 8)
    with pytest.raises(StorageError, match="no window features: a number is not in its part"):
        reader.values(whole[:8] + struct.pack("<I", end - 1) + whole[12:-1], 0)


def test_the_first_and_the_last_ones_of_tiles_and_of_the_head() -> None:
    kinds = [("last_n", 3), ("first", 2), ("last", 2)]
    told = told_of([((kind, "s"), (5 * HOUR, HOUR), most) for kind, most in kinds])
    texts = {-2.5: "a", -1.5: "b", 0.2: "c", 0.4: None, 0.5: "d", 1.0: "e"}
    rows = [
        dict.fromkeys(TYPES) | {"k": "a", "t": EPOCH + timedelta(hours=at), "s": text} for at, text in texts.items()
    ]
    events = table_of(rows)
    times = pa.array([EPOCH + timedelta(hours=at) for at in (1, 0.3, 0.8)], US)
    for how in (None, tiles_of(events, told)):
        found = answers(told, [pa.array(["a"] * 3)], times, events, how)
        assert found["f0"].to_pylist() == [["d", "c", "b"], ["c", "b", "a"], ["d", "c", "b"]]
        assert found["f1"].to_pylist() == ["a", "a", "a"]
        assert found["f2"].to_pylist() == ["d", "c", "d"]


def test_a_sum_that_no_window_reaches_may_be_too_large() -> None:
    told = told_of([(("sum", "n"), (HOUR, HOUR), 1), (("count", "n"), (24 * HOUR, HOUR), 1)])
    rows = [dict.fromkeys(TYPES) | {"k": "a", "t": EPOCH + timedelta(hours=at), "n": 2**62} for at in (-9, -8, -0.5)]
    tiles = tiles_of(table_of(rows), told)
    plan = Plan.of(told, TYPES)
    packed = slides(plan, tiles, np.zeros(3, np.int64), np.zeros(1, np.int64), TYPES)[0]
    assert packed is not None
    assert Slides(plan, ["f0", "f1"]).values(packed, 0) == [2**62, 3]
    with pytest.raises(DefinitionError, match="beyond 64 bits"):
        slides(plan, tiles, np.zeros(3, np.int64), np.full(1, -7 * HOUR * 1_000_000), TYPES)


def test_of_two_zeros_at_one_time_the_negative_one_comes_first() -> None:
    told = told_of([(("last_n", "v"), (5 * HOUR, HOUR), 3), (("first", "v"), (HOUR, HOUR), 1)])
    rows = [dict.fromkeys(TYPES) | {"k": "a", "t": EPOCH, "v": value} for value in (0.0, None, -0.0)]
    asked = pa.array(["a"]), pa.array([EPOCH + timedelta(minutes=1)], US)
    for order in (rows, rows[::-1]):
        events = table_of(order)
        for how in (None, tiles_of(events, told)):
            found = answers(told, [asked[0]], asked[1], events, how)
            assert [str(one) for one in found["f0"].to_pylist()[0]] == ["0.0", "-0.0"]
            assert str(found["f1"].to_pylist()[0]) == "-0.0"
