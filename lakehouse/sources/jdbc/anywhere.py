"""A batch of any other database: the whole table, or what lies near and after the last cursor and is not there yet."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal, localcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lakehouse.errors import ConfigError, ContractError
from lakehouse.quality.literals import literal
from lakehouse.sources.jdbc.columns import Column, bronze_names, require_usable
from lakehouse.sources.jdbc.connection import Connection
from lakehouse.sources.jdbc.overlap import far_ahead, is_number, span
from lakehouse.sources.jdbc.reading import content, read_rows, without_landed
from lakehouse.tables.batch import Batch

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

WHOLE = {-6, 5, 4, -5}
"""java.sql.Types: TINYINT, SMALLINT, INTEGER, BIGINT"""
EXACT = WHOLE | {16, 7, 6, 8, 1, 12, -1, -15, -9, -16, 2005, 2011, -2, -3, -4, 2004, 91}
"""Types whose every value Spark's reader maps exactly: also BOOLEAN, REAL, FLOAT, DOUBLE, texts, bytes, DATE."""
BIT, DECIMALS, TIMESTAMP, DAY = -7, {2, 3}, 93, 91
DIGITS, MICROSECONDS = 38, 6


def plan_anywhere(
    session: SparkSession, connection: Connection, last: dict[str, Any] | None, bronze: Path, kept: ExitStack
) -> Batch | None:
    """The next batch; it is read here, and ``kept`` holds it. None where nothing that differs from what landed is near
    or after the cursor; without a cursor, where the whole table is as it was.

    Raises ConfigError and ContractError.
    """
    login, source = connection.login, connection.login.source
    quote = _quoting(connection)
    place = ".".join(map(quote, source.names))
    columns, types = _columns(connection, place, quote)
    require_usable(login, columns)
    values = ", ".join(f"{column.expression} AS c{i}" for i, column in enumerate(columns))
    query = f"SELECT {values} FROM {place} t"
    names = bronze_names(columns)
    if source.cursor is None:
        connection.close()
        rows, count = read_rows(session, login, [query], names, kept)
        same = content(rows)
        if last is not None and (last["mode"], last.get("content")) == ("snapshot", same):
            return None
        whole = {"table": place, "mode": "snapshot", "snapshot_id": uuid4().hex, "rows": count, "whole": True}
        return _batch(rows, count, f"{count:,} rows", whole | {"content": same})
    at = [column.name for column in columns].index(source.cursor)
    if types[at] not in WHOLE | DECIMALS | {TIMESTAMP, DAY}:
        raise ConfigError(
            f"sources.{login.name}.cursor: {source.cursor!r} is of the type {columns[at].type}",
            hint="A cursor is a number, a date or a time.",
        )
    low = None if last is None else _low(login.name, last.get("through"), types[at], source.overlap or "0")
    if low is not None:
        name = columns[at].expression
        query += f" WHERE {name} >= {_literal(low)} OR {name} IS NULL"
    connection.close()
    rows, count = read_rows(session, login, [query], names, kept)
    through = _highest(rows, names[at]) or (last or {}).get("through")
    cursor: dict[str, Any] = {"table": place, "mode": "incremental", "through": through}
    if through is not None and types[at] in (TIMESTAMP, DAY) and _is_far_ahead(session, through):
        cursor["ahead"] = far_ahead(source.cursor, through)
    if last is None:
        return _batch(rows, count, f"{count:,} rows", cursor | {"rows": count})
    fresh, new = without_landed(session, login, rows, source.key, bronze, kept, _near(names[at], low))
    if new == 0:
        return None
    cursor |= {"rows": new, "already_landed": count - new}
    return _batch(fresh, new, f"{new:,} rows ({count - new:,} already landed)", cursor)


def _batch(rows: DataFrame, count: int, took: str, cursor: dict[str, Any]) -> Batch:
    return Batch(cursor=cursor, took=took, read=lambda _: rows, records=count, note=cursor.get("ahead", ""))


