"""conf/ as frozen models. Unknown keys are refused; see :mod:`lakehouse.config.loading` for how a file becomes one."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, field_validator

from lakehouse.config.contract import Filled, Model, Module
from lakehouse.config.expectations import Address, Rule
from lakehouse.config.redaction import without
from lakehouse.config.sources import Source

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
PROPERTY_NAME = r"^spark\.[A-Za-z0-9_.-]+$"
PROPERTY_VALUE = r"^[^\x00-\x1f\x7f\\]*$"
"""In a properties file a line break or a backslash would make another property of it."""


class Spark(Model):
    """How Spark runs."""

    profile: Literal["local", "cluster"] = "local"
    """local: settings that make short runs on one machine start fast. cluster: none of them."""
    memory: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*[mg]$")] = "2g"
    """The driver's heap."""
    master: str | None = None
    """local[*] when not set, or what spark-submit was given."""
    properties: dict[
        Annotated[str, StringConstraints(pattern=PROPERTY_NAME)],
        Annotated[str, StringConstraints(pattern=PROPERTY_VALUE)],
    ] = Field(default_factory=dict)
    """More Spark properties, each on one line; those that the engine sets itself are refused."""


class Config(Model):
    """conf/base.yaml with conf/env/ENV.yaml laid over it."""

    name: Name
    root: Filled
    """The folder that holds the tables; relative to the project's folder."""
    tables: Module
    """The Python package or module that declares the tables: jobs.flights"""
    sources: dict[Name, Source]
    features: Filled = "features"
    """The folder of the Feast repository."""
    demo: Module | None = None
    """The Python module with the project's demo; see ``lakehouse demo``."""
    expect: dict[Address, list[Rule]] = Field(default_factory=dict)
    """Rules by the address of a table, beside those that stand with it."""
    spark: Spark = Spark()

    @field_validator("root")
    @classmethod
    def _root_is_a_folder(cls, root: str) -> str:
        if "://" in root:
            raise ValueError("must be a folder; an address such as s3a:// is not supported")
        return root


class Project(Model):
    """A project's folder in one environment: the value that every room is handed."""

    folder: Path
    """Absolute; it holds conf/."""
    env: str
    config: Config
    put_in: tuple[SecretStr, ...] = ()
    """What ``${…}`` put into settings outside of the sources, which keep their own."""

    def redacted(self, text: str, address: str = "") -> str:
        """What somebody said (about a table) without what ``${…}`` put into conf/, and the secrets of its source."""
        layer, _, name = address.partition(".")
        if layer == "bronze" and name in self.config.sources:
            text = self.config.sources[name].redacted(text)
        return without(text, self.hidden)

    def __copy__(self) -> Self:
        """A copy may be given other settings: what they hide is asked of it anew."""
        copied = super().__copy__()
        copied.__dict__.pop("hidden", None)
        return copied

    @cached_property
    def hidden(self) -> tuple[str, ...]:
        """All that ``${…}`` put in anywhere."""
        ours = [secret.get_secret_value() for secret in self.put_in]
        return (*ours, *(text for source in self.config.sources.values() for text in source.put_in))

    def without_any_secret(self, text: str) -> str:
        """The same where nobody knows what it is about: a traceback, what was not expected."""
        for source in self.config.sources.values():
            text = source.redacted(text)
        return self.redacted(text)

    def __repr__(self) -> str:
        return self.redacted(super().__repr__())

    def __str__(self) -> str:
        return self.redacted(super().__str__())

    @property
    def root(self) -> Path:
        """The absolute folder of the tables."""
        return self.folder / self.config.root

    @property
    def features(self) -> Path:
        return self.folder / self.config.features

    def path(self, address: str) -> Path:
        """Where a table lives: ``bronze.flights`` → ROOT/bronze/flights."""
        layer, _, name = address.partition(".")
        return self.root / layer / name

    def state(self, address: str) -> Path:
        """Where what a silver or gold table must remember lives, receipts and quarantine: ROOT/state/silver/flights."""
        layer, _, name = address.partition(".")
        return self.root / "state" / layer / name

    def lock(self, address: str) -> Path:
        """The file that whoever writes the table holds locked."""
        return self.root / ".locks" / address
