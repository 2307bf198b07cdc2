"""What can be computed of the events in a window: the words of ``gold.windows(features=[…])``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from lakehouse.errors import DefinitionError
from lakehouse.kernels.aggregations import Kind

Length: TypeAlias = "str | timedelta"
"""Such as "5m", "1h", "7d", "4w", or timedelta(days=7)."""


@dataclass(frozen=True)
class Wish:
    """One line of ``features=[…]``: a feature for each window, or one for all that went before."""

    kind: Kind
    value: str
    over: tuple[Length, ...]
    name: str | None
    most: int = 1


def count(column: str = "", *, over: Length | Sequence[Length], name: str | None = None) -> Wish:
    """How many events a window holds; of a column, how many have a value in it. 0 of none."""
    return _wish("count", column, over, name)


def sum(column: str, *, over: Length | Sequence[Length], name: str | None = None) -> Wish:
    """The sum of a column, exact and rounded once; whole numbers stay whole. Null of no value."""
    return _wish("sum", column, over, name)


def mean(column: str, *, over: Length | Sequence[Length], name: str | None = None) -> Wish:
    """The mean of a column's values, a double: the exact sum, rounded, over how many. Null of no value."""
    return _wish("mean", column, over, name)


def variance(column: str, *, over: Length | Sequence[Length], name: str | None = None) -> Wish:
    """The variance of a sample, as if computed without rounding. Null below two values."""
    return _wish("variance", column, over, name)


def min(column: str, *, over: Length | Sequence[Length], name: str | None = None) -> Wish:
    """The least value of a column of numbers, times or truths; NaN is above all. Null of no value."""
    return _wish("min", column, over, name)


def max(column: str, *, over: Length | Sequence[Length], name: str | None = None) -> Wish:
    """The greatest value of a column of numbers, times or truths; NaN is above all. Null of no value."""
    return _wish("max", column, over, name)


def rate(condition: str, *, over: Length | Sequence[Length], name: str | None = None) -> Wish:
    """The share of events for which a SQL condition is true, of those for which it is true or false. Null of none."""
    return _wish("rate", condition, over, name)


def first(column: str, *, over: Length | Sequence[Length] | None = None, name: str | None = None) -> Wish:
    """A column's earliest value that is not null, in a window or, without ``over``, ever. Null of none."""
    return _wish("first", column, over, name)


def last(column: str, *, over: Length | Sequence[Length] | None = None, name: str | None = None) -> Wish:
    """A column's latest value that is not null, in a window or, without ``over``, ever. Null of none."""
    return _wish("last", column, over, name)


def last_n(column: str, n: int, *, over: Length | Sequence[Length], name: str | None = None) -> Wish:
    """A column's latest ``n`` values that are not null, newest first; an empty list of none."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise DefinitionError(f"last_n({column!r}, {n!r}): how many is a whole number above 0")
    return _wish("last_n", column, over, name, n)


def _wish(kind: Kind, value: str, over: Any, name: str | None, most: int = 1) -> Wish:
    one = isinstance(over, str | timedelta) or not isinstance(over, Iterable)
    lengths = () if over is None else (over,) if one else tuple(over)
    if None in lengths or (not lengths and (over is not None or kind not in ("first", "last"))):
        raise DefinitionError(f"{kind}({value!r}): over={over!r} names no window", hint='Such as over="7d".')
    if not (name is None or isinstance(name, str)):
        raise DefinitionError(f"{kind}({value!r}): name={name!r} is no name")
    return Wish(kind, value, lengths, name, most)
