"""One training set by Feast's own API, measured within its process; for a Python that has Feast, not only the engine's.

Usage: python feast_training.py FOLDER STORE, where STORE is delta (lakehouse.features), duckdb (Feast's own, on Parquet
files of the same rows) or kernel (the as-of kernel on the same Delta tables, without Feast). Prints JSON: the CPU and
wall seconds of the retrieval, and what tells whether the answers are equal. Imports and a first small retrieval are
not measured: a notebook has them behind it.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

VIEWS, FEATURES = 3, 5


def main(folder: str, store: str) -> None:
    warnings.simplefilter("ignore")
    place = Path(folder)
    retrieve = kernel(place) if store == "kernel" else feast(place, store)
    retrieve(10)
    wall, cpu = time.perf_counter(), time.process_time()
    answer = retrieve(None)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    columns = [answer.column(f"v{view}_f{number}") for view in range(VIEWS) for number in range(FEATURES)]
    print(json.dumps({"cpu_s": cpu, "wall_s": wall, "rows": answer.num_rows, "told": [told(one) for one in columns]}))


def told(column: Any) -> list[float]:
    import pyarrow.compute as pc

    return [column.null_count, round(pc.sum(column).as_py(), 3)]


def repository(place: Path, store: str) -> tuple[Any, list[str]]:
    """A FeatureStore of the folder's views, and all their features: the engine's, or Feast's "duckdb" or "spark"."""
    from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
    from feast.types import Float64

    here = place / f"repository-{store}"
    here.mkdir(exist_ok=True)
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(here / "registry.db"),
        offline_store={"type": "lakehouse.features.offline_store.DeltaOfflineStore" if store == "delta" else store},
        online_store={"type": "sqlite", "path": str(here / "online.db")},
        entity_key_serialization_version=3,
    )
    config.repo_path = here
    opened = FeatureStore(config=config)
    user = Entity(name="user_id", join_keys=["user_id"], value_type=ValueType.INT64)
    views = [
        FeatureView(
            name=f"view{view}",
            entities=[user],
            ttl=timedelta(days=30),
            schema=[Field(name=f"v{view}_f{number}", dtype=Float64) for number in range(FEATURES)],
            source=_source(place, f"v{view}", store),
        )
        for view in range(VIEWS)
    ]
    opened.apply([user, *views])
    return opened, [f"view{view}:v{view}_f{number}" for view in range(VIEWS) for number in range(FEATURES)]


def _source(place: Path, name: str, store: str) -> Any:
    time = "event_timestamp"
    if store == "duckdb":
        from feast import FileSource

        return FileSource(name=name, path=str(place / f"{name}.parquet"), timestamp_field=time)
    if store == "spark":
        from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
        from feast.table_format import DeltaFormat

        return SparkSource(name=name, path=str(place / name), table_format=DeltaFormat(), timestamp_field=time)
    from lakehouse.features.source import DeltaSource

    return DeltaSource(name=name, path=place / name, timestamp_field=time)


def feast(place: Path, store: str) -> Callable[[int | None], Any]:
    import pandas as pd

    opened, references = repository(place, store)
    entities = pd.read_parquet(place / "entities.parquet")

    def retrieve(rows: int | None) -> Any:
        asked = entities if rows is None else entities.head(rows)
        return opened.get_historical_features(asked, references).to_arrow()

    return retrieve


def kernel(place: Path) -> Callable[[int | None], Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import DeltaTable

    from lakehouse.kernels.asof import asof_join

    entities = pq.read_table(place / "entities.parquet")

    def retrieve(rows: int | None) -> Any:
        answer = entities if rows is None else entities.slice(0, rows)
        for view in range(VIEWS):
            names = [f"v{view}_f{number}" for number in range(FEATURES)]
            scan = DeltaTable(place / f"v{view}").scan(columns=["user_id", "event_timestamp", *names])
            table = pa.RecordBatchReader.from_stream(scan).read_all()
            key, at = (table.column(name) for name in ("user_id", "event_timestamp"))
            asked = [answer.column("user_id")]
            spots = asof_join(asked, answer.column("event_timestamp"), [key], at, ttl=timedelta(days=30))
            index = pa.array(spots, mask=spots < 0)
            for name in names:
                answer = answer.append_column(name, table.column(name).take(index))
        return answer

    return retrieve


if __name__ == "__main__":
    main(*sys.argv[1:])
