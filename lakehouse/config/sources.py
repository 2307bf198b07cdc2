"""The kinds of source that conf/ knows, as frozen models. Unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, SecretStr, StringConstraints, Tag, model_validator


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Filled = Annotated[str, StringConstraints(min_length=1)]
ColumnType = Annotated[
    str,
    StringConstraints(
        pattern=r"^(string|boolean|tinyint|smallint|int|bigint|float|double|date|timestamp|timestamp_ntz|binary"
        r"|decimal\(\d{1,2},\d{1,2}\))$"
    ),
]
Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]
SPAN = r"^[1-9][0-9]{0,6}[smh]$"
MARKER = r"^([^/{}]+(\{name\})?[^/{}]*|\{name\}[^/{}]+)$"


class FilesSource(Model):
    """Files of one format, found by a pattern; each file lands once."""

    type: Literal["files"]
    format: Literal["csv", "json", "parquet", "text", "binary"]
    """json is JSON lines: one object a line; text: a record is a line; binary: a record is a file."""
    path: Filled
    """A pattern below the project's folder, or an absolute one: data/raw/flights/*.csv"""
    delimiter: Annotated[str, StringConstraints(pattern=r"^[^\"\r\n]$")] = ","
    """csv only: what stands between two fields, one character."""
    changed: Literal["error", "reread", "ignore"] = "error"
    """A file that changes after it landed stops the source (error), lands again whole (reread), or is passed over."""
    settle: Annotated[str, StringConstraints(pattern=SPAN)] | None = None
    """A file is left until it has not been modified for so long: 30s, 5m, 1h."""
    marker: Annotated[str, StringConstraints(pattern=MARKER)] | None = None
    """A file is left until this one stands beside it, no older than it is: _SUCCESS, {name}.done"""
    new_columns: Literal["evolve", "rescue", "reject"] = "evolve"
    """A column that bronze lacks is added (evolve), goes to _rescued (rescue), or the file is refused (reject)."""
    lost_columns: Literal["null", "reject"] = "null"
    """A column of bronze that a file lacks is null for its records (null), or the file is refused (reject)."""
    changed_types: Literal["widen", "rescue", "reject"] = "reject"
    """A value of another type than bronze's: taken where the type is narrower, put into _rescued, or refused."""
    columns: dict[Filled, ColumnType] = Field(default_factory=dict)
    """Declared names and types, which bronze has whatever kind the source is: {id: bigint}"""

    @model_validator(mode="after")
    def _delimiter_is_of_csv(self) -> FilesSource:
        if self.format != "csv" and "delimiter" in self.model_fields_set:
            raise ValueError(f"a {self.format} file has no delimiter; take it out")
        return self

    @property
    def settle_s(self) -> int:
        """The seconds of ``settle``; 0 where there is none."""
        return int(self.settle[:-1]) * {"s": 1, "m": 60, "h": 3600}[self.settle[-1]] if self.settle else 0


class OwnSource(Model):
    """A class of the project's own; see docs/sources.md."""

    type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$")]
    """Its dotted path: jobs.sources.Api"""
    options: dict[str, SecretStr | bool | int | float | None] = Field(default_factory=dict)
    """What the class is given; texts are taken for secrets, which are never printed."""
    new_columns: Literal["evolve", "rescue", "reject"] = "evolve"
    lost_columns: Literal["null", "reject"] = "null"
    changed_types: Literal["widen", "rescue", "reject"] = "reject"
    columns: dict[Filled, ColumnType] = Field(default_factory=dict)


KINDS = ("files", "own")
"""The tags of the models below; "own" stands for a class by its dotted path."""


def _kind(settings: Any) -> str | None:
    """Which model a source's settings are of: a type with a dot in it is a class of the project's own."""
    kind = settings.get("type") if isinstance(settings, dict) else getattr(settings, "type", None)
    return "own" if isinstance(kind, str) and "." in kind else kind


Source = Annotated[
    Annotated[FilesSource, Tag("files")] | Annotated[OwnSource, Tag("own")],
    Discriminator(_kind),
]
