"""The tables behind window features: their tiles, and the events that these were made of, each at one version."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from feast.repo_config import RepoConfig

from lakehouse.delta.state import TableState, read_state
from lakehouse.errors import NotBuiltError
from lakehouse.features.events import Events, Within
from lakehouse.features.reading import OpenTable, open_table
from lakehouse.features.source import DeltaSource, project_of
from lakehouse.kernels.aggregations import START, Aggregations
from lakehouse.kernels.answers import Answers, answers
from lakehouse.kernels.keys import Column
from lakehouse.kernels.measures import types_of
from lakehouse.kernels.tiles import tile_columns
from lakehouse.kernels.windows import SECOND
from lakehouse.tables.notes import made_from, receipt_of

FEWER = 4
"""Tiles are read for training where there are so many times fewer of them than of events."""


@dataclass(frozen=True)
class Reach:
    """What is read for some features at points of some time."""

    told: Aggregations
    """With just these features."""
    events: Within
    tiles: Within | None
    """None: all comes from events."""

    @property
    def tile_columns(self) -> list[str]:
        """The columns that are needed of tiles."""
        return tile_columns(self.told)


@dataclass(frozen=True)
class WindowTable:
    """What window features are computed from."""

    told: Aggregations
    tiles: OpenTable
    events: Events
    made_by: Aggregations | None
    """What the tiles were made for; None where nothing says so."""

    @staticmethod
    def of(source: DeltaSource, tiles: OpenTable, config: RepoConfig) -> WindowTable:
        """Open the events at the version that the tiles were made of.

        Raises NotBuiltError where nothing says which that was, StorageError where it is gone.
        """
        told, version, made_by = source.windows, source.events_version, None
        assert told is not None
        if version is None:
            version, made_by = made_of(source, tiles, config)
        else:
            with suppress(NotBuiltError):
                made_by = made_of(source, tiles, config)[1]
        hint = f"Run: lakehouse run --select +{source.table}"
        opened = open_table(str(project_of(config).path(told.of)), told.of, version, hint)
        return WindowTable(told, tiles, Events(told, opened), made_by)

    @property
    def fits(self) -> bool:
        """Whether the tiles were made for these features: by a build since the definition changed."""
        return self.made_by is not None and self.told.part_of(self.made_by)

    def require_fit(self) -> None:
        """Raise NotBuiltError where the tiles are another definition's."""
        if not self.fits:
            raise NotBuiltError(
                f"the tiles of {self.tiles.label} were made by another definition of its windows",
                hint=f"Run: lakehouse run --select {self.tiles.label}",
            )

    def check(self) -> None:
        """Raise DefinitionError for a column of the events that is not there, or that can't be computed with."""
        types_of(self.told, self.events.types)

    @cached_property
    def types(self) -> dict[str, pa.DataType]:
        """The type of each feature."""
        return types_of(self.told, self.events.types)

    def reach(self, features: Sequence[str], span: Within, tiled: bool | None = None) -> Reach:
        """What is read for the features at points of a ``span``: from the first to the last time.

        ``tiled`` says whether whole hops come from tiles; None: where that reads much less.
        """
        told = replace(self.told, features=tuple(one for one in self.told.features if one.name in features))
        if tiled is None:
            tiled = self.fits and self.tiles.rows * FEWER < self.events.opened.rows
        first, last = span
        begin = None if first is None else reached(told, first)
        if not tiled:
            return Reach(told, (begin, last), None)
        head = None if first is None else earlier(first, max(told.hops) * SECOND)
        return Reach(told, (head, last), (begin, last))

    def answers(
        self, asked: Sequence[Column], times: Column, features: Sequence[str], span: Within, tiled: bool | None = None
    ) -> Answers:
        """The features at each point, a key in the order of the entity and a time; see :meth:`reach`."""
        reach = self.reach(features, span, tiled)
        tiles = None
        if reach.tiles is not None:
            start, end = reach.tiles
            tiles = self.tiles.read(reach.tile_columns, time=START, start=start, end=end)
        return answers(reach.told, asked, times, self.events.read(asked, reach.events), tiles)


def reached(told: Aggregations, time: datetime) -> datetime | None:
    """No window that ends at a time or later reaches further back; None: there is no bound."""
    longest = told.longest
    return None if longest is None else earlier(time, (longest.length or 0) + longest.hop)


def earlier(time: datetime, micros: int) -> datetime | None:
    """So much before, as far as the calendar goes: None is beyond it."""
    try:
        return time - timedelta(microseconds=micros)
    except OverflowError:
        return None


def made_of(source: DeltaSource, tiles: OpenTable, config: RepoConfig) -> tuple[int, Aggregations]:
    """Which version of the events the tiles were made of, and for which features: what their table remembers of its
    builds. Raises NotBuiltError where nothing says so.
    """
    told, address = source.windows, source.table
    assert told is not None and address is not None
    project, hint = project_of(config), f"Run: lakehouse run --select {address}"
    beside, events = read_state(project.state(address)), read_state(project.path(told.of))
    said = dict(tiles.delta.metadata().configuration)
    state = TableState(tiles.id, tiles.version, said, {}, tiles.delta, Path(tiles.location))
    if state.restored:  # its cursor is that of rows which are gone
        raise NotBuiltError(f"{address} was restored to an older version since its last build", hint=hint)
    receipt = None
    if beside is not None and events is not None:
        origin = made_from(address, {told.of: events.id}, state.epoch, state.fingerprint)
        cursor = state.cursor(origin)
        receipt = None if cursor is None else receipt_of(beside, origin, cursor)
    if receipt is None or "windows" not in receipt:
        raise NotBuiltError(f"nothing says which version of {told.of} the tiles of {address} were made of", hint=hint)
    return int(receipt["versions"][told.of]), Aggregations.of_text(receipt["windows"])
