"""The kinds of source that conf/ knows, as frozen models. Unknown keys are refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)


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


class KafkaSource(Model):
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
    new_columns: Literal["evolve", "reject"] = "evolve"
    lost_columns: Literal["null", "reject"] = "null"

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


class OwnSource(Model):
    """A class of the project's own; see docs/sources.md."""

    type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$")]
    """Its dotted path: jobs.sources.Api"""
    options: dict[str, SecretStr | bool | int | float | None] = Field(default_factory=dict)
    """What the class is given; texts are taken for secrets, which are never printed."""
    new_columns: Literal["evolve", "reject"] = "evolve"
    lost_columns: Literal["null", "reject"] = "null"


KINDS = ("files", "kafka", "own")
"""The tags of the models below; "own" stands for a class by its dotted path."""


def _kind(settings: Any) -> str | None:
    """Which model a source's settings are of: a type with a dot in it is a class of the project's own."""
    kind = settings.get("type") if isinstance(settings, dict) else getattr(settings, "type", None)
    return "own" if isinstance(kind, str) and "." in kind else kind


Source = Annotated[
    Annotated[FilesSource, Tag("files")] | Annotated[KafkaSource, Tag("kafka")] | Annotated[OwnSource, Tag("own")],
    Discriminator(_kind),
]
