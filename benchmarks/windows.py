"""Training rows with window features: in process beside the bare kernel and DuckDB, in Spark beside Spark's windows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, Rounds
from benchmarks.window_training import DAYS, EVENTS_A_KEY, FEATURES, write
from benchmarks.workbench import Workbench

EVENTS, POINTS = 3_000_000, 1_000_000
LESS = {"duckdb": 4, "sql": 3}
"""So many times less CPU is the goal."""
MOST = 2.0
"""So many times the bare kernel's CPU is the goal."""


def windows(bench: Workbench) -> Iterator[Figure]:
    """CPU seconds and memory of the same training set of window features."""
    folder = bench.folder / "windows"
    write(folder, EVENTS, POINTS)
    bench.begin()
    over = ", ".join(map(str, DAYS))
    what = (
        f"{len(FEATURES)} features (count, sum, max over {over} days) of {EVENTS:,} events, {EVENTS_A_KEY} a key, at "
        f"{POINTS:,} points, after a small one in the same process"
    )
    here, whole = _rounds(bench, folder, ("delta", "numpy", "duckdb"), bench.rounds(3))
    kernel = here["numpy"]
    peer_is, floor_is = "DuckDB's windows on Parquet of the same rows", "numpy alone on the same Delta table"
    yield bench.figure(
        "windows: in process, CPU",
        "s",
        _median(here["delta"]),
        peer=_median(here["duckdb"]),
        floor=_median(kernel),
        goal=_median(here["duckdb"]) / LESS["duckdb"],
        how=f"`get_historical_features(frame, …).to_arrow()`, {what}: the goal is {LESS['duckdb']} times less CPU than "
        "the peer",
        peer_is=peer_is,
        floor_is=f"{floor_is}: read, sort, searchsorted, reduceat; its sums are not exact",
        costs=Rounds(here["delta"], here["duckdb"]),
    )
    yield bench.figure(
        "windows: in process, beside the bare kernel",
        "×",
        median(one.cpu_s / other.cpu_s for one, other in zip(here["delta"], kernel, strict=True)),
        goal=MOST,
        how="the CPU seconds of the same rounds, each beside those of the bare kernel of its turn",
    )
    yield bench.figure(
        "windows: in process, peak memory",
        "GiB",
        _most(whole["delta"]),
        peer=_most(whole["duckdb"]),
        floor=_most(whole["numpy"]),
        how="the same runs: the largest resident memory of the whole process, imports included, in any round",
        peer_is=peer_is,
        floor_is=floor_is,
    )
    there, whole = _rounds(bench, folder, ("ours", "sql"), bench.rounds(2))
    yield bench.figure(
        "windows: in Spark, CPU",
        "s",
        _median(there["ours"]),
        peer=_median(there["sql"]),
        goal=_median(there["sql"]) / LESS["sql"],
        how=f"`get_historical_features(spark_frame, …).to_spark_df()`, counted and summed in Spark, {what}; the JVM "
        f"and Python's workers together: the goal is {LESS['sql']} times less than the peer",
        peer_is="Spark's own windows over events and points, on the same Delta table with the same settings",
        costs=Rounds(there["ours"], there["sql"]),
    )
    yield bench.figure(
        "windows: in Spark, peak memory",
        "GiB",
        _most(whole["ours"]),
        peer=_most(whole["sql"]),
        how="the same runs: the largest resident memory of the process tree, JVM and workers, in any round",
        peer_is="Spark's own windows",
    )
    shutil.rmtree(folder)


def _rounds(
    bench: Workbench, folder: Path, sides: Sequence[str], rounds: int
) -> tuple[dict[str, list[Cost]], dict[str, list[Cost]]]:
    """Each side in turn, every time another one first: just the training set, and all of the process. The answers must
    be the same."""
    warm: dict[str, list[Cost]] = {side: [] for side in sides}
    whole: dict[str, list[Cost]] = {side: [] for side in sides}
    told: dict[str, Any] = {}
    turn = list(sides)
    for _ in range(rounds):
        for side in turn:
            done = bench.python("-m", "benchmarks.window_training", str(folder), side, limit_s=3600.0)
            found = json.loads(done.stdout.splitlines()[-1])
            told[side] = found["told"]
            whole[side].append(done.cost)
            warm[side].append(replace(done.cost, cpu_s=found["cpu_s"], wall_s=found["wall_s"]))
        turn = turn[1:] + turn[:1]
    if any(one != told[sides[0]] for one in told.values()):
        raise BenchmarkError(f"the training sets are not the same: {told}")
    return warm, whole


def _median(costs: list[Cost]) -> float:
    return Rounds(costs).median("cpu_s")


def _most(costs: list[Cost]) -> float:
    return Rounds(costs).peak_gib("ours")
