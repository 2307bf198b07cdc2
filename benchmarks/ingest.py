"""Ingest in a session that is warm: the engine and plain Spark land the same files in turn.

``python -m benchmarks.ingest PROJECT ROUNDS FILE`` is the process with the session; it writes its rounds to FILE.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, Rounds, in_turn, machine_cpu_s, tree_cpu_s
from benchmarks.workbench import Workbench

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.config import Project

FILES = "data/raw/flights/*.csv"
WARM_UP = 2


def ingest(bench: Workbench) -> Iterator[Figure]:
    """Twelve monthly CSV files to bronze, wall time and CPU."""
    file = bench.folder / "ingest.json"
    project, number = bench.staged, bench.rounds(5)
    bench.begin()
    bench.python("-m", "benchmarks.ingest", str(project), str(number), str(file))
    found = json.loads(file.read_text())
    rounds = Rounds(*([Cost(**cost) for cost in found[side]] for side in ("ours", "floor")))
    how = (
        f"`pipeline.ingest` of 12 monthly CSV files ({found['rows']:,} records, {found['mib']:.0f} MiB) into a new "
        f"bronze table, after {WARM_UP} rounds that are not counted, in one warm session: plan, hash, find rejects, "
        "count, append with provenance and receipt"
    )
    floor_is = '`spark.read.option("header", True).csv(…).write.format("delta").save(…)` in the same session'
    yield bench.wall(
        "ingest",
        rounds,
        how=how,
        floor_is=floor_is,
    )
    yield bench.figure(
        "ingest: CPU",
        "CPU s",
        rounds.median("cpu_s"),
        floor=rounds.median("cpu_s", "floor"),
        how="the same rounds: user and system time of Python and JVM",
        floor_is=floor_is,
    )


def main(words: Sequence[str]) -> None:
    from lakehouse.config import load_project
    from lakehouse.spark import open_session

    folder, rounds, file = Path(words[0]), int(words[1]), Path(words[2])
    project = load_project(folder)
    spark = open_session(project)
    target = folder / "data" / "plain"
    lake = project.model_copy(update={"config": project.config.model_copy(update={"root": "data/ingested"})})
    counts: set[int] = set()

    def ours() -> Cost:
        cost = _timed(lambda: _engine(lake))
        counts.add(spark.read.format("delta").load(str(lake.path("bronze.flights"))).where("_kind = 'record'").count())
        shutil.rmtree(lake.root)
        return cost

    def floor() -> Cost:
        cost = _timed(lambda: _plain(spark, folder, target))
        counts.add(spark.read.format("delta").load(str(target)).count())
        shutil.rmtree(target)
        return cost

    in_turn(WARM_UP, ours, floor)
    found = in_turn(rounds, ours, floor)
    if len(counts) != 1:
        raise BenchmarkError(f"the engine and plain Spark landed different numbers of rows: {sorted(counts)}")
    mib = sum(path.stat().st_size for path in folder.glob(FILES)) / 2**20
    file.write_text(json.dumps({**asdict(found), "rows": counts.pop(), "mib": mib}))


def _engine(project: Project) -> None:
    from lakehouse import pipeline

    for result in pipeline.ingest(project, select=["bronze.flights"]).results:
        if result.status != "done":
            raise BenchmarkError(f"{result.address}: {result.status} {result.note}")


def _plain(spark: SparkSession, folder: Path, target: Path) -> None:
    spark.read.option("header", True).csv(str(folder / FILES)).write.format("delta").save(str(target))


def _timed(work: Callable[[], None]) -> Cost:
    busy, cpu, begun = machine_cpu_s(), tree_cpu_s(), time.perf_counter()
    work()
    wall, spent = time.perf_counter() - begun, tree_cpu_s() - cpu
    # Both live in one JVM, whose heap does not say who filled it: no memory here.
    return Cost(wall, spent, None, max(0.0, machine_cpu_s() - busy - spent))


if __name__ == "__main__":
    main(sys.argv[1:])
