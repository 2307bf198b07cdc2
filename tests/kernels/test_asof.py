"""The as-of kernel against a plain-Python oracle that compares every pair of rows and shares no code with it."""

from __future__ import annotations

import doctest
import math
import random
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehouse.errors import DefinitionError
from lakehouse.kernels import asof
from lakehouse.kernels.asof import asof_join, latest

START = datetime(2026, 1, 1, tzinfo=UTC)
US = pa.timestamp("us", "UTC")
Row = dict[str, Any]

parts = st.sampled_from(["1", "11", "111", "", None])
numbers = st.sampled_from([1, 11, None])
moments = st.one_of(st.none(), st.integers(0, 6).map(lambda n: START + timedelta(microseconds=n)))
entity_rows = st.fixed_dictionaries({"a": parts, "b": numbers, "t": moments})
feature_rows = st.fixed_dictionaries(
    {"a": parts, "b": numbers, "t": moments, "c": moments, "v": st.sampled_from([1, 2, 3, None]), "w": parts}
)


def oracle(entity: Row, features: list[Row], ttl: timedelta | None) -> Row | None:
    """The row that the entity sees, found by looking at each."""
    best: Row | None = None
    for row in features:
        if None in (row["a"], row["b"], row["t"], entity["a"], entity["b"], entity["t"]):
            continue
        if (row["a"], row["b"]) != (entity["a"], entity["b"]) or row["t"] > entity["t"]:
            continue
        if ttl is not None and entity["t"] - row["t"] > ttl:
            continue
        if best is None or order(row) > order(best):
            best = row
    return best


def order(row: Row) -> tuple[Any, ...]:
    return (row["t"], *((row[name] is not None, row[name] or type_zero(row[name])) for name in ("c", "v", "w")))


def type_zero(value: Any) -> Any:
    return value if value is not None else 0


def content(row: Row | None) -> tuple[Any, ...] | None:
    return None if row is None else tuple(row[name] for name in ("a", "b", "t", "c", "v", "w"))


def run(entities: list[Row], features: list[Row], ttl: timedelta | None) -> list[Row | None]:
    """The kernel over the same rows; key types differ from side to side on purpose."""

    def column(rows: list[Row], name: str, kind: pa.DataType) -> pa.Array:
        return pa.array([row[name] for row in rows], kind)

    values = pa.table({"v": column(features, "v", pa.int64()), "w": column(features, "w", pa.string())})
    found = asof_join(
        [column(entities, "a", pa.large_string()), column(entities, "b", pa.float64())],
        column(entities, "t", US),
        [column(features, "a", pa.string()).dictionary_encode(), column(features, "b", pa.int32())],
        column(features, "t", US),
        created=column(features, "c", US),
        content=lambda rows: values.take(pa.array(rows)),
        ttl=ttl,
    )
    assert len(found) == len(entities)
    return [features[spot] if spot >= 0 else None for spot in found]


@given(
    st.lists(entity_rows, max_size=8),
    st.lists(feature_rows, max_size=14),
    st.one_of(st.none(), st.integers(0, 4).map(lambda n: timedelta(microseconds=n))),
    st.randoms(use_true_random=False),
)
@example(  # equal in all but what content tells apart
    [{"a": "1", "b": 1, "t": START}],
    [{"a": "1", "b": 1, "t": START, "c": None, "v": v, "w": "1"} for v in (2, 3, 1)],
    None,
    random.Random(0),
)
@example(  # at the edge of the ttl
    [{"a": "1", "b": 1, "t": START + timedelta(microseconds=2)}],
    [{"a": "1", "b": 1, "t": START, "c": None, "v": 1, "w": "1"}],
    timedelta(microseconds=2),
    random.Random(0),
)
def test_sees_what_the_oracle_sees_in_any_order(
    entities: list[Row], features: list[Row], ttl: timedelta | None, shuffle: random.Random
) -> None:
    wanted = [content(oracle(entity, features, ttl)) for entity in entities]
    assert [content(row) for row in run(entities, features, ttl)] == wanted
    shuffle.shuffle(features)
    assert [content(row) for row in run(entities, features, ttl)] == wanted


few = st.one_of(st.none(), st.integers(0, 3).map(lambda n: START + timedelta(microseconds=n)))
known_rows = st.fixed_dictionaries(
    {"a": st.sampled_from(["1", "11"]), "t": few, "f": few, "u": few, "v": st.integers(0, 3)}
)
askers = st.fixed_dictionaries({"a": st.sampled_from(["1", "11", None]), "t": few})


