"""What conf/ expects of tables: rules by a table's address, in the words of :mod:`lakehouse.quality`, as plain data."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, StringConstraints, model_validator

from lakehouse.config.contract import Filled, Model

ADDRESS = r"^(bronze|silver|gold)\.[a-z][a-z0-9_]*$"
AGE = r"^[1-9][0-9]{0,6}[smhd]$"
Address = Annotated[str, StringConstraints(pattern=ADDRESS)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _scalar(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be a number or a text")
    return value


Names = Annotated[list[Filled], BeforeValidator(_listed), Field(min_length=1)]
Bound = Annotated[Any, AfterValidator(_scalar)]
"""A time is a text here: for times write an expression."""


class InRange(Model):
    column: Filled
    low: Bound = None
    high: Bound = None


class OneOf(Model):
    column: Filled
    values: list[Any] = Field(min_length=1)


class Matches(Model):
    column: Filled
    pattern: Filled


class References(Model):
    columns: Names
    table: Address
    to: Names


class RowCount(Model):
    least: int | None = None
    most: int | None = None


class FreshWithin(Model):
    column: Filled
    within: Annotated[str, StringConstraints(pattern=AGE)]


class SumMatches(Model):
    column: Filled
    table: Address
    of: Filled
    within: float | None = None


class Rule(Model):
    """One rule: its kind with what it takes, and ``on_fail`` where it is not the kind's own."""

    not_null: Names | None = None
    in_range: InRange | None = None
    one_of: OneOf | None = None
    matches: Matches | None = None
    expression: Filled | None = None
    unique: Names | None = None
    references: References | None = None
    row_count: RowCount | None = None
    fresh_within: FreshWithin | None = None
    sum_matches: SumMatches | None = None
    on_fail: Literal["warn", "quarantine", "fail"] | None = None
    _place: str = PrivateAttr("")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len(self.model_fields_set - {"on_fail"}) != 1 or self.said is None:
            kinds = ", ".join(sorted(set(type(self).model_fields) - {"on_fail"}))
            raise ValueError(f"must say one rule of {kinds}")
        return self

    @property
    def kind(self) -> str:
        return next(iter(self.model_fields_set - {"on_fail"}))

    @property
    def said(self) -> Any:
        """What the kind takes: a text, a list of names, or settings."""
        return getattr(self, self.kind)

    @property
    def place(self) -> str:
        """Where it stands, ``conf/base.yaml:12``."""
        return self._place

    def at(self, place: str) -> Rule:
        """The same rule, which knows where it stands."""
        copy = self.model_copy()
        copy._place = place
        return copy
