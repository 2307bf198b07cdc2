"""One side of the benchmark ``serving``, in a process of its own: python feast_serving.py FOLDER STORE PORT.

Makes a Feast repository in the folder, with its online store in the Redis at the port, publishes it and says "ready".
Then it changes all rows of the table and publishes again, over and over, until it is ended.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

KEYS, WIDTH = 10_000, 10
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
STORES = {"redis": "lakehouse.online.redis.RedisOnlineStore", "feast redis": "redis"}


def main(folder: Path, kind: str, port: int) -> None:
    import numpy as np
    import pyarrow as pa
    from deltalake import write_deltalake
    from feast import Entity, FeatureStore, FeatureView, Field, ValueType
    from feast.types import Float64, Int64

    from lakehouse.features.source import DeltaSource

    settings: dict[str, Any] = {
        "project": "serving",
        "provider": "local",
        "registry": {"path": "registry.db", "serve_features_while_materializing": True},
        "offline_store": {"type": "lakehouse.features.offline_store.DeltaOfflineStore"},
        "online_store": {"type": STORES[kind], "connection_string": f"localhost:{port}"},
        "entity_key_serialization_version": 3,
    }
    if kind == "redis":
        settings["batch_engine"] = {"type": "lakehouse.features.engine.DeltaEngine"}
    (folder / "feature_store.yaml").write_text(json.dumps(settings))
    rng = np.random.default_rng(7)

    def publish(turn: int) -> None:
        times = pa.array([FIRST + timedelta(seconds=turn)] * KEYS, pa.timestamp("us", "UTC"))
        values = {f"f{number}": rng.random(KEYS) for number in range(WIDTH)}
        rows = pa.table({"id": np.arange(KEYS), "at": times, **values})
        write_deltalake(folder / "t", rows, mode="overwrite", configuration={"delta.enableChangeDataFeed": "true"})
        if turn:
            store.materialize(FIRST, FIRST + timedelta(days=1))

    publish(0)
    key = Entity(name="id", value_type=ValueType.INT64)
    fields = [Field(name=f"f{number}", dtype=Float64) for number in range(WIDTH)]
    source = DeltaSource(name="t", path=folder / "t", timestamp_field="at")
    view = FeatureView(
        name="t", entities=[key], ttl=None, schema=[Field(name="id", dtype=Int64), *fields], source=source
    )
    store = FeatureStore(repo_path=str(folder))
    store.apply([key, view])
    publish(1)
    print("ready", file=sys.__stdout__, flush=True)
    turn = 1
    while True:
        turn += 1
        publish(turn)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
