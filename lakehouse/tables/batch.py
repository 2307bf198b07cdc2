"""What every source hands to bronze: a batch with an explicit end, its counts, its rejects, and a way to read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ENGINE_COLUMNS = frozenset(
    ("_kind", "_file", "_row", "_batch", "_ingested_at", "_raw", "_offset", "_line", "_reason", "_receipt")
)
"""Columns of bronze that are ours; a source that has one of them is refused."""


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
class Landed:
    """A file that a batch took: what a later run compares with the folder."""

    path: str
    size: int
    mtime_ns: int
    sha256: str
    records: int
    rejects: int

    def as_json(self) -> dict[str, Any]:
        return dict(self.__dict__)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Landed:
        return cls(**{name: value[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Batch:
    """All that a source has since its last receipt. Nothing of it has been written."""

    files: tuple[Landed, ...]
    """The batch's end as a cursor: these are the files that it takes."""
    columns_of: tuple[tuple[str, ...], ...]
    """Each file's columns as bronze will name them; none for a file that is quarantined whole."""
    records: int
    """Counted without Spark; what Spark reads must be as many."""
    rejects: tuple[Reject, ...]
    read: Callable[[SparkSession], DataFrame]
    """Opens the records: the source's columns, ``_file`` (string) and ``_row`` (long, ascending in each file)."""
    require_unchanged: Callable[[], None]
    """Raises SourceUnavailableError when the source is no longer what was counted."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of all files, in order of first appearance."""
        return tuple(dict.fromkeys(column for columns in self.columns_of for column in columns))
