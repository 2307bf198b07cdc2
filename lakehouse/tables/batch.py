"""What every source is, and hands to bronze: a batch with an explicit end, counts, rejects, a way to read it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

ENGINE_COLUMNS = frozenset(
    ("_kind", "_file", "_row", "_batch", "_ingested_at", "_raw", "_offset", "_line", "_reason", "_receipt", "_rescued")
)
"""Columns of bronze that are ours; a source that has one of them is refused."""

Frames: TypeAlias = "DataFrame | list[DataFrame]"
"""What a batch reads: several frames where its parts differ in a column's type."""

RESCUED = "_rescued"
"""What of a record does not fit bronze's columns, as JSON: column -> value as text. Readers see it."""


def frames_of(read: Frames) -> list[DataFrame]:
    return read if isinstance(read, list) else [read]


@dataclass(frozen=True)
class Reject:
    """A record that can't be parsed: its bytes as they stand in the file, its place and the reason."""

    file: str
    offset: int
    """Bytes from the start of the file to the record."""
    line: int
    """From 1; 0 where the format has no lines."""
    raw: bytes
    reason: str


@dataclass(frozen=True)
class Part:
    """What a batch is made of, where its columns may differ within: a file."""

    name: str
    columns: tuple[str, ...]
    """As bronze will name them; none for a part that is quarantined whole."""


@dataclass(frozen=True)
class Batch:
    """What a source has since its last receipt, with an explicit end. Nothing of it has been written."""

    cursor: dict[str, Any]
    """What the receipt keeps, as JSON: where this batch ends, so that the next one begins there."""
    took: str
    """The same for people: 3 files, 1,000 offsets."""
    read: Callable[[SparkSession], Frames]
    """Opens the records: the source's columns, ``_file`` (where a record comes from, string) and ``_row`` (its place
    there, long, ascending). Where it has a column ``_reason``, rows that have one are rejects: with ``_raw``,
    ``_offset`` and ``_line`` as those of :class:`Reject`."""
    parts: tuple[Part, ...] = ()
    """Where there are none, the columns are those of the frame."""
    records: int | None = None
    """Counted without Spark; what Spark reads must be as many. None: the source can't be counted otherwise."""
    rejects: tuple[Reject, ...] = ()
    apart: Callable[[SparkSession, Callable[[Frames], DataFrame]], Batch] | None = None
    """The same batch, where records that the function gives a ``_reason`` are rejects with the bytes and the place that
    they have at the source. None: ``raw`` says what is kept."""
    doubted: Callable[[Sequence[Path]], Batch | None] | None = None
    """Looks at the records in the files that were written, before their commit and without Spark. None where each is
    one; else the same batch, which tells records from rejects while it is read. None: this one does so."""
    raw: str | None = None
    """The column with the bytes that are ``_raw`` of a record that has no place in bronze's types. None: a source has
    no bytes of a record; its values as JSON are kept."""
    require_unchanged: Callable[[], None] = lambda: None
    """Raises SourceUnavailableError when the source is no longer what was counted."""
    note: str = ""
    """What the receipt says to people besides the counts."""
    witness: Callable[[Sequence[Path]], tuple[int, str]] | None = None
    """Counts the records and rejects in the files that were written, before their commit and without Spark; returns
    their number and what the receipt says beside it. Raises ConservationError where they can't be the batch's."""
    close: Callable[[], None] = lambda: None
    """Gives back what reading needed; called when the batch has landed or has not, and never fails."""
    then: Callable[[], Batch | None] = lambda: None
    """Where this is a part of what there was when it was planned: the next part, asked for when this one has landed.
    A run takes them all, and nothing that came after it began."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of all parts, in order of first appearance."""
        return tuple(dict.fromkeys(column for part in self.parts for column in part.columns))


@dataclass(frozen=True)
class Waiting:
    """What a batch would take, and what it would leave, in words; nothing where there is none."""

    takes: str = ""
    leaves: str = ""

    @classmethod
    def of(cls, said: str | Waiting) -> Waiting:
        """What a source answers: words alone say what it would take."""
        return cls(said) if isinstance(said, str) else said


class Source(Protocol):
    """The outside world as batches. ``cursors`` are those of all receipts so far, oldest first."""

    def waiting(self, cursors: Sequence[dict[str, Any]]) -> str | Waiting:
        """What a batch would take, in words, or nothing; asked without a JVM, so a server is named and not asked."""

    def plan(self, session: SparkSession, cursors: Sequence[dict[str, Any]]) -> Batch | None:
        """All that there is since the last cursor, or None. Reads, and writes nothing.

        Raises SourceUnavailableError, SourceChangedError and ContractError.
        """
