"""Expectations as Spark columns. Each is the twin of the SQL in :mod:`lakehouse.quality.duckdb`, and agrees with it.

The session must be ANSI and its time zone UTC, as the engine's are.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from lakehouse.errors import DefinitionError
from lakehouse.quality.condition import parse
from lakehouse.quality.expectation import Expectation, OnFail
from lakehouse.quality.literals import column, literal
from lakehouse.quality.pattern import portable


def passes(expectation: Expectation) -> Column:
    """A boolean column: true for a row that passes, false for one that fails; never null."""
    if not expectation.on_rows:
        raise DefinitionError(f"{expectation.name} is a rule over the table, not over a row")
    columns = [F.col(column(name).spark) for name in expectation.columns]
    if expectation.kind == "not_null":
        return reduce(Column.__and__, [name.isNotNull() for name in columns])
    return F.coalesce(_rule(expectation, columns), F.lit(True))


def failed_rules(expectations: Iterable[Expectation], on_fail: OnFail) -> Column:
    """The names of the row rules with this ``on_fail`` that a row fails: array<string>, empty when it passes all."""
    rules = [rule for rule in expectations if rule.on_rows and rule.on_fail == on_fail]
    names = [F.when(~passes(rule), F.lit(rule.name)) for rule in rules]
    return F.array_compact(F.array(*names).cast("array<string>"))


def duplicates(frame: DataFrame, expectation: Expectation) -> DataFrame:
    """The values that ``unique`` finds more than once, with how many rows have them in ``_rows``; most first."""
    columns = [F.col(column(name).spark) for name in expectation.columns]
    known = reduce(Column.__and__, [name.isNotNull() for name in columns])
    counted = frame.where(known).groupBy(*columns).agg(F.count(F.lit(1)).alias("_rows"))
    return counted.where(F.col("_rows") > 1).orderBy(F.col("_rows").desc(), *columns)


def failed_unique(expectations: Iterable[Expectation]) -> Column:
    """The names of the ``unique`` rules with on_fail="fail" for which another row of the frame has a row's values."""
    rules = [rule for rule in expectations if rule.kind == "unique" and rule.on_fail == "fail"]
    names = []
    for rule in rules:
        columns = [F.col(column(name).spark) for name in rule.columns]
        known = reduce(Column.__and__, [name.isNotNull() for name in columns])
        many = F.count(F.lit(1)).over(Window.partitionBy(*columns)) > 1
        names.append(F.when(known & many, F.lit(rule.name)))
    return F.array_compact(F.array(*names).cast("array<string>"))


def _rule(expectation: Expectation, columns: list[Column]) -> Column:
    if expectation.kind == "expression":
        return F.expr(parse(expectation.arguments[0]).spark)
    name = columns[0]
    if expectation.kind == "matches":
        return name.rlike(portable(expectation.arguments[0]))
    if expectation.kind == "one_of":
        return name.isin([_value(value) for value in expectation.arguments])
    low, high = expectation.arguments
    sides = [name >= _value(low)] if low is not None else []
    if high is None and isinstance(low, int | float | Decimal):
        high = float("inf")  # NaN is above it, and of the numbers NaN alone
    sides += [name <= _value(high)] if high is not None else []
    return reduce(Column.__and__, sides)


def _value(value: Any) -> Column:
    """Not by ``F.lit``: that reads a time without a zone in the time zone of Python's process."""
    return F.expr(literal(value).spark)
