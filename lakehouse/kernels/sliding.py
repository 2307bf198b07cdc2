"""Looking up window features in what :mod:`lakehouse.kernels.slides` made of a key's tiles, at any later time."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from lakehouse.errors import StorageError
from lakehouse.kernels.aggregations import Aggregation
from lakehouse.kernels.slides import Field, Plan
from lakehouse.kernels.windows import SECOND

Value = Any
Look = Callable[["_Opened", int], Value]


class Slides:
    """Reads the bytes of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._ends = struct.Struct(f"<{plan.places[0]}I")
        self._looks = {one.name: self._look(one) for one in plan.told.features}
        self.empty = {one.name: _nothing(one) for one in plan.told.features}
        """What each feature is of no event."""

    def values(self, packed: bytes, at: int, features: Sequence[str]) -> list[Value]:
        """The features at a time, in microseconds since 1970: times as such, texts and bytes as they are.

        Raises StorageError for bytes that are not of this plan.
        """
        try:
            opened = _Opened(packed, self._ends)
            return [self._looks[name](opened, at) for name in features]
        except (struct.error, ValueError, IndexError, TypeError) as error:
            raise StorageError(
                f"{len(packed):,} bytes of the online store are no window features: {error}",
                hint="Delete the online store and publish again: it is filled from its tables.",
            ) from error

    def _look(self, one: Aggregation) -> Look:
        plan, fields = self.plan, self.plan.needed(one)
        places = [plan.places[field] for field in fields]
        spot = self._spot(one)
        if one.kind == "count":
            counts = places[0]
            return lambda opened, at: 0 if (here := spot(opened, at)) is None else opened.part(counts)[here]
        if one.kind in ("mean", "rate"):
            return _mean(spot, *places)
        if one.kind == "sum":
            return _sum(spot, places[0], places[1], float if plan.kinds[one.measure] == "d" else int)
        return _run(spot, fields[0], places[0], plan.value_kind(fields[0]))

    def _spot(self, one: Aggregation) -> Callable[[_Opened, int], int | None]:
        """Finds which of a hop's tiles is the first that the window holds; None: it holds none."""
        if one.over_s is None:
            return lambda opened, at: 0
        place, length, hop = self.plan.places[one.hop_s], one.over_s * SECOND, one.hop_s * SECOND

        def spot(opened: _Opened, at: int) -> int | None:
            key = (place, length)
            if key in opened.spots:
                return opened.spots[key]
            starts = opened.part(place + 1)
            here = bisect_left(starts, (at - length) // hop - opened.part(place)[0])
            opened.spots[key] = found = here if here < len(starts) else None
            return found

        return spot


class _Opened:
    """The bytes of one key, its parts opened when they are asked for."""

    def __init__(self, packed: bytes, ends: struct.Struct) -> None:
        self._packed = memoryview(packed)
        self._ends = ends.unpack_from(packed)
        self._start = ends.size
        if self._start + (self._ends[-1] if self._ends else 0) != len(packed):
            raise ValueError("they end elsewhere")
        self._parts: dict[int, Any] = {}
        self.spots: dict[tuple[int, int], int | None] = {}

    def part(self, number: int) -> Any:
        """The numbers of a part."""
        found = self._parts.get(number)
        if found is None:
            raw = self.raw(number)
            code: Any = chr(raw[0])
            found = self._parts[number] = raw[1:].cast(code)
        return found

    def raw(self, number: int) -> memoryview:
        begin = self._ends[number - 1] if number else 0
        return self._packed[self._start + begin : self._start + self._ends[number]]


def _mean(spot: Callable[[_Opened, int], int | None], counts: int, totals: int) -> Look:
    def look(opened: _Opened, at: int) -> Value:
        here = spot(opened, at)
        if here is None or not (count := opened.part(counts)[here]):
            return None
        return float(opened.part(totals)[here]) / count

    return look


def _sum(spot: Callable[[_Opened, int], int | None], counts: int, sums: int, kind: type) -> Look:
    def look(opened: _Opened, at: int) -> Value:
        here = spot(opened, at)
        if here is None or not opened.part(counts)[here]:
            return None
        return kind(opened.part(sums)[here])

    return look


def _run(spot: Callable[[_Opened, int], int | None], field: Field, place: int, kind: str) -> Look:
    """A value that stands once for several tiles."""
    one = {"d": float, "b": bool}.get(kind)
    many = field.kind == "last_n"

    def look(opened: _Opened, at: int) -> Value:
        here = spot(opened, at)
        if here is None:
            return [] if many else None
        run = bisect_right(opened.part(place), here) - 1
        sizes = opened.part(place + 1)
        if not many:
            if not sizes[run]:
                return None
            first, after = run, run + 1
        else:
            first = sum(sizes[:run])
            after = first + sizes[run]
        numbers = opened.part(place + 2)
        if kind in "sy":
            begin = sum(numbers[:first])
            raw, values = opened.raw(place + 3), list[Value]()
            for length in numbers[first:after]:
                found = bytes(raw[begin : begin + length])
                values.append(found.decode() if kind == "s" else found)
                begin += length
        else:
            values = [one(number) if one else number for number in numbers[first:after]]
        return values if many else values[0]

    return look


def _nothing(one: Aggregation) -> Value:
    return 0 if one.kind == "count" else [] if one.kind == "last_n" else None
