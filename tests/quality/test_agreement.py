"""Each rule in Spark, in DuckDB and in plain Python: one answer for every row."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.quality import Expectation, in_range, matches, not_null, one_of, unique
from lakehouse.quality.duckdb import duplicates_sql, failed_rules_sql
from lakehouse.quality.spark import duplicates, failed_rules
from tests.quality.agreement import (
    ODD,
    agreed,
    columns,
    days,
    decimals,
    floats,
    integers,
    longs,
    moments,
    ranges,
    same,
    several,
    specials,
    table,
    texts,
)


def bounded(rule: Expectation, value: Any) -> bool:
    low, high = rule.arguments
    if isinstance(value, float) and math.isnan(value):
        return False
    if isinstance(value, Decimal) and (isinstance(low, float) or isinstance(high, float)):
        value = float(value)
    return (low is None or value >= low) and (high is None or value <= high)


@several
@given(
    columns(i=integers, l=longs, f=floats, d=decimals),
    st.lists(ranges("i", integers) | ranges("l", longs) | ranges("d", decimals | integers), min_size=6, max_size=8),
    st.lists(
        ranges("f", specials.filter(lambda n: not math.isnan(n)) | integers.map(float) | integers),
        min_size=6,
        max_size=8,
    ),
)
def test_numbers_in_a_range(spark, rows, exact, floating):
    same(spark, rows, [*exact, *floating], bounded)


def test_the_edges_of_a_range(spark):
    rows = table(
        f=[math.nan, math.inf, -math.inf, None, 0.1, -0.0],
        d=[Decimal("0.1"), Decimal("0.101"), None, None, None, None],
        l=[2**63 - 1, -(2**63), 2**53 + 1, None, 0, 1],
    )
    nan, top, bottom, none, tenth, zero = range(6)
    rules = [
        in_range("f", 0, None),
        in_range("f", None, 0),
        in_range("f", -math.inf, math.inf),
        in_range("f", Decimal("0.1"), Decimal("0.1")),
        in_range("f", 0.0, 0.1),
        in_range("d", 0.1, 0.1),
        in_range("d", 0, Decimal("0.1")),
        in_range("l", 2**53 + 1, None),
        in_range("l", 0, float("inf")),
    ]
    passed = [
        {row for row, said in enumerate(column) if said} for column in zip(*agreed(spark, rows, rules), strict=True)
    ]
    assert passed[0] == {top, none, tenth, zero}
    assert passed[1] == {bottom, none, zero}
    assert passed[2] == {top, bottom, none, tenth, zero}
    assert passed[3] == {none, tenth}
    assert passed[4] == {none, tenth, zero}
    assert passed[5] == passed[6] == {0, 2, 3, 4, 5}
    assert passed[7] == {0, 2, 3}
    assert passed[8] == {0, 2, 3, 4, 5}
    assert nan not in passed[0] | passed[1] | passed[2]


def utc(value: Any) -> Any:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime(value.year, value.month, value.day, tzinfo=UTC)


def bounded_in_time(rule: Expectation, value: Any) -> bool:
    low, high = rule.arguments
    return (low is None or utc(value) >= utc(low)) and (high is None or utc(value) <= utc(high))


@several
@given(
    columns(day=days, at=moments),
    st.lists(ranges("day", days) | ranges("at", days), min_size=5, max_size=8),
    st.lists(
        ranges("at", moments) | ranges("at", moments.map(lambda at: at.replace(tzinfo=UTC))), min_size=5, max_size=8
    ),
    st.lists(ranges("day", moments), min_size=2, max_size=3),
)
def test_times_in_a_range(spark, rows, by_day, by_moment, mixed):
    same(spark, rows, [*by_day, *by_moment, *mixed], bounded_in_time)


@several
@given(
    columns(i=integers, l=longs, s=texts, b=st.booleans(), **{ODD: texts}),
    st.lists(st.lists(texts, min_size=1, max_size=4).map(lambda v: one_of("s", *v)), min_size=4, max_size=5),
    st.lists(st.lists(texts, min_size=1, max_size=4).map(lambda v: one_of(ODD, *v)), min_size=2, max_size=3),
    st.lists(st.lists(longs, min_size=1, max_size=4).map(lambda v: one_of("l", *v)), min_size=2, max_size=3),
    st.lists(st.lists(integers, min_size=1, max_size=4).map(lambda v: one_of("i", *v)), min_size=2, max_size=3),
    st.lists(st.booleans(), min_size=1, max_size=2).map(lambda v: one_of("b", *v)),
)
def test_one_of(spark, rows, texts, odd, longs, integers, boolean):
    same(spark, rows, [*texts, *odd, *longs, *integers, boolean], lambda rule, value: value in rule.arguments)


@several
@given(columns(s=texts), st.lists(ranges("s", texts), min_size=5, max_size=8))
def test_texts_in_a_range(spark, rows, rules):
    def by_bytes(rule: Expectation, value: str) -> bool:
        low, high = rule.arguments
        return (low is None or value.encode() >= low.encode()) and (high is None or value.encode() <= high.encode())

    same(spark, rows, rules, by_bytes)


@several
@given(columns(i=integers, s=texts, **{ODD: texts}))
def test_not_null(spark, rows):
    rules = [not_null("i"), not_null("i", "s"), not_null(ODD), not_null(ODD, "i", "f")]
    said = agreed(spark, rows, rules)
    for row, answers in zip(rows.to_pylist(), said, strict=True):
        assert answers == [all(row[name] is not None for name in rule.columns) for rule in rules]


plain = [
    "a",
    "b",
    "1",
    ".",
    r"\d",
    r"\w",
    r"\s",
    r"\S",
    r"\W",
    r"\D",
    r"\.",
    r"\\",
    r"\x41",
    "é",
    "😀",
    " ",
    "-",
    "'",
    '"',
    "%",
]
sets = [
    "[ab]",
    "[^ab]",
    "[a-b1]",
    r"[\s_]",
    r"[^\w]",
    r"[\-é]",
    "[b-]",
    "[.]",
    "[\U0001f600]",
    r"[\x{e9}-\x{ff}]",
    r"\u0085",
]
pieces = st.sampled_from([*plain, *sets])
patterns = st.recursive(
    pieces,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=2).map(lambda both: f"({'|'.join(both)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,1}", "{1,}", "*?", "+?"])).map(
            lambda part: f"(?:{part[0]}){part[1]}"
        ),
    ),
    max_leaves=6,
)
anchored = st.tuples(st.sampled_from(["", "^"]), patterns, st.sampled_from(["", "$"])).map("".join)


def found(rule: Expectation, value: str) -> bool:
    """Python's ``re``, told what the engine says of ``$`` and of a character beyond ASCII in hexadecimal."""
    pattern = re.sub(r"\\x\{(\w+)\}", lambda code: re.escape(chr(int(code[1], 16))), rule.arguments[0])
    pattern = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
    return re.search(pattern, value, re.ASCII) is not None


