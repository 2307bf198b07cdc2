"""Partial results of windows: of single events or of tiles, and what several of them come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import DefinitionError
from lakehouse.kernels.aggregations import EVENTS, Aggregation, Part
from lakehouse.kernels.exact import Doubles, Exact
from lakehouse.kernels.keys import Ints
from lakehouse.kernels.windows import (
    Held,
    Mask,
    counted,
    doubles,
    fits,
    greatest,
    mean,
    newest,
    ordered,
    total,
    variance,
)


@dataclass(frozen=True)
class Kept:
    """Some values of each item, oldest first: those of item i are ``values[ends[i - 1]:ends[i]]``."""

    values: pa.Array
    ends: Ints

    def held(self, windows: Held) -> Held:
        """The windows, over the values."""
        bounds = np.concatenate([[0], self.ends])
        return Held(bounds[windows.first], bounds[windows.after])


@dataclass(frozen=True)
class Partial:
    """Partial results of one measure, an item each; what is not needed is None."""

    count: Ints
    """How many values, nulls left out."""
    sum: Exact | None = None
    squares: Exact | None = None
    least: Ints | None = None
    """As :func:`numbers_of` writes the values; of an item without any it says nothing."""
    most: Ints | None = None
    first: Kept | None = None
    last: Kept | None = None

    def counts(self, held: Held) -> Ints:
        """How many values each window holds."""
        if self._each_one:
            return held.count
        return self._before[held.after] - self._before[held.first]

    def there(self, held: Held, values: Ints) -> tuple[Held, Ints]:
        """Of the items those that have any value, and the windows over them."""
        if self._each_one:
            return held, values
        return held.of(self.count > 0), values[self.count > 0]

    @cached_property
    def _each_one(self) -> bool:
        """Whether each item has one value, as events without nulls have."""
        return bool((self.count == 1).all())

    @cached_property
    def _before(self) -> Ints:
        """How many values all items before each have."""
        before = np.zeros(len(self.count) + 1, np.int64)
        np.cumsum(self.count, out=before[1:])
        return before


@dataclass(frozen=True)
class Items:
    """Partial results of some measures, in the order of keys and times."""

    parts: Mapping[str, Partial]
    types: Mapping[str, pa.DataType]
    """The type of each measure's values."""

    @staticmethod
    def of_events(events: pa.Table, needed: Mapping[str, Mapping[Part, int]]) -> Items:
        """One item an event. ``events`` has a column for each measure, in the types of
        :func:`lakehouse.kernels.measures.measured`, and is in order."""
        parts, types = {}, {}
        for name, wanted in needed.items():
            if name == EVENTS:
                parts[name], types[name] = Partial(np.ones(events.num_rows, np.int64)), pa.null()
                continue
            column = events.column(name).combine_chunks()
            types[name] = column.type
            there = np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), np.bool_)
            parts[name] = _of_values(column, there, wanted)
        return Items(parts, types)

    def grouped(self, starts: Ints, needed: Mapping[str, Mapping[Part, int]]) -> Items:
        """One item for each run of items that begins at ``starts``, ascending from 0."""
        ends = np.append(starts[1:], max((len(one.count) for one in self.parts.values()), default=0))
        runs = Held(starts, ends)
        return Items({name: _grouped(self.parts[name], runs, needed[name]) for name in needed}, self.types)


Side = tuple[Items, Held]
"""Items, and which of them each window holds."""


def evaluate(feature: Aggregation, sides: Sequence[Side]) -> pa.Array:
    """What a feature is in each window, of items that follow each other: what the first side holds went before.

    Of nothing, or of nulls only: a count is 0, ``last_n`` is empty, all else is null; a variance is null of one value
    too. A NaN makes a sum, a mean and a variance NaN, and is above all numbers in ``min`` and ``max``. Raises
    DefinitionError, with the feature's name, for a sum of whole numbers beyond 64 bits.
    """
    parts = [(items.parts[feature.measure], held) for items, held in sides]
    kind = sides[0][0].types[feature.measure]
    if feature.kind in ("first", "last", "last_n"):
        return _values(feature, parts, kind)
    counts = [part.counts(held) for part, held in parts]
    count = np.asarray(np.sum(counts, axis=0), np.int64)
    if feature.kind == "count":
        return pa.array(count)
    if feature.kind in ("min", "max"):
        return _extreme(feature.kind, parts, counts, kind)
    sums = _merged([one.sum for one, _ in parts], [held for _, held in parts])
    if feature.kind == "sum":
        found: Any = sums.rounded() if pa.types.is_floating(kind) else _whole_sums(feature, sums)
        return pa.array(found, mask=count == 0)
    if feature.kind == "variance":
        squares = _merged([one.squares for one, _ in parts], [held for _, held in parts])
        odd = (sums.odd > 0).any(axis=0) if len(sums.odd) else False
        return pa.array(variance(sums, squares, count), mask=(count < 2) & ~np.asarray(odd & (count > 1)))
    return pa.array(mean(sums, count), mask=count == 0)


def _whole_sums(feature: Aggregation, sums: Exact) -> Ints:
    try:
        return fits(sums)
    except DefinitionError as error:
        raise DefinitionError(f"'{feature.name}': {error.message}", hint=error.hint) from error


def rounded_sum(measure: str, sides: Sequence[Side]) -> Doubles:
    """The sum of a measure in each window, rounded once; 0 of nothing."""
    sums = [items.parts[measure].sum for items, _ in sides]
    return _merged(sums, [held for _, held in sides]).rounded()


