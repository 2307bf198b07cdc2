"""What rebuilds a training set: a folder that anybody can read, ``manifest.json`` and Parquet files beside it.

ROOT/training/NAME stands with the tables whose versions it pins, so that whoever maintains, copies or deletes that root
has both. This module needs neither Feast nor pyarrow.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lakehouse.config import Project
from lakehouse.delta.pins import Pin, holding
from lakehouse.errors import StorageError, UsageError, did_you_mean

FORMAT = 1
MANIFEST, ENTITIES, ROWS = "manifest.json", "entities.parquet", "rows.parquet"
NOT_KNOWN_YET, NO_TIME = "label not known yet", "no time"
"""Why entity rows are left out."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class PinnedTable:
    """One version of one table that the rows were read from."""

    table: str
    """Its address, or its path from the Feast repository."""
    table_id: str
    epoch: int
    version: int
    fingerprint: str
    """Of the definition that its content was made by; nothing where the table does not say."""
    used_by: tuple[str, ...]
    """The feature views, and "label"."""

    def pin(self, by: str) -> Pin:
        return Pin(self.table_id, self.epoch, self.version, by)


@dataclass(frozen=True)
class Label:
    """Where the label comes from, and how long after a row's time it is known."""

    column: str
    horizon_seconds: float
    known_until: str
    """Rows whose time and horizon end later were left out: their label was not known yet. ISO, UTC."""
    known_because: str
    """What says so: the clock, or the newest row of the label's table."""
    table: str = ""
    """The table's address; nothing: a column of the entity rows."""
    at: str = ""
    """The table's column with the time from which a row of it was known."""
    keys: tuple[str, ...] = ()
    missing: int = 0
    """Rows that were kept and have no label."""


@dataclass(frozen=True)
class Manifest:
    """All that a training set is made of. Nothing in it is an absolute path or a secret of conf/."""

    made_at: str
    environment: str
    versions: Mapping[str, str]
    """Of Python, the engine and the libraries that computed it."""
    code: Mapping[str, Any]
    """The fingerprint of the Feast repository, and the git commit where there is one."""
    features: tuple[str, ...]
    """As they were asked for: references, or one feature service."""
    full_feature_names: bool
    given: str
    """Where the entity rows came from, in words: the SQL, or what they were."""
    time: str
    """The entity rows' column with each row's time."""
    asked: int
    """Entity rows that were given."""
    left_out: Mapping[str, int]
    """How many of them are no rows of the set, by reason."""
    rows: int
    sha256: str
    """Of the rows' canonical Arrow bytes."""
    columns: tuple[Mapping[str, Any], ...]
    """Of the rows, in order: name, type, sha256, nulls."""
    entities_sha256: str
    tables: tuple[PinnedTable, ...]
    definitions: Mapping[str, Any]
    """Feast's own description of the entities, views and service."""
    leakage: tuple[Mapping[str, Any], ...]
    label: Label | None = None
    name: str = ""
    format: int = field(default=FORMAT)

    def text(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @staticmethod
    def of(text: str) -> Manifest:
        """Raises ValueError, KeyError or TypeError for what is no manifest."""
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError(f"its format is {data['format']}, this release reads {FORMAT}")
        label = data["label"]
        made: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        made["tables"] = tuple(PinnedTable(**{**table, "used_by": tuple(table["used_by"])}) for table in data["tables"])
        made["label"] = label and Label(**{**label, "keys": tuple(label["keys"])})
        return Manifest(**made)


def folder_of(project: Project, name: str) -> Path:
    """Where a training set is kept. Raises UsageError for a name that can't be a folder's."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' can't be the name of a training set", hint="Letters, digits, '_', '-' and '.': late_flights"
        )
    return project.root / "training" / name


def free(project: Project, name: str, replace: bool) -> None:
    """Raise UsageError where the name is taken and its set may not be replaced."""
    if not replace and folder_of(project, name).exists():
        raise UsageError(
            f"there is a training set '{name}' already",
            hint="Give another name, or replace it: --replace, or keep(…, replace=True).",
        )


def names(project: Project) -> list[str]:
    """The training sets that are kept."""
    found = (file.parent.name for file in (project.root / "training").glob(f"*/{MANIFEST}"))
    return sorted(name for name in found if not name.startswith("."))


def read_manifest(project: Project, name: str) -> Manifest:
    """Raises UsageError with the nearest name where there is none, StorageError where it can't be read."""
    file = folder_of(project, name) / MANIFEST
    try:
        return Manifest.of(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no training set '{name}'", hint=did_you_mean(name, names(project))) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{file} is no manifest: {error}",
            hint=f"Bring it back from where you keep copies, or delete it: lakehouse train {name} --forget",
        ) from error


def forget(project: Project, name: str) -> None:
    """Delete a training set; the versions that only it pinned are the next maintenance's."""
    folder = folder_of(project, name)
    if not (folder / MANIFEST).exists():
        raise UsageError(f"there is no training set '{name}'", hint=did_you_mean(name, names(project)))
    with holding(pins_folder(project)):
        away = folder.with_name(f".{name}.{os.getpid()}")
        folder.replace(away)
    shutil.rmtree(away)


def trained(project: Project) -> list[Pin]:
    """A pin for each table of each training set that is kept.

    Raises StorageError for a manifest that can't be read: what it needs is not known, so nothing may be removed.
    """
    return [
        table.pin(f"training set {name}") for name in names(project) for table in read_manifest(project, name).tables
    ]


def pins_folder(project: Project) -> Path:
    return project.root / "state" / "pins"
