"""Publishing into a SQLite file: each call is a transaction, and a full refresh takes the other table's place."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakehouse.errors import OnlineStoreError
from lakehouse.kernels.record import HEADER

if TYPE_CHECKING:
    from lakehouse.online.file import RecordFile


class FilePublication:
    """See :class:`lakehouse.online.publication.Publication`. Each call is a transaction.

    Nothing is written once the file is another one, or somebody else publishes the view: what this publisher wrote
    before may not be in it.
    """

    ordered = True  # a tree: each of its pages is written once then

    def __init__(self, file: RecordFile, view: str, publisher: str) -> None:
        self._file = file
        self._view = view
        self._into = table_of(view)
        self._publisher = publisher

    @property
    def cursor(self) -> str | None:
        with self._file._in_words("read"):
            connection = self._file._connection()
            question = "SELECT cursor FROM lakehouse_views WHERE view = ?"
            row = connection.execute(question, (self._view,)).fetchone() if connection is not None else None
            return None if row is None else row[0]

    def held(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return self._file.find([(self._view, keys)])[0][0]

    def mark(self, cursor: str) -> None:
        with self._own() as connection:
            self._set(connection, cursor)

    def refresh(self) -> None:
        self._into = table_of(self._view, "next")
        with self._own() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {self._into}")
            make(connection, self._into)

    def write(self, keys: Sequence[bytes], records: Sequence[bytes]) -> None:
        rows = sorted(zip(keys, records, strict=True))
        gone = [row for row in rows if len(row[1]) == HEADER.size]
        there = [row for row in rows if len(row[1]) > HEADER.size]
        put = f"INSERT INTO {self._into} (key, record) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET record = "
        with self._own() as connection:
            # A row that was pushed for a key and has come into its table since has done its service.
            left = "pushed = CASE WHEN pushed IS NULL THEN NULL ELSE still_pushed(excluded.record, pushed) END"
            connection.executemany(f"{put} excluded.record, {left}", there)
            connection.executemany(f"{put} excluded.record, pushed = NULL", gone)

    def finish(self, cursor: str) -> None:
        with self._own() as connection:
            table = table_of(self._view)
            if self._into != table:
                # A key that had a row and has none now has left its table, and takes along what was pushed for it.
                left = f"length(record) > {HEADER.size} AND key NOT IN (SELECT key FROM {self._into})"
                connection.execute(
                    f"INSERT INTO {self._into} (key, pushed) SELECT key, pushed FROM {table} WHERE pushed IS NOT NULL "
                    f"AND NOT coalesce({left}, false) "
                    "ON CONFLICT (key) DO UPDATE SET pushed = still_pushed(record, excluded.pushed)"
                )
                connection.execute(f"DROP TABLE {table}")
                connection.execute(f"ALTER TABLE {self._into} RENAME TO {table}")
            self._set(connection, cursor)
        self._into = table_of(self._view)
        if self.cursor != cursor:
            raise self._replaced()

    @contextmanager
    def _own(self) -> Iterator[sqlite3.Connection]:
        with self._file._writing() as connection:
            question = "SELECT publisher FROM lakehouse_publishers WHERE view = ?"
            if connection.execute(question, (self._view,)).fetchone() != (self._publisher,):
                raise self._replaced()
            yield connection

    def _replaced(self) -> OnlineStoreError:
        return OnlineStoreError(
            f"the online store {self._file.path} does not hold what was just published to it",
            hint="Did somebody replace or empty it? Publish again.",
        )

    def _set(self, connection: sqlite3.Connection, cursor: str) -> None:
        connection.execute("INSERT OR REPLACE INTO lakehouse_views VALUES (?, ?)", (self._view, cursor))


def table_of(view: str, part: str = "records") -> str:
    return '"' + f"lakehouse_{part}_{view}".replace('"', '""') + '"'


def make(connection: sqlite3.Connection, table: str) -> None:
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, record BLOB, pushed BLOB) WITHOUT ROWID"
    )