def _quoting(connection: Connection) -> Callable[[str], str]:
    mark = (connection.java.getMetaData().getIdentifierQuoteString() or "").strip() or '"'
    return lambda name: mark + name.replace(mark, mark * 2) + mark


def _columns(connection: Connection, place: str, quote: Callable[[str], str]) -> tuple[list[Column], list[int]]:
    """The columns of the table and their java.sql.Types. Raises ContractError for a type that has values which Spark's
    reader would change."""
    statement = connection.java.createStatement()
    found = statement.executeQuery(f"SELECT * FROM {place} t WHERE 1 = 0").getMetaData()
    columns, types, odd = [], [], []
    for i in range(1, found.getColumnCount() + 1):
        name, kind, digits, scale = (
            found.getColumnName(i),
            found.getColumnType(i),
            found.getPrecision(i),
            found.getScale(i),
        )
        exact = (
            kind in EXACT
            or (kind == BIT and digits <= 1)
            or (kind in DECIMALS and 0 <= scale <= digits <= DIGITS and digits > 0)
            or (kind == TIMESTAMP and scale <= MICROSECONDS)
        )
        if not exact:
            odd.append(f"{name} ({found.getColumnTypeName(i)})")
        columns.append(Column(name, found.getColumnTypeName(i), f"t.{quote(name)}"))
        types.append(kind)
    statement.close()
    if odd:
        raise ContractError(
            f"{connection.login.where}: {connection.login.source.table} has columns that would not land exactly: "
            f"{', '.join(odd)}; nothing landed",
            hint="Make a view that casts them to text, and name the view as the table.",
        )
    return columns, types


def _low(name: str, through: str | None, kind: int, overlap: str) -> Decimal | datetime | date | None:
    """Where to begin looking: the last cursor less the overlap. Raises ConfigError where these don't go together."""
    if through is None:
        return None
    number = kind not in (TIMESTAMP, DAY)
    if number != is_number(overlap):
        raise ConfigError(
            f"sources.{name}.overlap: {overlap} does not go with the cursor's type",
            hint="A number cursor takes a number, a date or a time takes 30s, 10m, 2h or 1d.",
        )
    if number:
        return _less(Decimal(through), Decimal(overlap))
    if kind == DAY:
        return (datetime.fromisoformat(through) - span(overlap)).date()
    return datetime.fromisoformat(through) - span(overlap)


def _less(through: Decimal, overlap: Decimal) -> Decimal:
    """The difference with the digits of ``through``, never above the true one: Python's own would be rounded to 28."""
    with localcontext(prec=2 * DIGITS + 4, rounding=ROUND_FLOOR):
        unit = Decimal(1).scaleb(min(int(through.as_tuple().exponent), 0))
        lowest = unit - unit.scaleb(DIGITS)  # no value of the column lies below it, and Spark can't say one that does
        return max(through - overlap, lowest).quantize(unit)


def _literal(value: Decimal | datetime | date) -> str:
    """As every JDBC driver takes it."""
    if isinstance(value, datetime):
        return f"{{ts '{value:%Y-%m-%d %H:%M:%S.%f}'}}"
    return f"{{d '{value.isoformat()}'}}" if isinstance(value, date) else f"{value:f}"


def _highest(rows: DataFrame, name: str) -> str | None:
    from lakehouse.delta.commit import quoted

    found = rows.selectExpr(f"CAST(max({quoted(name)}) AS STRING)").first()
    return found[0] if found is not None else None


def _is_far_ahead(session: SparkSession, through: str) -> bool:
    """Whether a time or a date lies more than a day after now."""
    later = f"CAST({literal(through).spark} AS TIMESTAMP_NTZ) > localtimestamp() + INTERVAL 1 DAY"
    return bool(session.sql(f"SELECT {later}").collect()[0][0])


def _near(name: str, low: Decimal | datetime | date | None) -> Any:
    from pyspark.sql import functions as F

    from lakehouse.delta.commit import quoted

    column = F.col(quoted(name))
    # Not by F.lit, which reads a time without a zone in the time zone of Python's process.
    return None if low is None else (column >= F.expr(literal(low).spark)) | column.isNull()
