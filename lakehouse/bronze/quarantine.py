"""The rejects of a bronze table, and what was decided about quarantined rows: rows of the table, read without a JVM.

Decisions about a silver table's rows stand in its bronze table too. They are raw facts like the records: everything
after bronze can be deleted and is rebuilt from bronze to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.bronze.receipts import Receipts
from lakehouse.delta import append
from lakehouse.delta.state import TableState
from lakehouse.quality.literals import column
from lakehouse.tables.batch import ENGINE_COLUMNS, RESCUED, Reject
from lakehouse.tables.quarantine import Place, Quarantined, Resolution

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AT_ONCE = 500
"""Rejects whose bytes are read with one query."""


def rejects(address: str, receipts: Receipts) -> list[Quarantined]:
    """Every reject of the table, decided or not, in order of its place; without its bytes."""
    if receipts.table is None:
        return []
    found = receipts.table.rows(
        "SELECT _batch, _file, _offset, _line, _reason, _ingested_at FROM t WHERE _kind = 'reject'"
    )
    rows = [
        Quarantined(
            address,
            Place(row["_batch"], row["_file"], row["_offset"]),
            (row["_reason"],),
            row["_line"],
            row["_ingested_at"].replace(tzinfo=UTC),
        )
        for row in found
    ]
    return sorted(rows, key=lambda row: row.place)


def raw_bytes(table: TableState, places: Iterable[Place]) -> dict[Place, bytes]:
    """The bytes of rejects, as they stood in their file."""
    return {place: row["_raw"] for place, row in _rows(table, places, ["_raw"])}


def kept_beside(table: TableState, places: Iterable[Place]) -> dict[Place, dict[str, Any]]:
    """The source's own columns of rejects and ``_rescued``, without those that are null."""
    columns = [column for column in table.columns if column not in ENGINE_COLUMNS or column == RESCUED]
    return {
        place: {column: row[column] for column in columns if row[column] is not None}
        for place, row in _rows(table, places, columns)
    }


def _rows(table: TableState, places: Iterable[Place], columns: Sequence[str]) -> Iterator[tuple[Place, dict[str, Any]]]:
    wanted = list(places)
    named = ", ".join(column(name).duckdb for name in ("_batch", "_file", "_offset", *columns))
    for start in range(0, len(wanted), AT_ONCE):
        some = set(wanted[start : start + AT_ONCE])
        batches = ", ".join(sorted({str(place.batch) for place in some}))
        offsets = ", ".join(sorted({str(place.row) for place in some}))
        for row in table.rows(
            f"SELECT {named} FROM t WHERE _kind = 'reject' AND _batch IN ({batches}) AND _offset IN ({offsets})"
        ):
            place = Place(row["_batch"], row["_file"], row["_offset"])
            if place in some:
                yield place, row


def as_reject(row: Quarantined, raw: bytes) -> Reject:
    """The reject as the source gave it."""
    return Reject(row.place.file, row.place.row, row.line, raw, row.reasons[0])


def resolutions(receipts: Receipts) -> list[tuple[datetime, Resolution]]:
    """All decisions, oldest first, each with its time in UTC."""
    if receipts.table is None:
        return []
    found = receipts.table.rows(
        "SELECT _receipt, _ingested_at FROM t WHERE _kind = 'resolution' ORDER BY _batch, _receipt"
    )
    return [(row["_ingested_at"].replace(tzinfo=UTC), Resolution.from_json(row["_receipt"])) for row in found]


def resolution_rows(session: SparkSession, made: Sequence[Resolution]) -> DataFrame:
    """Decisions as rows of a bronze table."""
    rows = [("resolution", text) for one in made for text in one.as_json()]
    return session.createDataFrame(rows, "_kind string, _receipt string").coalesce(1)


def resolve(session: SparkSession, path: Path, receipts: Receipts, made: Sequence[Resolution], now: datetime) -> None:
    """Record decisions in one append to the bronze table. Nothing else of the table changes."""
    from pyspark.sql import functions as F

    assert receipts.table is not None
    rows = resolution_rows(session, made).withColumns(
        {"_batch": F.lit(receipts.table.version + 1).cast("long"), "_ingested_at": F.lit(now).cast("timestamp")}
    )
    append(rows, path)


def columns_of(receipts: Receipts, place: Place) -> tuple[str, ...]:
    """The columns of the file that a reject stands in, as its receipt has them; none where it was rejected whole."""
    known = receipts.batches.get(place.batch, {}).get("rejected_in", {})
    return tuple(known.get(place.file, ()))


def rejected_in(parts: Iterable[tuple[str, Sequence[str]]], found: Iterable[Reject]) -> dict[str, list[str]]:
    """The columns of each file that has rejects: what a replay of them must know. Part of the receipt.

    >>> rejected_in([("a.csv", ("x", "y")), ("b.csv", ("x",))], [Reject("b.csv", 2, 2, b"1,2", "")])
    {'b.csv': ['x']}
    """
    files = {reject.file for reject in found}
    return {name: list(columns) for name, columns in parts if name in files}
