from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from lakehouse.errors import DefinitionError
from lakehouse.quality import (
    expression,
    fresh_within,
    in_range,
    matches,
    missing_columns,
    not_null,
    one_of,
    references,
    row_count,
    sum_matches,
    unique,
)
from lakehouse.quality.duckdb import passes_sql


@pytest.mark.parametrize(
    ("declare", "expected"),
    [
        (lambda: not_null(), "not_null needs the name of a column"),
        (lambda: not_null("a", ""), "not_null needs the name of a column"),
        (lambda: unique(), "unique needs the name of a column"),
        (lambda: not_null("a", on_fail="quarantin"), "Did you mean 'quarantine'?"),
        (lambda: unique("a", on_fail="quarantine"), "which of two equal rows is the wrong one?"),
        (lambda: in_range("a", None, None), "needs a lower or an upper bound"),
        (lambda: in_range("a", 2, 1), "no value is between them"),
        (lambda: in_range("a", float("nan"), 1), "nothing compares with NaN"),
        (lambda: in_range("a", Decimal("NaN"), 1), "does not fit a decimal"),
        (lambda: in_range("a", Decimal("1e60"), None), "does not fit a decimal"),
        (lambda: in_range("a", 2**63, None), "does not fit 64 bits"),
        (lambda: in_range("a", True, 2), "True is no number"),
        (lambda: in_range("a", [1], 2), "[1] is no number"),
        (lambda: in_range("a", 1, "2"), "bounds are of different kinds"),
        (lambda: in_range("a", date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)), "bounds are of different kinds"),
        (lambda: in_range("a", "a\0", None), "no table's text can hold"),
        (lambda: one_of("a"), "needs one or more values"),
        (lambda: one_of("a", None), "None is no text"),
        (lambda: one_of("a", 1.5), "1.5 is no text"),
        (lambda: one_of("a", 1, "1"), "of different types"),
        (lambda: one_of("a", 1, True), "of different types"),
        (lambda: one_of("a", "\ud800"), "no table's text can hold"),
        (lambda: expression("  "), "is empty"),
        (lambda: references("a", "silver.x", ["b", "c"]), "1 columns can't be compared with 2 columns"),
        (lambda: references([], "silver.x", []), "references needs the name of a column"),
        (lambda: references("a", "x", "b"), "'x' is not the address of a table"),
        (lambda: references("a", "silver.x", "b", on_fail="quarantine"), "the other table late"),
        (lambda: references("a", "silver.x", "b", on_fail="wran"), "Did you mean 'warn'?"),
        (lambda: row_count(), "needs a lower or an upper bound"),
        (lambda: row_count(2, 1), "no number is between them"),
        (lambda: row_count(-1), "a whole number from 0"),
        (lambda: row_count(True), "a whole number from 0"),
        (lambda: row_count(1, on_fail="quarantine"), "no row is to blame"),
        (lambda: fresh_within("a", "2 hours"), "no span of time"),
        (lambda: fresh_within("", "2h"), "fresh_within needs the name of a column"),
        (lambda: sum_matches("a", "silver.x", ""), "sum_matches needs the name of a column"),
        (lambda: sum_matches("a", "silver.x", "b", within=2), "no share of a sum"),
        (lambda: passes_sql(unique("a")), "a rule over the table"),
    ],
)
def test_a_rule_that_can_not_be_is_refused_where_it_is_declared(declare, expected):
    with pytest.raises(DefinitionError) as caught:
        declare()
    assert expected in str(caught.value)


def test_names_say_the_rule():
    assert not_null("a", "b").name == "not_null(a, b)"
    assert in_range("a", Decimal("0.50"), None).name == "in_range(a, '0.50', None)"
    assert in_range("a", date(2026, 1, 2), None).name == "in_range(a, '2026-01-02', None)"
    assert one_of("a", "x", "it's").name == """one_of(a, 'x', "it's")"""
    assert expression("a < b").name == "expression('a < b')"
    assert references(["a", "b"], "silver.x", ["c", "d"]).name == "references(a, b, 'silver.x', 'c', 'd')"
    assert row_count(1).name == "row_count(1, None)"
    assert fresh_within("at", "2h").name == "fresh_within(at, '2h')"
    assert sum_matches("a", "silver.x", "b").name == "sum_matches(a, 'silver.x', 'b')"
    assert sum_matches("a", "silver.x", "b", within=0.01).name == "sum_matches(a, 'silver.x', 'b', 0.01)"


def test_an_expression_knows_its_columns():
    rule = expression("""a < 5 AND "odd col" IS NULL OR length(b) > 1 AND date > DATE '2026-01-01' AND a <> 'c'""")
    assert rule.columns == ("a", "odd col", "b", "date")


