"""Looking up window features: what the record of a key comes to at the time that is asked for."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from lakehouse.errors import StorageError
from lakehouse.kernels.aggregations import EVENTS, Aggregation
from lakehouse.kernels.buckets import apart
from lakehouse.kernels.record import HEADER, ROW
from lakehouse.kernels.slides import Plan
from lakehouse.kernels.sliding import Slides, nothing_of
from lakehouse.online.key_values import EntityRowsError
from lakehouse.online.kinds import Conversion, moment
from lakehouse.online.publication import Found
from lakehouse.online.request import Part
from lakehouse.online.response import NOT_FOUND, PRESENT, Column

if TYPE_CHECKING:
    from lakehouse.kernels.reader import Reader

KINDS = {"i": "int64", "d": "double", "b": "bool", "t": "time", "s": "text", "y": "bytes"}
"""The kind of a record's field that values of each kind would have."""


class Windows:
    """Reads the records of one layout for one part of a request."""

    def __init__(self, part: Part, reader: Reader) -> None:
        assert part.windows is not None
        plan = _plan(reader)
        self.bucket = bool(part.windows.bucket)
        features: list[str] = []
        if plan is not None and part.windows.same_events(plan.told):
            known = {one.name: one for one in plan.told.features}
            wanted = {one.name: one for one in part.windows.features}
            same = {one.name for one in {*plan.told.measures} & {*part.windows.measures}} | {EVENTS}
            fits = zip(part.features, part.conversions, strict=True)
            features = [
                name
                for name, conversion in fits
                if (one := known.get(name)) == wanted[name]
                and one.measure in same
                and part.windows.same_order(plan.told, one)
                and _fits(plan, one, conversion)
            ]
            self._slides = Slides(plan, features)
            self._times = [plan.feature_kind(known[name]) == "t" for name in features]
        self.there = [name in features for name in part.features]
        """Which features the records have as they are defined now; others are not there yet."""
        self._spots = [spot for spot, there in enumerate(self.there) if there]

    def values(self, packed: bytes, at: int) -> list[Any]:
        """The features of the part, in order; None for what is not there."""
        if not self._spots:
            return [None] * len(self.there)
        found = self._by_bucket(packed, at) if self.bucket else self._slides.values(packed, at)
        if len(found) == len(self.there):
            return found
        values = [None] * len(self.there)
        for spot, value in zip(self._spots, found, strict=True):
            values[spot] = value
        return values

    def _by_bucket(self, packed: bytes, at: int) -> list[Any]:
        empty = self._slides.empty()
        found: list[dict[str, Any]] = [{} for _ in empty]
        try:
            buckets = list(apart(packed))
        except (ValueError, struct.error) as error:
            raise StorageError(f"{len(packed):,} bytes of the online store are no window features: {error}") from error
        for bucket, one in buckets:
            values = self._slides.values(one, at)
            for own, value, nothing, time in zip(found, values, empty, self._times, strict=True):
                if value != nothing:
                    own[bucket] = _moments(value) if time else value
        return found


def _plan(reader: Reader) -> Plan | None:
    """What the records of a layout are made by; None where they are no window features."""
    if [kind for _, kind in reader.layout.fields] != ["bytes"]:
        return None
    try:
        return Plan.of_text(reader.names[0])
    except (ValueError, TypeError, KeyError):
        return None


def _fits(plan: Plan, one: Aggregation, conversion: Conversion) -> bool:
    """Whether the values are of the type that the view declares now."""
    if plan.told.bucket:
        return True
    kind = KINDS[plan.feature_kind(one)]
    return conversion.kind in (f"list {kind}", "value") if one.kind == "last_n" else conversion.kind == kind


def _moments(value: Any) -> Any:
    """Times of a value as Python has them, also of a list."""
    return [moment(one) for one in value] if isinstance(value, list) else moment(value)


def slid(
    part: Part,
    keys: Sequence[bytes | None],
    found: Found,
    reader_of: Callable[[bytes], Reader],
    now: int,
    moments: Sequence[int] | None,
    published: Callable[[], int | None],
) -> list[Column]:
    """The part's columns: each key at its moment, or now.

    A key without a record has the values of a window without events, and the status NOT_FOUND. Raises EntityRowsError
    for a moment before what was published: the online store does not know what the windows held then. Where nobody
    asked for a moment, a clock that is behind the publisher's reads as of the publish. ``published`` says as of when
    the view was published last; it is asked for keys without a record alone, and of these where a moment was.
    """
    left = iter(found[0])
    empty, all_there = _empty(part), [True] * len(part.features)
    rows: list[list[Any]] = []
    known: list[list[bool]] = []
    statuses, events = list[int](), list[int | None]()
    for key, at in zip(keys, moments or repeat(now), strict=False):
        record = None if key is None else next(left)
        if record is None or not HEADER.unpack_from(record)[2]:  # or a tombstone
            if moments is not None and (last := published()) is not None and at < last:
                raise _too_early(part, at, last)
            rows.append(empty)
            known.append(all_there)
            statuses.append(NOT_FOUND)
            events.append(None)
            continue
        horizon = ROW.unpack_from(record, HEADER.size)[0]
        if at < horizon:
            if moments is not None:
                raise _too_early(part, at, horizon)
            at = horizon
        reader = reader_of(record)
        windows = part.readers.get(reader.layout.number)
        if windows is None:
            windows = part.readers[reader.layout.number] = Windows(part, reader)
        row = reader.read(record, at)
        assert row is not None  # its first is of the horizon
        rows.append(windows.values(row[2][0], at))
        known.append(windows.there)
        statuses.append(PRESENT)
        events.append(row[0])
    columns = []
    whole = all(map(all, known))
    values = map(list, zip(*rows, strict=True)) if rows else ([] for _ in part.names)
    for spot, (name, column, conversion) in enumerate(zip(part.names, values, part.conversions, strict=True)):
        marks = statuses
        if not whole:
            marks = [status if there[spot] else NOT_FOUND for status, there in zip(statuses, known, strict=True)]
        columns.append(Column(name, column, conversion, marks, events))
    return columns


def _too_early(part: Part, at: int, horizon: int) -> EntityRowsError:
    return EntityRowsError(
        f"window features of '{part.view.name}' are asked for as of {moment(at)}, and were published as of "
        f"{moment(horizon)}",
        hint="Ask get_historical_features for earlier times.",
    )


def _empty(part: Part) -> list[Any]:
    """What the features are of no event."""
    told = part.windows
    assert told is not None
    kinds = {one.name: one.kind for one in told.features}
    return [{} if told.bucket else nothing_of(kinds[name])() for name in part.features]
