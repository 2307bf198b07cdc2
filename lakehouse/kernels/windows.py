"""Windows over events: which events a window holds at a moment, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lakehouse.errors import DefinitionError
from lakehouse.kernels.exact import BITS, Doubles, Exact
from lakehouse.kernels.keys import Column, Ints, key_codes
from lakehouse.kernels.ties import Content, in_order
from lakehouse.kernels.times import LEAST, Scale, ticks

SECOND = 1_000_000
"""In microseconds, as all times here."""
HOUR = 3600 * SECOND
DAY = 24 * HOUR
Mask = npt.NDArray[np.bool_]
_PIECE = 2**15
"""Points that are answered at a time."""
_OFTEN = 2
"""Over all pieces at most so many times as many events are taken as there are."""


@dataclass(frozen=True)
class Span:
    """A window's length and hop, in microseconds; ``length`` None is all that went before."""

    length: int | None
    hop: int

    def start(self, times: Ints) -> Ints:
        """Where the window that ends at each time begins: the time less the length, down to a whole hop since 1970."""
        if self.length is None:
            return np.full(len(times), LEAST + 1, np.int64)
        return (np.maximum(times, LEAST + self.length + self.hop) - self.length) // self.hop * self.hop

    def cut(self, times: Ints) -> Ints:
        """The end of the last whole hop before each time: what follows it is the window's head."""
        return times // self.hop * self.hop


Bounds = Callable[[Ints, Ints], Sequence[tuple[Ints, Ints]]]
"""Of the points' times, rounded down and up to microseconds: where windows begin and, just after them, end."""


def whole(spans: Sequence[Span]) -> Bounds:
    """The windows that end at each point, exclusively."""
    return lambda down, up: [(span.start(down), up) for span in spans]


def tiled(spans: Sequence[Span]) -> Bounds:
    """Of these windows the whole hops."""
    return lambda down, up: [(span.start(down), span.cut(down)) for span in spans]


def heads(spans: Sequence[Span]) -> Bounds:
    """Of these windows what follows the last whole hop."""
    return lambda down, up: [(np.maximum(span.start(down), span.cut(down)), up) for span in spans]


def counted(sizes: Ints) -> Ints:
    """For each of the sizes the numbers from 0 to below it, one after another.

    >>> counted(np.array([2, 0, 3]))
    array([0, 1, 0, 1, 2])
    """
    return np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)


@dataclass(frozen=True)
class Held:
    """Which events each window holds: of the events, in their order, those from ``first`` to before ``after``."""

    first: Ints
    after: Ints

    @property
    def count(self) -> Ints:
        """How many events each window holds."""
        return self.after - self.first

    @property
    def rows(self) -> Ints:
        """The places of all events of all windows, one window after another."""
        return np.repeat(self.first, self.count) + counted(self.count)

    def over(self, events: slice) -> Held:
        """The same windows over just these events, which are all that they hold."""
        first, after = (np.clip(one - events.start, 0, events.stop - events.start) for one in (self.first, self.after))
        return Held(first, after)

    def take(self, windows: Ints) -> Held:
        """Some of the windows, in this order."""
        return Held(self.first[windows], self.after[windows])

    def of(self, counts: Mask) -> Held:
        """The same windows over just the events for which ``counts``, in their order, is true."""
        before = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=before[1:])
        return Held(before[self.first], before[self.after])


@dataclass(frozen=True)
class Windows:
    """Windows of several spans at several points, over the same events; both are in the order of their keys and times,
    in which the work is several times faster."""

    events: Ints
    """The position of each event that has a key and a time."""
    points: Ints
    """The position of each point."""
    spans: tuple[Held, ...]
    """For each span, a window for each of ``points``."""

    @staticmethod
    def of(
        keys: Sequence[Column],
        times: Column,
        event_keys: Sequence[Column],
        event_times: Column,
        bounds: Bounds,
        content: Content | None = None,
    ) -> Windows:
        """Which events the windows of each point, a key and a time T, hold.

        Guaranteed: an event is in a window exactly when it has the point's key, part by part, and its time lies from
        where the ``bounds`` begin to before where they end: of :func:`whole`, from :meth:`Span.start` of T to before T.
        A null in a key or a time matches nothing. Events of one key are in the order of their times, of one time in
        that of their ``content``: what comes first or last does not depend on how they are stored.

        Times are at microseconds; a finer event is rounded up, and so is T: nothing is seen before its time.
        Takes O((n + m) log(n + m)). Raises DefinitionError for times that are no timestamps and keys that can't be
        compared.
        """
        codes, event_codes, distinct = key_codes(keys, event_keys, (len(times), len(event_times)))
        begin, end, asked = ticks(times)
        _, at, known = ticks(event_times)
        rows = np.flatnonzero(known & (event_codes >= 0))
        if len(rows) < len(at):
            event_codes, at = event_codes[rows], at[rows]
        scale = Scale(at, distinct)
        rows, places = in_order(rows, scale.places(event_codes, at), None, content)
        nothing = (codes < 0) | ~asked | (len(rows) == 0)
        ends = scale.places(np.where(nothing, 0, codes), end - 1)
        points = np.argsort(ends)
        codes, begin, nothing = codes[points], begin[points], nothing[points]
        found = []
        ended, after = None, np.zeros(0, np.int64)
        for first_at, end_at in bounds(begin, end[points]):
            first = np.searchsorted(places, scale.places(codes, first_at - 1), side="right")
            if end_at is not ended:  # windows that all end at the points are not searched for again
                after = np.where(nothing, 0, np.searchsorted(places, scale.places(codes, end_at - 1), side="right"))
                ended = end_at
            found.append(Held(np.where(nothing, 0, np.minimum(first, after)), after))
        return Windows(rows, points, tuple(found))

    def pieces(self) -> Iterator[tuple[slice, tuple[Held, ...]]]:
        """So many points at a time that what is computed for them stays in the processor's cache: the events that their
        windows reach, and the windows over just these."""
        for points, events in self._cut():
            spans = (Held(span.first[points], span.after[points]) for span in self.spans)
            yield events, tuple(span.over(events) for span in spans)

    def _cut(self) -> list[tuple[slice, slice]]:
        size = _PIECE
        while size < len(self.points):
            begins = np.arange(0, len(self.points), size)
            first, after = np.full(len(begins), len(self.events)), np.zeros(len(begins), np.int64)
            for span in self.spans:
                some = np.where(span.count > 0, span.first, len(self.events))
                first = np.minimum(first, np.minimum.reduceat(some, begins))
                after = np.maximum(after, np.maximum.reduceat(span.after, begins))
            first = np.minimum(first, after)
            if int((after - first).sum()) <= _OFTEN * len(self.events):
                ranges = zip(begins.tolist(), first.tolist(), after.tolist(), strict=True)
                return [(slice(at, at + size), slice(one, other)) for at, one, other in ranges]
            size *= 2  # windows that reach far back share most of their events
        return [(slice(None), slice(0, len(self.events)))]

    @cached_property
    def back(self) -> Ints:
        """Where the windows of each point stand, in the order in which points were given."""
        found = np.empty_like(self.points)
        found[self.points] = np.arange(len(found))
        return found


