"""The kinds of source that conf/ knows, as frozen models. Unknown keys are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
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
from lakehouse.config.redaction import SHORTEST, secrets_in, without


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
SPAN = r"^[1-9][0-9]{0,6}[smh]$"
MARKER = r"^([^/{}]+(\{name\})?[^/{}]*|\{name\}[^/{}]+)$"


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

    @property
    def said(self) -> dict[str, Any]:
        """The settings that conf/ gives, as it names them; secrets are hidden."""
        kept = self.model_dump(mode="json")
        names = {name: field.alias or name for name, field in type(self).model_fields.items()}
        return {names[name]: kept[name] for name in names if name in self.model_fields_set or name == "type"}

    def redacted(self, text: str) -> str:
        """What somebody said, without anything that these settings hold as a secret."""
        return without(text, self._secrets())

    def _secrets(self) -> Iterator[str]:
        yield from secrets_in(self.model_dump())


class FilesSource(Contract):
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

    @model_validator(mode="after")
    def _delimiter_is_of_csv(self) -> FilesSource:
        if self.format != "csv" and "delimiter" in self.model_fields_set:
            raise ValueError(f"a {self.format} file has no delimiter; take it out")
        return self

    @property
    def settle_s(self) -> int:
        """The seconds of ``settle``; 0 where there is none."""
        return int(self.settle[:-1]) * {"s": 1, "m": 60, "h": 3600}[self.settle[-1]] if self.settle else 0


BESIDE = {
    "key": ("binary", "string"),
    "headers": ("string",),
    "timestamp": ("timestamp", "timestamp_ntz", "string"),
    "timestamp_type": ("string",),
}
"""What comes with a message's value, and the types that hold all of it: a reject has no other place for it."""


class KafkaSource(Contract):
    """One topic; each record that is committed lands once."""

    type: Literal["kafka"]
    servers: Annotated[str, StringConstraints(pattern=r"^[^\s,:/]+:[0-9]{1,5}(,[^\s,:/]+:[0-9]{1,5})*$")]
    """Brokers to ask first: host:port,host:port"""
    topic: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]
    value: Literal["json", "text", "binary"]
    """json: text that is JSON, kept as it came; text: UTF-8; binary: anything."""
    start: Filled = "earliest"
    """Where the first batch begins: earliest, latest, or a time with its zone: 2026-11-20T00:00:00Z."""
    max_records: Annotated[int, Field(ge=1, strict=True)] | None = None
    """The most offsets that one batch takes; None: all there are."""
    on_data_loss: Literal["error", "continue"] = "error"
    """Records that are gone at the source stop it (error), or the receipt says which they are (continue)."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: Filled | None = None
    password: SecretStr | None = None
    ca: Filled | None = None
    """A PEM file with the certificates to trust, below the project's folder or absolute; None: those of Java."""

    @field_validator("start")
    @classmethod
    def _start_is_a_time(cls, start: str) -> str:
        if start not in ("earliest", "latest"):
            try:
                zone = datetime.fromisoformat(start).tzinfo
            except ValueError:
                zone = None
            if zone is None:
                raise ValueError("must be earliest, latest, or a time with its zone, such as 2026-11-20T00:00:00Z")
        return start

    @model_validator(mode="after")
    def _columns_hold_what_comes_with_a_value(self) -> KafkaSource:
        for name, kinds in BESIDE.items():
            if self.columns.get(name, kinds[0]) not in kinds:
                raise ValueError(f"columns: {name} can be {' or '.join(kinds)}; cast it in silver")
        return self

    @model_validator(mode="after")
    def _security_is_whole(self) -> KafkaSource:
        sasl = {"sasl_mechanism": self.sasl_mechanism, "username": self.username, "password": self.password}
        needed = self.security_protocol.startswith("SASL_")
        odd = [name for name, value in sasl.items() if (value is not None) != needed]
        if odd:
            verb = "needs" if needed else "has no use for"
            raise ValueError(f"security_protocol {self.security_protocol} {verb} {', '.join(odd)}")
        if self.ca is not None and not self.security_protocol.endswith("SSL"):
            raise ValueError(f"security_protocol {self.security_protocol} has no use for ca")
        return self


class JdbcSource(Contract):
    """A table of a database: a snapshot (on Postgres whenever it changed, else each run) or what is new in it."""

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
    """How far before the last cursor to look again, for what was committed late: 10m, 2h, 1d, or a number. A table of
    Postgres needs none and takes none; a view of it does."""
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
        if self.cursor is not None and (self.columns or "rescue" in (self.new_columns, self.changed_types)):
            # What is read again is compared with what landed, as the database has it.
            raise ValueError("a cursor goes with no declared columns and no rescue; cast in silver")
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

    def _secrets(self) -> Iterator[str]:
        """Also each parameter of the address: a driver that complains may repeat it alone."""
        yield from super()._secrets()
        yield from (value for value in self.address.parameters.values() if len(value) >= SHORTEST and value != "true")

    @property
    def names(self) -> list[str]:
        """The parts of the table's name, without quotes."""
        if '"' not in self.table:
            return self.table.split(".")
        parts = re.findall(r'(?:^|(?<=\.))(?:"((?:[^"]|"")+)"|([^".]+))(?=\.|$)', self.table)
        found = [quoted.replace('""', '"') or plain for quoted, plain in parts]
        whole = re.fullmatch(r'(?:"(?:[^"]|"")+"|[^".]+)(?:\.(?:"(?:[^"]|"")+"|[^".]+))*', self.table)
        return found if whole else [""]


class OwnSource(Contract):
    """A class of the project's own; see docs/sources.md."""

    type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$")]
    """Its dotted path: jobs.sources.Api"""
    options: dict[str, SecretStr | bool | int | float | None] = Field(default_factory=dict)
    """What the class is given; texts are taken for secrets, which are never printed."""


KINDS = ("files", "kafka", "jdbc", "own")
"""The tags of the models below; "own" stands for a class by its dotted path."""


def _kind(settings: Any) -> str | None:
    """Which model a source's settings are of: a type with a dot in it is a class of the project's own."""
    kind = settings.get("type") if isinstance(settings, dict) else getattr(settings, "type", None)
    return "own" if isinstance(kind, str) and "." in kind else kind


Source = Annotated[
    Annotated[FilesSource, Tag("files")]
    | Annotated[KafkaSource, Tag("kafka")]
    | Annotated[JdbcSource, Tag("jdbc")]
    | Annotated[OwnSource, Tag("own")],
    Discriminator(_kind),
]
