"""Which row of a view an entity row sees: the one question that training asks, wherever it is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.asof import asof_join
from lakehouse.kernels.keys import Column, Ints
from lakehouse.kernels.ties import Content
from lakehouse.kernels.times import UTC_TIME

FROM, UNTIL = "_known_from", "_known_until"
NAIVE = pa.timestamp("us")


@dataclass(frozen=True)
class Knowing:
    """From when to when rows hold, by what a table says of itself."""

    since: str
    """The table's column with when a row was known."""
    backfilled: datetime | None
    """Rows that were known by then are a first load or a backfill: they count as known at their event time."""
    by: datetime | None
    """By when rows must have been known; None: by the time of each entity row."""

    def of(self, table: pa.Table, time: str) -> pa.Table:
        """The rows with FROM, in UTC; with ``by`` just those that held then. They come with ``since`` and UNTIL."""
        since, at = table.column(self.since).cast(UTC_TIME), table.column(time)
        if self.backfilled is not None:
            since = pc.if_else(pc.less_equal(since, pa.scalar(self.backfilled, UTC_TIME)), at, since)
        if FROM in table.column_names:
            table = table.set_column(table.column_names.index(FROM), FROM, since)
        else:
            table = table.append_column(FROM, since)
        if self.by is None:
            return table
        by, until = pa.scalar(self.by, UTC_TIME), table.column(UNTIL)
        return table.filter(pc.and_(pc.less_equal(since, by), pc.fill_null(pc.greater(until, by), True)))


@dataclass(frozen=True)
class Sight:
    """How entity rows look at the rows of one view. Names are the table's."""

    keys: tuple[str, ...]
    time: str
    created: str | None
    """What orders rows of one event time."""
    telling: tuple[str, ...]
    """The columns of all the view's features: they break ties, whichever features are asked for."""
    ttl: timedelta | None
    by_created: bool = False
    """Whether rows that were created after the time of an entity row are not seen by it."""
    by_known: bool = False
    """Whether rows that were known after the time of an entity row (the column FROM) are not seen by it."""
    ends: bool = False
    """Whether rows end, at their UNTIL."""

    def spots(self, keys: Sequence[Column], times: Column, table: pa.Table, content: Content | None = None) -> Ints:
        """For each entity row the position of the row of the table that it sees, -1 for none.

        ``content`` stands in for the columns that break ties. See :func:`lakehouse.kernels.asof_join`.
        """
        since = table.column(FROM) if self.by_known else None
        if self.by_created:
            made = table.column(self.created)
            if since is not None:
                # In UTC without saying so: Arrow has no such function of times with a zone.
                made = pc.max_element_wise(since.cast(NAIVE), made.cast(NAIVE), skip_nulls=False)
            since = made
        return asof_join(
            keys,
            times,
            [table.column(name) for name in self.keys],
            table.column(self.time),
            created=table.column(self.created) if self.created else None,
            content=content or content_of(table, self.telling),
            ttl=self.ttl,
            known_from=since,
            known_until=table.column(UNTIL) if self.ends else None,
        )


def content_of(table: pa.Table, columns: Sequence[str]) -> Content:
    """The rows of a table that are asked for, with these columns."""
    return lambda spots: table.select(list(dict.fromkeys(columns))).take(pa.array(spots))
