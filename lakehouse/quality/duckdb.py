"""Expectations as DuckDB SQL. Each is the twin of the column in :mod:`lakehouse.quality.spark`, and agrees with it.

The session's ``TimeZone`` must be UTC where a time column has no zone.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from lakehouse.errors import DefinitionError
from lakehouse.quality.condition import parse
from lakehouse.quality.expectation import Expectation, OnFail
from lakehouse.quality.literals import column, literal, text_literal
from lakehouse.quality.pattern import portable


def passes_sql(expectation: Expectation) -> str:
    """A boolean SQL expression: true for a row that passes, false for one that fails; never null."""
    if not expectation.on_rows:
        raise DefinitionError(f"{expectation.name} is a rule over the table, not over a row")
    columns = [column(name).duckdb for name in expectation.columns]
    if expectation.kind == "not_null":
        return "(" + " AND ".join(f"{name} IS NOT NULL" for name in columns) + ")"
    return f"coalesce({_rule(expectation, columns)}, true)"


def failed_rules_sql(expectations: Iterable[Expectation], on_fail: OnFail) -> str:
    """A SQL expression: the names of the row rules with this ``on_fail`` that a row fails, VARCHAR[]."""
    rules = [rule for rule in expectations if rule.on_rows and rule.on_fail == on_fail]
    cases = [f"CASE WHEN NOT {passes_sql(rule)} THEN {text_literal(rule.name).duckdb} END" for rule in rules]
    return f"list_filter(CAST([{', '.join(cases)}] AS VARCHAR[]), lambda name: name IS NOT NULL)"


def duplicates_sql(expectation: Expectation, relation: str) -> str:
    """A query: the values that ``unique`` finds more than once in a relation, with their ``_rows``; most first.

    ``relation`` is SQL: a table's name, quoted where it must be, or a query in brackets.
    """
    names = [column(name).duckdb for name in expectation.columns]
    shown, known = ", ".join(names), " AND ".join(f"{name} IS NOT NULL" for name in names)
    return (
        f"SELECT {shown}, count(*) AS _rows FROM {relation} WHERE {known} "
        f"GROUP BY {shown} HAVING count(*) > 1 ORDER BY _rows DESC, {shown}"
    )


def _rule(expectation: Expectation, columns: list[str]) -> str:
    if expectation.kind == "expression":
        return parse(expectation.arguments[0]).duckdb
    name = columns[0]
    if expectation.kind == "matches":
        return f"regexp_matches({name}, {text_literal(portable(expectation.arguments[0])).duckdb})"
    if expectation.kind == "one_of":
        return f"{name} IN ({', '.join(literal(value).duckdb for value in expectation.arguments)})"
    low, high = expectation.arguments
    sides = [f"{name} >= {literal(low).duckdb}"] if low is not None else []
    if high is None and isinstance(low, int | float | Decimal):
        high = float("inf")  # NaN is above it, and of the numbers NaN alone
    sides += [f"{name} <= {literal(high).duckdb}"] if high is not None else []
    return f"({' AND '.join(sides)})"
