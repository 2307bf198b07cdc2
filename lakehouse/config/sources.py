"""The kinds of source that conf/ knows, as frozen models. Unknown keys are refused."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    StringConstraints,
    Tag,
    field_serializer,
    field_validator,
    model_validator,
)

from lakehouse.config.jdbc import DRIVERS, Address, parse_address, require_allowed


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Filled = Annotated[str, StringConstraints(min_length=1)]
Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]


class FilesSource(Model):
    """Files of one format, found by a pattern; each file lands once."""

    type: Literal["files"]
    format: Literal["csv", "json", "parquet"]
    """json is JSON lines: one object a line."""
    path: Filled
    """A pattern below the project's folder, or an absolute one: data/raw/flights/*.csv"""
    delimiter: Annotated[str, StringConstraints(pattern=r"^[^\"\r\n]$")] = ","
    """csv only: what stands between two fields, one character."""
    new_columns: Literal["evolve", "reject"] = "evolve"
    """A column that bronze lacks is added to it (evolve), or the file is refused (reject)."""
    lost_columns: Literal["null", "reject"] = "null"
    """A column of bronze that a file lacks is null for its records (null), or the file is refused (reject)."""

    @model_validator(mode="after")
    def _delimiter_is_of_csv(self) -> FilesSource:
        if self.format != "csv" and "delimiter" in self.model_fields_set:
            raise ValueError(f"a {self.format} file has no delimiter; take it out")
        return self


class JdbcSource(Model):
    """A table of a database: a snapshot of it whenever it changed or, with a cursor, what is new in it."""

    type: Literal["jdbc"]
    url: SecretStr
    """jdbc:postgresql://host:5432/database; shown as host and database only."""
    table: Filled
    """schema.table, each name exactly as the database has it; one that holds a dot stands in double quotes."""
    user: SecretStr | None = None
    password: SecretStr | None = None
    cursor: Filled | None = None
    """The column that grows with each change; with it, only what is new is read."""
    key: tuple[Filled, ...] = ()
    """The columns that tell a row from all others; on Postgres the primary key, where nothing is said."""
    overlap: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?[smhd]?$")] | None = None
    """How far before the last cursor to look again, for what was committed late: 10m, 2h, 1d, or a number."""
    partitions: Annotated[int, Field(ge=1, le=64)] = 1
    """Postgres: connections that read at once, all of them the same database snapshot."""
    partition_column: Filled | None = None
    """A number column to split by; a plain table of Postgres needs none."""
    fetch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Rows that a connection holds at a time."""
    driver: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)+$")] | None = None
    """The class of the driver, where the address does not tell."""
    jars: tuple[Filled, ...] = ()
    """The driver's jars: paths below the project, or absolute; Spark is started with them."""
    options: dict[str, SecretStr | bool | int] = Field(default_factory=dict)
    """Parameters of the connection, from the list in docs/sources.md."""
    new_columns: Literal["evolve", "reject"] = "evolve"
    lost_columns: Literal["null", "reject"] = "null"

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("overlap", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _is_of_its_database(self) -> JdbcSource:
        address = self.address
        require_allowed(address.kind, dict.fromkeys(self.options, ""))
        if len(self.names) > 2 or not all(self.names) or "\0" in self.table:
            raise ValueError("table must be a name or schema.table; a name that holds a dot stands in double quotes")
        if address.kind not in DRIVERS and self.driver is None:
            raise ValueError(f"driver is needed: the class of the driver for {address.kind}")
        if self.overlap is not None and self.cursor is None:
            raise ValueError("overlap is for a cursor; name one, or take it out")
        if address.kind != "postgresql":
            if self.partitions > 1 or self.partition_column is not None:
                raise ValueError("partitions are for Postgres: elsewhere they would not see one snapshot")
            if self.cursor is not None and not (self.overlap and self.key):
                raise ValueError("a cursor needs an overlap and a key here; what commits late is found by looking back")
        return self

    @field_serializer("url", when_used="json")
    def _place_only(self, url: SecretStr) -> str:
        return self.address.place

    @property
    def address(self) -> Address:
        return parse_address(self.url.get_secret_value())

    @property
    def names(self) -> list[str]:
        """The parts of the table's name, without quotes."""
        if '"' not in self.table:
            return self.table.split(".")
        parts = re.findall(r'(?:^|(?<=\.))(?:"((?:[^"]|"")+)"|([^".]+))(?=\.|$)', self.table)
        found = [quoted.replace('""', '"') or plain for quoted, plain in parts]
        whole = re.fullmatch(r'(?:"(?:[^"]|"")+"|[^".]+)(?:\.(?:"(?:[^"]|"")+"|[^".]+))*', self.table)
        return found if whole else [""]


class OwnSource(Model):
    """A class of the project's own; see docs/sources.md."""

    type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$")]
    """Its dotted path: jobs.sources.Api"""
    options: dict[str, SecretStr | bool | int | float | None] = Field(default_factory=dict)
    """What the class is given; texts are taken for secrets, which are never printed."""
    new_columns: Literal["evolve", "reject"] = "evolve"
    lost_columns: Literal["null", "reject"] = "null"


KINDS = ("files", "jdbc", "own")
"""The tags of the models below; "own" stands for a class by its dotted path."""


def _kind(settings: Any) -> str | None:
    """Which model a source's settings are of: a type with a dot in it is a class of the project's own."""
    kind = settings.get("type") if isinstance(settings, dict) else getattr(settings, "type", None)
    return "own" if isinstance(kind, str) and "." in kind else kind


Source = Annotated[
    Annotated[FilesSource, Tag("files")] | Annotated[JdbcSource, Tag("jdbc")] | Annotated[OwnSource, Tag("own")],
    Discriminator(_kind),
]
