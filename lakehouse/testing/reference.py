"""What window features are, in plain Python that looks at every event: slow, and no code of the engine's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from lakehouse.kernels.aggregations import Aggregation, Aggregations

MICROSECONDS = 1_000_000
Value = Any
Key = tuple[Value, ...]


@dataclass(frozen=True)
class Event:
    """One row of the table of events."""

    key: Key
    """Of the entity's columns."""
    bucket: str | None
    at: int | None
    """In microseconds since 1970."""
    counts: bool
    """Whether the ``where`` of the definition is true."""
    values: dict[str, Value]
    """By measure: a number, a truth, a text, bytes or a time; None where there is none."""


def reference(told: Aggregations, events: Sequence[Event], key: Key, at: int) -> dict[str, Value]:
    """Each feature of a key at a time."""
    mine = sorted((event for event in events if _counts(event) and _same_key(event.key, key)), key=_order)
    if not told.bucket:
        return {one.name: _value(one, _within(one, mine, at)) for one in told.features}
    labels = sorted({event.bucket for event in mine if event.bucket is not None})
    found: dict[str, Value] = {one.name: {} for one in told.features}
    for one in told.features:
        for label in labels:
            held = _within(one, [event for event in mine if event.bucket == label], at)
            value = _value(one, held)
            if not _says_nothing(one, value):
                found[one.name][label] = value
    return found


def begin_of(one: Aggregation, at: int) -> int | None:
    """Where the window that ends at a time begins; None: it has no beginning."""
    if one.over_s is None:
        return None
    begin = at - one.over_s * MICROSECONDS
    return begin - begin % (one.hop_s * MICROSECONDS)


def _counts(event: Event) -> bool:
    return event.counts and event.at is not None


def _same_key(one: Key, other: Key) -> bool:
    """Part by part; what is no value is the same as nothing, itself too."""
    return all(left is not None and left == right for left, right in zip(one, other, strict=True))


def _within(one: Aggregation, events: list[Event], at: int) -> list[Event]:
    begin = begin_of(one, at)
    return [event for event in events if event.at < at and (begin is None or event.at >= begin)]  # type: ignore[operator]


def _order(event: Event) -> tuple[Any, ...]:
    """By time; of one time by the values of all measures, in the order of the measures' names."""
    return (event.at, *(_rank(event.values[name]) for name in sorted(event.values)))


def _rank(value: Value) -> tuple[Any, ...]:
    """Nothing is least and NaN is above all; of two zeros the negative one is less."""
    if value is None:
        return (0,)
    if isinstance(value, float):
        return (2,) if math.isnan(value) else (1, value, math.copysign(1.0, value))
    return (1, repr(value) if isinstance(value, list | dict) else value)


def _value(one: Aggregation, held: list[Event]) -> Value:
    if not one.measure:
        return len(held)
    values = [value for event in held if (value := event.values[one.measure]) is not None]
    if one.kind == "count":
        return len(values)
    if one.kind == "last_n":
        return values[::-1][: one.most]
    if not values:
        return None
    if one.kind == "first":
        return values[0]
    if one.kind == "last":
        return values[-1]
    if one.kind in ("min", "max"):
        found = (min if one.kind == "min" else max)(values, key=_rank)
        return found + 0.0 if isinstance(found, float) else found  # a zero has no sign
    if one.kind == "sum":
        return _sum(values)
    if one.kind in ("mean", "rate"):
        return float(_sum(values)) / len(values)
    assert one.kind == "variance"
    return _variance(values)


def _sum(values: list[Value]) -> int | float:
    """Exact, and rounded once where it is not of whole numbers."""
    if not isinstance(values[0], float):
        return sum(map(int, values))
    odd = [value for value in values if not math.isfinite(value)]
    return sum(odd) if odd else _rounded(sum(map(Fraction, values), Fraction()))


def _variance(values: list[Value]) -> float | None:
    if len(values) < 2:
        return None
    if any(isinstance(value, float) and not math.isfinite(value) for value in values):
        return math.nan
    numbers = [Fraction(value) for value in values]
    mean = sum(numbers, Fraction()) / len(numbers)
    return _rounded(sum(((number - mean) ** 2 for number in numbers), Fraction()) / (len(numbers) - 1))


def _rounded(number: Fraction) -> float:
    try:
        return number.numerator / number.denominator
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _says_nothing(one: Aggregation, value: Value) -> bool:
    return value is None or (one.kind == "count" and value == 0) or value == []


def same(one: Value, other: Value) -> bool:
    """Whether two values are the same to the bit, and of the same type; a NaN is one."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, float):
        return repr(one) == repr(other)
    return bool(one == other)


def time_of(at: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
