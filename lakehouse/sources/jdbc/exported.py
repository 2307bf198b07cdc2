"""A batch of Postgres: what one exported snapshot has and the one of the last batch had not."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.errors import ConfigError, ConservationError, SourceChangedError, SourceUnavailableError
from lakehouse.quality import literals
from lakehouse.sources.jdbc.columns import bronze_names, require_usable
from lakehouse.sources.jdbc.connection import Connection, Login
from lakehouse.sources.jdbc.overlap import far_ahead, interval, is_number
from lakehouse.sources.jdbc.postgres import (
    FULL,
    MOST_SEEN,
    Relation,
    Snapshot,
    Window,
    look_up,
    not_in,
    open_snapshot,
    split,
    split_by,
    transaction,
)
from lakehouse.sources.jdbc.reading import content, read_rows, without_landed
from lakehouse.tables.batch import Batch

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Found:
    """The rows that meet a condition, counted in the snapshot."""

    rows: int
    new: int
    """Of them, those that an earlier snapshot did not see."""
    seen: tuple[int, ...]
    """The transactions above the snapshot's oldest running one that wrote them."""
    through: str | None
    """The highest value of the cursor column."""


def plan_postgres(
    session: SparkSession, connection: Connection, last: dict[str, Any] | None, bronze: Path, kept: ExitStack
) -> Batch | None:
    """The next batch, whose snapshot is held until it has been read; or None. ``kept`` holds the rows that were read.

    Raises SourceUnavailableError where the server is behind the last batch, SourceChangedError where what landed
    can't be told from what is new, ConfigError and ContractError.
    """
    login = connection.login
    snapshot = open_snapshot(connection, login)
    relation = look_up(connection, login)
    require_usable(login, list(relation.columns))
    if last is not None and relation.versioned and last.get("identity") == relation.identity:
        if last["snapshot"] == snapshot.text:
            return None  # no transaction that wrote anything has ended since
        if snapshot.xmax < last["end"]:
            raise SourceUnavailableError(
                f"{login.where}: the server is behind what was read last (transaction {snapshot.xmax:,} and "
                f"{last['end']:,}); nothing landed",
                hint="Is it a replica that lags? Read from one server, or run again when it has caught up.",
            )
    if login.source.cursor is None:
        return _whole(session, snapshot, relation, last, kept)
    return _new(session, snapshot, relation, last, bronze, kept)


def _whole(
    session: SparkSession, snapshot: Snapshot, relation: Relation, last: dict[str, Any] | None, kept: ExitStack
) -> Batch | None:
    """All rows, where any differs from the last batch: one is new, or there are fewer. Where transactions can't tell,
    they are read and compared by their content."""
    window = _window(relation, last)
    found = _count(snapshot, relation, ["true"], window)
    if (
        window is not None
        and last is not None
        and (last["mode"], last["columns"]) == ("snapshot", relation.marks)
        and (found.new, found.rows) == (0, last["rows"])
    ):
        return None
    cursor = _cursor(snapshot, relation, found, window) | {"mode": "snapshot", "rows": found.rows, "whole": True}
    if relation.versioned:
        return _batch(snapshot, relation, ["true"], found.rows, cursor, kept)
    rows = _read_counted(session, snapshot, relation, ["true"], found.rows, kept)
    cursor["content"] = content(rows)
    if last is not None and (last["mode"], last.get("content")) == ("snapshot", cursor["content"]):
        return None
    return Batch(cursor=cursor, took=_rows(found.rows), read=lambda _: rows, records=found.rows)


