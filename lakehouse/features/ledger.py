"""Publishing to an online store that is not ours, by Feast's own interface: how far it came stands in a file beside it.

What such a store can't do, it can't do for us either: it can't take a key back (a key that left its table gets nulls),
it is never read back, and when it was emptied or replaced by an older copy nobody notices: delete the ledger then. Some
(Feast's Redis) keep a row of an event time that is not before the new one's: there a correction does not arrive.

A row that is dated ahead is written by the first publish after its time has come.
"""

from __future__ import annotations

import fcntl
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from feast.feature_view import FeatureView
from feast.infra.key_encoding_utils import deserialize_entity_key
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig

from lakehouse.errors import LockedError, OnlineStoreError
from lakehouse.kernels.reader import Reader
from lakehouse.kernels.record import HEADER, UNKNOWN, Layout, layout_of, tombstone
from lakehouse.online.kinds import Conversion, moment, ticks
from lakehouse.online.request import view_id
from lakehouse.online.store import Row

HEAD = """
CREATE TABLE IF NOT EXISTS published (view TEXT PRIMARY KEY, cursor TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS written (
    view TEXT, key BLOB, refresh TEXT NOT NULL, due INTEGER, record BLOB, PRIMARY KEY (view, key)
) WITHOUT ROWID;
"""
"""``written``: every key that the store may have; the record and when it is due where that has a row dated ahead."""


def ledger_file(config: RepoConfig) -> Path:
    """Where the ledger of a Feast repository is: ``ledger`` of the engine, else .lakehouse/published.db in it."""
    named = (config.batch_engine_config or {}).get("ledger") if isinstance(config.batch_engine_config, dict) else None
    folder = Path(config.repo_path) if config.repo_path is not None else Path.cwd()
    return folder / str(named or Path(".lakehouse") / "published.db")


@contextmanager
def feast_publication(
    config: RepoConfig, store: Any, view: FeatureView, layout: Layout, now: datetime
) -> Iterator[FeastPublication]:
    """Publish a view to a store of Feast's, as of ``now``. Raises LockedError where another process of this machine
    does.
    """
    file = ledger_file(config)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.with_name(f".{file.name}.lock").open("w")
    except OSError as error:
        raise _unusable(file, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LockedError(f"{file}: another run is publishing", hint="Run again when it is done.") from error
        try:
            with closing(sqlite3.connect(file, isolation_level=None)) as ledger:
                ledger.executescript(HEAD)
                publication = FeastPublication(config, store, view, layout, ledger, now)
                publication.write_due()
                yield publication
        except sqlite3.Error as error:
            raise _unusable(file, error) from error


class FeastPublication:
    """See :class:`lakehouse.online.publication.Publication`."""

    ordered = False

    def __init__(
        self,
        config: RepoConfig,
        store: Any,
        view: FeatureView,
        layout: Layout,
        ledger: sqlite3.Connection,
        now: datetime,
    ) -> None:
        self._config, self._store, self._view, self._ledger, self._now = config, store, view, ledger, now
        self._id = view_id(config, view)
        self._layout = layout
        self._reader = Reader(layout)
        self._refresh = ""
        self._conversions: list[tuple[str, Callable[[Any], list[Value]]]] = [
            (field.name, Conversion(field.dtype.to_value_type()).to_proto) for field in view.features
        ]

    @property
    def cursor(self) -> str | None:
        found = self._ledger.execute("SELECT cursor FROM published WHERE view = ?", (self._id,)).fetchone()
        return str(found[0]) if found else None

    def held(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return [None] * len(keys)

    def mark(self, cursor: str) -> None:
        self._ledger.execute("INSERT OR REPLACE INTO published VALUES (?, ?)", (self._id, cursor))

    def refresh(self) -> None:
        """The store makes room; nothing can be written beside what is read. What is not written again leaves it."""
        self._refresh = uuid.uuid4().hex
        self._ledger.execute("DELETE FROM published WHERE view = ?", (self._id,))
        self._store.update(self._config, [], [self._view], [], [], True)

    def write_due(self) -> None:
        """Write the rows that were dated ahead when they were published, and are not any more."""
        question = "SELECT key, record FROM written WHERE view = ? AND due <= ?"
        found = self._ledger.execute(question, (self._id, ticks(self._now))).fetchall()
        # Those of another layout are of another definition, which is about to be published as a whole.
        rows = [row for row in found if layout_of(row[1]) == self._layout.number]
        if rows:
            self.write([key for key, _ in rows], [record for _, record in rows])

    def write(self, keys: Sequence[bytes], records: Sequence[bytes]) -> None:
        self._remember(keys, records)
        rows = [self._reader.read(record, ticks(self._now)) for record in records]
        values = list(zip(*(row[2] for row in rows if row is not None), strict=True))
        packed = [make(column) for (_, make), column in zip(self._conversions, values, strict=False)]
        nothing = {name: Value() for name, _ in self._conversions}
        names = [name for name, _ in self._conversions]
        data: list[Row] = []
        spot = 0
        for key, row in zip(keys, rows, strict=True):
            entity = deserialize_entity_key(key, 3)
            if row is None:
                data.append((entity, nothing, self._now, None))
                continue
            made = None if row[1] == UNKNOWN else moment(row[1])
            given = {name: column[spot] for name, column in zip(names, packed, strict=True)}
            data.append((entity, given, moment(row[0]), made))
            spot += 1
        try:
            self._store.online_write_batch(self._config, self._view, data, None)
        except Exception as error:
            raise OnlineStoreError(
                f"{self._view.name} can't be written to {type(self._store).__name__}: {error}",
                hint="Publish again when it is there: what was written is written again.",
            ) from error
        gone = [(self._id, key) for key, record in zip(keys, records, strict=True) if len(record) == HEADER.size]
        self._many("DELETE FROM written WHERE view = ? AND key = ?", gone)

    def finish(self, cursor: str) -> None:
        if self._refresh:
            question = "SELECT key FROM written WHERE view = ? AND refresh != ?"
            left = [key for (key,) in self._ledger.execute(question, (self._id, self._refresh))]
            if left:
                self.write(left, [tombstone(self._layout, 0)] * len(left))
        self.mark(cursor)

    def _remember(self, keys: Sequence[bytes], records: Sequence[bytes]) -> None:
        """Before they are written: what the store may have is known, whatever happens meanwhile."""
        now = ticks(self._now)
        rows = []
        for key, record in zip(keys, records, strict=True):
            due = next((one for one in self._reader.moments(record) if one > now), None)
            rows.append((self._id, key, self._refresh, due, None if due is None else record))
        self._many("INSERT OR REPLACE INTO written VALUES (?, ?, ?, ?, ?)", rows)

    def _many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._ledger.execute("BEGIN IMMEDIATE")
        self._ledger.executemany(statement, rows)
        self._ledger.execute("COMMIT")


def _unusable(file: Path, error: Exception) -> OnlineStoreError:
    return OnlineStoreError(
        f"{file}, which says how far views were published, can't be used: {error}",
        hint="Make room, or the folder writable, then publish again.",
    )
