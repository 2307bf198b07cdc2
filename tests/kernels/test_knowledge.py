"""The join in knowledge time against an oracle that looks at each pair of rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehouse.kernels import asof_join, known_join

US = pa.timestamp("us", "UTC")
moments = st.one_of(st.none(), st.integers(0, 6))
keys = st.sampled_from(["a", "b", None])
Row = tuple[Any, ...]


def oracle(key: str | None, now: int | None, features: list[Row], ttl: int | None) -> Row | None:
    best: Row | None = None
    for row in features:
        other, at, made, _ = row
        if None in (key, now, at, made) or key != other or at > now or made > now:
            continue
        if ttl is not None and now - at > ttl:
            continue
        if best is None or (at, made, row[3]) > (best[1], best[2], best[3]):
            best = row
    return best


@settings(deadline=None)
@given(
    st.lists(st.tuples(keys, moments), max_size=8),
    st.lists(st.tuples(keys, moments, moments, st.integers(0, 2)), max_size=12),
    st.sampled_from([None, 0, 2]),
)
@example([("a", 3), ("a", 5)], [("a", 1, 1, 0), ("a", 2, 4, 1), ("a", 2, 6, 2)], None)
def test_each_row_sees_the_newest_that_was_known(asked: list[Row], features: list[Row], ttl: int | None) -> None:
    values = pa.table({"v": pa.array([row[3] for row in features], pa.int64())})
    found = known_join(
        [pa.array([row[0] for row in asked], pa.string())],
        pa.array([row[1] for row in asked], US),
        [pa.array([row[0] for row in features], pa.string())],
        pa.array([row[1] for row in features], US),
        pa.array([row[2] for row in features], US),
        content=lambda rows: values.take(pa.array(rows)),
        ttl=None if ttl is None else timedelta(microseconds=ttl),
    )
    assert [features[spot] if spot >= 0 else None for spot in found] == [
        oracle(key, now, features, ttl) for key, now in asked
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(keys, moments), max_size=8), st.lists(st.tuples(keys, moments), max_size=12))
def test_what_was_always_known_is_joined_as_ever(asked: list[Row], features: list[Row]) -> None:
    sides = [
        [pa.array([row[0] for row in asked], pa.string())],
        pa.array([row[1] for row in asked], US),
        [pa.array([row[0] for row in features], pa.string())],
        pa.array([row[1] for row in features], US),
    ]
    always = pa.array([0] * len(features), US)
    assert known_join(*sides, always).tolist() == asof_join(*sides, created=always).tolist()
