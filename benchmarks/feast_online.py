"""One side of the benchmark ``online``, in a process of its own: python feast_online.py FOLDER STORE KEYS PORT [PART].

Prints, as JSON, CPU seconds and wall seconds of publishing KEYS keys of 10 doubles, the same of a publish after 1,000
changed keys, after one, and after none (ours alone), and the times (ms) of look-ups: p50, p99 and the mean of CPU; for
Redis also the p50 of one bare MGET of as many keys and bytes, that of a bare GET, and p99 ÷ p50 of the MGET. With the
PART "write" it writes the table alone; with "peak" it publishes that, and prints the most memory that it had (MiB).
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

WIDTH, WIDE, FEW, PIECE = 10, 50, 10_000, 1_000_000
SHAPES = ((1, 10), (10, 50), (100, 50))
"""Keys × features of one look-up."""
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LOOKS, THEIR_LOOKS = 5_000, 1_000
"""Of each shape; a look-up of Feast's own takes many times as long."""
PARTS = 10
REFRESH_EACH = 50
"""So few look-ups to one that meets a registry to be read again: every p99 is then of one that does."""


def main(folder: Path, kind: str, size: int, port: int, part: str = "") -> dict[str, Any]:
    import numpy as np
    import pyarrow as pa
    from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
    from feast.types import Float64, Int64

    from lakehouse.features.source import DeltaSource

    rng = np.random.default_rng(7)

    def table(ids: Any, width: int, at: datetime) -> pa.Table:
        times = pa.array([at] * len(ids), pa.timestamp("us", "UTC"))
        return pa.table({"id": ids, "at": times, **{f"f{number}": rng.random(len(ids)) for number in range(width)}})

    def write(name: str, rows: pa.Table) -> None:
        from deltalake import write_deltalake

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

    def looked_up(keys: int, width: int, number: int, before: Callable[[int], None]) -> tuple[list[float], float]:
        """How long each look-up took (ms), and their CPU seconds; something is done before each."""
        names = [f"wide:f{number}" for number in range(width)]
        spent, cpu = [], 0.0
        for turn in range(number + 50):
            rows = {"id": rng.choice(FEW, keys, replace=False).tolist()}
            before(turn)
            began = time.perf_counter(), time.process_time()
            answer = store.get_online_features(names, rows).to_dict()
            if turn >= 50:
                spent.append((time.perf_counter() - began[0]) * 1000)
                cpu += time.process_time() - began[1]
            if None in answer["f0"]:
                raise SystemExit(f"{kind}: a key is not there")
        return spent, cpu

    def refresh(turn: int) -> None:
        registry: Any = store.registry
        if turn % REFRESH_EACH == 0:  # its time has run out
            registry.cached_registry_proto_created -= timedelta(days=1)

    found["looks"], found["bare"] = {}, {}
    number = LOOKS if ours else THEIR_LOOKS
    for keys, width in SHAPES:
        asks = _bare(port, keys, width * 8) if "redis" in kind else []
        spent: list[list[float]] = [[] for _ in asks]

        def bare(_: int, asks: Any = asks, spent: Any = spent) -> None:
            for ask, times in zip(asks, spent, strict=True):
                began = time.perf_counter()
                ask()
                times.append((time.perf_counter() - began) * 1000)

        took, cpu = looked_up(keys, width, number, bare)
        found["looks"][f"{keys} × {width}"] = [median(took), _p99(took), cpu * 1000 / number]
        apart = [_p99(times[50:]) / median(times) for times in spent[:1]]
        found["bare"][f"{keys} × {width}"] = [*map(median, spent), *apart]
    halves: dict[str, list[float]] = {"without": [], "with": []}
    for _ in range(PARTS):  # in turn, since the machine is shared
        halves["without"] += looked_up(10, 50, number // PARTS, lambda turn: None)[0]
        halves["with"] += looked_up(10, 50, number // PARTS, refresh)[0]
    found["refreshed"] = {name: [median(took), _p99(took)] for name, took in halves.items()}
    return found


def _p99(times: list[float]) -> float:
    return quantiles(times, n=100)[98]


def _bare(port: int, keys: int, size: int) -> list[Callable[[], Any]]:
    """What a look-up takes at least by the same client: one MGET of values of that many bytes; and one GET."""
    import redis

    client = redis.Redis(port=port)
    names = [f"bare:{size}:{number}" for number in range(keys)]
    client.mset({name: bytes(size) for name in names})
    return [lambda: client.mget(names), lambda: client.get(names[0])]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        result = main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
    print(json.dumps(result))
