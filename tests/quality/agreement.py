"""Ask Spark and DuckDB the same question about the same rows; and rows, bounds and texts to ask it of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from lakehouse.quality import Expectation, in_range
from lakehouse.quality.duckdb import passes_sql
from lakehouse.quality.spark import passes

ODD = "odd `\"' name.x"
SCHEMA = pa.schema(
    {
        "i": pa.int32(),
        "l": pa.int64(),
        "f": pa.float64(),
        "d": pa.decimal128(12, 3),
        "day": pa.date32(),
        "at": pa.timestamp("us", "UTC"),
        "s": pa.string(),
        "t": pa.string(),
        "b": pa.bool_(),
        ODD: pa.string(),
    }
)
several = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # shrinking would run Spark for minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


def table(**columns: Sequence[Any]) -> pa.Table:
    rows = max(map(len, columns.values()))
    return pa.table({name: columns.get(name, [None] * rows) for name in SCHEMA.names}, schema=SCHEMA)


def in_spark(spark: SparkSession, rows: pa.Table, rules: Sequence[Expectation]) -> list[list[Any]]:
    frame = spark.createDataFrame(rows).coalesce(1)
    return [
        list(row) for row in frame.select(*(passes(rule).alias(f"r{at}") for at, rule in enumerate(rules))).collect()
    ]


def in_duckdb(rows: pa.Table, rules: Sequence[Expectation]) -> list[list[Any]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("rows", rows)
        selected = ", ".join(passes_sql(rule) for rule in rules)
        return [list(row) for row in connection.execute(f"SELECT {selected} FROM rows").fetchall()]


def agreed(spark: SparkSession, rows: pa.Table, rules: Sequence[Expectation]) -> list[list[bool]]:
    """What both say, which is the same and never null."""
    one, other = in_spark(spark, rows, rules), in_duckdb(rows, rules)
    for at, rule in enumerate(rules):
        for row, (left, right) in enumerate(zip(one, other, strict=True)):
            assert left[at] is right[at], (rule.name, rows.slice(row, 1).to_pylist(), left[at], right[at])
            assert isinstance(left[at], bool)
    return one


def same(spark: SparkSession, rows: pa.Table, rules: Sequence[Expectation], oracle: Callable[..., bool]) -> None:
    """Both say what the oracle says of the rule's first column."""
    said = agreed(spark, rows, rules)
    for row, answers in zip(rows.to_pylist(), said, strict=True):
        for rule, answer in zip(rules, answers, strict=True):
            value = row[rule.columns[0]]
            assert answer is (value is None or oracle(rule, value)), (rule.name, value)


def columns(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[pa.Table]:
    return st.lists(st.fixed_dictionaries({n: st.none() | v for n, v in values.items()}), min_size=12, max_size=25).map(
        lambda rows: table(**{name: [row[name] for row in rows] for name in values})
    )


def ranges(column: str, bounds: st.SearchStrategy[Any]) -> st.SearchStrategy[Expectation]:
    pairs = st.tuples(st.none() | bounds, st.none() | bounds).filter(any_bound)
    return pairs.map(lambda pair: in_range(column, *(sorted(pair) if None not in pair else pair)))


def any_bound(pair: tuple[Any, Any]) -> bool:
    return pair != (None, None)


integers = st.integers(-3, 3) | st.sampled_from([2**31 - 1, -(2**31)])
longs = integers | st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1])
specials = st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 0.1, 0.30000000000000004, 1e308, 5e-324])
floats = specials | st.integers(-3, 3).map(float) | st.floats()
decimals = st.integers(-4000, 4000).map(lambda n: Decimal(n).scaleb(-3)) | st.sampled_from([Decimal("999999999.999")])
days = st.dates(date(2025, 12, 30), date(2026, 1, 2)) | st.dates(date(1600, 1, 1), date(9999, 12, 31))
moments = st.datetimes(datetime(2025, 12, 31, 23, 59, 59), datetime(2026, 1, 1, 0, 0, 1)) | st.datetimes(
    datetime(1900, 1, 1), datetime(2200, 1, 1)
)
texts = st.text("ab1 \n\r_-.'\"\\éß😀%\u2028\u0085K", max_size=6)
