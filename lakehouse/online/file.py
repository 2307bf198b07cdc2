"""An online store in one SQLite file: a table of records for each view, the layouts of records, and the cursors.

Readers never wait for a publisher (SQLite's write-ahead log), and never see a full refresh by half: it is written into
a table of its own, which takes the other's place in one transaction.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

from lakehouse.errors import FULL_DISK, LockedError, OnlineStoreError
from lakehouse.kernels.record import Layout
from lakehouse.online.filing import FilePublication, make, table_of
from lakehouse.online.publication import Asked, Found, Merge, still_pushed

MOST = 500
"""Keys in one question: SQLite takes 32,766 at most, and short ones are prepared once."""
HEAD = """
CREATE TABLE IF NOT EXISTS lakehouse_views (view TEXT PRIMARY KEY, cursor TEXT);
CREATE TABLE IF NOT EXISTS lakehouse_layouts (number INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS lakehouse_publishers (view TEXT PRIMARY KEY, publisher TEXT NOT NULL);
"""


class RecordFile:
    """Threads may share one; each has a connection of its own. ``timeout`` (seconds) is how long a lock is awaited."""

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path
        self.timeout = timeout
        self._own = threading.local()

    def find(self, asked: Sequence[Asked]) -> list[Found]:
        """What is there of the keys of each view, in order. A view that is not there has nothing."""
        answer: list[Found] = []
        for view, keys in asked:
            rows = self._read(view, keys)
            records = {key: record for key, record, _ in rows}
            pushed = {key: row for key, _, row in rows if row is not None}
            answer.append((list(map(records.get, keys)), list(map(pushed.get, keys)) if pushed else []))
        return answer

    def _read(self, view: str, keys: Sequence[bytes]) -> list[tuple[bytes, bytes | None, bytes | None]]:
        """Each key that is there, its record and the row that was pushed over it."""
        found: list[tuple[bytes, bytes | None, bytes | None]] = []
        with self._in_words("read"):
            connection = self._connection()
            if connection is None:
                return found
            if len(keys) > MOST:
                connection.execute("BEGIN")  # else a refresh could come between two questions
            try:
                for start in range(0, len(keys), MOST):
                    part = keys[start : start + MOST]
                    places = ",".join("?" * len(part))
                    question = f"SELECT key, record, pushed FROM {table_of(view)} WHERE key IN ({places})"
                    found += connection.execute(question, part)
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        return found

    def layouts(self) -> dict[int, str]:
        """The text of every layout that a record may name."""
        with self._in_words("read"):
            connection = self._connection()
            return {} if connection is None else dict(connection.execute("SELECT number, text FROM lakehouse_layouts"))

    def cursors(self) -> dict[str, str]:
        """The cursor of each view that was published."""
        return cursors(self.path)

    def add(self, view: str) -> None:
        """Make room for a view."""
        with self._writing() as connection:
            make(connection, table_of(view))

    def drop(self, view: str) -> None:
        """Forget a view, with its records and its cursor."""
        with self._writing() as connection:
            for table in (table_of(view), table_of(view, "next")):
                connection.execute(f"DROP TABLE IF EXISTS {table}")
            for table in ("lakehouse_views", "lakehouse_publishers"):
                connection.execute(f"DELETE FROM {table} WHERE view = ?", (view,))

    def push(self, view: str, layout: Layout, rows: Sequence[tuple[bytes, bytes]], merge: Merge) -> None:
        """Lay pushed rows over the records of their keys, all or none of them."""
        with self._writing() as connection:
            make(connection, table_of(view))
            _know(connection, layout)
            for key, row in rows:
                question = f"SELECT pushed FROM {table_of(view)} WHERE key = ?"
                before = connection.execute(question, (key,)).fetchone()
                merged = merge(before[0] if before else None, row)
                connection.execute(
                    f"INSERT INTO {table_of(view)} (key, pushed) VALUES (?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET pushed = excluded.pushed",
                    (key, merged),
                )

    @contextmanager
    def publication(self, view: str, layout: Layout) -> Iterator[FilePublication]:
        """Publish a view. Raises LockedError where somebody else does; other views may be published meanwhile."""
        with self._in_words("written"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # A view's name may have what a file's may not.
            lock = self.path.with_name(f".{self.path.name}.{quote(view, safe='')}.lock").open("w")
        with lock:
            _alone(lock, self.path, view)
            publisher = uuid.uuid4().hex
            with self._writing() as connection:
                make(connection, table_of(view))
                _know(connection, layout)
                connection.execute("INSERT OR REPLACE INTO lakehouse_publishers VALUES (?, ?)", (view, publisher))
            yield FilePublication(self, view, publisher)

    def _connection(self, make: bool = False) -> sqlite3.Connection | None:
        """This thread's connection; None where there is no file and none is to be made."""
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is not None and self._own.file == _identity(self.path):
            return connection
        self.close()
        if not make and not self.path.exists():
            return None
        connection = sqlite3.connect(self.path, timeout=self.timeout, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(HEAD)
        connection.create_function("still_pushed", 2, still_pushed)
        self._own.connection, self._own.file = connection, _identity(self.path)
        return connection

    def close(self) -> None:
        """Close this thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            self._own.connection = None
            connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._in_words("written"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = self._connection(make=True)
            assert connection is not None
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _in_words(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self.close()
            text = FULL_DISK if "disk is full" in str(error) else str(error)
            raise OnlineStoreError(
                f"the online store {self.path} can't be {doing}: {text}",
                hint="Free it or make it writable, then try again; it is filled from its tables if you delete it.",
            ) from error


def cursors(path: Path) -> dict[str, str]:
    """The cursors of a file that may not be there; it is opened for reading alone. Raises OnlineStoreError."""
    if not path.is_file():
        return {}
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'lakehouse_views'").fetchone():
                return {}
            return dict(connection.execute("SELECT view, cursor FROM lakehouse_views WHERE cursor IS NOT NULL"))
    except sqlite3.Error as error:
        raise OnlineStoreError(
            f"the online store {path} can't be read: {error}", hint="Free it, then try again."
        ) from error


def _know(connection: sqlite3.Connection, layout: Layout) -> None:
    connection.execute("INSERT OR IGNORE INTO lakehouse_layouts VALUES (?, ?)", (layout.number, layout.text))


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Of the file and of this process: SQLite's connections must not be carried into a fork."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, os.getpid()


def _alone(lock: IO[str], path: Path, view: str) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise LockedError(f"{view}: another run is publishing to {path}", hint="Run again when it is done.") from error
