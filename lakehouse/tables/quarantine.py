"""A row that is kept out of a table: where it came from, why, and what was decided about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from lakehouse.quality.literals import text_literal

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

    from lakehouse.tables.batch import Batch, Reject

Action = Literal["replayed", "discarded"]
CHUNK = 10_000
"""Places in one row of a bronze table."""


KEPT_OUT = ("_batch", "_file", "_row", "_reasons", "_record")
"""What a table remembers of a row that is kept out, beside ``_kind`` (reject, blocking) and ``_origin``."""


@dataclass(frozen=True, order=True)
class Place:
    """Where a record came from; it stays the same however often a table is rebuilt."""

    batch: int
    """Of bronze."""
    file: str
    row: int
    """As bronze has it: ``_offset`` of a reject, ``_row`` of a record."""

    @property
    def id(self) -> str:
        """12 hex digits, short enough to be typed."""
        return hashlib.sha256(f"{self.batch}\0{self.file}\0{self.row}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Quarantined:
    """One row that is kept out of ``address``."""

    address: str
    place: Place
    reasons: tuple[str, ...]
    line: int = 0
    """From 1; 0 where there are no lines, and for a file as a whole."""
    at: datetime | None = None
    """When its batch landed, in UTC."""
    record: str = ""
    """Silver: the row as JSON."""
    blocking: bool = False
    """Whether it stops its table: a rule with on_fail="fail" does not hold for it."""


@dataclass(frozen=True)
class Resolution:
    """What somebody decided about rows of a quarantine. It is kept for ever, in the bronze table."""

    address: str
    action: Action
    places: tuple[Place, ...]
    who: str
    because: str = ""
    given: str = ""
    """Corrected bytes that stood in for the record's own, in base64."""

    def as_json(self) -> Iterator[str]:
        """One text for each :data:`CHUNK` of places."""
        facts = {name: getattr(self, name) for name in ("address", "action", "who", "because", "given")}
        for start in range(0, len(self.places), CHUNK):
            places = [[place.batch, place.file, place.row] for place in self.places[start : start + CHUNK]]
            yield json.dumps(facts | {"places": places})

    @classmethod
    def from_json(cls, text: str) -> Resolution:
        value: dict[str, Any] = json.loads(text)
        return cls(**value | {"places": tuple(Place(*place) for place in value["places"])})


@dataclass(frozen=True)
class Again:
    """A reject that is to be parsed once more."""

    reject: Reject
    columns: tuple[str, ...]
    """Of its file, as bronze names them; none where that is not known."""
    beside: dict[str, Any] = field(default_factory=dict)
    """What else bronze kept of it, by column, ``_rescued`` too; of a topic its key, headers and times."""

    @property
    def whole(self) -> bool:
        """Whether it is a file as a whole."""
        return self.reject.line == 0

    def with_bytes(self, raw: bytes) -> Again:
        """The same place with corrected bytes."""
        return replace(self, reject=replace(self.reject, raw=raw))


@dataclass(frozen=True)
class Parsed:
    """What became of rejects that were parsed again, in the order in which they were given."""

    reasons: tuple[str, ...]
    """Why each is still none; nothing for one that is a record now."""
    batch: Batch | None
    """Those that are records now, to be landed; None where there are none."""


class Replays(Protocol):
    """A source that can parse its rejects again."""

    def again(self, session: SparkSession, rejects: Sequence[Again], scratch: Path) -> Parsed:
        """Pass each reject alone through the same inspection as everything else; ``scratch`` is an empty folder."""


class Memory(Protocol):
    """What a table remembers, asked by SQL."""

    def rows(self, sql: str) -> list[dict[str, Any]]: ...


def kept_out(
    memory: Memory, address: str, kind: Literal["reject", "blocking"], origin: str, after: int
) -> list[Quarantined]:
    """The rows of one kind and origin that are remembered of the batches above ``after``, in order of their places."""
    found = memory.rows(
        f"SELECT {', '.join(KEPT_OUT)} FROM t WHERE _kind = '{kind}' AND {of_origin(origin)} AND _batch > {after}"
    )
    rows = [
        Quarantined(
            address,
            Place(row["_batch"], row["_file"], row["_row"]),
            tuple(row["_reasons"]),
            record=row["_record"],
            blocking=kind == "blocking",
        )
        for row in found
    ]
    # A range that grew is recorded again, with all rows that it had before.
    return sorted(dict.fromkeys(rows) if kind == "blocking" else rows, key=lambda row: row.place)


def of_origin(origin: str) -> str:
    """SQL: the rows of one origin."""
    return f"_origin = {text_literal(origin).duckdb}"


def decided(resolutions: Iterable[Resolution], address: str) -> dict[Place, Resolution]:
    """What was decided about each place of a table's quarantine."""
    return {place: one for one in resolutions if one.address == address for place in one.places}
