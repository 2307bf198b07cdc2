"""What the events of a window come to, in plain Python and exact numbers: shares no code with the engine."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from lakehouse.kernels.aggregations import Aggregation

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def in_window(one: Aggregation, time: datetime | None, at: datetime) -> bool:
    """Whether the window that ends at a time holds an event of another time."""
    if time is None or time >= at:
        return False
    if one.over_s is None:
        return True
    begin = at - timedelta(seconds=one.over_s)
    return time >= begin - (begin - EPOCH) % timedelta(seconds=one.hop_s)


def rank(value: Any) -> tuple[Any, ...]:
    """Null first, NaN last, both zeros alike."""
    if value is None:
        return (0,)
    return (2,) if isinstance(value, float) and math.isnan(value) else (1, value)


def come_to(one: Aggregation, values: list[Any]) -> Any:
    """What a feature is of the values of a measure that are no nulls, in the order of their events."""
    if one.kind == "count":
        return len(values)
    if one.kind == "last_n":
        return values[::-1][: one.most]
    if not values:
        return None
    if one.kind in ("first", "last"):
        return values[0 if one.kind == "first" else -1]
    if one.kind in ("min", "max"):
        return (min if one.kind == "min" else max)(values, key=rank)
    total = summed(values)
    if one.kind == "sum":
        if isinstance(total, float):
            return total
        return rounded(total) if isinstance(values[0], float) else int(total)
    if one.kind in ("mean", "rate"):
        return (total if isinstance(total, float) else rounded(total)) / len(values)
    if len(values) < 2:
        return None
    if isinstance(total, float):
        return math.nan
    above = len(values) * sum(Fraction(value) ** 2 for value in values) - total**2
    return rounded(above / (len(values) * (len(values) - 1)))


def summed(values: list[Any]) -> Fraction | float:
    """The exact sum; a NaN or an infinity where one is among them."""
    odd = [value for value in values if isinstance(value, float) and not math.isfinite(value)]
    return sum(odd) if odd else sum((Fraction(value) for value in values), Fraction())


def rounded(number: Fraction) -> float:
    try:
        return number.numerator / number.denominator
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def same(got: Any, wanted: Any) -> bool:
    """Whether both are equal and of one type; a NaN is one."""
    if isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(same, got, wanted))
    if isinstance(wanted, float) and math.isnan(wanted):
        return isinstance(got, float) and math.isnan(got)
    return type(got) is type(wanted) and bool(got == wanted)
