"""Generated SQL conditions in Spark and in DuckDB: one answer for every row."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.quality import expression
from tests.quality.agreement import (
    ODD,
    agreed,
    columns,
    days,
    floats,
    moments,
    several,
    table,
    texts,
)

number = st.sampled_from(["i", "l", "f", "d", "1", "2", "0.1", "-3", "3000000000", "1.5e3"])
numeric = st.recursive(
    number,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-"), inner).map(" ".join),
        st.tuples(st.sampled_from(["0", "1", "0.5", "-1"]), inner).map(lambda pair: f"{pair[0]} * ({pair[1]})"),
        st.tuples(st.sampled_from(["greatest", "least", "coalesce", "nullif"]), inner, inner).map(
            lambda parts: f"{parts[0]}({parts[1]}, {parts[2]})"
        ),
        inner.map(lambda text: f"abs({text})"),
        inner.map(lambda text: f"(- ({text}))"),
    ),
    max_leaves=3,
)
quoted = texts.map(lambda text: "'" + text.replace("'", "''") + "'")
textual = (
    st.sampled_from(["s", "t", '"' + ODD.replace('"', '""') + '"', "trim(s)", "coalesce(s, t)", "nullif(t, 'a')"])
    | quoted
)
timed = st.sampled_from(
    [
        "at",
        "TIMESTAMP '2026-01-01 00:00:00'",
        "at + INTERVAL '1' SECOND",
        "at - INTERVAL '36' HOUR",
        "DATE '2026-01-01'",
        "day",
    ]
)
compared = st.sampled_from(["=", "<>", "!=", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"])
like = st.text("ab%_ 1é", max_size=4).map(lambda pattern: f"s LIKE '{pattern}'")
condition = st.recursive(
    st.one_of(
        st.tuples(numeric, compared, numeric).map(" ".join),
        st.tuples(textual, compared, textual).map(" ".join),
        st.tuples(timed, compared, timed).map(" ".join),
        st.tuples(numeric, numeric, numeric).map(lambda n: f"{n[0]} NOT BETWEEN {n[1]} AND {n[2]}"),
        st.tuples(textual, quoted, quoted).map(lambda t: f"{t[0]} IN ({t[1]}, {t[2]}, NULL)"),
        like,
        st.sampled_from(
            ["b", "NOT b", "s IS NULL", "f IS NOT NULL", "length(s) > 2", "year(at) = 2026", "hour(at) < 12"]
        ),
        st.sampled_from(["day(day) = 31", "month(day) > 6", "minute(at) = 0", "TRUE", "b = FALSE"]),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR", "AND NOT", "or not"]), inner).map(" ".join),
        inner.map(lambda text: f"NOT ({text})"),
        inner.map(lambda text: f"({text}) IS NOT NULL"),
        st.tuples(inner, inner, inner).map(lambda c: f"CASE WHEN {c[0]} THEN {c[1]} ELSE {c[2]} END"),
    ),
    max_leaves=4,
)
# Neither may overflow: both engines stop then, as they should.
small = st.integers(-3, 3)


@several
@given(
    columns(
        i=small, l=small, f=floats, d=st.integers(-40, 40).map(lambda n: Decimal(n).scaleb(-1)), day=days, at=moments,
        s=texts, t=texts, b=st.booleans(), **{ODD: texts},
    ),
    st.lists(condition.map(expression), min_size=10, max_size=14),
)  # fmt: skip
def test_expressions(spark, rows, rules):
    agreed(spark, rows, rules)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("i + 1 = 2", [True, False, True]),
        ("NOT i = 1", [False, True, True]),
        ("i = 1 OR i = 2 AND s = 'x'", [True, False, True]),
        ("s = 'it''s' OR s = '\\n'", [True, True, True]),
        ("length(s) = 2", [False, True, True]),
        ("i * 0.1 = 0.1", [True, False, True]),
        ("at < TIMESTAMP '2026-01-01T01:00:00+01:00' + INTERVAL 1 HOUR", [True, True, True]),
        ("at < TIMESTAMP '2026-01-01T01:00:00+01:00'", [False, False, True]),
        ('"odd `""\' name.x" IS NULL', [True, True, True]),
        ("I IS NULL", [False, False, True]),
        ("i NOT BETWEEN 0 AND 1", [False, True, True]),
        ("i BETWEEN 0 AND 1", [True, False, True]),
        ("i NOT IN (2, 3)", [True, False, True]),
        ("s NOT LIKE 'i_''%'", [False, True, True]),
        ("s NOT LIKE 'it%'", [False, True, True]),
        ("i IS NOT DISTINCT FROM NULL", [False, False, True]),
        ("i IS DISTINCT FROM 2 AND i IS NOT NULL", [True, False, False]),
        ("CASE WHEN i = 1 THEN s WHEN i = 2 THEN 'no' ELSE 'x' END IN ('no', 'x')", [False, True, True]),
        ("greatest(i, 2) - least(i, 2) = 0 - -1", [True, False, False]),
        ("(i + 1) * 2 = 4", [True, False, True]),
        ("abs(- i) = 1 AND trim(' x ') = 'x' AND coalesce(NULL, i) = nullif(i, 7)", [True, False, True]),
    ],
)
def test_what_an_expression_means(spark, sql, expected):
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    rows = table(i=[1, 2, None], s=["it's", "\\n", None], at=[midnight, midnight, None])
    assert [row[0] for row in agreed(spark, rows, [expression(sql)])] == expected
