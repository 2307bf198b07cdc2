"""Rules over a table as a whole: what must hold of all its rows together, or of them and another table's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.quality.expectation import Expectation, TableKind, expectation_of

WarnOrFail = Literal["warn", "fail"]
TOLERANCE = 1e-9
"""Sums of doubles that differ by no more, relative to the larger, are equal: they depend on the order of adding."""
TEXT_SCALE = 9
"""Digits behind the point of a text that is read as an exact number."""
_SPAN = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ADDRESS = re.compile(r"(bronze|silver|gold)\.[a-z][a-z0-9_]*")


def unique(*columns: str, on_fail: WarnOrFail = "fail") -> Expectation:
    """No two rows of the table have the same values there; rows with a null among them are not compared."""
    _refuse_quarantine("unique", columns, on_fail, "which of two equal rows is the wrong one?")
    return expectation_of("unique", columns, on_fail)


def references(
    columns: str | Sequence[str], table: str, to: str | Sequence[str], *, on_fail: WarnOrFail = "fail"
) -> Expectation:
    """Each row's values stand in the columns ``to`` of another table; rows with a null among them are not compared.

    The other table is read as it is when the rule is judged, and is built first where both are built.
    """
    own, other = _names(columns), _names(to)
    _refuse_quarantine("references", own, on_fail, "the row may be right and the other table late.")
    if len(own) != len(other):
        raise DefinitionError(
            f"references({', '.join(map(str, own))}): {len(own)} columns can't be compared with {len(other)} columns",
            hint="Name as many columns of the other table, in the same order.",
        )
    _check_address("references", table)
    rule = expectation_of("references", own, on_fail, table, other)
    expectation_of("references", other, on_fail)  # they are names too
    return rule


def row_count(least: int | None = None, most: int | None = None, *, on_fail: WarnOrFail = "fail") -> Expectation:
    """least ≤ number of rows ≤ most; None leaves a side open."""
    where = f"row_count({least!r}, {most!r})"
    _refuse_quarantine("row_count", (), on_fail, "no row is to blame for their number.")
    bounds = [bound for bound in (least, most) if bound is not None]
    if not bounds:
        raise DefinitionError("row_count() needs a lower or an upper bound", hint="Such as row_count(1).")
    if any(isinstance(bound, bool) or not isinstance(bound, int) or not 0 <= bound < 2**63 for bound in bounds):
        raise DefinitionError(f"{where}: a number of rows is a whole number from 0")
    if bounds != sorted(bounds):
        raise DefinitionError(f"{where}: no number is between them", hint="The lower bound comes first.")
    return expectation_of("row_count", (), on_fail, least, most)


def fresh_within(column: str, within: str, *, on_fail: WarnOrFail = "fail") -> Expectation:
    """The newest value of a time or date is at most so old (``30s``, ``5m``, ``2h``, ``7d``) when the table is built.

    It is measured from the run's clock. A date is its midnight, in UTC. A table without any value is not fresh.
    """
    _refuse_quarantine("fresh_within", (column,), on_fail, "no row is to blame for one that is missing.")
    if not isinstance(within, str) or not _SPAN.fullmatch(within):
        raise DefinitionError(
            f"fresh_within({column!r}, {within!r}): that is no span of time", hint="Such as 30s, 5m, 2h or 7d."
        )
    return expectation_of("fresh_within", (column,), on_fail, within)


def sum_matches(
    column: str, table: str, of: str, *, within: float | None = None, on_fail: WarnOrFail = "fail"
) -> Expectation:
    """The sum of a column is the sum of the column ``of`` in a table that this one reads. Nulls count as nothing.

    Whole numbers and decimals are added and compared exactly, doubles within 1e-9 of the larger sum; ``within`` (0.01:
    one percent) is the tolerance for both. A text counts as the number that it spells, and as nothing if it is none.
    """
    _refuse_quarantine("sum_matches", (column,), on_fail, "no row is to blame for a sum.")
    _check_address("sum_matches", table)
    number = isinstance(within, int | float) and not isinstance(within, bool)
    if within is not None and not (number and 0 <= within < 1):
        raise DefinitionError(
            f"sum_matches({column!r}, {table!r}): within={within!r} is no share of a sum",
            hint="Such as within=0.01 for one percent.",
        )
    tolerance = () if within is None else (float(within),)
    rule = expectation_of("sum_matches", (column,), on_fail, table, (of,), *tolerance)
    expectation_of("sum_matches", (of,), on_fail)
    return rule


def span(within: str) -> timedelta:
    """``2h`` as a span of time."""
    count, unit = _SPAN.fullmatch(within).groups()  # type: ignore[union-attr]
    return timedelta(seconds=int(count) * _UNITS[unit])


def freshness_in(name: str) -> tuple[str, str] | None:
    """The column and the span that a rule of this name asks for; None for another kind of rule.

    >>> freshness_in(fresh_within("at", "2h").name)
    ('at', '2h')
    """
    found = re.fullmatch(rf"fresh_within\((.+), '({_SPAN.pattern})'\)", name, re.DOTALL)
    return (found[1], found[2]) if found else None


def _names(columns: str | Sequence[str]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _check_address(kind: TableKind, table: str) -> None:
    if not isinstance(table, str) or not _ADDRESS.fullmatch(table):
        raise DefinitionError(f"{kind}: {table!r} is not the address of a table", hint="Such as 'silver.airports'.")


def _refuse_quarantine(kind: TableKind, columns: Sequence[str], on_fail: str, why: str) -> None:
    shown = f"{kind}({', '.join(map(str, columns))})"
    if on_fail == "quarantine":
        raise DefinitionError(f"{shown}: on_fail={on_fail!r} can't be: {why}", hint="Use on_fail='warn' or 'fail'.")
    if on_fail not in ("warn", "fail"):
        raise DefinitionError(
            f"{shown}: on_fail={on_fail!r} is not known", hint=did_you_mean(on_fail, ["warn", "fail"])
        )