def test_a_column_that_is_not_there_is_named_with_the_nearest():
    rules = [
        not_null("origin", "dep_dleay"),
        in_range("dep_delay", 0, 1),
        expression("DEP_DELAY < arr_delya"),
        unique("Origin"),
    ]
    assert missing_columns(rules, ["origin", "dep_delay", "arr_delay"]) == [
        "not_null(origin, dep_dleay): there is no column 'dep_dleay'. Did you mean 'dep_delay'?",
        "expression('DEP_DELAY < arr_delya'): there is no column 'arr_delya'. Did you mean 'arr_delay'?",
        "unique(Origin): there is no column 'Origin'. Did you mean 'origin'?",
    ]
    assert missing_columns(rules[1:2], ["dep_delay"]) == []


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "(?=a)",
            "(?!a)",
            "(?<=a)b",
            "(?<!a)b",
            "(?>a)",
            r"(a)\1",
            r"(?P<x>a)(?P=x)",
            "(?<x>a)",
            r"(a)\k<x>",
            "(?i)a",
        ),
        *(
            "(?s:.)",
            "a++",
            "a*+",
            "a**",
            "a{2}{3}",
            "a{,3}",
            "a{3,2}",
            "a{1001}",
            "(a{100}){100}",
            "a{",
            "{2}",
            "*a",
            "+",
        ),
        *(r"\bx", r"\Bx", r"\p{L}", r"\Qa\E", r"\R", r"\h", r"\v", r"\Z", r"\G", r"\e", r"\0", r"\x4", r"\x{110000}"),
        *(
            "[[a]]",
            "[a&&b]",
            "[[:alpha:]]",
            "[]a]",
            "[",
            "[a",
            "[b-a]",
            r"[a-\d]",
            r"[\D]",
            "(a",
            "a)",
            "]",
            "a}",
            "a\\",
        ),
        *("^*a", "a$+", r"\A{2}", "", "\0", r"\x00", "\ud800"),
    ],
)
def test_a_pattern_that_java_and_re2_do_not_share_is_refused(pattern):
    with pytest.raises(DefinitionError, match="matches: "):
        matches("a", pattern)


def test_a_refused_pattern_says_what_and_where():
    with pytest.raises(DefinitionError, match=r"look-ahead \('\(\?='\), at character 3"):
        matches("a", "ab(?=c)")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a / b < 1", "'/' is not shared, at character 3\n  A division by zero stops Spark and not DuckDB"),
        ("a % 2 = 0", "'%' is not shared"),
        ("a ^ 2 = 1", "'^' is not shared"),
        ("a::int = 1", "':' is not shared"),
        ("`a` = 1", "'`' is not shared"),
        ("a = 1 -- why", "'-' is not shared"),
        ("a = 1; drop table x", "';' is not shared"),
        ("a.b = 1", "'.' is not shared"),
        ("a <=> 1", "a value is needed, not '>'"),
        ("rlike(a, 'x')", "the function rlike() is not shared"),
        ("lenght(a) > 1", "Did you mean 'length'?"),
        ("upper(a) = 'X'", "the function upper() is not shared"),
        ("length(a, b) > 1", "length() can't take 2 values"),
        ("a LIKE b", "LIKE takes a text without a backslash"),
        ("a LIKE 'x\\_'", "LIKE takes a text without a backslash"),
        ("a < b < c", "two comparisons in a row"),
        ("a = ", "a value is needed, not 'the end'"),
        ("(a = 1", ") is needed, not 'the end'"),
        ("a = 1 b", "'b' is not expected here"),
        ("a NOT 1", "BETWEEN, IN or LIKE is needed after NOT"),
        ("a = 'x", "is not shared"),
        ("a = DATE '2026-13-01'", "'2026-13-01' is not a date"),
        ("a > INTERVAL '1' MONTH", "an interval is a whole number of SECOND"),
        ("CASE a WHEN 1 THEN 2 END = 2", "CASE is followed by WHEN"),
        ("a = 99999999999999999999", "is too large"),
        ("SELECT 1", "'1' is not expected here"),
        ("a = 12x", "is not shared"),
        ("'a\0' = b", "no table's text can hold"),
    ],
)
def test_a_condition_that_spark_and_duckdb_do_not_share_is_refused(sql, expected):
    with pytest.raises(DefinitionError) as caught:
        expression(sql)
    assert expected in str(caught.value)


def test_declaring_rules_needs_no_spark():
    program = "import lakehouse.quality.duckdb, lakehouse.tables, sys; assert not {'pyspark', 'feast'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", program], check=True)
