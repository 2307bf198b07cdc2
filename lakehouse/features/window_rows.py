"""The tiles of a windowed view as records of the online store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.features.changed import NoFeedError, changes
from lakehouse.features.cursor import Cursor
from lakehouse.features.reading import not_before
from lakehouse.features.records import BATCH, Batch, ViewRows
from lakehouse.features.windowed import WindowTable, reached
from lakehouse.kernels.aggregations import START
from lakehouse.kernels.buckets import together
from lakehouse.kernels.keys import Ints, is_whole
from lakehouse.kernels.record import UNKNOWN, Layout, encode
from lakehouse.kernels.slides import Plan, nothing, slides
from lakehouse.kernels.tiles import tile_columns, tiles_of
from lakehouse.kernels.times import UTC_TIME
from lakehouse.kernels.windows import DAY, Held
from lakehouse.online.kinds import ticks

Rows = list[tuple[int, bytes]]
PAIR = "_pair"
AT_ONCE = 1_000
"""So many moments of keys are worked out at a time: each looks at all events of today and later that are before it."""


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
        return tile_columns(self.table.told)

    @property
    def more_of_cursor(self) -> dict[str, Any]:
        events = self.table.events.opened
        return {"events_id": events.id, "events": events.version, "horizon": ticks(self.now)}

    def with_stirred(self, keys: pa.Table, before: Cursor) -> pa.Table:
        """Those too that have, or had, an event dated after the last publish that changed since: records hold these
        one by one, and a tile may stay as it is where one moves within it."""
        events, told = self.table.events.opened, self.table.told
        if before.events is None or before.horizon is None or before.events > events.version:
            raise NoFeedError("does not say which events were published")
        changed = changes(events, before.events, told.entity, [*told.entity, told.at])
        own = changed.keys
        if changed.rows is not None:
            at = pc.fill_null(changed.rows.column(told.at).cast(UTC_TIME).cast(pa.int64()), -(2**62))
            own = changed.rows.filter(pc.greater_equal(at, before.horizon)).select(list(told.entity))
        own = own.select(keys.column_names).cast(keys.schema)
        every = pa.concat_tables([keys, own.filter(is_whole(own.columns))])
        return every.group_by(every.column_names, use_threads=False).aggregate([])

    @property
    def conditions(self) -> list[str]:
        """Of the tiles that a window reaches, now or later."""
        begin = reached(self.table.told, self.now)
        condition = "" if begin is None else not_before(START, begin)
        return [condition] if condition else []

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
        """The rows of those keys that have events which are not before now: as of now, and just after each event."""
        if self._ahead is None:
            return {}
        places = {key: spot for spot, key in enumerate(keys)}
        spots = np.array([places.get(key, -1) for key in self.encoded(self._ahead).to_pylist()], np.int64)
        at, now = _ticks(self._ahead.column(self.table.told.at)), ticks(self.now)
        order = np.lexsort((at, spots))
        events, spots, at = self._ahead.take(pa.array(order)), spots[order], at[order]
        complete = np.flatnonzero(_ticks(tiles.column(START)) < now // DAY * DAY)
        whole_days, codes = tiles.take(pa.array(complete)), codes[complete]
        later = np.unique(np.stack([spots, at + 1])[:, (spots >= 0) & (at >= now)], axis=1)
        asked = np.unique(later[0])
        pairs = np.concatenate([np.stack([asked, np.full(len(asked), now)]), later], axis=1)
        pairs = pairs[:, np.lexsort((pairs[1], pairs[0]))]
        found: dict[int, Rows] = {}
        for first in range(0, pairs.shape[1], AT_ONCE):
            part = pairs[:, first : first + AT_ONCE]
            packed = self._as_of(part, (events, spots, at), (whole_days, codes))
            for (spot, moment), one in zip(part.T.tolist(), packed, strict=True):
                found.setdefault(spot, []).append((moment, one or self._nothing))
        return found

    def _as_of(
        self, pairs: Ints, events: tuple[pa.Table, Ints, Ints], tiles: tuple[pa.Table, Ints]
    ) -> list[bytes | None]:
        """What each pair of a key's spot and a moment comes to: of whole tiles, and of events before the moment.

        Both are in the order of their spots, the events of their times too.
        """
        told = replace(self.table.told, entity=(PAIR,))
        table, spots, at = events
        firsts = np.searchsorted(spots, pairs[0])
        width = int(at.max()) - int(at.min()) + 2
        scale = spots * width + (at - at.min())
        ends = np.searchsorted(scale, pairs[0] * width + np.clip(pairs[1] - at.min(), 0, width - 1))
        made = tiles_of(_repeated(table, firsts, ends), told)
        whole, codes = tiles
        old = _repeated(whole, np.searchsorted(codes, pairs[0]), np.searchsorted(codes, pairs[0], side="right"))
        names = [PAIR, *(name for name in self.columns if name not in self.table.told.entity)]
        every = pa.concat_tables([old.select(names), made.select(names).cast(old.select(names).schema)])
        every = every.sort_by(PAIR)
        return self._packed_at(every, every.column(PAIR).to_numpy(), pairs[1])

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


def _repeated(table: pa.Table, firsts: Ints, ends: Ints) -> pa.Table:
    """The rows from each of ``firsts`` to before its end, with the number of these in PAIR."""
    held = Held(firsts, np.maximum(firsts, ends))
    rows = table.take(pa.array(held.rows))
    return rows.append_column(PAIR, pa.array(np.repeat(np.arange(len(firsts)), held.count)))


def _ticks(column: pa.ChunkedArray) -> Ints:
    return np.asarray(column.cast(pa.int64()).to_numpy(), np.int64)
