"""The kinds of source that conf/ knows, as frozen models. Unknown keys are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import unquote, unquote_plus

from pydantic import (
    Discriminator,
    Field,
    SecretStr,
    StringConstraints,
    Tag,
    field_serializer,
    field_validator,
    model_validator,
)

from lakehouse.config.contract import Contract, Filled
from lakehouse.config.jdbc import DRIVERS, Address, parse_address, require_allowed
from lakehouse.config.redaction import SHORTEST, names_a_secret

SPAN = r"^[1-9][0-9]{0,6}[smh]$"
MARKER = r"^([^/{}]+(\{name\})?[^/{}]*|\{name\}[^/{}]+)$"


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

    @field_validator("path")
    @classmethod
    def _path_can_be_one(cls, path: str) -> str:
        if "\0" in path:
            raise ValueError("holds a NUL, as no file's name does")
        return path

    @model_validator(mode="after")
    def _delimiter_is_of_csv(self) -> FilesSource:
        if self.format != "csv" and "delimiter" in self.model_fields_set:
            raise ValueError(f"a {self.format} file has no delimiter; take it out")
        return self

    def _pieces(self, text: str) -> list[str]:
        """A pattern is never said as a whole: files are, below the folder that it begins with."""
        return re.split(r"[*?\[{]", text)[:1] if text in self.path else []

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

    def _pieces(self, text: str) -> list[str]:
        """Of several servers one is said to be unavailable."""
        return text.split(",") if text in self.servers else []

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
        written = [value for value in self.address.parameters.values() if value != "true"]
        forms = {form for value in written for form in (value, unquote(value), unquote_plus(value))}
        yield from (form for form in forms if len(form) >= SHORTEST)

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
    """What the class is given. No text of it is shown; out of what the class says are taken those that ``${…}`` put in,
    and those whose name is that of a secret: key, token, password, …"""

    def _secrets(self) -> Iterator[str]:
        yield from self.put_in
        for name, value in self.options.items():
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            if names_a_secret(name) and not isinstance(value, bool | None) and len(text) >= SHORTEST:
                yield text


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