def _new(
    session: SparkSession,
    snapshot: Snapshot,
    relation: Relation,
    last: dict[str, Any] | None,
    bronze: Path,
    kept: ExitStack,
) -> Batch | None:
    """The rows of transactions that the last batch did not see. Where transactions can't tell, all rows (of a view:
    those that the overlap asks for), less those that landed."""
    source, login = snapshot.connection.login.source, snapshot.connection.login
    window = _window(relation, last)
    key = source.key or relation.primary_key
    _require_fitting(login, relation, key)
    conditions = ["true"] if window is None else [not_in(window, snapshot)]
    if source.overlap is not None and last is not None and last.get("through") is not None:
        conditions.append(_since(relation, login, last["through"]))
    found = _count(snapshot, relation, conditions, window)
    # A row keeps half of its transaction's number, so that after 2^32 of them an old row may look like a new one.
    compare = last is not None and (window is None or snapshot.xmax >= FULL)
    if last is not None and window is not None and found.rows == 0:
        return None
    if compare and not key:
        raise SourceChangedError(
            f"{login.where}: {source.table} or its server was restored, rewritten, replaced or altered since the last "
            "batch, or counts its transactions anew: what landed can't be told from what is new",
            hint=f"Name the columns that tell its rows apart: sources.{login.name}.key",
        )
    many = len(_seen(snapshot, found, window)) > MOST_SEEN
    if many:  # they wait for the oldest running transaction
        conditions.append(f"({transaction(snapshot)}) < {snapshot.xmin}")
        found = _count(snapshot, relation, conditions, window)
        if found.rows == 0 and not compare:
            return None
    cursor = _cursor(snapshot, relation, found, window)
    cursor |= {"mode": "incremental", "rows": found.rows, "through": found.through or (last or {}).get("through")}
    if not compare:
        return _batch(snapshot, relation, conditions, found.rows, cursor, kept)
    if not relation.versioned and _is_far_ahead(snapshot, relation, cursor["through"]):
        cursor["ahead"] = far_ahead(source.cursor or "", cursor["through"])
    rows = _read_counted(session, snapshot, relation, conditions, found.rows, kept)
    fresh, count = without_landed(session, login, rows, key, bronze, kept)
    if count == 0 and relation.versioned is False:
        return None
    already = found.rows - count
    return Batch(
        cursor=cursor | {"rows": count, "already_landed": already},
        took=f"{_rows(count)} ({already:,} already landed)",
        read=lambda _: fresh,
        records=count,
        note=cursor.get("ahead", ""),
    )


def _require_fitting(login: Login, relation: Relation, key: tuple[str, ...]) -> None:
    """Raises ConfigError where rows would be lost, or could not be told from those that landed."""
    source = login.source
    if not relation.versioned and not (source.overlap and key):
        raise ConfigError(
            f"{login.where}: {source.table} is a view, foreign or under row-level security: what comes into sight does "
            "not say which transaction wrote them",
            hint=f"Give sources.{login.name} a key and an overlap, or name the table behind it, or read it as a user "
            "that sees all its rows (BYPASSRLS).",
        )
    if relation.versioned and source.overlap is not None:
        raise ConfigError(
            f"{login.where}: an overlap would hide what commits later than it",
            hint=f"Take sources.{login.name}.overlap out: a table of Postgres says itself what is new, however late.",
        )


def _window(relation: Relation, last: dict[str, Any] | None) -> Window | None:
    """What landed, as numbers of transactions; none where these mean something else now."""
    if last is None or not relation.versioned or last.get("identity") != relation.identity:
        return None
    if relation.unlike(last["columns"]):
        return None
    return Window.from_json(last["window"]) if last["window"] is not None else None


def _count(snapshot: Snapshot, relation: Relation, conditions: list[str], window: Window | None) -> Found:
    cursor = snapshot.connection.login.source.cursor
    top = f"(max(max(t.{literals.column(cursor).duckdb})) OVER ())::pg_catalog.text" if cursor else "NULL"
    number = transaction(snapshot) if relation.versioned else "0"
    new = not_in(window, snapshot) if window is not None else "true"
    found = snapshot.connection.rows(
        f"SELECT CASE WHEN {number} >= {snapshot.xmin} THEN {number} END, "
        f"count(*), count(*) FILTER (WHERE {new}), {top} "
        f"FROM {relation.place} t WHERE {' AND '.join(conditions)} GROUP BY 1"
    )
    return Found(
        rows=sum(int(row[1] or 0) for row in found),
        new=sum(int(row[2] or 0) for row in found),
        seen=tuple(sorted(int(row[0]) for row in found if row[0] is not None)),
        through=found[0][3] if found else None,
    )


