"""Rules over tables as Spark frames. Each is the twin of the queries in :mod:`lakehouse.quality.duckdb_tables`.

``other`` is the table that the rule reads; ``now`` is the run's clock.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.errors import DefinitionError
from lakehouse.quality.expectation import Expectation
from lakehouse.quality.literals import column, time_literal
from lakehouse.quality.over_tables import TEXT_SCALE, TOLERANCE, span
from lakehouse.quality.spark import duplicates

MISSING = "lakehouse_missing"
_WHOLE = ("tinyint", "smallint", "int", "bigint")


def summary(rule: Expectation, rows: DataFrame, other: DataFrame | None, now: datetime) -> DataFrame:
    """One row: how many rows were ``looked`` at, and how many of them are ``failures``.

    A rule that speaks of no single row has one failure where it does not hold.
    """
    if rule.kind == "unique":
        counted = _known(rule, rows).groupBy(*_columns(rule)).agg(F.count(F.lit(1)).alias("_rows"))
        doubled = F.coalesce(F.sum(F.when(F.col("_rows") > 1, F.col("_rows"))), F.lit(0))
        return counted.agg(_summed("_rows").alias("looked"), doubled.alias("failures"))
    if rule.kind == "references":
        marked = with_missing(rule, _known(rule, rows).select(*_columns(rule)), other)
        return marked.agg(F.count(F.lit(1)).alias("looked"), F.count_if(F.col(MISSING)).alias("failures"))
    failed = F.when(F.col("_holds"), F.lit(0)).otherwise(F.lit(1)).cast("bigint")
    return _whole(rule, rows, other, now).select(F.col("_looked").alias("looked"), failed.alias("failures"))


def findings(rule: Expectation, rows: DataFrame, other: DataFrame | None, now: datetime) -> DataFrame:
    """What is wrong: values with how many rows have them in ``_rows``, most first; or the number that does not fit."""
    if rule.kind == "unique":
        return duplicates(rows, rule)
    if rule.kind == "references":
        marked = with_missing(rule, _known(rule, rows).select(*_columns(rule)), other).where(MISSING)
        counted = marked.groupBy(*_columns(rule)).agg(F.count(F.lit(1)).alias("_rows"))
        return counted.orderBy(F.col("_rows").desc(), *_columns(rule))
    return _whole(rule, rows, other, now).where("NOT _holds").drop("_looked", "_holds")


def with_missing(rule: Expectation, rows: DataFrame, other: DataFrame | None) -> DataFrame:
    """The rows, and in ``lakehouse_missing`` whether ``references`` finds their values nowhere; never for a null."""
    assert other is not None
    check_types(rule, rows, other)
    keys = [f"lakehouse_key{place}" for place in range(len(rule.columns))]
    named = zip(rule.read_columns, keys, strict=True)
    there = other.select(*(F.col(column(name).spark).alias(key) for name, key in named))
    there = there.where(_all_known([F.col(key) for key in keys])).distinct().withColumn("lakehouse_there", F.lit(True))
    same = reduce(Column.__and__, [own == F.col(key) for own, key in zip(_columns(rule), keys, strict=True)])
    missing = F.col("lakehouse_there").isNull() & _all_known(_columns(rule))
    return rows.join(there, same, "left").withColumn(MISSING, missing).drop("lakehouse_there", *keys)


def check_types(rule: Expectation, rows: DataFrame, other: DataFrame) -> None:
    """Raise DefinitionError where ``references`` compares values of different types."""
    own, its = dict(rows.dtypes), dict(other.dtypes)
    for name, to in zip(rule.columns, rule.read_columns, strict=True):
        kinds = own[name], its[to]
        if len(set(kinds)) > 1 and not set(kinds) <= set(_WHOLE):
            raise DefinitionError(
                f"{rule.name}: '{name}' is {kinds[0]} and '{to}' of {rule.reads} is {kinds[1]}",
                hint="Give both the same type in the functions of their tables.",
            )


def _whole(rule: Expectation, rows: DataFrame, other: DataFrame | None, now: datetime) -> DataFrame:
    """One row: how many rows there are, whether the rule holds, and what it was judged by."""
    if rule.kind == "row_count":
        least, most = rule.arguments
        sides = [F.col("_looked") >= least] if least is not None else []
        sides += [F.col("_looked") <= most] if most is not None else []
        counted = rows.agg(F.count(F.lit(1)).alias("_looked"))
        return counted.select("_looked", reduce(Column.__and__, sides).alias("_holds"), F.col("_looked").alias("rows"))
    if rule.kind == "fresh_within":
        name = rule.columns[0]
        if dict(rows.dtypes)[name] not in ("date", "timestamp", "timestamp_ntz"):
            raise DefinitionError(f"{rule.name}: '{name}' is {dict(rows.dtypes)[name]}, no time")
        newest = F.max(_columns(rule)[0]).cast("timestamp")
        oldest = F.expr(time_literal(now - span(rule.arguments[0])).spark)
        found = rows.agg(F.count(F.lit(1)).alias("_looked"), newest.alias(name))
        (shown,) = _columns(rule)
        return found.select("_looked", F.coalesce(shown >= oldest, F.lit(False)).alias("_holds"), shown)
    assert other is not None
    return _sums(rule, rows, other)


def _sums(rule: Expectation, rows: DataFrame, other: DataFrame) -> DataFrame:
    names = rule.columns[0], rule.read_columns[0]
    kinds = [dict(frame.dtypes)[name] for frame, name in zip((rows, other), names, strict=True)]
    for name, kind in zip(names, kinds, strict=True):
        if kind not in (*_WHOLE, "float", "double", "string") and not kind.startswith("decimal"):
            raise DefinitionError(f"{rule.name}: '{name}' is {kind}, no number")
    floating = any(kind in ("float", "double") for kind in kinds)
    scale = max(map(_scale, kinds))
    numbers = [
        _double(F.col(column(name).spark), kind) if floating else _exact(F.col(column(name).spark), kind, scale)
        for name, kind in zip(names, kinds, strict=True)
    ]
    kind = "double" if floating else f"decimal(38,{scale})"
    left, right = (F.coalesce(F.sum(number), F.lit(0).cast(kind)).cast(kind) for number in numbers)
    mine = rows.agg(F.count(F.lit(1)).alias("_looked"), left.alias("mine"))
    both = mine.crossJoin(other.agg(right.alias("its")))
    within = rule.arguments[2] if len(rule.arguments) > 2 else TOLERANCE if floating else 0.0
    a, b = F.col("mine").cast("double"), F.col("its").cast("double")
    finite = (F.abs(a) < float("inf")) & (F.abs(b) < float("inf"))
    close = finite & (F.abs(a - b) <= F.lit(within) * F.greatest(F.abs(a), F.abs(b))) & F.lit(within > 0)
    shown = F.col("mine").alias(names[0]), F.col("its").alias(f"{rule.reads}.{names[1]}")
    return both.select("_looked", ((F.col("mine") == F.col("its")) | close).alias("_holds"), *shown)


def _scale(kind: str) -> int:
    """Digits behind the point of an exact number."""
    if kind == "string":
        return TEXT_SCALE
    return int(re.findall(r"\d+", kind)[1]) if kind.startswith("decimal") else 0


def _exact(value: Column, kind: str, scale: int) -> Column:
    if kind != "string":
        return value.cast(f"decimal(38,{scale})")
    text = F.trim(value)
    number = text.rlike(rf"\A[+-]?[0-9]{{1,{38 - scale}}}(\.[0-9]{{0,{scale}}})?\z")
    return F.when(number, text).cast(f"decimal(38,{scale})")


def _double(value: Column, kind: str) -> Column:
    if kind != "string":
        return value.cast("double")
    text = F.trim(value)
    return F.when(text.rlike(r"\A[+-]?[0-9]{1,99}(\.[0-9]{0,99})?([eE][+-]?[0-9]{1,2})?\z"), text).cast("double")


def _columns(rule: Expectation) -> list[Column]:
    return [F.col(column(name).spark) for name in rule.columns]


def _known(rule: Expectation, rows: DataFrame) -> DataFrame:
    return rows.where(_all_known(_columns(rule)))


def _all_known(columns: list[Column]) -> Column:
    return reduce(Column.__and__, [name.isNotNull() for name in columns])


def _summed(name: str) -> Column:
    return F.coalesce(F.sum(name), F.lit(0))
