"""Publish feature views: bring the online store to what their Delta tables hold now.

What was published is marked in the online store's own file, after the records: whoever deletes the file deletes the
marks with it, and a run that was killed is simply done again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lakehouse.config import Project
from lakehouse.errors import ConfigError, LakehouseError, LockedError, StorageError, UsageError, did_you_mean
from lakehouse.features.repository import open_store, quiet
from lakehouse.features.settings import Settings, code_fingerprint, read_settings

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

    from lakehouse.features.reading import OpenTable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Published:
    """One view after a publish."""

    view: str
    table: str
    """The address of its table, or the path."""
    version: int
    """The version of the table that the online store now answers from."""
    rows: int
    """How many keys it answers for."""
    seconds: float
    status: Literal["done", "unchanged"]


Listen = Callable[[str, Published | LakehouseError | None], None]
"""Called with a view's name when it is begun (None), and when it is done or failed."""


@dataclass(frozen=True)
class Mark:
    """What a view's records were made of."""

    table: str
    location: str
    pinned: int | None
    table_id: str
    version: int
    definition: str
    rows: int
    records: str
    """How many rows the view's table has in the online store's file, and their event times added up."""
    records_in: str
    next_at: str | None
    """The first event time that was still to come: from then on the records are no longer what now should see."""

    def holds(self, opened: OpenTable, now: datetime, database: sqlite3.Connection) -> bool:
        return (
            self.table_id == opened.id
            and opened.changed_at <= self.version <= opened.version
            and (self.next_at is None or now < datetime.fromisoformat(self.next_at))
            and self.records == _contents(database, self.records_in)
        )


def publish(
    project: Project,
    views: Sequence[str] = (),
    *,
    now: datetime,
    tables: Collection[str] | None = None,
    listen: Listen | None = None,
) -> list[Published]:
    """Publish the views (all that are online, without names) whose table or definition changed since the last time.

    ``tables`` limits that to the views of these tables (addresses). Each key gets its newest row with an event time up
    to ``now`` (UTC where naive); keys that left the table leave the store. A view whose next row becomes due is
    published again too. The views must have been applied.
    A view that fails stops no other; the first error is raised when all were tried. Raises UsageError for an unknown
    view, NotBuiltError for a table that is not there, StorageError where the online store can't be written.
    """
    now = now.replace(tzinfo=UTC) if now.tzinfo is None else now.astimezone(UTC)
    settings = read_settings(project)
    if settings.online_file is None:
        kind = settings.raw.get("online_store")
        raise ConfigError(
            f"{settings.file}: publishing to {kind} is not supported", hint="Use online_store: type: sqlite"
        )
    code = code_fingerprint(project)
    with _marks(settings.online_file) as database:
        known = _all_unchanged(settings, code, views, now, database, tables)
    if known is None:
        with _alone(settings.online_file), quiet():
            store = open_store(project)
            known = list(_publish(store, settings, settings.online_file, views, now, listen, tables))
        if not views and tables is None:
            with _marks(settings.online_file) as database, database:
                row = (settings.project, code, json.dumps([one.view for one in known]))
                database.execute("INSERT OR REPLACE INTO lakehouse_complete VALUES (?, ?, ?)", row)
    elif listen is not None:
        for one in known:
            listen(one.view, one)
    return known


def _all_unchanged(
    settings: Settings,
    code: str,
    views: Sequence[str],
    now: datetime,
    database: sqlite3.Connection,
    tables: Collection[str] | None,
) -> list[Published] | None:
    """The answer without Feast: None unless code and settings are as they were, and each view's mark holds."""
    from lakehouse.features.reading import open_table

    question = "SELECT views FROM lakehouse_complete WHERE project = ? AND code = ?"
    row = database.execute(question, (settings.project, code)).fetchone()
    every = json.loads(row[0]) if row else []
    if not every or not set(views) <= set(every):
        return None
    answer = []
    for view in views or every:
        started = time.monotonic()
        mark = _mark(database, settings.project, view)
        if mark is not None and tables is not None and mark.table not in tables:
            continue
        try:
            opened = open_table(mark.location, mark.table, mark.pinned) if mark else None
        except LakehouseError:
            return None
        if mark is None or opened is None or not mark.holds(opened, now, database):
            return None
        seconds = time.monotonic() - started
        answer.append(Published(view, mark.table, mark.version, mark.rows, seconds, "unchanged"))
    return answer


