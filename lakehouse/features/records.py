"""The rows of a view's table as records of the online store."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.repo_config import RepoConfig

from lakehouse.errors import StorageError
from lakehouse.features.cursor import Cursor
from lakehouse.features.declared import check_keys
from lakehouse.features.reading import OpenTable
from lakehouse.features.source import DeltaSource, view_source
from lakehouse.features.stored_values import stored_values
from lakehouse.features.windowed import WindowTable
from lakehouse.kernels.asof import latest
from lakehouse.kernels.keys import Ints
from lakehouse.kernels.record import UNKNOWN, Layout, encode
from lakehouse.kernels.times import UTC_TIME
from lakehouse.online.kinds import kind_of
from lakehouse.online.request import view_keys

AT_ONCE = 500_000
"""Rows that are held at a time; of a larger table they are parted on disk first, by key."""
BATCH = 10_000
"""Records that are written at a time."""
SAMPLE = 1000
"""Rows that are looked at, of so many that are held at a time."""
Batch = tuple[list[bytes], list[bytes]]


@dataclass(frozen=True)
class ViewRows:
    """Makes the records of one view out of its table at one version."""

    view: FeatureView
    source: DeltaSource
    opened: OpenTable
    now: datetime
    """Rows up to now are told from those that are due later: the newest of the former and all of the latter count."""

    @staticmethod
    def of(config: RepoConfig, view: FeatureView, now: datetime) -> ViewRows:
        """Open the view's table. Raises NotBuiltError where there is none, DefinitionError for other sources and for
        keys that are not as their entities say.
        """
        from lakehouse.features.window_rows import WindowRows

        source = view_source(view, view.name)
        opened = source.open(config)
        check_keys(view, source, opened)
        if source.windows is None:
            return ViewRows(view, source, opened, now)
        windows = WindowTable.of(source, opened, config)
        windows.require_fit()
        return WindowRows(view, source, opened, now, windows)

    by_feed_alone: ClassVar[bool] = True
    """Whether a key's record may be told by the change feed, without its table."""

    @property
    def fed(self) -> list[str]:
        """The columns that are asked of the change feed."""
        return self.columns

    @cached_property
    def layout(self) -> Layout:
        return Layout(tuple((one.name, kind_of(one.dtype.to_value_type())) for one in self.view.features))

    @property
    def keys(self) -> list[str]:
        """The table's columns of the view's join keys, in the view's order."""
        names = [one.name for one in self.view.entity_columns if one.name != DUMMY_ENTITY_ID]
        return [self.source.stored(name) for name in names]

    @property
    def columns(self) -> list[str]:
        """All columns of the table that records are made of."""
        times = [self.source.timestamp_field, self.source.ordered_by]
        features = [self.source.stored(one.name) for one in self.view.features]
        return list(dict.fromkeys([*self.keys, *(self.source.stored(one) for one in times if one), *features]))

    def everything(self, ordered: bool) -> Iterator[Batch]:
        """The records of all keys, in batches of bounded size; no key comes twice. ``ordered``: by key, mostly."""
        self.opened.require(self.columns, f"published by '{self.view.name}'")
        parts = -(-self.opened.rows // AT_ONCE)
        if parts <= 1 or not self.keys:
            yield from self.batches(self.opened.read(self.columns, condition=" and ".join(self.conditions)), ordered)
            return
        folder = Path(tempfile.mkdtemp(prefix="lakehouse-publish-"))
        try:
            for file in self._parted(folder, parts):
                with pa.memory_map(str(file)) as mapped:
                    yield from self.batches(pa.ipc.open_stream(mapped).read_all(), ordered)
                file.unlink()
        except OSError as error:
            raise StorageError(f"{folder} can't be written: {error}", hint="Set TMPDIR to a disk with room.") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def more_of_cursor(self) -> dict[str, Any]:
        """What the cursor says beside the table's version."""
        return {}

    @property
    def conditions(self) -> list[str]:
        """SQL: what rows must fulfil to be of use."""
        return []

    def with_stirred(self, keys: pa.Table, before: Cursor) -> pa.Table:
        """The keys whose rows changed, and those whose records changed for another reason."""
        return keys

    def of_keys(self, keys: pa.Table) -> Iterator[tuple[list[bytes], list[bytes], list[bytes]]]:
        """Of some keys the records of those that the table has, and the keys that it has not: (keys, records, gone).

        ``keys`` has the table's columns of the join keys.
        """
        for start in range(0, keys.num_rows, AT_ONCE):
            part = keys.slice(start, AT_ONCE)
            found = []
            for there, records in self.batches(self.opened.read_where(self.columns, part, self.conditions)):
                found.append(pa.array(there, pa.large_binary()))
                yield there, records, []
            encoded = self.encoded(part).unique().drop_null()
            known = pa.chunked_array(found, pa.large_binary())
            yield [], [], encoded.filter(pc.invert(pc.is_in(encoded, value_set=known))).to_pylist()

    def batches(self, table: pa.Table, ordered: bool = False) -> Iterator[Batch]:
        """The records of the keys of some rows, which are all that these keys have."""
        spots, counts = self._kept(table, ordered)
        starts = np.concatenate([[0], np.cumsum(counts)])
        for first in range(0, len(counts), BATCH):
            part = counts[first : first + BATCH]
            rows = table.take(pa.array(spots[starts[first] : starts[first + len(part)]]))
            events, created = self.times(rows)
            single = len(rows) == len(part)
            firsts = starts[first : first + len(part)] - starts[first]
            keys = self.encoded(rows).take(pa.array(firsts)).to_pylist()
            records = encode(
                self.layout, self._packed(rows), events, created, self.opened.version, None if single else part
            )
            yield keys, records

    def _kept(self, table: pa.Table, ordered: bool) -> tuple[Ints, Ints]:
        """The positions of the rows that records hold, those of a key together and by event time; each key's number."""
        time = table.column(self.source.stored(self.source.timestamp_field))
        due = pc.fill_null(pc.less_equal(time, pa.scalar(self.now, UTC_TIME)), True)
        keys = [table.column(name) for name in self.keys]
        if pc.all(due).as_py() in (True, None):
            spots = self._newest(table, keys)
            if ordered and keys:
                order = pc.sort_indices(self.encoded(table.select(self.keys).take(pa.array(spots))))
                spots = spots[order.to_numpy()]
            return spots, np.ones(len(spots), np.int64)
        now, later = (np.flatnonzero(one.to_numpy(zero_copy_only=False)) for one in (due, pc.invert(due)))
        up_to_now, after = table.take(pa.array(now)), table.take(pa.array(later))
        newest = now[self._newest(up_to_now, [up_to_now.column(name) for name in self.keys])]
        times = after.column(self.source.stored(self.source.timestamp_field))
        waiting = later[self._newest(after, [*(after.column(name) for name in self.keys), times])]
        spots = np.concatenate([newest, waiting])
        codes = pc.dictionary_encode(self.encoded(table.take(pa.array(spots)))).indices.to_numpy()
        ticks = time.take(pa.array(spots)).cast(pa.int64()).to_numpy()
        order = np.lexsort((ticks, codes))
        _, counts = np.unique(codes, return_counts=True)
        return spots[order], counts

    def _newest(self, table: pa.Table, keys: Sequence[pa.ChunkedArray]) -> Ints:
        created = self.source.ordered_by
        names = list(dict.fromkeys(self.source.stored(one.name) for one in self.view.features))
        return latest(
            keys,
            table.column(self.source.stored(self.source.timestamp_field)),
            created=table.column(self.source.stored(created)) if created else None,
            content=lambda spots: table.select(names).take(pa.array(spots)),
        )

    def encoded(self, table: pa.Table) -> pa.Array:
        """The key of each row, as the store has it."""
        names = [one.name for one in self.view.entity_columns]
        empty = pa.array([""] * table.num_rows)
        columns = [empty if name == DUMMY_ENTITY_ID else table.column(self.source.stored(name)) for name in names]
        return view_keys(self.view).of_columns(columns, table.num_rows)

    def times(self, rows: pa.Table) -> tuple[Ints, Ints]:
        """The event and the created time of each row: microseconds since 1970, UNKNOWN for null."""
        names = (self.source.timestamp_field, self.source.ordered_by)
        events, created = (
            pc.fill_null(rows.column(self.source.stored(name)).cast(UTC_TIME).cast(pa.int64()), UNKNOWN).to_numpy()
            if name
            else np.full(rows.num_rows, UNKNOWN)
            for name in names
        )
        return events, created

    def _packed(self, rows: pa.Table) -> pa.Table:
        """The features in the types that records are encoded from."""
        columns, names = [], []
        for one in self.view.features:
            column = rows.column(self.source.stored(one.name))
            columns.append(stored_values(column, one.dtype, f"{self.view.name}: '{one.name}'"))
            names.append(one.name)
        return pa.table(columns, names=names) if columns else rows.select([])

    def _parted(self, folder: Path, parts: int) -> list[Path]:
        """The table's rows in files, by ranges of keys: all rows of a key in one. A key with a null is none."""
        bounds = self._bounds(parts)
        files = [folder / f"{number}.arrow" for number in range(parts)]
        with ExitStack() as opened:
            writers: list[pa.ipc.RecordBatchStreamWriter] = []
            for table in self._gathered():
                if not writers:
                    writers = [opened.enter_context(pa.ipc.new_stream(str(file), table.schema)) for file in files]
                keys = self.encoded(table)
                places = bounds.search_sorted(pl.Series(values=keys), side="right").to_numpy()
                places = np.where(keys.is_valid(), places, parts)
                order = np.argsort(places, kind="stable")
                ends = np.searchsorted(places[order], np.arange(1, parts + 1))
                rows = table.take(pa.array(order[: ends[-1]]))
                for writer, start, end in zip(writers, [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
                    writer.write_table(rows.slice(start, end - start))
        return files if writers else []

    def _bounds(self, parts: int) -> pl.Series:
        """The keys at which ranges begin that have the same number of rows, as far as a sample tells."""
        step = max(1, AT_ONCE // SAMPLE)
        seen = [
            self.encoded(batch.take(pa.array(range(0, len(batch), step))))
            for batch in self.opened.stream(self.keys, self.conditions)
        ]
        found = pl.Series(values=pa.chunked_array(seen, pa.large_binary()).drop_null()).sort()
        return found.gather(np.arange(1, parts) * len(found) // parts) if len(found) else found

    def _gathered(self) -> Iterator[pa.Table]:
        """The table's rows, so many at a time that it's little work to part them."""
        waiting: list[pa.RecordBatch] = []
        for batch in self.opened.stream(self.columns, self.conditions):
            waiting.append(batch)
            if sum(len(one) for one in waiting) >= AT_ONCE // 10:
                yield pa.Table.from_batches(waiting).combine_chunks()
                waiting = []
                _give_back()
        if waiting:
            yield pa.Table.from_batches(waiting).combine_chunks()


def _give_back() -> None:
    """Freed memory goes back to the system: of what delta-rs's threads freed, glibc keeps as much as they ever had."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
