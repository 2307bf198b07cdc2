"""The keys of a view in Feast's SQLite online store: those that should be there, and those that should go."""

from __future__ import annotations

import sqlite3
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureStore, FeatureView
from feast.feature_view import DUMMY_ENTITY_ID
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import compute_table_id
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.type_map import python_values_to_proto_values

from lakehouse.features.reading import UTC_TIME, OpenTable
from lakehouse.features.source import DeltaSource
from lakehouse.kernels import latest


def online_table(store: FeatureStore, view: FeatureView) -> str:
    """The name of the SQLite table that holds the view's records."""
    versioned = store.config.registry.enable_online_feature_view_versioning
    return str(compute_table_id(store.config.project, view, versioned))


def newest_keys(
    opened: OpenTable, view: FeatureView, source: DeltaSource, now: datetime
) -> tuple[pa.Table, datetime | None]:
    """The keys that have a row up to now, and the first event time after now (None: there is none)."""
    keys = [field.name for field in view.entity_columns if field.name != DUMMY_ENTITY_ID]
    time = source.stored(source.timestamp_field)
    table = opened.read([*(source.stored(key) for key in keys), time])
    due = pc.fill_null(pc.less_equal(table.column(time), pa.scalar(now, UTC_TIME)), True)
    later = pc.min(table.filter(pc.invert(due)).column(time)).as_py()
    table = table.filter(due)
    spots = latest([table.column(source.stored(key)) for key in keys], table.column(time))
    columns = {key: table.column(source.stored(key)).take(pa.array(spots)) for key in keys}
    return pa.table(columns or {DUMMY_ENTITY_ID: [""] * len(spots)}), later


def drop_other_keys(
    database: sqlite3.Connection, table: str, store: FeatureStore, view: FeatureView, keys: pa.Table
) -> None:
    """Delete the records of keys that are not among these. Feast writes keys and never takes one back."""
    quoted = '"' + table.replace('"', '""') + '"'
    stored = database.execute(f"SELECT count(DISTINCT entity_key) FROM {quoted}").fetchone()[0]
    if stored == keys.num_rows:
        return  # each of ours was just written, so they are the same
    types = {field.name: field.dtype.to_value_type() for field in view.entity_columns}
    names = list(keys.column_names)
    values = [python_values_to_proto_values(keys.column(name).to_pylist(), types[name]) for name in names]
    version = store.config.entity_key_serialization_version
    keep = {
        serialize_entity_key(EntityKey(join_keys=names, entity_values=list(parts)), version)
        for parts in zip(*values, strict=True)
    }
    there = {bytes(key) for (key,) in database.execute(f"SELECT DISTINCT entity_key FROM {quoted}")}
    database.executemany(f"DELETE FROM {quoted} WHERE entity_key = ?", [(key,) for key in there - keep])
