"""What an online store is made of, and what a publisher needs of it: the same for a file and for a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from lakehouse.kernels.reader import supersedes
from lakehouse.kernels.record import Layout

Asked = tuple[str, Sequence[bytes]]
"""A view, by its name in the store, and keys of it."""
Found = tuple[Sequence[bytes | None], Sequence[bytes | None]]
"""What a store has of the keys of a view, in order: their records, and the rows that were pushed over them.

No rows at all where nothing was pushed over any of the keys.
"""
Merge = Callable[[bytes | None, bytes], bytes]
"""What becomes of a pushed row, given the one that was pushed before."""


def name_in_store(project: str, view: str, version: str = "") -> str:
    """What a view is called in a store that several projects share: no other view has the same name.

    A project's name has no colon, a view's neither a colon nor an @: Feast refuses both.
    """
    return f"{project}:{view}@{version}" if version else f"{project}:{view}"


class Publication(Protocol):
    """One view being published, by nobody else meanwhile. What it wrote is there for good when ``finish`` returns.

    ``cursor`` is the text that was marked last in this store, for this view: None where there is none, as in a new
    store and in one that was flushed. A store that was replaced by an older copy has that copy's cursor.
    """

    ordered: bool
    """Whether it is filled faster in the order of the keys."""

    @property
    def cursor(self) -> str | None: ...

    def held(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The record of each key, as readers see it; None where there is none."""

    def mark(self, cursor: str) -> None:
        """Set the cursor, before anything is written that it should tell of."""

    def refresh(self) -> None:
        """From now on write beside what readers see, which ``finish`` replaces as a whole."""

    def write(self, keys: Sequence[bytes], records: Sequence[bytes]) -> None:
        """Put records in the place of those that these keys have. A tombstone takes what was pushed with it."""

    def finish(self, cursor: str) -> None:
        """Set the cursor after all records, and read it back. Raises OnlineStoreError where it is not there then."""


class Holder(Protocol):
    """Where records are held: a file, a server. Every method may raise OnlineStoreError."""

    def find(self, asked: Sequence[Asked]) -> list[Found]:
        """What is there of the keys of each view, in order."""

    def layouts(self) -> dict[int, str]:
        """The text of every layout that a record may name."""

    def cursors(self) -> dict[str, str]:
        """How far each view was published, by its name in the store."""

    def push(self, view: str, layout: Layout, rows: Sequence[tuple[bytes, bytes]], merge: Merge) -> None:
        """Lay pushed rows over the records of their keys."""

    def add(self, view: str) -> None:
        """Make room for a view."""

    def drop(self, view: str) -> None:
        """Forget a view, with its records and its cursor."""

    def publication(self, view: str, layout: Layout) -> AbstractContextManager[Publication]:
        """Publish a view. Raises LockedError where somebody else does."""


def still_pushed(record: bytes, pushed: bytes) -> bytes | None:
    """What was pushed for a key, beside the record that is published for it; None where it has come into the table."""
    return None if supersedes(record, pushed, time.time_ns() // 1000) else pushed
