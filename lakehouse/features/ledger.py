"""Publishing to an online store that is not ours, by Feast's own interface: how far it came stands in a file beside it.

What such a store can't do, it can't do for us either: it can't take a key back (a key that left its table gets nulls),
it is never read back, and when it was emptied or replaced by an older copy nobody notices: delete the ledger then.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from feast.feature_view import FeatureView
from feast.infra.key_encoding_utils import deserialize_entity_key
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig
from feast.value_type import ValueType

from lakehouse.errors import LockedError, OnlineStoreError
from lakehouse.kernels.record import UNKNOWN, Layout, Reader
from lakehouse.online.kinds import Conversion, moment, ticks
from lakehouse.online.request import view_id
from lakehouse.online.store import Row

TABLE = "published (view TEXT PRIMARY KEY, cursor TEXT NOT NULL)"


def ledger_file(config: RepoConfig) -> Path:
    """Where the ledger of a Feast repository is: ``ledger`` of the engine, else .lakehouse/published.db in it."""
    named = (config.batch_engine_config or {}).get("ledger") if isinstance(config.batch_engine_config, dict) else None
    folder = Path(config.repo_path) if config.repo_path is not None else Path.cwd()
    return folder / str(named or Path(".lakehouse") / "published.db")


@contextmanager
def feast_publication(config: RepoConfig, store: Any, view: FeatureView, layout: Layout) -> Iterator[FeastPublication]:
    """Publish a view to a store of Feast's. Raises LockedError where another process of this machine does."""
    file = ledger_file(config)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LockedError(f"{file}: another run is publishing", hint="Run again when it is done.") from error
        with closing(sqlite3.connect(file, isolation_level=None)) as ledger:
            ledger.execute(f"CREATE TABLE IF NOT EXISTS {TABLE}")
            yield FeastPublication(config, store, view, layout, ledger)


class FeastPublication:
    """See :class:`lakehouse.online.publication.Publication`."""

    def __init__(
        self, config: RepoConfig, store: Any, view: FeatureView, layout: Layout, ledger: sqlite3.Connection
    ) -> None:
        self._config, self._store, self._view, self._ledger = config, store, view, ledger
        self._id = view_id(config, view)
        self._reader = Reader(layout)
        self._conversions: list[tuple[str, Callable[[Any], list[Value]]]] = [
            (field.name, Conversion(_type(field)).to_proto) for field in view.features
        ]

    @property
    def cursor(self) -> str | None:
        found = self._ledger.execute("SELECT cursor FROM published WHERE view = ?", (self._id,)).fetchone()
        return str(found[0]) if found else None

    def mark(self, cursor: str) -> None:
        self._ledger.execute("INSERT OR REPLACE INTO published VALUES (?, ?)", (self._id, cursor))

    def refresh(self) -> None:
        """The store makes room; nothing can be written beside what is read."""
        self._ledger.execute("DELETE FROM published WHERE view = ?", (self._id,))
        self._store.update(self._config, [], [self._view], [], [], True)

    def write(self, keys: Sequence[bytes], records: Sequence[bytes]) -> None:
        now = datetime.now(UTC)
        rows = [self._reader.read(record, ticks(now)) for record in records]
        values = list(zip(*(row[2] for row in rows if row is not None), strict=True))
        packed = [make(column) for (_, make), column in zip(self._conversions, values, strict=False)]
        nothing = {name: Value() for name, _ in self._conversions}
        names = [name for name, _ in self._conversions]
        data: list[Row] = []
        spot = 0
        for key, row in zip(keys, rows, strict=True):
            entity = deserialize_entity_key(key, 3)
            if row is None:
                data.append((entity, nothing, now, None))
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

    def finish(self, cursor: str) -> None:
        self.mark(cursor)


def _type(field: Any) -> ValueType:
    found: ValueType = field.dtype.to_value_type()
    return found
