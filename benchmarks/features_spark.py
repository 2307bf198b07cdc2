"""Training sets by Spark: the engine's executor beside Feast's own Spark store, on the same Delta tables.

Usage: python -m benchmarks.features_spark [ROWS ASKED ROWS_A_KEY]. Prints a line of JSON a side and round: wall seconds
of a training set of three views, counted and summed in Spark, and what tells whether the answers are equal. Both sides
run in one session, turn about, after a small retrieval each.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.feast_training import FEATURES, VIEWS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DAYS = 90
ROUNDS = 2
Retrieve = Callable[["DataFrame"], "DataFrame"]


def main(rows: int = 1_000_000, asked: int = 1_000_000, rows_a_key: int = 10) -> None:
    warnings.simplefilter("ignore")
    with TemporaryDirectory() as folder:
        place = Path(folder)
        spark = _session(place)
        _write(place, rows, asked, rows_a_key)
        entities = spark.read.parquet(str(place / "entities.parquet"))
        sides = {name: _store(place, name) for name in ("ours", "feast")}
        for retrieve in sides.values():
            _told(retrieve(entities.limit(10)))
        for turn in range(ROUNDS):
            for name in sorted(sides, reverse=not turn % 2):
                begun = time.perf_counter()
                told = _told(sides[name](entities))
                wall = time.perf_counter() - begun
                print(json.dumps({"side": name, "wall_s": round(wall, 2), "told": told}), flush=True)
        spark.stop()


def _session(place: Path) -> SparkSession:
    from lakehouse.config import load_project
    from lakehouse.spark import open_session

    (place / "conf").mkdir()
    (place / "conf" / "base.yaml").write_text("name: bench\nroot: lake\ntables: jobs.bench\nsources: {}\n")
    return open_session(load_project(place))


def _told(frame: DataFrame) -> list[Any]:
    from pyspark.sql import functions as F

    columns = [f"v{view}_f{number}" for view in range(VIEWS) for number in range(FEATURES)]
    sums = [F.round(F.sum(name), 3) for name in columns]
    return list(frame.agg(F.count(F.lit(1)), F.count(columns[0]), *sums).first() or ())


def _store(place: Path, side: str) -> Retrieve:
    from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
    from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
    from feast.table_format import DeltaFormat
    from feast.types import Float64

    from lakehouse.features.source import DeltaSource

    here = place / side
    here.mkdir()
    kind = "lakehouse.features.offline_store.DeltaOfflineStore" if side == "ours" else "spark"
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(here / "registry.db"),
        offline_store={"type": kind},
        online_store={"type": "sqlite", "path": str(here / "online.db")},
        entity_key_serialization_version=3,
    )
    config.repo_path = here
    store = FeatureStore(config=config)

    def source(name: str) -> Any:
        path = str(place / name)
        if side == "ours":
            return DeltaSource(name=name, path=path, timestamp_field="event_timestamp")
        return SparkSource(name=name, path=path, table_format=DeltaFormat(), timestamp_field="event_timestamp")

    user = Entity(name="user_id", join_keys=["user_id"], value_type=ValueType.INT64)
    views = [
        FeatureView(
            name=f"view{view}",
            entities=[user],
            ttl=timedelta(days=30),
            schema=[Field(name=f"v{view}_f{number}", dtype=Float64) for number in range(FEATURES)],
            source=source(f"v{view}"),
        )
        for view in range(VIEWS)
    ]
    store.apply([user, *views])
    references = [f"view{view}:v{view}_f{number}" for view in range(VIEWS) for number in range(FEATURES)]

    def retrieve(entities: DataFrame) -> DataFrame:
        job: Any = store.get_historical_features(entities, references)  # type: ignore[arg-type]
        frame: DataFrame = job.to_spark_df()
        return frame

    return retrieve


def _write(place: Path, rows: int, asked: int, rows_a_key: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import write_deltalake

    rng = np.random.default_rng(7)
    first, span, keys = 1_767_225_600_000_000, DAYS * 86_400_000_000, rows // rows_a_key

    def times(number: int) -> pa.Array:
        return pa.array(first + rng.integers(0, span, number)).cast(pa.timestamp("us", "UTC"))

    for view in range(VIEWS):
        columns = {
            "user_id": pa.array(rng.permutation(np.repeat(np.arange(keys), rows_a_key))),
            "event_timestamp": times(rows),
            **{f"v{view}_f{number}": pa.array(rng.random(rows)) for number in range(FEATURES)},
        }
        write_deltalake(place / f"v{view}", pa.table(columns))
    entities = pa.table({"user_id": pa.array(rng.integers(0, keys, asked)), "event_timestamp": times(asked)})
    pq.write_table(entities, place / "entities.parquet")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
