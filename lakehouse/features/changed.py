"""Which keys of a table a range of its commits touched, by its change feed and without a JVM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from deltalake.exceptions import DeltaError

from lakehouse.delta.feed import NoFeedError, read_feed, unreadable
from lakehouse.features.reading import OpenTable, plain_type
from lakehouse.quality.literals import column

__all__ = ["NoFeedError", "changed_keys"]
MOST = 1_000_000
"""Rows of a feed that are held at a time, beside the distinct keys."""


def changed_keys(opened: OpenTable, after: int, keys: Sequence[str]) -> pa.Table:
    """The distinct keys of all rows that came, went or became others after a version, up to the opened one.

    Raises NoFeedError, which says why, where the feed does not tell: the log was cleaned up, the feed was off, the
    columns are others now, or rows were deleted in place.
    """
    if not keys:
        raise NoFeedError("has no key to look for")
    if "://" not in opened.location:
        feed = read_feed(Path(opened.location), after, opened.version)
        if not feed.moved:
            return opened.schema.empty_table().select(list(keys))
        if feed.in_place:
            raise NoFeedError("had rows deleted in place")
    try:
        quoted = [column(name).duckdb for name in keys]
        stream = opened.delta.load_cdf(starting_version=after + 1, ending_version=opened.version, columns=quoted)
        batches = pa.RecordBatchReader.from_stream(stream)
        kinds = pa.schema([pa.field(name, plain_type(batches.schema.field(name).type)) for name in keys])
        found = kinds.empty_table()
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            waiting.append(batch.select(list(keys)).cast(kinds))
            if sum(one.num_rows for one in waiting) > max(MOST, found.num_rows):
                found, waiting = _distinct([found, pa.Table.from_batches(waiting)]), []
    except (DeltaError, pa.ArrowException, OSError) as error:
        raise unreadable(error) from error
    return _distinct([found, pa.Table.from_batches(waiting, kinds)])


def _distinct(tables: list[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(tables)
    return whole.group_by(whole.column_names, use_threads=False).aggregate([])
