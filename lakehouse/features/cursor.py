"""How far a view was published: the text that stands in the online store with the records, and what one publish did."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lakehouse.features.reading import OpenTable


@dataclass(frozen=True)
class Published:
    """One view after a publish."""

    view: str
    table: str
    """The address of its table, or the path."""
    version: int
    """The version of the table that the online store now answers from."""
    rows: int
    """How many keys were written, those that left the table included."""
    why: str
    """What made it write all of them; nothing where just the changed ones were written, or none."""
    seconds: float
    status: Literal["done", "unchanged"]


@dataclass(frozen=True)
class Cursor:
    """The table and version that a view's records were made of."""

    view: str
    table: str
    location: str
    pinned: int | None
    table_id: str
    version: int
    commit: str
    """Which commit made that version: a folder that was put back from a copy may go on otherwise."""
    definition: str
    """Changes when the view's records would."""
    towards: int | None = None
    """The version that a publish was on its way to: some records may be of it already."""
    towards_commit: str = ""
    events_id: str = ""
    """Of window features: the table of their events, the version of it that was read, and as of when."""
    events: int | None = None
    horizon: int | None = None
    """In microseconds since 1970."""

    @property
    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def of(text: str | None) -> Cursor | None:
        """None for no text, and for one of another release: then all is published again."""
        try:
            return None if text is None else Cursor(**json.loads(text))
        except (TypeError, ValueError):
            return None

    def on_the_way(self, after: Cursor) -> Cursor:
        """To be marked before the first record of a version is written."""
        return replace(self.not_before(after), towards=after.version, towards_commit=after.commit)

    def not_before(self, other: Cursor) -> Cursor:
        """With the later horizon of both: as of when it is known of each key without a record that it had nothing."""
        if self.horizon is None or other.horizon is None:
            return self
        return replace(self, horizon=max(self.horizon, other.horizon))

    def holds(self, opened: OpenTable) -> bool:
        """Whether the records are what the table says now: compaction changes none."""
        there = self.table_id == opened.id and opened.changed_at <= self.version <= opened.version
        if self.events is not None:  # an event that is dated ahead may change, and leave its tile as it is
            there = there and self.version == opened.version
        return there and self.towards is None and self.same_history(opened)

    def leads_to(self, opened: OpenTable) -> bool:
        """Whether what changed since can be told: it is the same table, at no earlier version than any record's."""
        return self.table_id == opened.id and max(self.version, self.towards or 0) <= opened.version

    def same_history(self, opened: OpenTable) -> bool:
        """Whether the table's versions up to here are those that records were made of."""
        towards = self.towards is None or self.towards_commit == opened.commit(self.towards)
        return towards and self.commit == opened.commit(self.version)