def _publish(
    store: FeatureStore,
    settings: Settings,
    file: Path,
    names: Sequence[str],
    now: datetime,
    listen: Listen | None,
    tables: Collection[str] | None,
) -> Iterator[Published]:
    from lakehouse.features.source import delta_source

    every = {view.name: view for view in store.list_feature_views() if view.online}
    if not every:
        raise UsageError("no feature views are applied", hint=f"Run: feast -c {settings.file.parent.name} apply")
    for name in names:
        if name not in every:
            raise UsageError(f"no online feature view '{name}'", hint=did_you_mean(name, every))
    file.parent.mkdir(parents=True, exist_ok=True)
    failed: list[LakehouseError] = []
    for view in [every[name] for name in names] or sorted(every.values(), key=lambda view: view.name):
        if tables is not None and delta_source(view.batch_source, view.name).label not in tables:
            continue
        tell = listen or _silent
        tell(view.name, None)
        try:
            one = _publish_view(store, view, file, now)
        except (LakehouseError, sqlite3.Error) as error:
            failed.append(_in_words(view.name, file, error))
            tell(view.name, failed[-1])
            continue
        tell(view.name, one)
        yield one
    if failed:
        raise failed[0]


def _silent(view: str, one: Published | LakehouseError | None) -> None:
    """Tell nobody."""


def _in_words(view: str, file: Path, error: LakehouseError | sqlite3.Error) -> LakehouseError:
    if isinstance(error, LakehouseError):
        return error
    return StorageError(
        f"{view}: the online store {file} can't be written: {error}",
        hint="Free it or make it writable, then publish again; it is rebuilt from gold if you delete it.",
    )


def _publish_view(store: FeatureStore, view: FeatureView, file: Path, now: datetime) -> Published:
    from lakehouse.features.online_rows import drop_other_keys, newest_keys, online_table
    from lakehouse.features.source import delta_source

    started = time.monotonic()
    source = delta_source(view.batch_source, view.name)
    opened = source.open(store.config)
    definition, table = _definition(view), online_table(store, view)
    with _marks(file) as database:
        mark = _mark(database, store.project, view.name)
        same = mark is not None and (mark.definition, mark.location) == (definition, source.location(store.config))
        if mark is not None and same and mark.holds(opened, now, database):
            seconds = time.monotonic() - started
            return Published(view.name, source.label, opened.version, mark.rows, seconds, "unchanged")
        exists = _contents(database, table) is not None
    if not exists:
        store.provider.update_infra(store.project, [], [view], [], [], partial=True)
    store.materialize(EPOCH, now, feature_views=[view.name])
    keys, next_at = newest_keys(opened, view, source, now)
    with _marks(file) as database, database:
        drop_other_keys(database, table, store, view, keys)
        mark = Mark(
            table=source.label,
            location=source.location(store.config),
            pinned=source.version,
            table_id=opened.id,
            version=opened.version,
            definition=definition,
            rows=keys.num_rows,
            records=_contents(database, table) or "",
            records_in=table,
            next_at=next_at.isoformat() if next_at else None,
        )
        row = (store.project, view.name, json.dumps(asdict(mark)))
        database.execute("INSERT OR REPLACE INTO lakehouse_published VALUES (?, ?, ?)", row)
    return Published(view.name, source.label, opened.version, keys.num_rows, time.monotonic() - started, "done")


def _definition(view: FeatureView) -> str:
    """Changes when the view's records would: not with a description, a tag or a ttl."""
    from lakehouse.features.source import delta_source

    source = delta_source(view.batch_source, view.name)
    columns = [(field.name, str(field.dtype)) for field in (*view.entity_columns, *view.features)]
    times = (source.timestamp_field, source.created_timestamp_column)
    parts = [view.entities, columns, times, sorted(source.field_mapping.items()), source.version]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Hold the online store's lock. Raises LockedError where another run publishes to it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LockedError(f"{file}: another run is publishing to it", hint="Run again when it is done.") from error
        yield


@contextmanager
def _marks(file: Path) -> Iterator[sqlite3.Connection]:
    """The online store's file with the tables of marks; in memory where there is no file yet, so that none is made."""
    place = str(file) if file.parent.is_dir() else ":memory:"
    with closing(sqlite3.connect(place, timeout=timedelta(seconds=30).total_seconds())) as database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS lakehouse_published "
            "(project TEXT, view TEXT, mark TEXT, PRIMARY KEY (project, view))"
        )
        database.execute(
            "CREATE TABLE IF NOT EXISTS lakehouse_complete (project TEXT PRIMARY KEY, code TEXT, views TEXT)"
        )
        yield database


def _mark(database: sqlite3.Connection, project: str, view: str) -> Mark | None:
    question = "SELECT mark FROM lakehouse_published WHERE project = ? AND view = ?"
    row = database.execute(question, (project, view)).fetchone()
    return Mark(**json.loads(row[0])) if row else None


def _contents(database: sqlite3.Connection, table: str) -> str | None:
    """What tells that a table's rows are those that were marked: somebody else may have materialized meanwhile.

    Their number and their event times (seconds) added up; None where there is no such table.
    """
    if not database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone():
        return None
    quoted = '"' + table.replace('"', '""') + '"'
    question = f"SELECT count(*), coalesce(sum(CAST(strftime('%s', event_ts) AS INTEGER)), 0) FROM {quoted}"
    return ":".join(map(str, database.execute(question).fetchone()))
