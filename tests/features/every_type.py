"""A Feast repository without a project: a table with a column of every type, and one that is read in several ways."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.types import Int64

from lakehouse.features.source import DeltaSource
from tests.features.conftest import START, US, day

NAIVE = START.replace(tzinfo=None)
VALUES: dict[str, tuple[pa.DataType, Any, Any]] = {
    "i8": (pa.int8(), -8, -8),
    "i32": (pa.int32(), 2**31 - 1, 2**31 - 1),
    "i64": (pa.int64(), 2**63 - 1, 2**63 - 1),
    "f32": (pa.float32(), 0.5, 0.5),
    "f64": (pa.float64(), 0.1, 0.1),
    "flag": (pa.bool_(), True, True),
    "text": (pa.string(), "ä\0", "ä\0"),
    "bytes": (pa.binary(), b"\xff", b"\xff"),
    "day": (pa.date32(), START.date(), START),
    "time": (US, START, START),
    "naive": (pa.timestamp("us"), NAIVE, START),
    "price": (pa.decimal128(9, 2), Decimal("1.50"), 1.5),
    "i32s": (pa.list_(pa.int32()), [1, None, 3], [1, None, 3]),
    "texts": (pa.list_(pa.string()), ["a", None], ["a", None]),
    "flags": (pa.list_(pa.bool_()), [], []),
    "blobs": (pa.list_(pa.binary()), [b"a"], [b"a"]),
    "times": (pa.list_(US), [START, None], [START, None]),
    "f32s": (pa.list_(pa.float32()), [0.5], [0.5]),
    "lists": (pa.list_(pa.list_(pa.int64())), [[1], None, []], [[1], None, []]),
    "map": (pa.map_(pa.string(), pa.int64()), {"a": 1, "b": None}, [("a", 1), ("b", None)]),
    "maps": (pa.list_(pa.map_(pa.string(), pa.string())), [{"a": "b"}], [[("a", "b")]]),
    "struct": (
        pa.struct([("x", pa.int64()), ("on", pa.date32()), ("deep", pa.struct([("y", pa.string())]))]),
        {"x": 1, "on": START.date(), "deep": {"y": None}},
        {"x": 1, "on": START, "deep": {"y": None}},
    ),
    "structs": (pa.list_(pa.struct([("x", pa.float64())])), [{"x": 0.1}, None], [{"x": 0.1}, None]),
}
"""The column's type, what is written, and what a training set holds."""


def open_types(folder: Path) -> FeatureStore:
    rows = {"user": pa.array([1, 1, 2], pa.int64()), "at": pa.array([day(1), day(3), day(1)], US)}
    for name, (kind, value, _) in VALUES.items():
        written = list(value.items()) if isinstance(value, dict) and pa.types.is_map(kind) else value
        written = [list(one.items()) for one in value] if name == "maps" else written
        rows[name] = pa.array([written, None, written], kind)
    write_deltalake(folder / "every", pa.table(rows))
    for month in range(1, 5):  # a file for each month, with keys of its own
        month_rows = {"user": [10 * month, 10 * month + 1], "at": pa.array([day(30 * month)] * 2, US), "n": [month, 0]}
        write_deltalake(folder / "monthly", pa.table(month_rows), mode="append")
    config = RepoConfig(
        project="types",
        provider="local",
        registry=str(folder / "registry.db"),
        offline_store={"type": "lakehouse.features.offline_store.DeltaOfflineStore"},
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        entity_key_serialization_version=3,
    )
    config.repo_path = folder
    found = FeatureStore(config=config)
    user = Entity(name="user", join_keys=["user"], value_type=ValueType.INT64)
    person = Entity(name="person", join_keys=["person"], value_type=ValueType.INT64)
    monthly = DeltaSource(name="monthly", path="monthly", timestamp_field="at")
    mapping = {"user": "person", "at": "moment", "n": "number"}
    renamed = DeltaSource(name="renamed", path="monthly", timestamp_field="moment", field_mapping=mapping)
    counted = [Field(name="n", dtype=Int64)]
    found.apply(
        [
            user,
            person,
            FeatureView(
                name="every",
                entities=[user],
                source=DeltaSource(name="every", path="every", timestamp_field="at", key_types={"user": "INT64"}),
            ),
            FeatureView(name="monthly", entities=[user], source=monthly, schema=counted, ttl=timedelta(days=5)),
            FeatureView(
                name="renamed", entities=[person], source=renamed, schema=[Field(name="number", dtype=Int64)], ttl=None
            ),
            FeatureView(name="world", entities=[], source=monthly, schema=counted, ttl=None),
        ]
    )
    return found


def ask(users: list[int], days: list[float], key: str = "user") -> pa.Table:
    return pa.table({key: users, "event_timestamp": pa.array([day(one) for one in days], US)})
