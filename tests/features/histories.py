"""Histories of a table, made by delta-rs, and beside each commit the rows in plain Python that it must have left."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from tests.online.stores import START, US

HOUR = timedelta(hours=1)
Key = tuple[int, str]
SUBS = ["", "a", "1'1", "ü\\"]
KEYS: list[Key] = [(number, sub) for number in range(5) for sub in SUBS]
SCHEMA = pa.schema(
    [("id", pa.int64()), ("sub", pa.string()), ("at", US), ("made", US), ("a", pa.int64()), ("b", pa.string())]
)
FEED = "delta.enableChangeDataFeed"


@dataclass(frozen=True)
class Row:
    id: int | None
    sub: str | None
    at: datetime | None
    made: datetime | None
    a: int | None
    b: str | None

    @property
    def key(self) -> tuple[int | None, str | None]:
        return self.id, self.sub


def due(rows: list[Row], key: Key, now: datetime, with_made: bool, content: str) -> Row | None:
    """The row that a key has at a moment: the latest, of those the last made, of those the greatest content."""

    def rank(row: Row) -> tuple[object, ...]:
        made = row.made if with_made else None
        values = [(getattr(row, name) is not None, getattr(row, name)) for name in content]
        return row.at, made is not None, made or START, *((known, value if known else 0) for known, value in values)

    seen = [row for row in rows if row.key == key and row.at is not None and row.at <= now]
    return max(seen, key=rank, default=None)


@dataclass
class History:
    """One table; ``rows`` is what it holds, ``touched`` the keys that commits named since that was last cleared."""

    folder: Path
    draw: random.Random
    feed: bool = True
    rows: list[Row] = field(default_factory=list)
    versions: dict[int, list[Row]] = field(default_factory=dict)
    touched: set[object] = field(default_factory=set)
    told: bool = True
    """Whether the feed tells what changed since ``touched`` was cleared."""

    def __post_init__(self) -> None:
        self.make()

    @property
    def table(self) -> DeltaTable:
        return DeltaTable(self.folder)

    def make(self) -> None:
        """A table made anew, under another id."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.versions, self.told = {}, False
        self.rows = self._some()
        write_deltalake(self.folder, _arrow(self.rows), configuration={FEED: str(self.feed).lower()})
        self._committed(self.rows)

    def step(self) -> str:
        """One commit, or what only looks like one; its name."""
        steps = [self.append] * 4 + [self.merge] * 3 + [self.update] * 2 + [self.delete] * 3
        steps += [self.overwrite, self.restore, self.compact, self.compact, self.clean, self.pause, self.make]
        chosen = self.draw.choice(steps)
        chosen()
        return chosen.__name__

    def append(self) -> None:
        more = self._some(6)
        write_deltalake(self.folder, _arrow(more), mode="append")
        self.rows = self.rows + more
        self._committed(more)

    def merge(self) -> None:
        """Corrections at the same event time, and late rows."""
        known = [row for row in self.rows if None not in (row.id, row.sub, row.at)]
        old = self.draw.sample(known, min(len(known), 2))
        news = {(row.key, row.at): Row(row.id, row.sub, row.at, row.made, *self._content()) for row in old}
        news |= {(row.key, row.at): row for row in self._some(3) if None not in (row.id, row.sub, row.at)}
        more = list(news.values())
        on = "t.id = s.id and t.sub = s.sub and t.at = s.at"
        merge = self.table.merge(_arrow(more), on, source_alias="s", target_alias="t")
        merge.when_matched_update_all().when_not_matched_insert_all().execute()
        there = {(row.key, row.at) for row in self.rows}
        kept = [news.get((row.key, row.at), row) for row in self.rows]
        self.rows = kept + [row for place, row in news.items() if place not in there]
        self._committed(more)

    def update(self) -> None:
        number = self.draw.randrange(5)
        self.table.update({"a": "a + 1"}, predicate=f"id = {number} and a is not null")
        hit = [row.id == number and row.a is not None for row in self.rows]
        changed = [row for row, is_hit in zip(self.rows, hit, strict=True) if is_hit]
        self.rows = [
            Row(row.id, row.sub, row.at, row.made, (row.a or 0) + 1, row.b) if is_hit else row
            for row, is_hit in zip(self.rows, hit, strict=True)
        ]
        self._committed(changed)

    def delete(self) -> None:
        """Keys whole, or just their newest rows, so that an older one is served again."""
        number, since = self.draw.randrange(5), START + self.draw.choice([-30, 5, 12]) * HOUR
        self.table.delete(f"id = {number} and at >= '{since:%Y-%m-%dT%H:%M:%SZ}'")
        gone = [row for row in self.rows if row.id == number and row.at is not None and row.at >= since]
        self.rows = [row for row in self.rows if row not in gone]
        self._committed(gone)

    def overwrite(self) -> None:
        before, self.rows = self.rows, self._some() + self.draw.sample(self.rows, len(self.rows) // 2)
        write_deltalake(self.folder, _arrow(self.rows), mode="overwrite")
        self._committed([*before, *self.rows])

    def restore(self) -> None:
        newest = self.table.version()
        kept = [version for version in self.versions if version < newest]
        if not kept:
            self.append()
            return
        version = self.draw.choice(kept)
        self.table.restore(version)
        before, self.rows = self.rows, self.versions[version]
        self._committed([*before, *self.rows])

    def compact(self) -> None:
        self.table.optimize.compact()
        self._committed([])

    def clean(self) -> None:
        """The files and the log of earlier versions go."""
        table = self.table
        table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        table.create_checkpoint()
        for file in self._log.glob("*.json"):
            if int(file.stem) < table.version():
                file.unlink()
        self.versions = {table.version(): self.rows}
        self.told = False

    def pause(self) -> None:
        """The feed is switched off for one commit, or for good where it never was on."""
        self.table.alter.set_table_properties({FEED: "false"})
        self.append()
        self.table.alter.set_table_properties({FEED: str(self.feed).lower()})
        self.versions[self.table.version()] = self.rows
        self.told = False

    @property
    def _log(self) -> Path:
        return self.folder / "_delta_log"

    def _committed(self, rows: list[Row]) -> None:
        self.touched |= {row.key for row in rows}
        self.versions[self.table.version()] = self.rows
        # A version with the feed off may be restored.
        self.told = self.told and self.table.metadata().configuration.get(FEED) == "true"

    def _some(self, most: int = 12) -> list[Row]:
        return [self._row() for _ in range(self.draw.randrange(1, most + 1))]

    def _row(self) -> Row:
        draw = self.draw
        number, sub = draw.choice(KEYS)
        at = START + draw.randrange(-20, 30) * HOUR + timedelta(microseconds=draw.choice([0, 0, 1]))
        made = draw.choice([None, START + draw.randrange(3) * HOUR])
        if draw.random() < 0.1:
            part = draw.randrange(3)
            return Row(
                None if part == 0 else number, None if part == 1 else sub, None if part == 2 else at, made, 0, ""
            )
        return Row(number, sub, at, made, *self._content())

    def _content(self) -> tuple[int | None, str | None]:
        return self.draw.choice([None, 0, 1, 2**60]), self.draw.choice([None, "", "x"])


def _arrow(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist([row.__dict__ for row in rows], schema=SCHEMA)
