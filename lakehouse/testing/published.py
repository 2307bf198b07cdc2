"""Window features as the online store has them: bytes for each key, published as of a moment and read then or later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.aggregations import Aggregation, Aggregations
from lakehouse.kernels.ahead import Rows, rows_of
from lakehouse.kernels.buckets import apart
from lakehouse.kernels.slides import Plan
from lakehouse.kernels.sliding import Slides
from lakehouse.kernels.windows import DAY
from lakehouse.testing.events import Events
from lakehouse.testing.reference import Key, Value, time_of


@dataclass(frozen=True)
class Published:
    """What a publish leaves in the online store. An event that is dated after it has a row for when it has passed."""

    told: Aggregations
    plan: Plan
    records: dict[Key, Rows]

    @staticmethod
    def of(events: Events, tiles: pa.Table, now: int) -> Published:
        told = events.told
        plan = Plan.of(told, events.types)
        places: dict[Key, int] = {}
        for key in _keys(tiles, told):
            places.setdefault(key, len(places))
        codes = np.array([places[key] for key in _keys(tiles, told)], np.int64)
        order = np.argsort(codes, kind="stable")
        tiles, codes = tiles.take(pa.array(order)), codes[order]
        times = events.table.column(told.at).cast(pa.int64())
        recent = events.table.filter(pc.fill_null(pc.greater_equal(times, now // DAY * DAY), False))
        spots = np.array([places.get(key, -1) for key in _keys(recent, told)], np.int64)
        rows = rows_of(plan, (tiles, codes), (recent, spots), now, len(places), events.types)
        records = dict(zip(places, rows, strict=True))
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
        return [self._plain(one, value) for one, value in zip(self.told.features, values, strict=True)]

    def _plain(self, feature: Aggregation, value: Any) -> Value:
        if self.plan.feature_kind(feature) != "t" or value is None:
            return value
        return [time_of(one) for one in value] if isinstance(value, list) else time_of(value)


def _keys(table: pa.Table, told: Aggregations) -> list[Key]:
    """The key of each row."""
    return list(zip(*(table.column(name).to_pylist() for name in told.entity), strict=True))
