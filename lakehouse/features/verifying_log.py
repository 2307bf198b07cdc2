"""The log of served features, read again: what each key got of each view, when, and of which version of its table."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID, FeatureView
from feast.value_type import ValueType

from lakehouse.config import Project
from lakehouse.errors import UsageError
from lakehouse.features.entity_rows import TIME, EntityRows, of_table
from lakehouse.features.reading import open_table
from lakehouse.features.settings import read_settings
from lakehouse.kernels.times import UTC_TIME
from lakehouse.online.served import SCHEMA, refuse_unknown

HINT = "online_store: {log: {path: ../data/served, share: 0.01}} in feature_store.yaml"
_KEYS = {
    ValueType.STRING: pa.string(),
    ValueType.BYTES: pa.binary(),
    ValueType.INT32: pa.int32(),
    ValueType.INT64: pa.int64(),
    ValueType.UNIX_TIMESTAMP: UTC_TIME,
}


@dataclass(frozen=True)
class Served:
    """One row of the log; see :data:`lakehouse.online.served.SCHEMA`."""

    request: str
    row: int
    answered_at: datetime
    at: datetime
    view: str
    keys: Mapping[str, Any]
    features: Mapping[str, Any]
    types: Mapping[str, str]
    statuses: Mapping[str, int]
    table: str | None
    table_id: str | None
    version: int | None
    published: int | None
    definition: str | None
    pushed: bool
    dropped: int

    @property
    def made_of(self) -> int | None:
        """The version that its values are of: its record's, or what the store then was at where there was none."""
        return self.published if self.version is None else self.version


def served(project: Project, since: datetime | None = None, until: datetime | None = None) -> list[Served]:
    """What was answered within [since, until], oldest first.

    Raises UsageError where nothing is logged in this environment, NotBuiltError where nothing was yet.
    """
    location = place_of_log(project)
    hint = "It is written by what serves features; nothing of the share that is logged was served yet."
    opened = open_table(location, f"the log of served features in {location}", hint=hint)
    names = [name for name in SCHEMA.names if name != "day"]
    table = opened.read(names, time="answered_at", start=since, end=until)
    table = table.sort_by([(name, "ascending") for name in ("answered_at", "request", "view", "row")])
    texts = ("keys", "features", "types", "statuses")
    return [
        Served(**{name: json.loads(value) if name in texts else value for name, value in row.items()})
        for row in table.to_pylist()
    ]


def place_of_log(project: Project) -> str:
    """The folder or URL of the log.

    Raises UsageError where there is none in feature_store.yaml, ConfigError for a setting that it has not got.
    """
    settings = read_settings(project)
    online = settings.raw.get("online_store")
    log = online.get("log") if isinstance(online, dict) else None
    if not isinstance(log, dict) or not log.get("path"):
        raise UsageError(f"{settings.file} does not say that served features are logged", hint=HINT)
    refuse_unknown(log)
    path = str(log["path"])
    return path if "://" in path else str(Path(project.features).absolute() / path)


def entity_rows_of(view: FeatureView, vectors: Sequence[Served]) -> EntityRows:
    """The keys and moments of vectors of one view, in order."""
    columns: dict[str, Any] = {}
    for field in view.entity_columns:
        if field.name != DUMMY_ENTITY_ID:
            kind = field.dtype.to_value_type()
            columns[field.name] = pa.array([_key(one.keys[field.name], kind) for one in vectors], _KEYS[kind])
    columns[TIME] = pa.array([one.at for one in vectors], UTC_TIME)
    return of_table(pa.table(columns), TIME)


def _key(said: Any, kind: ValueType) -> Any:
    if kind is ValueType.BYTES:
        return b64decode(said)
    return datetime.fromtimestamp(said, UTC) if kind is ValueType.UNIX_TIMESTAMP else said
