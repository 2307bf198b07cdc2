"""What was known when: training rows that see a value only if it was known by then.

``with known_by(): job = store.get_historical_features(…)`` asks for it; see :func:`known_by`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from feast.repo_config import RepoConfig

from lakehouse.delta.state import TableState
from lakehouse.errors import DefinitionError, UsageError
from lakehouse.features.reading import OpenTable, open_table
from lakehouse.features.seeing import FROM, UNTIL, Knowing
from lakehouse.features.source import DeltaSource, project_of
from lakehouse.kernels.times import UTC_TIME
from lakehouse.tables.beside import ORIGIN

UPTO = "_upto"


@dataclass(frozen=True)
class Asked:
    """By when what is seen must have been known."""

    moment: datetime | None
    """In UTC; None: by the time of each entity row."""


_ASKED: ContextVar[Asked | None] = ContextVar("known_by", default=None)


@contextmanager
def known_by(moment: datetime | None = None) -> Iterator[None]:
    """Within it, ``get_historical_features`` sees a row only if it was known by the time of the entity row.

    With a ``moment`` (UTC where naive), only if it was known by that moment: what a training set made then would have
    held. Knowledge is exact or refused, when the features are asked for. It is exact for a silver table
    with ``keep_versions=True`` (from when its batch landed until it was replaced or deleted) and for a source that
    names its own column, ``DeltaSource(known_at=…)``. Of the first, the first load, and of both what was known by
    ``backfilled_until`` counts as known at its event time; the job's ``notes`` say how many rows.
    """
    if moment is not None:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    token = _ASKED.set(Asked(moment))
    try:
        yield
    finally:
        _ASKED.reset(token)


def asked() -> Asked | None:
    """What the code that calls asks for; None: what is known now."""
    return _ASKED.get()


Read = Callable[[OpenTable, list[str], str], pa.Table]
"""How to read columns of a table, under one more condition in SQL."""


@dataclass(frozen=True)
class Known:
    """A table with when each of its rows was known."""

    name: str
    """The view's."""
    source: DeltaSource
    opened: OpenTable
    by: datetime | None
    ended: tuple[tuple[OpenTable, int], ...] = ()
    """Tables with the rows that ended, and up to which batch they belong to this version."""

    @property
    def since(self) -> str:
        """The table's column with when a row was known."""
        own = self.source.known_at
        return self.source.stored(own) if own else FROM

    def rows(self, columns: list[str], time: str, read: Read) -> tuple[pa.Table, str]:
        """The rows with FROM and UNTIL (UTC; null: it still holds), and what is to be said of them."""
        table = read(self.opened, [*columns, time, self.since], "")
        missing = table.column(self.since).null_count
        parts = [table.append_column(UNTIL, pa.nulls(table.num_rows, UTC_TIME))]
        for kept, upto in self.ended:
            gone = read(kept, [*columns, time, self.since, UNTIL], f"{UPTO} <= {upto}")
            parts.append(gone.select(parts[0].column_names))
        table = pa.concat_tables(parts)

        def least(tables: Sequence[OpenTable]) -> datetime | None:
            firsts = [pc.min(one.read([FROM]).column(FROM)).as_py() for one in tables]
            return min((one for one in firsts if one is not None), default=None)

        knowing = self.knowing(least)
        early = 0
        if knowing.backfilled is not None:
            since = table.column(self.since).cast(UTC_TIME)
            early = pc.sum(pc.less_equal(since, pa.scalar(knowing.backfilled, UTC_TIME))).as_py() or 0
        said = self.told(missing, early)
        return knowing.of(table, time), said

    def knowing(self, least: Callable[[Sequence[OpenTable]], datetime | None]) -> Knowing:
        """``least`` finds the first FROM of some tables: up to then what was known is a first load."""
        found = [self.source.backfilled_until]
        if not self.source.known_at:
            found.append(least([self.opened, *(kept for kept, _ in self.ended)]))
        return Knowing(self.since, max((one for one in found if one is not None), default=None), self.by)

    def told(self, missing: int, early: int) -> str:
        """What is to be said of rows that were read: how many have no ``since``, how many are of a backfill.

        Raises DefinitionError where one has none.
        """
        if missing:
            raise DefinitionError(
                f"'{self.name}': {missing} row(s) of {self.opened.label} have no '{self.since}', so when they were "
                "known can't be said",
                hint="Fill it in, or ask without known_by().",
            )
        if not early:
            return ""
        return f"'{self.name}': {early} row(s) of a first load or backfill count as known at their event time"


def knowledge(name: str, source: DeltaSource, opened: OpenTable, config: RepoConfig, wish: Asked) -> Known:
    """How to read the table as it was known. Raises UsageError where that can't be said exactly."""
    found = Known(name, source, opened, wish.moment)
    if source.known_at:
        opened.require([source.stored(source.known_at)], f"known_at of the source '{source.name}'")
        return found
    if source.table is None or not source.table.startswith("silver.") or FROM not in opened.schema.names:
        raise UsageError(
            f"'{name}': {opened.label} doesn't say when its rows were known, nor what was known before them",
            hint="known_by() needs a silver table with keep_versions=True, or DeltaSource(path=…, known_at=COLUMN) of "
            "a table that keeps every version of a row.",
        )
    state = TableState(
        opened.id, opened.version, dict(opened.delta.metadata().configuration), {}, opened.delta, Path(opened.location)
    )
    memory = project_of(config).state(source.table)
    ended = []
    for folder in sorted(memory.parent.glob(f"{memory.name}.versions.*")):
        kept = open_table(str(folder), f"versions of {source.table}")
        origin = kept.delta.metadata().configuration.get(ORIGIN) or ""
        cursor = state.cursor(origin) if origin.endswith(state.made_under) else None
        if cursor is not None:  # of this content, and not of a commit that is not made yet
            ended.append((kept, cursor))
    return replace(found, ended=tuple(ended))
