"""Which features are made of which columns, as last applied: kept in the registry's own file, read without Feast."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.config import Project
from lakehouse.errors import LakehouseError
from lakehouse.features.settings import Settings, read_settings

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

TABLE = """lakehouse_applied_views (project TEXT, view TEXT, source TEXT, features TEXT, keys TEXT, online INTEGER,
definition TEXT, PRIMARY KEY (project, view))"""


@dataclass(frozen=True)
class View:
    """A feature view and where its values come from."""

    name: str
    source: str
    """The address of its table."""
    features: dict[str, str]
    """The column of each feature."""
    keys: tuple[str, ...]
    """The columns by which rows are found: its keys and its time."""
    online: bool
    definition: str
    """See :func:`definition` and :func:`read_as`."""


def remember_views(database: sqlite3.Connection, store: FeatureStore) -> None:
    """Write down what the store's views are made of, in the registry's file that ``database`` has open."""
    from lakehouse.features.source import DeltaSource
    from lakehouse.kernels.aggregations import PARTS, column_of

    database.execute(f"CREATE TABLE IF NOT EXISTS {TABLE}")
    database.execute("DELETE FROM lakehouse_applied_views WHERE project = ?", (store.project,))
    for view in store.list_feature_views():
        source = view.batch_source
        if isinstance(source, DeltaSource):
            columns = {feature: column for column, feature in source.field_mapping.items()}
            features = {one.name: columns.get(one.name, one.name) for one in view.features}
            for one in source.windows.features if source.windows else ():
                features[one.name] = column_of(one.measure, PARTS[one.kind][0])
            keys = [columns.get(one.name, one.name) for one in view.entity_columns] + [source.timestamp_field]
            names = (store.project, view.name, source.table or "", json.dumps(features), json.dumps(keys))
            row = (*names, bool(view.online), read_as(definition(view), source.label, source.version))
            database.execute("INSERT INTO lakehouse_applied_views VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def applied_views(project: Project) -> list[View] | None:
    """The views as last applied; None where that is not known, an empty list where the project has no features."""
    if not any(project.features.glob("*.py")):
        return []
    try:
        settings: Settings = read_settings(project)
    except LakehouseError:
        return None
    file = settings.registry_file
    if file is None or not file.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            columns = "view, source, features, keys, online, definition"
            question = f"SELECT {columns} FROM lakehouse_applied_views WHERE project = ? ORDER BY view"
            rows = database.execute(question, (settings.project,)).fetchall()
    except sqlite3.Error:
        return None
    return [
        View(name, source, json.loads(features), tuple(json.loads(keys)), bool(online), defined)
        for name, source, features, keys, online, defined in rows
    ]


def definition(view: FeatureView) -> str:
    """Changes when the records that are published of a view would: not with a description, a tag or a ttl."""
    from lakehouse.features.source import view_source

    source = view_source(view, view.name)
    columns = [(field.name, str(field.dtype)) for field in (*view.entity_columns, *view.features)]
    times = (source.timestamp_field, source.ordered_by)
    parts = [view.entities, columns, times, sorted(source.field_mapping.items())]
    parts += [source.windows.text] if source.windows else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read_as(defined: str, table: str, pinned: int | None) -> str:
    """A definition, and which table and version it is of: what was published by it holds for no others."""
    return f"{defined} {table} {'newest' if pinned is None else pinned}"
