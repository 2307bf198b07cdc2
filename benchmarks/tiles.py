"""Tiles of window features: what late data of one day costs, and what a look-up of window features does.

``python -m benchmarks.tiles FOLDER ROUNDS FILE`` builds in one warm session; ``… FOLDER look FILE`` looks up.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, Rounds, timed
from benchmarks.window_project import write_project
from benchmarks.workbench import Workbench

if TYPE_CHECKING:
    from lakehouse.config import Project

DAYS, ROWS_A_DAY, KEYS = 365, 8_000, 1_000
LATE = 800
"""Events that come late, all of one day."""
WARM_UP = 1
PART = 0.02
LOOKS, ASKED = 5_000, 10
MOST_MS, MOST_BYTES = 0.6, 4096
TABLES = """
from lakehouse import gold, silver

@silver.table(key=["at", "id"])
def events(bronze_events):
    return bronze_events

load = gold.windows(
    of="silver.events", entity="k", at="at",
    features=[
        gold.count(over=["1h", "1d", "7d"]), gold.mean("v", over=["1d", "7d", "28d"]), gold.max("v", over=["1d", "7d"]),
        gold.rate("v > 0.5", over=["1d", "7d"]), gold.variance("v", over="28d"), gold.last("id"),
    ],
)
"""
DEFINITIONS = """
from feast import Entity, ValueType
from jobs import bench
from lakehouse.features.view import feature_view

