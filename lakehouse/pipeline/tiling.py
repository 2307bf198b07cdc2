"""Tiles of few new events, merged in this process into those that are there: all that most builds of tiles have to do.

What is more, or was changed or deleted, Spark makes anew, day by day.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.config import Project
from lakehouse.delta import Commit
from lakehouse.delta.difference import CHANGE, require_written
from lakehouse.delta.feed import NoFeedError
from lakehouse.delta.few import MOST, MOST_THERE, sum_up, takes_few, write_rows
from lakehouse.errors import DefinitionError, StorageError
from lakehouse.features.events import Events
from lakehouse.features.reading import OpenTable, open_table
from lakehouse.gold import receipts
from lakehouse.gold.building import Built
from lakehouse.gold.planning import Work
from lakehouse.kernels.aggregations import START, Aggregations
from lakehouse.kernels.merging import LateError, Since, merged_tiles, ordered
from lakehouse.kernels.times import ticks
from lakehouse.quality.gate import Gate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.tables import Table

MOST_SINCE = 1_000_000
"""Events that are read again for what comes last, by what the log says of their files."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def merge_events(session: SparkSession, project: Project, table: Table, work: Work, now: datetime) -> Built | None:
    """Merge the events that came since the last build into the table's tiles, in one commit that is made at most once.

    None where that is left to Spark: nothing is written then but the receipt, which the build writes again.
    """
    told = table.windows
    if told is None or work.action != "update" or work.since is None or work.state is None or table.expect:
        return None
    path = project.path(table.address)
    tiles = OpenTable(work.state.table, table.address, str(path))
    if not takes_few(work.state.table, path, 0) or tiles.rows > MOST_THERE:
        return None
    events = Events(told, open_table(str(project.path(told.of)), told.of, work.versions[told.of]))
    try:
        new = events.new_since(work.since[told.of], MOST)
        merged = _merged(told, tiles, events, new)
    except (NoFeedError, LateError, DefinitionError, StorageError, OverflowError):  # the last: a time beyond Python's
        return None  # Spark's build can it, or says what is wrong
    if merged is None or not takes_few(work.state.table, path, merged.num_rows):
        return None
    gate = Gate(table.address, table.key, (), now, {"versions": work.versions})
    counts = dict(Counter(merged.column(CHANGE).to_pylist()))
    receipts.record(session, project.state(table.address), table, work, gate)
    commit = Commit(work.origin, work.cursor, f"merged {new.num_rows:,} events of {told.of} v{work.versions[told.of]}")
    written = write_rows(session, work.state.table, merged, table.key, counts, CHANGE, commit)
    if written is None:
        return None
    require_written(session, path, counts, written)
    sum_up(session, path)
    rows, why = merged.num_rows, f"{new.num_rows:,} new events merged"
    return Built(rows, written.get("inserted", 0), written.get("updated", 0), 0, {}, why)


def _merged(told: Aggregations, tiles: OpenTable, events: Events, new: pa.Table) -> pa.Table | None:
    """The tiles that become others, with what becomes of each; None where too many events would be read again."""
    _, at, known = ticks(new.column(told.at))
    if not known.any():
        return None
    first, last = (EPOCH + timedelta(microseconds=int(end)) for end in (at[known].min(), at[known].max()))
    since = None
    if ordered(told):
        if events.opened.rows_since(told.at, first) > MOST_SINCE:
            return None
        since = Since(int(at[known].min()), events.read(None, (first, None)))
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)  # no tile is longer than a day
    old = tiles.read(tiles.schema.names, time=START, start=midnight, end=last)
    found, there = merged_tiles(told, old, new, since)
    what = pc.if_else(pa.array(there), "updated", "inserted")
    return found.append_column(CHANGE, what)
