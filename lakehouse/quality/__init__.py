"""Expectations as data; each compiles to a Spark column and to a DuckDB expression, which agree."""

from lakehouse.quality.columns import missing_columns
from lakehouse.quality.expectation import (
    Expectation,
    expression,
    in_range,
    matches,
    not_null,
    one_of,
    unique,
)

__all__ = ["Expectation", "expression", "in_range", "matches", "missing_columns", "not_null", "one_of", "unique"]
