"""What a range of a table's commits touched, by its change feed and without a JVM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from lakehouse.delta.feed import NoFeedError, read_feed, unreadable
from lakehouse.features.reading import OpenTable, in_plain_types, plain_type
from lakehouse.quality.literals import column

__all__ = ["Changes", "NoFeedError", "changes"]
MOST = 1_000_000
"""Rows of a feed that are held at a time, beside the distinct keys."""
KIND = "_change_type"


@dataclass(frozen=True)
class Changes:
    """The rows that came, went or became others: as they were, and as they were made."""

    keys: pa.Table
    """The distinct keys of all of them."""
    rows: pa.Table | None
    """All of them; None where they are too many to be held."""

    def came(self) -> pa.Table:
        return self._of("insert", "update_postimage")

    def went(self) -> pa.Table:
        return self._of("delete", "update_preimage")

    def _of(self, *kinds: str) -> pa.Table:
        assert self.rows is not None
        return self.rows.filter(pc.is_in(self.rows.column(KIND), value_set=pa.array(kinds)))


def changes(opened: OpenTable, after: int, keys: Sequence[str], columns: Sequence[str]) -> Changes:
    """What became of the table's rows after a version, up to the opened one; ``columns`` has the ``keys`` among others.

    Raises NoFeedError, which says why, where the feed does not tell: the log was cleaned up, the feed was off, the
    columns are others now, or rows were deleted in place.
    """
    if not keys:
        raise NoFeedError("has no key to look for")
    names = [*columns, KIND]
    try:
        if (batches := _feed(opened, after, names)) is None:
            return Changes(opened.schema.empty_table().select(list(keys)), None)
        kinds = pa.schema([pa.field(name, plain_type(batches.schema.field(name).type)) for name in names])
        found, whole = kinds.empty_table().select(list(keys)), True
        waiting: list[pa.RecordBatch] = []
        for batch in batches:
            waiting.append(in_plain_types(batch, names))
            if sum(one.num_rows for one in waiting) > max(MOST, found.num_rows):
                found, waiting, whole = _distinct(found, pa.Table.from_batches(waiting)), [], False
    except (DeltaError, pa.ArrowException, OSError) as error:
        raise unreadable(error) from error
    rows = pa.Table.from_batches(waiting, kinds)
    return Changes(_distinct(found, rows), rows if whole else None)


def inserted(opened: OpenTable, after: int, columns: Sequence[str], most: int) -> pa.Table:
    """The rows that were added after a version, in the types that the table has them in.

    Raises NoFeedError as :func:`changes`, and where rows changed or went as well, or there are more than ``most``.
    """
    schema, found = opened.stored(columns), list[pa.RecordBatch]()
    try:
        for batch in _feed(opened, after, [*columns, KIND]) or ():
            if not pc.all(pc.equal(batch.column(KIND).cast(pa.string()), "insert")).as_py():
                raise NoFeedError("had rows changed")
            found.append(batch.select(list(columns)))
            if sum(one.num_rows for one in found) > most:
                raise NoFeedError(f"had more than {most:,} rows added")
        return pa.Table.from_batches(found).cast(schema) if found else schema.empty_table()
    except (DeltaError, pa.ArrowException, OSError) as error:
        raise unreadable(error) from error


def _feed(opened: OpenTable, after: int, names: Sequence[str]) -> pa.RecordBatchReader | None:
    """These columns of the rows that changed after a version; None where the log says that none did."""
    if "://" not in opened.location:
        feed = read_feed(Path(opened.location), after, opened.version)
        if not feed.moved:
            return None
        if feed.in_place:
            raise NoFeedError("had rows deleted in place")
    quoted = [column(name).duckdb for name in names]
    stream = opened.delta.load_cdf(starting_version=after + 1, ending_version=opened.version, columns=quoted)
    return pa.RecordBatchReader.from_stream(stream)


def _distinct(found: pa.Table, rows: pa.Table) -> pa.Table:
    every = pa.concat_tables([found, rows.select(found.column_names)])
    return every.group_by(every.column_names, use_threads=False).aggregate([])
