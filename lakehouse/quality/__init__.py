"""Expectations as data; each compiles to a Spark column and to a DuckDB expression, which agree."""

from lakehouse.quality.columns import missing_columns
from lakehouse.quality.expectation import (
    Expectation,
    expression,
    in_range,
    matches,
    not_null,
    one_of,
)
from lakehouse.quality.over_tables import fresh_within, references, row_count, sum_matches, unique

__all__ = [
    "Expectation",
    "expression",
    "fresh_within",
    "in_range",
    "matches",
    "missing_columns",
    "not_null",
    "one_of",
    "references",
    "row_count",
    "sum_matches",
    "unique",
]
