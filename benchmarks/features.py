"""Training sets by Feast's own API: the engine's offline store beside Feast's duckdb store and the bare kernel."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.environment import environment
from benchmarks.feast_training import FEATURES, VIEWS
from benchmarks.figures import Figure
from benchmarks.machine import REPOSITORY
from benchmarks.measure import BenchmarkError, Cost, Rounds, run
from benchmarks.workbench import Workbench

LOCK = Path(__file__).with_name("requirements-feast.lock")
SCRIPT = Path(__file__).with_name("feast_training.py")
ROWS, DAYS = 1_000_000, 90
SHAPES = {10: 1_000_000, 1_000: 10_000}
"""Rows a key, and how many entity rows then ask."""
FASTER = {10: 4, 1_000: 10}
"""So many times less CPU than Feast's duckdb store is the goal."""


def features(bench: Workbench) -> Iterator[Figure]:
    """CPU seconds and memory of the same training set, for few and for many rows a key."""
    theirs = environment("feast-duckdb", LOCK)
    version = next(line.split()[0] for line in LOCK.read_text().splitlines() if line.startswith("duckdb=="))
    for rows_a_key, asked in SHAPES.items():
        folder = bench.folder / f"features-{rows_a_key}"
        write_rows(folder, ROWS, rows_a_key, asked)
        bench.begin()
        sides = _rounds(bench, folder, theirs)
        ours, duckdb, kernel = (median(cost.cpu_s for cost in sides[store]) for store in ("delta", "duckdb", "kernel"))
        name = f"features: {rows_a_key:,} rows a key"
        what = f"{asked:,} entity rows × {VIEWS} views × {ROWS:,} feature rows × {FEATURES} features"
        peer_is = f"Feast's duckdb store ({version}, an environment of its own) on Parquet files of the same rows"
        floor_is = "the as-of kernel alone on the same Delta tables: read, join, take"
        yield bench.figure(
            f"{name}, CPU",
            "s",
            ours,
            peer=duckdb,
            floor=kernel,
            goal=duckdb / FASTER[rows_a_key],
            how=f"`get_historical_features(frame, …).to_arrow()`, {what}, in a process that did a small one before: "
            f"the goal is {FASTER[rows_a_key]} times less CPU than the peer",
            peer_is=peer_is,
            floor_is=floor_is,
            costs=Rounds(sides["delta"], sides["duckdb"]),
        )
        yield bench.figure(
            f"{name}, beside the bare kernel",
            "×",
            median(one.cpu_s / other.cpu_s for one, other in zip(sides["delta"], sides["kernel"], strict=True)),
            goal=1.5,
            how="the CPU seconds of the same rounds, each beside those of the bare kernel of its turn",
        )
        memory, most = (max(cost.memory_mib or 0 for cost in sides[store]) / 1024 for store in ("delta", "duckdb"))
        yield bench.figure(
            f"{name}, peak memory",
            "GiB",
            memory,
            peer=most,
            goal=0.6 * most,
            how="the same runs: the largest resident memory of the whole process, imports included, in any round",
            peer_is=peer_is,
        )
        shutil.rmtree(folder)


def _rounds(bench: Workbench, folder: Path, theirs: str) -> dict[str, list[Cost]]:
    """Each side in turn, every time another one first; the answers must be the same."""
    pythons = {"delta": sys.executable, "duckdb": theirs, "kernel": sys.executable}
    costs: dict[str, list[Cost]] = {store: [] for store in pythons}
    told: dict[str, Any] = {}
    turn = list(pythons)
    for _ in range(bench.rounds(3)):
        for store in turn:
            done = run([pythons[store], "-P", str(SCRIPT), str(folder), store], REPOSITORY)
            found = json.loads(done.stdout.splitlines()[-1])
            told[store] = (found["rows"], found["told"])
            costs[store].append(replace(done.cost, cpu_s=found["cpu_s"], wall_s=found["wall_s"]))
        turn = turn[1:] + turn[:1]
    if not told["delta"] == told["duckdb"] == told["kernel"]:
        raise BenchmarkError(f"the training sets are not the same: {told}")
    return costs


def write_rows(folder: Path, rows: int, rows_a_key: int, asked: int, *, parquet: bool = True) -> None:
    """The same rows as Delta tables and as Parquet files, in no order, and who asks."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import write_deltalake

    rng = np.random.default_rng(7)
    first, span, keys = 1_767_225_600_000_000, DAYS * 86_400_000_000, rows // rows_a_key

    def times(number: int) -> pa.Array:
        return pa.array(first + rng.integers(0, span, number)).cast(pa.timestamp("us", "UTC"))

    folder.mkdir(parents=True)
    for view in range(VIEWS):
        columns = {
            "user_id": pa.array(rng.permutation(np.repeat(np.arange(keys), rows_a_key))),
            "event_timestamp": times(rows),
            **{f"v{view}_f{number}": pa.array(rng.random(rows)) for number in range(FEATURES)},
        }
        write_deltalake(folder / f"v{view}", pa.table(columns))
        if parquet:
            pq.write_table(pa.table(columns), folder / f"v{view}.parquet")
    entities = pa.table({"user_id": pa.array(rng.integers(0, keys, asked)), "event_timestamp": times(asked)})
    pq.write_table(entities, folder / "entities.parquet")
