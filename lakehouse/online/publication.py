"""What a publisher needs of an online store: the same for a file and for a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Publication(Protocol):
    """One view being published, by nobody else meanwhile. What it wrote is there for good when ``finish`` returns.

    ``cursor`` is the text that was marked last in this store, for this view: None where there is none, as in a new
    store and in one that was flushed. A store that was replaced by an older copy has that copy's cursor.
    """

    @property
    def cursor(self) -> str | None: ...

    def mark(self, cursor: str) -> None:
        """Set the cursor, before anything is written that it should tell of."""

    def refresh(self) -> None:
        """From now on write beside what readers see, which ``finish`` replaces as a whole."""

    def write(self, keys: Sequence[bytes], records: Sequence[bytes]) -> None:
        """Put records in the place of those that these keys have. A tombstone takes what was pushed with it."""

    def finish(self, cursor: str) -> None:
        """Set the cursor after all records, and read it back. Raises OnlineStoreError where it is not there then."""
