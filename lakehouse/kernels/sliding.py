"""Looking up window features in what :mod:`lakehouse.kernels.slides` made of a key's tiles, at any later time."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from lakehouse.errors import StorageError
from lakehouse.kernels.aggregations import Aggregation
from lakehouse.kernels.slides import CODES, Field, Plan
from lakehouse.kernels.windows import SECOND

Value = Any
Look = Callable[["_Opened", int], Value]
"""Given the first tile that the window holds."""
_NUMBERS: dict[int, tuple[int, Callable[[bytes, int], tuple[Any]], Any]] = {
    ord(code): (struct.calcsize(f"<{code}"), struct.Struct(f"<{code}").unpack_from, code) for code in CODES
}


class Slides:
    """Reads some features in the bytes of one plan."""

    def __init__(self, plan: Plan, features: Sequence[str]) -> None:
        self._ends = struct.Struct(f"<{plan.places[0]}I")
        known = {one.name: one for one in plan.told.features}
        asked = [known[name] for name in features]
        hops: dict[int, dict[int, None]] = {}
        for one in asked:
            if one.over_s is not None:
                hops.setdefault(one.hop_s, {})[one.over_s] = None
        self._hops = [
            (plan.places[hop_s], hop_s * SECOND, [over_s * SECOND for over_s in lengths])
            for hop_s, lengths in hops.items()
        ]
        windows = [(None, 0), *((over_s, hop_s) for hop_s, lengths in hops.items() for over_s in lengths)]
        self._looks = [
            (
                0 if one.over_s is None else windows.index((one.over_s, one.hop_s)),
                _look(plan, one),
                nothing_of(one.kind),
            )
            for one in asked
        ]

    def values(self, packed: bytes, at: int) -> list[Value]:
        """The features at a time, in microseconds since 1970: times as such, texts and bytes as they are.

        Raises StorageError for bytes that are not of this plan.
        """
        try:
            start = self._ends.size
            opened = _Opened(packed, [start, *map(start.__add__, self._ends.unpack_from(packed))])
            if opened.begins[-1] != len(packed):
                raise ValueError("they end elsewhere")
            held = [0]  # of all that went before it is the first one
            for place, hop, lengths in self._hops:
                first, starts = opened.number(place, 0), opened.numbers(place + 1)
                for length in lengths:
                    here = bisect_left(starts, (at - length) // hop - first)
                    held.append(here if here < len(starts) else -1)
            found = []
            for window, look, nothing in self._looks:
                here = held[window]
                found.append(nothing() if here < 0 else look(opened, here))
            return found
        except (struct.error, ValueError, LookupError, TypeError) as error:
            raise StorageError(
                f"{len(packed):,} bytes of the online store are no window features: {error}",
                hint="Delete the online store and publish again: it is filled from its tables.",
            ) from error

    def empty(self) -> list[Value]:
        """What the features are of no event."""
        return [nothing() for _, _, nothing in self._looks]


def nothing_of(kind: str) -> Callable[[], Value]:
    """Makes what a feature of this kind is of no event."""
    return {"count": int, "last_n": list}.get(kind, type(None))


class _Opened:
    """The bytes of one key, of which just what is asked for is read."""

    __slots__ = ("begins", "packed", "view")

    def __init__(self, packed: bytes, begins: Sequence[int]) -> None:
        self.packed = packed
        self.view = memoryview(packed)
        self.begins = begins
        """Where each part begins, and where the last one ends."""

    def number(self, part: int, spot: int) -> Any:
        """One number of a part."""
        begin = self.begins[part]
        size, unpack, _ = _NUMBERS[self.packed[begin]]
        at = begin + 1 + size * spot
        if not begin < at <= self.begins[part + 1] - size:
            raise ValueError("a number is not in its part")
        return unpack(self.packed, at)[0]

    def numbers(self, part: int) -> Any:
        """All numbers of a part."""
        begin = self.begins[part]
        return self.view[begin + 1 : self.begins[part + 1]].cast(_NUMBERS[self.packed[begin]][2])

    def texts(self, part: int) -> bytes:
        return self.packed[self.begins[part] : self.begins[part + 1]]


def _look(plan: Plan, one: Aggregation) -> Look:
    fields = plan.needed(one)
    places = [plan.places[field] for field in fields]
    if one.kind == "count":
        counts = places[0]
        return lambda opened, here: opened.number(counts, here)
    if one.kind in ("mean", "rate"):
        return _mean(*places)
    if one.kind == "sum":
        return _sum(places[0], places[1], float if plan.kinds[one.measure] == "d" else int)
    return _run(fields[0], places[0], plan.value_kind(fields[0]))


def _mean(counts: int, totals: int) -> Look:
    def look(opened: _Opened, here: int) -> Value:
        count = opened.number(counts, here)
        return float(opened.number(totals, here)) / count if count else None

    return look


def _sum(counts: int, sums: int, kind: type) -> Look:
    return lambda opened, here: kind(opened.number(sums, here)) if opened.number(counts, here) else None


def _run(field: Field, place: int, kind: str) -> Look:
    """A value that stands once for several tiles."""
    one = {"d": float, "b": bool}.get(kind)
    many = field.kind == "last_n"

    def look(opened: _Opened, here: int) -> Value:
        run = bisect_right(opened.numbers(place), here) - 1
        if not many:
            if not opened.number(place + 1, run):
                return None
            if kind not in "sy":
                number = opened.number(place + 2, run)
                return one(number) if one else number
            first, after = run, run + 1
        else:
            sizes = opened.numbers(place + 1)
            first = sum(sizes[:run])
            after = first + sizes[run]
        numbers = opened.numbers(place + 2)
        if kind in "sy":
            begin = sum(numbers[:first])
            raw, values = opened.texts(place + 3), list[Value]()
            for length in numbers[first:after]:
                found = raw[begin : begin + length]
                values.append(found.decode() if kind == "s" else found)
                begin += length
        else:
            values = [one(number) if one else number for number in numbers[first:after]]
        return values if many else values[0]

    return look
