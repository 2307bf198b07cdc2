"""The tiles of a windowed view as records of the online store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from lakehouse.features.records import BATCH, Batch, ViewRows
from lakehouse.features.windowed import WindowTable, earlier
from lakehouse.kernels.aggregations import HOP, START
from lakehouse.kernels.buckets import together
from lakehouse.kernels.keys import Ints
from lakehouse.kernels.record import UNKNOWN, Layout, encode
from lakehouse.kernels.slides import Plan, nothing, slides
from lakehouse.kernels.tiles import column_of, tiles_of
from lakehouse.kernels.windows import DAY
from lakehouse.online.kinds import ticks

Rows = list[tuple[int, bytes]]


@dataclass(frozen=True)
class WindowRows(ViewRows):
    """Makes the records of a windowed view: what its tiles come to from now on.

    The horizon of a record is ``now``. An event that is dated after it changes the answer when its time has passed, so
    the record has a further row for the time just after each.
    """

    table: WindowTable
    by_feed_alone = False

    @cached_property
    def plan(self) -> Plan:
        return Plan.of(self.table.told, self.table.events.types)

    @cached_property
    def layout(self) -> Layout:
        return Layout(((self.plan.text, "bytes"),))

    @property
    def fed(self) -> list[str]:
        return self.keys

    @property
    def columns(self) -> list[str]:
        told = self.table.told
        parts = [column_of(name, part) for name, parts in told.parts().items() for part in parts]
        return list(dict.fromkeys([*told.keys, HOP, START, *parts]))

    def whole(self) -> pa.Table:
        """The tiles that a window reaches, now or later."""
        longest = self.table.told.longest
        begin = None if longest is None else earlier(self.now, (longest.length or 0) + longest.hop)
        return self.opened.read(self.columns, time=START, start=begin)

    def batches(self, table: pa.Table, ordered: bool = False) -> Iterator[Batch]:
        """The records of the keys of some tiles, which are all that these keys have."""
        encoded = self.encoded(table).dictionary_encode()
        keys = encoded.dictionary.to_pylist()
        codes = encoded.indices.to_numpy().astype(np.int64)
        order = np.argsort(codes, kind="stable")
        table, codes = table.take(pa.array(order)), codes[order]
        names = sorted(range(len(keys)), key=keys.__getitem__) if ordered else range(len(keys))
        starts = np.searchsorted(codes, np.arange(len(keys) + 1))
        for first in range(0, len(keys), BATCH):
            own = np.array(names[first : first + BATCH], np.int64)
            rows = np.concatenate([np.arange(starts[one], starts[one + 1]) for one in own]) if len(own) else own
            part = np.repeat(np.arange(len(own)), starts[own + 1] - starts[own])
            yield self._records([keys[one] for one in own], table.take(pa.array(rows)), part)

    def _records(self, keys: list[bytes], tiles: pa.Table, codes: Ints) -> Batch:
        now = ticks(self.now)
        packed = self._packed_at(tiles, codes, np.full(len(keys), now, np.int64))
        rows: list[Rows] = [[] if one is None else [(now, one)] for one in packed]
        for spot, own in self._later(keys, tiles, codes).items():
            rows[spot] = own
        kept = [spot for spot, own in enumerate(rows) if own]
        flat = [one for spot in kept for one in rows[spot]]
        counts = np.array([len(rows[spot]) for spot in kept], np.int64)
        events = np.array([at for at, _ in flat], np.int64)
        column = pa.table([pa.array([one for _, one in flat], pa.large_binary())], names=[self.layout.fields[0][0]])
        version, unknown = self.opened.version, np.full(len(flat), UNKNOWN)
        return [keys[spot] for spot in kept], encode(self.layout, column, events, unknown, version, counts)

    def _packed_at(self, tiles: pa.Table, codes: Ints, at: Ints) -> list[bytes | None]:
        if not self.table.told.bucket:
            return slides(self.plan, tiles, codes, at, self.table.events.types)
        return together(self.plan, tiles, codes, at, self.table.events.types)

    def _later(self, keys: list[bytes], tiles: pa.Table, codes: Ints) -> dict[int, Rows]:
        """The rows of those keys that have events which are not before now."""
        if self._ahead is None:
            return {}
        places = {key: spot for spot, key in enumerate(keys)}
        events = self._ahead
        spots = np.array([places.get(key, -1) for key in self.encoded(events).to_pylist()], np.int64)
        events, spots = events.filter(pa.array(spots >= 0)), spots[spots >= 0]
        at = _ticks(events.column(self.table.told.at))
        now = ticks(self.now)
        whole_days = _ticks(tiles.column(START)) < now // DAY * DAY
        found: dict[int, Rows] = {}
        for spot in np.unique(spots[at >= now]).tolist():
            own, mine = events.filter(pa.array(spots == spot)), at[spots == spot]
            old = tiles.filter(pa.array((codes == spot) & whole_days))
            found[spot] = []
            for moment in (now, *np.unique(mine[mine >= now] + 1).tolist()):
                made = tiles_of(own.filter(pa.array(mine < moment)), self.table.told)
                every = pa.concat_tables([old, made.select(old.column_names).cast(old.schema)])
                packed = self._packed_at(every, np.zeros(len(every), np.int64), np.array([moment], np.int64))[0]
                found[spot].append((moment, packed or self._nothing))
        return found

    @cached_property
    def _nothing(self) -> bytes:
        """The bytes of a key that no window holds anything of."""
        return b"" if self.table.told.bucket else nothing(self.plan, self.table.events.types)

    @cached_property
    def _ahead(self) -> pa.Table | None:
        """The events since the beginning of today, where some are dated ahead; None where none is."""
        today = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        newest = self.table.events.read(None, (self.now, None))
        if not newest.num_rows:
            return None
        return self.table.events.read(None, (today, None))


def _ticks(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64)
