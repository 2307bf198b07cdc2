"""Rules over tables as DuckDB queries. Each is the twin of the frames in :mod:`lakehouse.quality.spark_tables`.

The session's ``TimeZone`` must be UTC where a time column has no zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lakehouse.quality.duckdb import duplicates_sql
from lakehouse.quality.expectation import Expectation
from lakehouse.quality.literals import column, number_literal, time_literal
from lakehouse.quality.over_tables import TEXT_SCALE, TOLERANCE, span


@dataclass(frozen=True)
class Relation:
    """Rows that a query reads."""

    sql: str
    """A table's name, quoted where it must be, or a query in brackets."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Its columns and their types as DuckDB's DESCRIBE names them; needed for ``sum_matches``."""


def summary_sql(rule: Expectation, rows: Relation, other: Relation | None, now: datetime) -> str:
    """A query for one row: how many rows were ``looked`` at, and how many of them are ``failures``."""
    if rule.kind == "unique":
        names = ", ".join(_quoted(name) for name in rule.columns)
        counted = f"SELECT count(*) AS _rows FROM {rows.sql} WHERE {_known(rule.columns)} GROUP BY {names}"
        return (
            "SELECT CAST(coalesce(sum(_rows), 0) AS BIGINT) AS looked, "
            f"CAST(coalesce(sum(_rows) FILTER (_rows > 1), 0) AS BIGINT) AS failures FROM ({counted})"
        )
    if rule.kind == "references":
        missing = _missing(rule, other)
        return (
            f"SELECT count(*) AS looked, count(*) FILTER ({missing}) AS failures "
            f"FROM {rows.sql} AS own WHERE {_known(rule.columns)}"
        )
    return f"SELECT _looked AS looked, CAST(NOT _holds AS BIGINT) AS failures FROM ({_whole(rule, rows, other, now)})"


def findings_sql(rule: Expectation, rows: Relation, other: Relation | None, now: datetime) -> str:
    """A query for what is wrong: values with their ``_rows``, most first; or the number that does not fit."""
    if rule.kind == "unique":
        return duplicates_sql(rule, rows.sql)
    if rule.kind == "references":
        names = ", ".join(_quoted(name) for name in rule.columns)
        return (
            f"SELECT {names}, count(*) AS _rows FROM {rows.sql} AS own WHERE {_known(rule.columns)} "
            f"AND {_missing(rule, other)} GROUP BY {names} ORDER BY _rows DESC, {names}"
        )
    return f"SELECT * EXCLUDE (_looked, _holds) FROM ({_whole(rule, rows, other, now)}) WHERE NOT _holds"


def _missing(rule: Expectation, other: Relation | None) -> str:
    assert other is not None
    pairs = zip(rule.columns, rule.read_columns, strict=True)
    same = " AND ".join(f"own.{_quoted(name)} = its.{_quoted(to)}" for name, to in pairs)
    return f"NOT EXISTS (SELECT 1 FROM {other.sql} AS its WHERE {same})"


def _whole(rule: Expectation, rows: Relation, other: Relation | None, now: datetime) -> str:
    if rule.kind == "row_count":
        least, most = rule.arguments
        sides = [f"count(*) >= {least}"] if least is not None else []
        sides += [f"count(*) <= {most}"] if most is not None else []
        return f'SELECT count(*) AS _looked, {" AND ".join(sides)} AS _holds, count(*) AS "rows" FROM {rows.sql}'
    if rule.kind == "fresh_within":
        (name,) = rule.columns
        newest = f"CAST(max({_quoted(name)}) AS TIMESTAMPTZ)"
        oldest = time_literal(now - span(rule.arguments[0])).duckdb
        return (
            f"SELECT count(*) AS _looked, coalesce({newest} >= {oldest}, false) AS _holds, {newest} AS {_quoted(name)} "
            f"FROM {rows.sql}"
        )
    assert other is not None
    (name,), (of,) = rule.columns, rule.read_columns
    kinds = rows.types[name], other.types[of]
    floating = any(kind in ("FLOAT", "DOUBLE") for kind in kinds)
    scale = max(map(_scale, kinds))
    mine, its = (_sum(_quoted(column), kind, floating, scale) for column, kind in zip((name, of), kinds, strict=True))
    within = rule.arguments[2] if len(rule.arguments) > 2 else TOLERANCE if floating else 0.0
    holds = "mine = its"
    if within > 0:
        a, b = "CAST(mine AS DOUBLE)", "CAST(its AS DOUBLE)"
        finite = f"isfinite({a}) AND isfinite({b})"
        near = f"abs({a} - {b}) <= {number_literal(within).duckdb} * greatest(abs({a}), abs({b}))"
        holds = f"CASE WHEN mine = its THEN true WHEN {finite} THEN {near} ELSE false END"
    return (
        f"SELECT _looked, {holds} AS _holds, mine AS {_quoted(name)}, its AS {_quoted(f'{rule.reads}.{of}')} "
        f"FROM (SELECT count(*) AS _looked, {mine} AS mine FROM {rows.sql}), (SELECT {its} AS its FROM {other.sql})"
    )


def _sum(name: str, kind: str, floating: bool, scale: int) -> str:
    to = "DOUBLE" if floating else f"DECIMAL(38, {scale})"
    number = f"CAST({name} AS {to})"
    if kind == "VARCHAR":
        exact = rf"\A[+-]?[0-9]{{1,{38 - scale}}}(\.[0-9]{{0,{scale}}})?\z"
        wanted = r"\A[+-]?[0-9]{1,99}(\.[0-9]{0,99})?([eE][+-]?[0-9]{1,2})?\z" if floating else exact
        number = f"CASE WHEN regexp_matches(trim({name}), '{wanted}') THEN CAST(trim({name}) AS {to}) END"
    return f"CAST(coalesce(sum({number}), 0) AS {to})"


def _scale(kind: str) -> int:
    if kind == "VARCHAR":
        return TEXT_SCALE
    return int(kind.partition(",")[2].rstrip(")")) if kind.startswith("DECIMAL") else 0


def _known(names: tuple[str, ...]) -> str:
    return "(" + " AND ".join(f"{_quoted(name)} IS NOT NULL" for name in names) + ")"


def _quoted(name: str) -> str:
    return column(name).duckdb