key = Entity(name="k", join_keys=["k"], value_type=ValueType.INT64)
load = feature_view(bench.load, entity=key, ttl=None)
"""


def tiles(bench: Workbench) -> Iterator[Figure]:
    """Late data of one day beside all of a year, and look-ups of ten keys with twelve window features."""
    from tests.online.redis_server import RedisServer

    folder, file = bench.folder / "tiles", bench.folder / "tiles.json"
    redis = RedisServer()
    try:
        _project(folder, redis.port)
        bench.begin()
        process = bench.python("-m", "benchmarks.tiles", str(folder), str(bench.rounds(3)), str(file), limit_s=1800.0)
        found = json.loads(file.read_text())
        bench.python("-m", "benchmarks.tiles", str(folder), "look", str(file))
        looked = json.loads(file.read_text())
    finally:
        redis.close()
    whole = Rounds([Cost(**one) for one in found["late"]], [Cost(**one) for one in found["whole"]])
    late, all_of_it = whole.median("cpu_s"), whole.median("cpu_s", "floor")
    fixed = median(one["cpu_s"] for one in found["fixed"])
    yield bench.figure(
        "tiles: late data of one day of 365",
        "CPU s",
        late,
        floor=all_of_it,
        goal=PART * all_of_it + fixed,
        how=f"`pipeline.build` of twelve window features after {LATE} late events of one day, {DAYS * ROWS_A_DAY:,} "
        f"events of {KEYS:,} keys, in a warm session; the goal is 2 % of what all tiles cost, and the fixed cost: "
        f"{fixed:.2f} s, after one late event",
        floor_is="all tiles of the same table, after a change of its definition",
        costs=whole,
    )
    yield bench.most_memory("tiles", process)
    yield bench.figure(
        "tiles: look-up of 10 keys × 12 window features in Redis, p50",
        "ms",
        looked["p50_ms"],
        floor=looked["bare_ms"],
        goal=MOST_MS,
        how=f"`get_online_features(…).to_dict()` of {LOOKS:,} look-ups; p99 {looked['p99_ms']:.2f} ms",
        floor_is="one MGET of as many keys and bytes by redis-py, each beside a look-up",
    )
    yield bench.figure(
        "tiles: the largest record",
        "bytes",
        looked["bytes"],
        goal=MOST_BYTES,
        how=f"of {KEYS:,} keys with {ROWS_A_DAY // KEYS} events a day each",
    )


def main(words: Sequence[str]) -> None:
    from lakehouse.config import load_project

    project = load_project(Path(words[0]))
    made = _looked(project) if words[1] == "look" else _built(project, int(words[1]))
    Path(words[2]).write_text(json.dumps(made))


def _built(project: Project, rounds: int) -> dict[str, object]:
    from lakehouse import pipeline
    from lakehouse.spark import open_session

    open_session(project)
    first = datetime.now(UTC).timestamp() - DAYS * 86_400
    _write(project, first, np.arange(DAYS * ROWS_A_DAY), "overwrite")
    costs: dict[str, list[Cost]] = {"whole": [], "late": [], "fixed": []}
    draw, number = np.random.default_rng(1), DAYS * ROWS_A_DAY

    def built(kind: str, count: bool) -> None:
        def build() -> None:
            report = pipeline.build(project, select=["gold.load"])
            if [result.status for result in report.results] != ["done"]:
                raise BenchmarkError(f"{kind}: {[result.note for result in report.results]}")

        cost = timed(build)
        if count:
            costs[kind].append(cost)

    for turn in range(WARM_UP + rounds):
        tables = project.folder / "jobs" / "bench.py"
        tables.write_text(TABLES.replace('at="at",', f'at="at", where="id >= -{turn}",'))
        for module in ("jobs", "jobs.bench"):
            sys.modules.pop(module, None)
        built("whole", turn >= WARM_UP)
        for kind, many in (("late", LATE), ("fixed", 1)):
            day = int(draw.integers(DAYS))
            late = day * ROWS_A_DAY + draw.integers(ROWS_A_DAY, size=many)
            _write(project, first, late, "append", number)
            number += many
            built(kind, turn >= WARM_UP)
    pipeline.publish(project)
    return {kind: [asdict(cost) for cost in found] for kind, found in costs.items()}


def _write(project: Project, first: float, places: Any, mode: Any, number: int = 0) -> None:
    """Events in the order of their times, as a table that is clustered by time has them."""
    import pyarrow as pa
    from deltalake import WriterProperties, write_deltalake

    places = np.sort(places)
    at = ((first + places * (86_400 / ROWS_A_DAY)) * 1e6).astype(np.int64)
    draw = np.random.default_rng(number)
    table = pa.table(
        {
            "id": number + np.arange(len(places)),
            "k": draw.integers(KEYS, size=len(places)),
            "v": draw.random(len(places)),
            "at": pa.array(at).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
        }
    )
    write_deltalake(
        str(project.path("silver.events")),
        table,
        mode=mode,
        configuration={"delta.enableChangeDataFeed": "true"},
        target_file_size=4 * 2**20,
        writer_properties=WriterProperties(max_row_group_size=100_000),
    )


def _looked(project: Project) -> dict[str, float]:
    import redis

    from lakehouse.features.repository import open_store

    store = open_store(project)
    names = [f"load:{one.name}" for one in store.get_feature_view("load").features]
    port = int(store.config.online_store.connection_string.rpartition(":")[2])
    client: Any = redis.Redis(port=port)
    keys = [key for key in client.scan_iter(b"lakehouse:*", count=10_000) if client.type(key) == b"string"]
    sizes = {key: int(client.strlen(key)) for key in keys}
    draw, took, bare = np.random.default_rng(0), [], []
    large = sorted(sizes, key=lambda key: sizes[key])[-KEYS:]
    for _ in range(LOOKS):
        asked = {"k": draw.integers(KEYS, size=ASKED).tolist()}
        begin = time.perf_counter()
        store.get_online_features(names, asked).to_dict()
        took.append(time.perf_counter() - begin)
        some = [large[spot] for spot in draw.integers(len(large), size=ASKED)]
        begin = time.perf_counter()
        client.mget(some)
        bare.append(time.perf_counter() - begin)
    p50, p99 = (float(np.percentile(took, part)) * 1e3 for part in (50, 99))
    return {"p50_ms": p50, "p99_ms": p99, "bare_ms": float(np.median(bare)) * 1e3, "bytes": max(sizes.values())}


def _project(folder: Path, port: int) -> None:
    write_project(folder, port, TABLES, DEFINITIONS, "{type: files, format: csv, path: data/events.csv}")


if __name__ == "__main__":
    main(sys.argv[1:])
