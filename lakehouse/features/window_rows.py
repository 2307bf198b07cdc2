"""The tiles of a windowed view as records of the online store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from lakehouse.errors import DefinitionError
from lakehouse.features.changed import NoFeedError, changes
from lakehouse.features.cursor import Cursor
from lakehouse.features.reading import not_before
from lakehouse.features.records import BATCH, Batch, ViewRows
from lakehouse.features.windowed import WindowTable, reached
from lakehouse.kernels.aggregations import START
from lakehouse.kernels.ahead import rows_of
from lakehouse.kernels.keys import Ints, is_whole
from lakehouse.kernels.record import UNKNOWN, Layout, encode
from lakehouse.kernels.slides import Plan
from lakehouse.kernels.tiles import tile_columns
from lakehouse.online.kinds import ticks


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
        """Those too of which an event changed: a record holds those that were dated after its publish one by one, and a
        tile stays as it is where one moves within it."""
        events, told = self.table.events.opened, self.table.told
        if before.events is None or before.events > events.version:
            raise NoFeedError("does not say which events were published")
        own = changes(events, before.events, told.entity, told.entity).keys.select(keys.column_names).cast(keys.schema)
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
        now, types = ticks(self.now), self.table.events.types
        ahead = None
        if self._ahead is not None:
            places = {key: spot for spot, key in enumerate(keys)}
            spots = [places.get(key, -1) for key in self.encoded(self._ahead).to_pylist()]
            ahead = self._ahead, np.array(spots, np.int64)
        try:
            rows = rows_of(self.plan, (tiles, codes), ahead, now, len(keys), types)
        except DefinitionError as error:  # a sum that is too large, now or when the first events have left the window
            raise DefinitionError(f"{self.view.name}: from now on {error.message}", hint=error.hint) from error
        kept = [spot for spot, own in enumerate(rows) if own]
        flat = [one for spot in kept for one in rows[spot]]
        counts = np.array([len(rows[spot]) for spot in kept], np.int64)
        events = np.array([at for at, _ in flat], np.int64)
        column = pa.table([pa.array([one for _, one in flat], pa.large_binary())], names=[self.layout.fields[0][0]])
        version, unknown = self.opened.version, np.full(len(flat), UNKNOWN)
        return [keys[spot] for spot in kept], encode(self.layout, column, events, unknown, version, counts)

    @cached_property
    def _ahead(self) -> pa.Table | None:
        """The events since the beginning of today, where some are dated ahead; None where none is."""
        today = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        newest = self.table.events.read(None, (self.now, None))
        if not newest.num_rows:
            return None
        return self.table.events.read(None, (today, None))