@settings(max_examples=500)
@given(
    st.lists(askers, min_size=3, max_size=8),
    st.lists(known_rows, min_size=3, max_size=14),
    st.one_of(st.none(), st.integers(0, 4).map(lambda n: timedelta(microseconds=n))),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 10**18]),
)
def test_only_what_was_known_is_seen(
    entities: list[Row], features: list[Row], ttl: timedelta | None, since: bool, until: bool, stretch: int
) -> None:
    """A row is seen from f to before u, whatever its event time; without an f never, without a u for ever."""

    def there(entity: Row, row: Row) -> bool:
        asked = entity["t"]
        if since and (row["f"] is None or asked is None or row["f"] > asked):
            return False
        return not until or row["u"] is None or (asked is not None and asked < row["u"])

    def times(rows: list[Row], name: str) -> pa.Array:
        # Far apart, the moments of a few keys don't fit into one number and must be counted instead.
        numbers = [None if row[name] is None else (row[name] - START) // timedelta(microseconds=1) for row in rows]
        return pa.array([None if number is None else number * stretch for number in numbers], US)

    found = asof_join(
        [pa.array([row["a"] for row in entities], pa.string())],
        times(entities, "t"),
        [pa.array([row["a"] for row in features], pa.string())],
        times(features, "t"),
        ttl=None if ttl is None else ttl * stretch,
        content=lambda rows: pa.table({"v": pa.array([features[row]["v"] for row in rows], pa.int64())}),
        known_from=times(features, "f") if since else None,
        known_until=times(features, "u") if until else None,
    )
    for entity, spot in zip(entities, found.tolist(), strict=True):
        whole = {**entity, "b": 1}
        seen = [{**row, "b": 1, "c": None, "w": ""} for row in features if there(entity, row)]
        wanted = oracle(whole, seen, ttl)
        got = features[spot] if spot >= 0 else None
        assert (got and (got["t"], got["v"])) == (wanted and (wanted["t"], wanted["v"]))


def test_many_keys_over_a_long_time() -> None:
    years = pa.array([datetime(1, 1, 1), datetime(9999, 1, 1)] * 500, pa.timestamp("us"))
    keys = [pa.array([f"k{number}" for number in range(500) for _ in range(2)])]
    asked = pa.array([datetime(2026, 1, 1), datetime(9999, 6, 1)] * 500, pa.timestamp("us"))
    found = asof_join(keys, asked, keys, years)
    assert found.tolist() == list(range(1000))


@given(st.lists(feature_rows, max_size=14), st.randoms(use_true_random=False))
def test_latest_is_what_the_end_of_time_sees(features: list[Row], shuffle: random.Random) -> None:
    def pick(rows: list[Row]) -> set[Any]:
        values = pa.table({"v": pa.array([r["v"] for r in rows], pa.int64()), "w": pa.array([r["w"] for r in rows])})
        keys = [pa.array([r["a"] for r in rows], pa.string()), pa.array([r["b"] for r in rows], pa.int64())]
        times, created = (pa.array([r[name] for r in rows], US) for name in ("t", "c"))
        found = latest(keys, times, created=created, content=lambda spots: values.take(pa.array(spots)))
        return {content(rows[spot]) for spot in found}

    ends = [{"a": r["a"], "b": r["b"], "t": START + timedelta(days=1)} for r in features]
    wanted = {content(oracle(end, features, None)) for end in ends} - {None}
    assert pick(features) == wanted
    shuffle.shuffle(features)
    assert pick(features) == wanted


def test_composite_keys_are_not_glued_together() -> None:
    t = pa.array([START, START], US)
    found = asof_join([pa.array(["1", "11"]), pa.array(["11", "1"])], t, [pa.array(["11"]), pa.array(["1"])], t[:1])
    assert found.tolist() == [-1, 0]


def test_microseconds_and_nanoseconds_are_kept() -> None:
    feature = pa.array([START + timedelta(microseconds=1)], US)
    nanos = int(START.timestamp()) * 1_000_000_000
    entity = pa.array([nanos + 999, nanos + 1_000, nanos + 2_000, nanos + 2_001], pa.timestamp("ns"))
    keys = [pa.array(["a"] * 4)]
    found = asof_join(keys, entity, [pa.array(["a"])], feature, ttl=timedelta(microseconds=1))
    assert found.tolist() == [-1, 0, 0, -1]
    fine = pa.array([nanos + 1_001], pa.timestamp("ns"))
    assert asof_join(keys, entity, [pa.array(["a"])], fine).tolist() == [-1, -1, 0, 0]


@pytest.mark.parametrize(
    ("left", "right", "matches"),
    [
        (pa.array([2**53 + 1]), pa.array([2**53 + 1], pa.uint64()), True),
        (pa.array([math.nan]), pa.array([math.nan]), False),
        (pa.array([1.5]), pa.array([1], pa.int64()), False),
        (pa.array([-0.0]), pa.array([0], pa.int8()), True),
        (pa.array([-0.0]), pa.array([0.0], pa.float32()), True),
        (pa.array([1e300]), pa.array([1], pa.int64()), False),
        (pa.array([None]), pa.array([1]), False),
        (pa.array([math.nan]), pa.array(["x"]), False),
        (pa.array([None]), pa.array([None]), False),
        (pa.array([b"x"]), pa.array([b"x"], pa.large_binary()), True),
        (pa.array([START.date()]), pa.array([START.date()]), True),
        (pa.array([START], pa.timestamp("ns")), pa.array([START], pa.timestamp("ms", "UTC")), True),
        (pa.array(["ä"]).dictionary_encode(), pa.array(["ä"], pa.string_view()), True),
    ],
)
def test_keys_of_different_types(left: pa.Array, right: pa.Array, matches: bool) -> None:
    t = pa.array([START], US)
    assert asof_join([left], t, [right], t).tolist() == [0 if matches else -1]
    assert asof_join([pa.chunked_array([left])], t, [pa.chunked_array([right])], t).tolist() == [0 if matches else -1]


def test_what_cannot_be_compared_is_an_error_in_words() -> None:
    t = pa.array([START], US)
    with pytest.raises(DefinitionError, match=r"large_string on one side and int64"):
        asof_join([pa.array(["1"])], t, [pa.array([1])], t)
    with pytest.raises(DefinitionError, match="a time is string"):
        asof_join([pa.array(["1"])], pa.array(["2026-01-01"]), [pa.array(["1"])], t)
    with pytest.raises(DefinitionError, match="negative"):
        asof_join([pa.array(["1"])], t, [pa.array(["1"])], t, ttl=timedelta(-1))


def test_no_rows_and_no_keys() -> None:
    none, one = pa.array([], US), pa.array([START], US)
    assert asof_join([], one, [], one).tolist() == [0]
    assert asof_join([pa.array(["a"])], one, [pa.array([], pa.string())], none).tolist() == [-1]
    assert asof_join([pa.array([], pa.string())], none, [pa.array(["a"])], one).tolist() == []
    assert latest([pa.array([], pa.string())], none).tolist() == []


def test_a_very_long_ttl_is_no_limit() -> None:
    t = pa.array([datetime(1, 1, 1), datetime(9999, 1, 1)], pa.timestamp("us"))
    found = asof_join([pa.array(["a", "a"])], t, [pa.array(["a"])], t[:1], ttl=timedelta.max)
    assert found.tolist() == [0, 0]


def take(table: pa.Table, spots: np.ndarray[Any, Any]) -> pa.Table:
    return table.take(pa.array(spots))


def test_ties_with_nested_content() -> None:
    t = pa.array([START] * 3, US)
    values = pa.table({"v": [[1.0], [3.0], [2.0]], "n": pa.nulls(3)})
    for turn in ([0, 1, 2], [1, 2, 0], [2, 0, 1]):
        rows = values.take(pa.array(turn))
        content = partial(take, rows)
        found = asof_join([pa.array(["a"])], t[:1], [pa.array(["a"] * 3)], t, content=content)
        assert rows["v"][int(found[0])].as_py() == [3.0]


def test_work_does_not_grow_with_the_rows_of_a_key() -> None:
    n = 200_000  # all pairs would be 4e10
    t = pa.array(np.arange(n), pa.timestamp("us"))
    key = pa.array(["a"] * n)
    assert np.array_equal(asof_join([key], t, [key], t), np.arange(n))


def test_the_docstrings_examples_are_true() -> None:
    assert doctest.testmod(asof).failed == 0