def numbers_of(column: pa.Array) -> Ints:
    """Values as whole numbers of the same order, 0 for null. :func:`values_of` undoes it."""
    if pa.types.is_floating(column.type):
        return ordered(_filled(column, 0.0))
    column = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    return np.asarray(_filled(column.cast(pa.int64()), 0), np.int64)


def values_of(numbers: Ints, there: Mask, kind: pa.DataType) -> pa.Array:
    """What :func:`numbers_of` was made of; null where nothing is there."""
    if pa.types.is_floating(kind):
        return pa.array(doubles(numbers), mask=~there)
    found = pa.array(numbers, mask=~there)
    return found.cast(pa.int8()).cast(kind) if pa.types.is_boolean(kind) else found.cast(kind)


def _filled(column: pa.Array, value: float) -> Any:
    """As numpy's, not copied where nothing is null."""
    filled = pc.fill_null(column, value) if column.null_count else column
    return filled.to_numpy(zero_copy_only=False)


def _of_values(column: pa.Array, there: Mask, wanted: Mapping[Part, int]) -> Partial:
    found: dict[str, Any] = {"count": there.astype(np.int64)}
    if "sum" in wanted:
        floating = pa.types.is_floating(column.type)
        values = _filled(column, 0.0) if floating else numbers_of(column)
        found["sum"] = Exact.of(values, None if there.all() else there)
        if "squares" in wanted:
            found["squares"] = found["sum"].square()
    if "min" in wanted or "max" in wanted:
        found["least"] = found["most"] = numbers_of(column)
    if "first" in wanted or "last" in wanted:
        found["first"] = found["last"] = Kept(column.drop_null(), np.cumsum(there))
    return Partial(**found)


def _grouped(part: Partial, runs: Held, wanted: Mapping[Part, int]) -> Partial:
    count = part.counts(runs)
    found: dict[str, Any] = {"count": count}
    for name in ("sum", "squares"):
        if name in wanted:
            found[name] = getattr(part, name).groups(runs.first)
    if "min" in wanted:
        assert part.least is not None
        found["least"] = ~greatest(*part.there(runs, ~part.least))
    if "max" in wanted:
        assert part.most is not None
        found["most"] = greatest(*part.there(runs, part.most))
    if "first" in wanted:
        assert part.first is not None
        held = part.first.held(runs)
        size = np.minimum(held.count, 1)
        found["first"] = Kept(part.first.values.take(pa.array(held.first[size > 0])), np.cumsum(size))
    if "last" in wanted:
        assert part.last is not None
        places, size = newest(part.last.held(runs), wanted["last"])
        ends = np.cumsum(size)
        oldest_first = np.repeat(2 * ends - size - 1, size) - np.arange(len(places))
        found["last"] = Kept(part.last.values.take(pa.array(places[oldest_first])), ends)
    return Partial(**found)


def _merged(sums: Sequence[Exact | None], windows: Sequence[Held]) -> Exact:
    found = [total(held, one) for one, held in zip(sums, windows, strict=True) if one is not None]
    merged = found[0]
    for one in found[1:]:
        merged = merged.plus(one)
    return merged


def _extreme(kind: str, parts: Sequence[tuple[Partial, Held]], counts: Sequence[Ints], of: pa.DataType) -> pa.Array:
    turned: Callable[[Any], Any] = np.invert if kind == "min" else np.asarray
    best, there = np.zeros(len(counts[0]), np.int64), np.zeros(len(counts[0]), np.bool_)
    for (part, held), count in zip(parts, counts, strict=True):
        values = part.least if kind == "min" else part.most
        assert values is not None
        own = greatest(*part.there(held, turned(values)))
        best = np.where(count > 0, np.where(there, np.maximum(best, own), own), best)
        there |= count > 0
    return values_of(turned(best), there, of)


def _values(feature: Aggregation, parts: Sequence[tuple[Partial, Held]], kind: pa.DataType) -> pa.Array:
    pool, held, base = [], list[Held](), 0
    for part, windows in parts:
        kept = part.first if feature.kind == "first" else part.last
        assert kept is not None
        own = kept.held(windows)
        held.append(Held(own.first + base, own.after + base))
        pool.append(kept.values.cast(kind))
        base += len(kept.values)
    values = pa.concat_arrays(pool)
    if feature.kind == "last_n":
        return _last_n(values, held, feature.most)
    spots = np.full(len(held[0].first), -1, np.int64)
    for one in reversed(held) if feature.kind == "first" else held:
        spots = np.where(one.count > 0, one.first if feature.kind == "first" else one.after - 1, spots)
    return values.take(pa.array(spots, mask=spots < 0))


def _last_n(values: pa.Array, held: Sequence[Held], most: int) -> pa.Array:
    """Lists, newest first: of the last side as many as there are, then of the one before."""
    left = np.full(len(held[0].first), most, np.int64)
    places, sizes = [], []
    for one in reversed(held):
        size = np.minimum(one.count, left)
        left = left - size
        places.append(one.after - 1)
        sizes.append(size)
    total = np.sum(sizes, axis=0)
    spots = np.empty(int(total.sum()), np.int64)
    begin = np.cumsum(total) - total
    for after, size in zip(places, sizes, strict=True):
        back = counted(size)
        spots[np.repeat(begin, size) + back] = np.repeat(after, size) - back
        begin = begin + size
    offsets = np.concatenate([[0], np.cumsum(total)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values.take(pa.array(spots)))
