"""Whether the columns that rules speak of are there."""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.errors import did_you_mean
from lakehouse.quality.expectation import Expectation


def missing_columns(expectations: Iterable[Expectation], columns: Iterable[str]) -> list[str]:
    """A sentence for each column that a rule names and that is not among these, with the nearest name."""
    known = list(columns)
    # SQL does not tell cases apart; the other rules name a column as it is written.
    in_sql = {name.lower() for name in known}
    return [
        f"{rule.name}: there is no column '{name}'. {did_you_mean(name, known)}"
        for rule in expectations
        for name in rule.columns
        if (name.lower() not in in_sql if rule.kind == "expression" else name not in known)
    ]
