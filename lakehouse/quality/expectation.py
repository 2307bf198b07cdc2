"""An expectation is data: what must hold, where, and what happens to what fails it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from math import isnan
from typing import Any, Literal, get_args

from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.quality.condition import parse
from lakehouse.quality.literals import text_literal
from lakehouse.quality.pattern import portable

OnFail = Literal["warn", "quarantine", "fail"]
RowKind = Literal["not_null", "in_range", "one_of", "matches", "expression"]
TableKind = Literal["unique", "references", "row_count", "fresh_within", "sum_matches"]
Kind = RowKind | TableKind
Bound = int | float | Decimal | date | datetime | str


@dataclass(frozen=True)
class Expectation:
    """One rule over rows or over a table. A row passes unless the rule is *false*; see each constructor for null."""

    kind: Kind
    columns: tuple[str, ...]
    on_fail: OnFail
    arguments: tuple[Any, ...] = ()
    place: str = field(default="", compare=False, repr=False)
    """Where it stands in conf/, ``file:line``; empty for one that stands with its table."""

    @property
    def name(self) -> str:
        """Says the rule in words; stands in reports and beside each quarantined row."""
        # An expression's columns stand in its text already.
        columns = self.columns if self.kind != "expression" else ()
        shown = [*columns, *(text for argument in self.arguments for text in _shown(argument))]
        return f"{self.kind}({', '.join(shown)})"

    @property
    def on_rows(self) -> bool:
        """False for a rule over the whole table, such as ``unique``."""
        return self.kind in get_args(RowKind)

    @property
    def names_rows(self) -> bool:
        """Whether it says which rows are wrong; ``row_count`` and its like speak of no row."""
        return self.on_rows or self.kind in ("unique", "references")

    @property
    def reads(self) -> str:
        """The address of the other table that it looks into; empty for a rule that needs just its own."""
        return str(self.arguments[0]) if self.kind in ("references", "sum_matches") else ""

    @property
    def read_columns(self) -> tuple[str, ...]:
        """The columns of that other table."""
        return tuple(self.arguments[1]) if self.reads else ()


def not_null(*columns: str, on_fail: OnFail = "quarantine") -> Expectation:
    """None of the columns is null."""
    return expectation_of("not_null", columns, on_fail)


def in_range(column: str, low: Bound | None, high: Bound | None, *, on_fail: OnFail = "quarantine") -> Expectation:
    """low ≤ value ≤ high; None leaves a side open. A null passes; NaN fails. A time without a zone is UTC.

    A text bound is compared with text, character by character.
    """
    bounds = [bound for bound in (low, high) if bound is not None]
    where = f"in_range({column!r}, {low!r}, {high!r})"
    if not bounds:
        raise DefinitionError(f"in_range({column!r}) needs a lower or an upper bound")
    for bound in bounds:
        number = isinstance(bound, int | float | Decimal) and not isinstance(bound, bool)
        if not number and not isinstance(bound, date | str):
            raise DefinitionError(f"{where}: {bound!r} is no number, date, time or text")
        if isinstance(bound, float) and isnan(bound):
            raise DefinitionError(f"{where}: nothing compares with NaN")
        if isinstance(bound, Decimal) and (not bound.is_finite() or len(f"{abs(bound):f}".replace(".", "")) > 38):
            raise DefinitionError(f"{where}: {bound} does not fit a decimal of 38 digits")
        if isinstance(bound, str):
            text_literal(bound)
        if isinstance(bound, int) and not -(2**63) <= bound < 2**63:
            raise DefinitionError(f"{where}: {bound} does not fit 64 bits", hint="Use a Decimal.")
    if len({_family(bound) for bound in bounds}) > 1:
        raise DefinitionError(f"{where}: its bounds are of different kinds")
    if len(bounds) == 2 and _moment(low) > _moment(high):
        raise DefinitionError(f"{where}: no value is between them", hint="The lower bound comes first.")
    return expectation_of("in_range", (column,), on_fail, low, high)


def one_of(column: str, *values: str | int | bool, on_fail: OnFail = "quarantine") -> Expectation:
    """The value is one of those listed. A null passes."""
    if not values:
        raise DefinitionError(f"one_of({column!r}) needs one or more values")
    for value in values:
        if not isinstance(value, str | int):
            raise DefinitionError(f"one_of({column!r}): {value!r} is no text, whole number or bool")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise DefinitionError(f"one_of({column!r}): {value} does not fit 64 bits")
        if isinstance(value, str):
            text_literal(value)
    if len({type(value) for value in values}) > 1:
        raise DefinitionError(f"one_of({column!r}): its values are of different types")
    return expectation_of("one_of", (column,), on_fail, *values)


def matches(column: str, pattern: str, *, on_fail: OnFail = "quarantine") -> Expectation:
    """The pattern (a regular expression) is found in the text. A null passes. Anchor it with ^ and $ for the whole.

    Raises DefinitionError for what Java and RE2 don't share; see :mod:`lakehouse.quality.pattern`.
    """
    portable(pattern)
    return expectation_of("matches", (column,), on_fail, pattern)


def expression(sql: str, *, on_fail: OnFail = "quarantine") -> Expectation:
    """A SQL condition over the row's columns, in words that Spark and DuckDB both know. Null passes, as in SQL CHECK.

    Raises DefinitionError for what they don't share; :mod:`lakehouse.quality.condition` lists what they do.
    """
    if not sql.strip():
        raise DefinitionError("expression('') is empty")
    return expectation_of("expression", parse(sql).columns, on_fail, sql)


def expectation_of(kind: Kind, columns: tuple[str, ...], on_fail: OnFail, *arguments: Any) -> Expectation:
    """The rule, once what all rules have in common was checked. Raises DefinitionError."""
    if on_fail not in ("warn", "quarantine", "fail"):
        hint = did_you_mean(on_fail, ["warn", "quarantine", "fail"])
        raise DefinitionError(f"{kind}: on_fail={on_fail!r} is not known", hint=hint)
    if kind not in ("expression", "row_count") and not (
        columns and all(isinstance(column, str) and column for column in columns)
    ):
        raise DefinitionError(f"{kind} needs the name of a column")
    return Expectation(kind, columns, on_fail, arguments)


def _family(bound: Bound) -> str:
    """Bounds of one family can be compared."""
    if isinstance(bound, str | datetime):
        return type(bound).__name__
    return "date" if isinstance(bound, date) else "number"


def _moment(bound: Any) -> Any:
    return bound.replace(tzinfo=UTC) if isinstance(bound, datetime) and bound.tzinfo is None else bound


def _shown(argument: Any) -> list[str]:
    if isinstance(argument, tuple):
        return [repr(part) for part in argument]
    return [repr(str(argument)) if isinstance(argument, date | Decimal) else repr(argument)]
