"""What every kind of source has: what its columns may do, and what of its settings is kept secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    StringConstraints,
    model_validator,
)

from lakehouse.config.redaction import SHORTEST_PUT_IN, hidden, secrets_in, without


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Filled = Annotated[str, StringConstraints(min_length=1)]
COLUMN_TYPE = (
    r"^(string|boolean|tinyint|smallint|int|bigint|float|double|date|timestamp|timestamp_ntz|binary"
    r"|decimal\(([1-9]|[12][0-9]|3[0-8]),([0-9]|[12][0-9]|3[0-8])\))$"
)
"""Types as Spark writes them."""


def _scale_fits(kind: str) -> str:
    digits = [int(number) for number in re.findall(r"\d+", kind)]
    if digits and digits[1] > digits[0]:
        raise ValueError(f"{kind} has more digits behind the point than digits: write decimal(digits,digits behind it)")
    return kind


ColumnType = Annotated[str, StringConstraints(pattern=COLUMN_TYPE), AfterValidator(_scale_fits)]
Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]


class Contract(Model):
    """What a source's columns may do: the same for every kind of source."""

    schema_: Literal["infer", "declared"] = Field(default="infer", alias="schema")
    """Bronze's columns are those of the source (infer), or those of ``columns``, which say it too (declared)."""
    columns: dict[Filled, ColumnType] = Field(default_factory=dict)
    """Declared names and types, which bronze has whatever kind the source is: {id: bigint}"""
    new_columns: Literal["evolve", "rescue", "reject"] = "evolve"
    """A column that bronze lacks is added (evolve), goes to _rescued (rescue; the default where columns are declared),
    or the batch is refused (reject)."""
    lost_columns: Literal["null", "reject"] = "null"
    """A column of bronze that a file lacks is null for its records (null), or the batch is refused (reject)."""
    changed_types: Literal["widen", "rescue", "reject"] = "reject"
    """A column of another type than bronze's: taken where it is narrower (widen), value by value (rescue), or the batch
    is refused. A record with a value that a declared type can't hold is rescued, or else quarantined."""

    @model_validator(mode="before")
    @classmethod
    def _columns_declare(cls, given: Any) -> Any:
        declared = {"schema": "declared", "new_columns": "rescue"}
        return declared | given if isinstance(given, dict) and given.get("columns") else given

    @model_validator(mode="after")
    def _columns_are_of_a_declared_schema(self) -> Contract:
        if self.schema_ == "declared" and not self.columns:
            raise ValueError("schema: declared needs columns, such as {id: bigint}")
        if self.schema_ == "infer" and self.columns:
            raise ValueError("schema: infer takes no columns; say schema: declared, or take them out")
        return self

    _put_in: tuple[str, ...] = PrivateAttr(default=())

    def keeping(self, put_in: Iterable[str]) -> Self:
        """The same source, which keeps to itself what ``${…}`` put into its settings."""
        texts = [piece for text in put_in for piece in (text, *self._pieces(text))]
        kept = self.model_copy()
        kept._put_in = tuple(dict.fromkeys(text for text in texts if len(text) >= SHORTEST_PUT_IN))
        return kept

    @property
    def put_in(self) -> tuple[str, ...]:
        return self._put_in

    def __repr__(self) -> str:
        return without(super().__repr__(), self._put_in)

    def __str__(self) -> str:
        return without(super().__str__(), self._put_in)

    def _pieces(self, text: str) -> list[str]:
        """The parts of what was put in that are said alone."""
        return []

    @property
    def said(self) -> dict[str, Any]:
        """The settings that conf/ gives, as it names them; secrets are hidden."""
        kept = self.model_dump(mode="json")
        names = {name: field.alias or name for name, field in type(self).model_fields.items()}
        given = (name for name in names if name in self.model_fields_set or name == "type")
        # Texts that were not put in are as they stand in conf/.
        return {names[name]: hidden(kept[name], partial(without, secrets=self._put_in)) for name in given}

    def redacted(self, text: str) -> str:
        """What somebody said, without anything that these settings hold as a secret."""
        return without(text, self._secrets())

    def _secrets(self) -> Iterator[str]:
        yield from self._put_in
        yield from secrets_in(self.model_dump())
