"""Rules over tables in Spark, in DuckDB and in plain Python: one count of failures, and the same findings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.errors import DefinitionError
from lakehouse.quality import Expectation, fresh_within, references, row_count, sum_matches, unique
from lakehouse.quality.duckdb_tables import Relation, findings_sql, summary_sql
from lakehouse.quality.spark_tables import findings, summary
from tests.quality.agreement import several, table

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
Query = Callable[..., str]
small = st.integers(-2, 2)
letters = st.sampled_from(["a", "b", "A", "", "é"])
floats = st.sampled_from([0.0, -0.0, 1.0, 0.1, 1e15, -1e15, math.nan, math.inf, -math.inf])
numerals = st.sampled_from(
    ["1", "-2.5", " 3 ", "+4.", "NA", "", "1,0", "0x1F", "1_0", "1e2", "1.0d", "nan", "1.123456789"]
)
decimals = st.integers(-3000, 3000).map(lambda n: Decimal(n).scaleb(-3))
moments = st.timedeltas(timedelta(hours=-3), timedelta(hours=1)).map(lambda by: NOW.replace(tzinfo=None) + by)
edges = st.sampled_from([timedelta(hours=-2), timedelta(hours=-2, microseconds=-1)]).map(
    lambda by: NOW.replace(tzinfo=None) + by
)
VALUES = {"i": small, "l": small | st.just(2**62), "f": floats, "d": decimals, "s": letters, "t": numerals}
rows = st.lists(
    st.fixed_dictionaries({n: st.none() | v for n, v in {**VALUES, "at": moments | edges}.items()}), max_size=6
).map(lambda found: table(**{name: [row[name] for row in found] for name in (*VALUES, "at")}))
spans = st.sampled_from(["1s", "90m", "2h", "1d"])
rules = st.one_of(
    st.sampled_from([unique("i"), unique("s", "i"), unique("f")]),
    st.sampled_from(
        [("i", "i"), ("s", "s"), ("f", "f"), ("i", "l"), (("s", "i"), ("s", "l")), ("at", "at"), ("d", "d")]
    ).map(lambda pair: references(pair[0], "silver.other", pair[1])),
    st.lists(st.integers(0, 6), min_size=2, max_size=2).map(lambda pair: row_count(*sorted(pair))),
    st.sampled_from([row_count(3), row_count(None, 3)]),
    spans.map(lambda span: fresh_within("at", span)),
    st.tuples(
        st.sampled_from(["i", "l", "d", "f", "t"]),
        st.sampled_from(["i", "l", "d", "f", "t"]),
        st.sampled_from([None, 0.0, 0.5]),
    ).map(lambda one: sum_matches(one[0], "silver.other", one[1], within=one[2])),
)


def in_spark(spark: Any, rules: Sequence[Expectation], mine: pa.Table, its: pa.Table) -> list[tuple[int, int]]:
    """All rules in one job."""
    one, other = (spark.createDataFrame(frame).coalesce(1) for frame in (mine, its))
    lines = [summary(rule, one, other, NOW).select(F.lit(at).alias("at"), "*") for at, rule in enumerate(rules)]
    found = sorted(reduce(DataFrame.unionByName, lines).collect(), key=lambda row: row["at"])
    return [(row["looked"], row["failures"]) for row in found]


def in_duckdb(rules: Sequence[Expectation], mine: pa.Table, its: pa.Table, query: Query = summary_sql) -> list[Any]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        relations = []
        for name, frame in (("mine", mine), ("its", its)):
            connection.register(name, frame)
            types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {name}").fetchall()}
            relations.append(Relation(name, types))
        return [connection.execute(query(rule, *relations, NOW)).fetchall() for rule in rules]


def oracle(rule: Expectation, mine: pa.Table, its: pa.Table) -> tuple[int, int]:
    values = [tuple(row[name] for name in rule.columns) for row in mine.to_pylist()]
    known = [tuple(map(plain, row)) for row in values if None not in row]
    if rule.kind == "unique":
        times = Counter(known)
        return len(known), sum(count for count in times.values() if count > 1)
    if rule.kind == "references":
        there = {tuple(plain(row[name]) for name in rule.read_columns) for row in its.to_pylist()}
        return len(known), sum(row not in there for row in known)
    if rule.kind == "row_count":
        least, most = rule.arguments
        return len(values), int(not ((least or 0) <= len(values) <= (math.inf if most is None else most)))
    if rule.kind == "fresh_within":
        age = {"1s": 1, "90m": 5400, "2h": 7200, "1d": 86400}[rule.arguments[0]]
        fresh = any(row[0] is not None and row[0] >= NOW - timedelta(seconds=age) for row in values)
        return len(values), int(not fresh)
    columns = mine.column(rule.columns[0]), its.column(rule.read_columns[0])
    floating = any(pa.types.is_floating(column.type) for column in columns)
    a, b = (total([number(value, floating) for value in column.to_pylist()]) for column in columns)
    within = Fraction(rule.arguments[2] if len(rule.arguments) > 2 else 1e-9 if floating else 0)
    if isinstance(a, str) or isinstance(b, str):
        return len(values), int(a != b)
    return len(values), int(not (abs(a - b) <= within * max(abs(a), abs(b))))


def plain(value: Any) -> Any:
    """-0.0 is 0.0, and NaN is one value."""
    return repr(value + 0.0) if isinstance(value, float) else value


def number(value: Any, floating: bool) -> Any:
    if isinstance(value, str):
        spelled = {"1": 1, "-2.5": Fraction(-5, 2), " 3 ": 3, "+4.": 4, "1.123456789": Fraction(1123456789, 10**9)}
        return {**spelled, "1e2": 100}.get(value) if floating else spelled.get(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return None if value is None else Fraction(value)


def total(numbers: list[Any]) -> Any:
    odd = {value for value in numbers if isinstance(value, str)}
    if odd:
        return odd.pop() if len(odd) == 1 else "nan"
    return sum((value for value in numbers if value is not None), Fraction(0))


@settings(several, max_examples=3)
@given(st.lists(rules, min_size=18, max_size=18), rows, rows, st.booleans())
def test_spark_duckdb_and_python_count_alike(spark, rules, mine, its, alike):
    its = mine.take(list(reversed(range(len(mine))))) if alike else its  # or sums would hardly ever be equal
    said = [found[0] for found in in_duckdb(rules, mine, its)]
    for rule, one, other in zip(rules, said, in_spark(spark, rules, mine, its), strict=True):
        want = oracle(rule, mine, its)
        assert (one, other) == (want, want), (rule.name, mine.to_pylist(), its.to_pylist())


MINE = table(
    i=[1, 1, 2, None, 3],
    s=["a", "b", "b", "b", "b"],
    d=[Decimal("1.5"), Decimal("2.25"), None, None, None],
    t=["1.5", "2.25", "NA", " 7 ", "1e3"],
    f=[0.1, 0.2, None, None, None],
    at=[NOW - timedelta(hours=3), None, None, None, None],
)
ITS = table(i=[1, 1], s=["a", "a"], d=[Decimal("3.75"), None], f=[0.3, None], at=[NOW, None])
FINDINGS = [
    (unique("i"), [(1, 2)], (4, 2)),
    (references("i", "silver.its", "i"), [(2, 1), (3, 1)], (4, 2)),
    (references(["s", "i"], "silver.its", ["s", "i"]), [("b", 1, 1), ("b", 2, 1), ("b", 3, 1)], (4, 3)),
    (row_count(6), [(5,)], (5, 1)),
    (row_count(None, 4), [(5,)], (5, 1)),
    (row_count(5, 5), [], (5, 0)),
    (fresh_within("at", "2h"), [(NOW - timedelta(hours=3),)], (5, 1)),
    (fresh_within("at", "3h"), [], (5, 0)),
    (fresh_within("day", "2h"), [(None,)], (5, 1)),
    (sum_matches("d", "silver.its", "d"), [], (5, 0)),
    (sum_matches("f", "silver.its", "f"), [], (5, 0)),  # 0.1 + 0.2 is nearly 0.3
    (sum_matches("d", "silver.its", "i"), [(Decimal("3.750"), Decimal("2.000"))], (5, 1)),
    (sum_matches("l", "silver.its", "i"), [(Decimal(0), Decimal(2))], (5, 1)),
    (sum_matches("t", "silver.its", "d"), [(Decimal("10.75"), Decimal("3.75"))], (5, 1)),
    (sum_matches("t", "silver.its", "f"), [(1010.75, 0.3)], (5, 1)),
]


def test_what_is_found(spark):
    rules = [rule for rule, _, _ in FINDINGS]
    assert [row[0] for row in in_duckdb(rules, MINE, ITS)] == [counts for _, _, counts in FINDINGS]
    assert in_spark(spark, rules, MINE, ITS) == [counts for _, _, counts in FINDINGS]
    said = in_duckdb(rules, MINE, ITS, findings_sql)
    mine, its = (spark.createDataFrame(frame).coalesce(1) for frame in (MINE, ITS))
    for (rule, wanted, _), found in zip(FINDINGS, said, strict=True):
        assert found == wanted, rule.name
        if rule.kind in ("references", "fresh_within") or rule.columns == ("t",):
            assert [tuple(row) for row in utc(findings(rule, mine, its, NOW)).collect()] == [
                tuple(str(value) if isinstance(value, datetime) else value for value in row) for row in wanted
            ]


def utc(frame: DataFrame) -> DataFrame:
    """Times as text: Spark gives them in the time zone of Python's process."""
    return frame.select(
        *(
            F.concat(name, F.lit("+00:00")).alias(name) if kind == "timestamp" else f"`{name}`"
            for name, kind in frame.dtypes
        )
    )


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (references("i", "silver.its", "s"), "'i' is int and 's' of silver.its is string"),
        (fresh_within("s", "1h"), "'s' is string, no time"),
        (sum_matches("i", "silver.its", "b"), "'b' is boolean, no number"),
    ],
)
def test_a_rule_over_columns_of_the_wrong_type_is_refused(spark, rule, said):
    mine, its = (spark.createDataFrame(frame) for frame in (MINE, ITS))
    with pytest.raises(DefinitionError, match=said):
        summary(rule, mine, its, NOW)