@several
@given(columns(s=texts), st.lists(anchored.map(lambda pattern: matches("s", pattern)), min_size=8, max_size=12))
def test_matches(spark, rows, rules):
    same(spark, rows, rules, found)


def test_where_java_and_re2_differ_by_themselves(spark):
    rows = table(s=["ab\n", "ab", "a\rb", "\x0b", "é", "a\u2028b", "K", "a\nb"])
    rules = [matches("s", pattern) for pattern in ("^ab$", "a.b", r"^\s$", r"^\w$", "^[^a]$", "^(a|ab)$", "^a[^b]b$")]
    said = [[row for row, yes in enumerate(column) if yes] for column in zip(*agreed(spark, rows, rules), strict=True)]
    assert said == [[1], [2, 5], [3], [6], [3, 4, 6], [1], [2, 5, 7]]


RULES = [
    not_null("i", on_fail="fail"),
    in_range("i", 0, 5),
    one_of("s", "it's", on_fail="warn"),
    matches("s", "^[a-z']+$"),
    unique("i"),
]


def test_the_names_of_the_rules_that_fail(spark):
    rows = table(i=[1, None, 9, None], s=["it's", None, "A", "b"])
    wanted = {
        "fail": [[], ["not_null(i)"], [], ["not_null(i)"]],
        "quarantine": [[], [], ["in_range(i, 0, 5)", 'matches(s, "^[a-z\']+$")'], []],
        "warn": [[], [], ['one_of(s, "it\'s")'], ['one_of(s, "it\'s")']],
    }
    for on_fail, expected in wanted.items():
        column = failed_rules(RULES, on_fail)
        frame = spark.createDataFrame(rows).select(column.alias("failed"))
        assert frame.schema["failed"].dataType.simpleString() == "array<string>"
        assert [row.failed for row in frame.collect()] == expected
        with duckdb.connect() as connection:
            connection.register("rows", rows)
            said = connection.execute(f"SELECT {failed_rules_sql(RULES, on_fail)} FROM rows").fetchall()
        assert [row[0] for row in said] == expected


def test_without_rules_nothing_fails(spark):
    frame = spark.createDataFrame(table(i=[1])).select(failed_rules([], "warn").alias("failed"))
    assert frame.schema["failed"].dataType.simpleString() == "array<string>"
    assert frame.collect()[0].failed == []
    assert duckdb.sql(f"SELECT {failed_rules_sql([], 'warn')}").fetchall() == [([],)]


@several
@given(columns(f=st.sampled_from([0.0, -0.0, math.nan, 1.0]), **{ODD: st.sampled_from(["a", "A", ""])}))
def test_duplicates(spark, rows):
    frame = spark.createDataFrame(rows)
    for rule in (unique("f"), unique("f", ODD), unique(ODD)):
        counts: dict[tuple[str, ...], int] = {}
        for row in rows.to_pylist():
            values = [row[name] for name in rule.columns]
            if None not in values:  # -0.0 is 0.0, and NaN is one value
                key = tuple(value if isinstance(value, str) else repr(value + 0.0) for value in values)
                counts[key] = counts.get(key, 0) + 1
        expected = sorted(count for count in counts.values() if count > 1)
        with duckdb.connect() as connection:
            connection.register("rows", rows)
            said = connection.execute(duplicates_sql(rule, "rows")).fetchall()
        assert sorted(row[-1] for row in said) == expected
        found_rows = duplicates(frame, rule).collect()
        assert sorted(row["_rows"] for row in found_rows) == expected
        assert repr([tuple(row) for row in found_rows]).replace("-0.0", "0.0") == repr(said).replace("-0.0", "0.0")
