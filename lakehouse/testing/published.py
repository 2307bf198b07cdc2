"""Window features as the online store has them: bytes for each key, published as of a moment and read then or later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.aggregations import START, Aggregations
from lakehouse.kernels.buckets import apart, together
from lakehouse.kernels.slides import Plan, slides
from lakehouse.kernels.sliding import Slides
from lakehouse.kernels.tiles import tiles_of
from lakehouse.kernels.windows import DAY
from lakehouse.testing.events import Events
from lakehouse.testing.reference import Key, Value, time_of

Record = list[tuple[int, bytes | None]]
"""From which moment on which bytes count."""


@dataclass(frozen=True)
class Published:
    """What a publish leaves in the online store. An event that is dated after it has a row for when it has passed."""

    told: Aggregations
    plan: Plan
    records: dict[Key, Record]

    @staticmethod
    def of(events: Events, tiles: pa.Table, now: int) -> Published:
        told = events.told
        ahead = _ahead(events, now)
        keys, moments, parts = list[Key](), list[int](), list[pa.Table]()
        for key, own in _apart(tiles, told):
            later = ahead.get(key)
            if later is None:
                made = [(now, own)]
            else:
                starts = own.column(START).cast(pa.int64()).to_numpy()
                old = own.filter(pa.array(starts < now // DAY * DAY))
                at = later.column(told.at).cast(pa.int64()).to_numpy()
                made = [
                    (moment, pa.concat_tables([old, tiles_of(later.filter(pa.array(at < moment)), told)]))
                    for moment in (now, *np.unique(at[at >= now] + 1).tolist())
                ]
            for moment, part in made:
                keys.append(key)
                moments.append(moment)
                parts.append(part)
        plan = Plan.of(told, events.types)
        codes = np.repeat(np.arange(len(parts)), [len(part) for part in parts]).astype(np.int64)
        every = pa.concat_tables([tiles.slice(0, 0), *parts])
        packed = (together if told.bucket else slides)(plan, every, codes, np.array(moments, np.int64), events.types)
        records: dict[Key, Record] = {}
        for key, moment, one in zip(keys, moments, packed, strict=True):
            records.setdefault(key, []).append((moment, one))
        # What is read is text first, as it stands in the store.
        return Published(told, Plan.of_text(plan.text), records)

    def read(self, key: Key, at: int) -> dict[str, Value]:
        """The features of a key at a moment."""
        names = [one.name for one in self.told.features]
        reader = Slides(self.plan, names)
        empty = reader.empty()
        rows = [one for moment, one in self.records.get(key, []) if moment <= at]
        packed = rows[-1] if rows else None
        if self.told.bucket:
            found: dict[str, Value] = {name: {} for name in names}
            for label, own in apart(packed or b""):
                for name, value, nothing in zip(names, self._values(reader, own, at), empty, strict=True):
                    if value != nothing:
                        found[name][label] = value
            return found
        if packed is None:
            return dict(zip(names, empty, strict=True))
        return dict(zip(names, self._values(reader, packed, at), strict=True))

    def _values(self, reader: Slides, packed: bytes, at: int) -> list[Value]:
        values = reader.values(packed, at)
        return [self._plain(one.measure, value) for one, value in zip(self.told.features, values, strict=True)]

    def _plain(self, measure: str, value: Any) -> Value:
        if self.plan.kinds.get(measure) != "t" or value is None:
            return value
        return [time_of(one) for one in value] if isinstance(value, list) else time_of(value)


def _ahead(events: Events, now: int) -> dict[Key, pa.Table]:
    """Of the keys with events that are not before now their events since the beginning of the day."""
    told, table = events.told, events.table
    times = table.column(told.at)
    recent = table.filter(pc.fill_null(pc.greater_equal(times.cast(pa.int64()), now // DAY * DAY), False))
    found = {key: own.column(told.at).cast(pa.int64()).to_pylist() for key, own in _apart(recent, told)}
    return {key: own for key, own in _apart(recent, told) if max(found[key]) >= now}


def _apart(table: pa.Table, told: Aggregations) -> list[tuple[Key, pa.Table]]:
    """The rows of each key that is whole."""
    found: dict[Key, list[int]] = {}
    keys = zip(*(table.column(name).to_pylist() for name in told.entity), strict=True)
    for spot, key in enumerate(keys):
        if None not in key:
            found.setdefault(key, []).append(spot)
    return [(key, table.take(pa.array(spots))) for key, spots in found.items()]
