"""One small repository in two stores: ours, and what stock Feast makes of the same rows in its own SQLite store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from feast import Entity, FeatureStore, FeatureView, Field, ValueType
from feast.infra.offline_stores.file_source import FileSource
from feast.repo_config import RepoConfig

from lakehouse.features.repository import quiet
from lakehouse.features.source import DeltaSource
from tests.laws.corpus import seeds
from tests.online.redis_server import connection_string

STORES = ["sqlite", "redis"]
"""Every online store of ours."""
START = datetime(2026, 1, 1, tzinfo=UTC)
US = pa.timestamp("us", "UTC")
HOUR = timedelta(hours=1)


def cases(test: str, *, quick: int, every: int, kinds: Sequence[str] = STORES) -> list[Any]:
    """Each store with each seed; those of the first store are named by the seed alone, as the corpus keeps them."""
    return [
        pytest.param(kind, *one.values, marks=one.marks, id=f"{kind}-{one.values[0]}" if spot else str(one.values[0]))
        for spot, kind in enumerate(kinds)
        for one in seeds(test, quick=quick, every=every)
    ]


def online_store(name: str, folder: Path, **settings: Any) -> dict[str, Any]:
    """``online_store:`` of one of ours, with its data below the folder."""
    if name == "sqlite":
        return {"type": "lakehouse.online.sqlite.SqliteOnlineStore", "path": str(folder / "online.db"), **settings}
    return redis_store(connection_string(folder), **{"timeout_s": 10, **settings})


def redis_store(where: str, **settings: Any) -> dict[str, Any]:
    return {"type": "lakehouse.online.redis.RedisOnlineStore", "connection_string": where, **settings}


def feast_store(folder: Path, online: dict[str, Any], **more: Any) -> FeatureStore:
    """A Feast repository in the folder, on Delta tables.

    Its registry is a file: with an SQL one, Feast may give a view that is applied again as it was before.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {
        "project": "shop",
        "provider": "local",
        "registry": {"path": str(folder / "registry.db"), **more.pop("registry", {})},
        "offline_store": {"type": "lakehouse.features.offline_store.DeltaOfflineStore"},
        "batch_engine": {"type": "lakehouse.features.engine.DeltaEngine"},
        "online_store": online,
        "entity_key_serialization_version": 3,
        **more,
    }
    config = RepoConfig(**settings)
    config.repo_path = folder
    return FeatureStore(config=config)


def stock_store(folder: Path) -> FeatureStore:
    """The same, with nothing of ours in it."""
    return feast_store(
        folder,
        {"type": "sqlite", "path": str(folder / "stock.db")},
        offline_store={"type": "file"},
        batch_engine={"type": "local"},
    )


def view_of(
    folder: Path, name: str, fields: Sequence[Field], entities: Sequence[Entity], **options: Any
) -> FeatureView:
    """A view of the Delta table in folder/name."""
    source = DeltaSource(name=name, path=folder / name, timestamp_field="at", **options.pop("source", {}))
    return FeatureView(name=name, entities=list(entities), schema=list(fields), source=source, **options)


def stock_view(
    folder: Path, name: str, fields: Sequence[Field], entities: Sequence[Entity], **options: Any
) -> FeatureView:
    source = FileSource(name=name, path=str(folder / f"{name}.parquet"), timestamp_field="at")
    return FeatureView(name=name, entities=list(entities), schema=list(fields), source=source, **options)


def write(folder: Path, name: str, table: pa.Table, mode: Any = "append", feed: bool = True) -> None:
    write_deltalake(folder / name, table, mode=mode, configuration={"delta.enableChangeDataFeed": str(feed).lower()})


def keys_of(name: str = "id", kind: ValueType = ValueType.INT64) -> Entity:
    return Entity(name=name, join_keys=[name], value_type=kind)


def applied(store: FeatureStore, objects: Sequence[Any]) -> FeatureStore:
    with quiet():
        store.apply(list(objects))
    return store
