"""One side of the benchmark ``online``, in a process of its own: python feast_online.py FOLDER STORE KEYS PORT [PART].

Prints, as JSON, CPU seconds and wall seconds of publishing KEYS keys of 10 doubles, the same of a publish after 1,000
changed keys, after one, and after none (ours alone), and the times (ms) of look-ups. With the PART "write" it
writes the table alone; with "peak" it publishes that, and prints the most memory that the process had (MiB).
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

WIDTH, WIDE, FEW, PIECE = 10, 50, 10_000, 1_000_000
SHAPES = ((1, 10), (10, 50), (100, 50))
"""Keys × features of one look-up."""
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LOOKS = 1_000


def main(folder: Path, kind: str, size: int, port: int, part: str = "") -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa
    from deltalake import write_deltalake
    from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
    from feast.types import Float64, Int64

    from lakehouse.features.source import DeltaSource

    rng = np.random.default_rng(7)

    def table(ids: Any, width: int, at: datetime) -> pa.Table:
        times = pa.array([at] * len(ids), pa.timestamp("us", "UTC"))
        return pa.table({"id": ids, "at": times, **{f"f{number}": rng.random(len(ids)) for number in range(width)}})

    def write(name: str, rows: pa.Table) -> None:
        feed = {"delta.enableChangeDataFeed": "true"}
        write_deltalake(folder / name, rows, mode="append", configuration=feed)

    def view(name: str, width: int) -> FeatureView:
        fields = [Field(name=f"f{number}", dtype=Float64) for number in range(width)]
        source = DeltaSource(name=name, path=folder / name, timestamp_field="at")
        return FeatureView(
            name=name, entities=[key], ttl=None, schema=[Field(name="id", dtype=Int64), *fields], source=source
        )

    stores: dict[str, dict[str, Any]] = {
        "sqlite": {"type": "lakehouse.online.sqlite.SqliteOnlineStore", "path": str(folder / "online.db")},
        "redis": {"type": "lakehouse.online.redis.RedisOnlineStore", "connection_string": f"localhost:{port}"},
        "feast sqlite": {"type": "sqlite", "path": str(folder / "feast.db")},
        "feast redis": {"type": "redis", "connection_string": f"localhost:{port}"},
    }
    ours = not kind.startswith("feast")
    engine = {"batch_engine": {"type": "lakehouse.features.engine.DeltaEngine"}} if ours else {}
    config: dict[str, Any] = {
        "project": kind.replace(" ", "_"),
        "provider": "local",
        "registry": {"path": str(folder / "registry.db"), "cache_ttl_seconds": 3600},
        "offline_store": {"type": "lakehouse.features.offline_store.DeltaOfflineStore"},
        "online_store": stores[kind],
        "entity_key_serialization_version": 3,
        **engine,
    }
    key = Entity(name="id", value_type=ValueType.INT64)
    if part != "peak":
        for start in range(0, size, PIECE):
            write("many", table(np.arange(start, min(size, start + PIECE)), WIDTH, FIRST))
    if part == "write":
        return {}
    write("wide", table(np.arange(FEW), WIDE, FIRST))
    store = FeatureStore(config=RepoConfig(**config))
    store.apply([key, view("many", WIDTH), view("wide", WIDE)])

    def publish(name: str) -> list[float]:
        began = time.process_time(), time.perf_counter()
        store.materialize(FIRST - timedelta(days=1), FIRST + timedelta(days=1), feature_views=[name])
        return [time.process_time() - began[0], time.perf_counter() - began[1]]

    publish("wide")  # what is done once in a process
    found: dict[str, Any] = {"whole": publish("many")}
    if part == "peak":
        return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if ours:
        for name, number in (("changed", 1_000), ("one", 1)):
            ids = rng.choice(size, number, replace=False)
            write("many", table(ids, WIDTH, FIRST + timedelta(hours=number)))
            found[name] = publish("many")
    found["looks"] = {}
    for keys, width in SHAPES:
        names = [f"wide:f{number}" for number in range(width)]
        spent = []
        for turn in range(LOOKS + 50):
            rows = {"id": rng.choice(FEW, keys, replace=False).tolist()}
            began = time.perf_counter()
            answer = store.get_online_features(names, rows).to_dict()
            if turn >= 50:
                spent.append((time.perf_counter() - began) * 1000)
            if None in answer["f0"]:
                raise SystemExit(f"{kind}: a key is not there")
        cuts = quantiles(spent, n=100)
        found["looks"][f"{keys} × {width}"] = [cuts[49], cuts[98]]
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        result = main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
    print(json.dumps(result))