def total(windows: Held, values: Exact) -> Exact:
    """The exact sum of the events' values, a row for each window."""
    return values.between(windows.first, windows.after)


def mean(sums: Exact, count: Ints) -> Doubles:
    """The sum, rounded once, over the count; NaN of nothing."""
    with np.errstate(invalid="ignore"):
        return sums.rounded() / np.where(count == 0, np.nan, count)


def variance(sums: Exact, squares: Exact, count: Ints) -> Doubles:
    """Of a sample: the squared distances from the mean over count - 1, as if computed without rounding; NaN below two.

    >>> values = Exact.of(np.array([1e9, 1e9 + 1]))
    >>> variance(values.total(), values.square().total(), np.array([2]))
    array([0.5])
    """
    low = min(2 * sums.low, squares.low)
    scale = BITS * low
    found = np.full(len(count), np.nan)
    finite = ~(sums.odd > 0).any(axis=0) if len(sums.odd) else np.ones(len(count), np.bool_)
    rows = np.flatnonzero((count > 1) & finite)
    for row, size, one, square in zip(
        rows, count[rows].tolist(), sums.take(rows).whole(), squares.take(rows).whole(), strict=True
    ):
        above = (size * square << BITS * (squares.low - low)) - (one * one << BITS * (2 * sums.low - low))
        found[row] = _ratio(above, size * (size - 1), scale)
    return found


def _ratio(above: int, below: int, scale: int) -> float:
    try:
        return (above << scale) / below if scale >= 0 else above / (below << -scale)
    except OverflowError:
        return float("inf")


def greatest(windows: Held, values: Ints) -> Ints:
    """The greatest value, of whole numbers, in each window; 0 of nothing. Takes O((n + m) log n)."""
    found = np.zeros(len(windows.first), np.int64)
    there = np.flatnonzero(windows.count > 0)
    first, after = windows.first[there], windows.after[there]
    level = np.frexp((after - first).astype(np.float64))[1] - 1
    for step in range(int(level.max(initial=-1)) + 1):
        here, size = np.flatnonzero(level == step), 1 << step
        found[there[here]] = np.maximum(values[first[here]], values[after[here] - size])
        values = np.maximum(values[:-size], values[size:]) if size < len(values) else values
    return found


def ordered(values: Any) -> Ints:
    """Doubles as whole numbers of the same order: both zeros are equal, NaN is above all. :func:`doubles` undoes it."""
    bits = (np.asarray(values, np.float64) + 0.0).view(np.int64)
    bits[np.isnan(values)] = 0x7FF8 << 48
    return np.bitwise_xor(bits, np.int64(2**63 - 1), out=bits, where=bits < 0)


def doubles(numbers: Ints) -> Doubles:
    """What :func:`ordered` was made of."""
    return np.where(numbers < 0, numbers ^ np.int64(2**63 - 1), numbers).view(np.float64)


def newest(windows: Held, most: int) -> tuple[Ints, Ints]:
    """The last events of each window, newest first, at most so many: their places, and how many of each window."""
    size = np.minimum(windows.count, most)
    return np.repeat(windows.after - 1, size) - counted(size), size


def fits(sums: Exact) -> Ints:
    """Sums of whole numbers as whole numbers. Raises DefinitionError where one is beyond 64 bits."""
    sums = sums.carried()
    limbs = sums.limbs
    if sums.low == 0 and len(limbs) == 1:
        return np.asarray(limbs[0], np.int64)
    if sums.low == 0 and len(limbs) == 2 and ((limbs[1] >= -(2**31)) & (limbs[1] < 2**31)).all():
        return np.asarray((limbs[1] << np.int64(BITS)) + limbs[0], np.int64)
    whole = [one << BITS * sums.low for one in sums.whole()]
    for one in whole:
        if not -(2**63) <= one < 2**63:
            raise DefinitionError(f"a sum is {one}, beyond 64 bits", hint="Sum doubles: cast the column.")
    return np.array(whole, np.int64)