def _cursor(snapshot: Snapshot, relation: Relation, found: Found, before: Window | None) -> dict[str, Any]:
    seen = _seen(snapshot, found, before)
    return {
        "table": relation.place,
        "identity": relation.identity,
        "snapshot": snapshot.text,
        "snapshot_id": snapshot.id,
        "end": snapshot.xmax,
        "columns": relation.marks,
        # Too many happens to whole snapshots only; what is new after one can then not be told.
        "window": Window(snapshot.xmin, seen).as_json() if len(seen) <= MOST_SEEN else None,
    }


def _seen(snapshot: Snapshot, found: Found, before: Window | None) -> tuple[int, ...]:
    """The transactions above the oldest running one whose rows have landed with this batch, or before it."""
    earlier = before.seen if before is not None else ()
    return tuple(sorted({*found.seen, *(number for number in earlier if number >= snapshot.xmin)}))


def _since(relation: Relation, login: Login, through: str) -> str:
    """SQL: rows that are not further than the overlap before the last cursor; those without a cursor always."""
    source = login.source
    assert source.cursor is not None and source.overlap is not None
    kind = _cursor_type(login, relation)
    far = source.overlap if is_number(source.overlap) else f"'{interval(source.overlap)}'::interval"
    name = f"t.{literals.column(source.cursor).duckdb}"
    return f"({name} >= {literals.text_literal(through).duckdb}::{kind} - {far} OR {name} IS NULL)"


def _is_far_ahead(snapshot: Snapshot, relation: Relation, through: str | None) -> bool:
    """Whether a cursor that is a time or a date lies more than a day after now."""
    kind = _cursor_type(snapshot.connection.login, relation)
    if through is None or not kind.startswith(("date", "timestamp")):
        return False
    value = literals.text_literal(through).duckdb
    ((later,),) = snapshot.connection.rows(f"SELECT {value}::{kind} > pg_catalog.now() + '1 day'::interval")
    return later == "t"


def _cursor_type(login: Login, relation: Relation) -> str:
    return next(column.type for column in relation.columns if column.name == login.source.cursor)


def _batch(
    snapshot: Snapshot,
    relation: Relation,
    conditions: list[str],
    count: int,
    cursor: dict[str, Any],
    kept: ExitStack,
) -> Batch:
    def read(session: SparkSession) -> DataFrame:
        return _read(session, snapshot, relation, conditions, kept)[0]

    return Batch(cursor=cursor, took=_rows(count), read=read, records=count)


def _read_counted(
    session: SparkSession,
    snapshot: Snapshot,
    relation: Relation,
    conditions: list[str],
    count: int,
    kept: ExitStack,
) -> DataFrame:
    """The rows, read here and now. Raises ConservationError where they are not as many as the snapshot has."""
    rows, read = _read(session, snapshot, relation, conditions, kept)
    if read != count:
        raise ConservationError(
            f"{snapshot.connection.login.where}: {relation.place} has {count:,} rows and Spark reads {read:,}; nothing "
            "landed",
            hint="This is a defect of the engine: please report it with what causes it.",
        )
    return rows


def _read(
    session: SparkSession, snapshot: Snapshot, relation: Relation, conditions: list[str], kept: ExitStack
) -> tuple[DataFrame, int]:
    login = snapshot.connection.login
    source = login.source
    try:
        if source.partition_column is not None:
            parts = split_by(snapshot.connection, relation, source.partition_column, source.partitions)
        else:
            parts = split(relation, source.partitions) if relation.plain else ["true"]
        values = ", ".join(f"{column.expression} AS c{i}" for i, column in enumerate(relation.columns))
        where = " AND ".join(conditions)
        queries = [f"SELECT {values} FROM {relation.place} t WHERE {part} AND {where}" for part in parts]
        return read_rows(session, login, queries, bronze_names(list(relation.columns)), kept, first=snapshot.joining)
    finally:
        snapshot.connection.close()


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"
