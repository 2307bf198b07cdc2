"""Ingest from a real Postgres: the engine and plain Spark land the same table in turn, in a warm session.

``python -m benchmarks.jdbc FOLDER ROUNDS FILE`` measures both sides in one session; ``python -m benchmarks.jdbc
FOLDER SIDE`` lands it once in a process of its own, whose memory is looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, Rounds, in_turn, machine_cpu_s, tree_cpu_s
from benchmarks.workbench import Workbench

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.config import Project

ROWS = 1_000_000
PARTITIONS = 2
WARM_UP = 1
TABLE = f"""CREATE TABLE readings (id bigint PRIMARY KEY, sensor text, value float8, note text, updated_at timestamptz);
    INSERT INTO readings SELECT i, 'sensor-' || i % 1000, i / 7.0, repeat('x', (i % 20)::int),
        '2026-01-01Z'::timestamptz + i * interval '1 second' FROM generate_series(1, {ROWS}) i; ANALYZE readings"""


def jdbc(bench: Workbench) -> Iterator[Figure]:
    """A table of a million rows to bronze, rows a second, CPU and memory; and what a run with nothing new costs."""
    from tests.sources.jdbc.server import PASSWORD, Postgres

    folder, file = bench.folder / "jdbc", bench.folder / "jdbc.json"
    server = Postgres()
    try:
        server.start()
        server.sql(TABLE)
        _project(folder, server.url)
        os.environ["BENCH_PASSWORD"] = PASSWORD
        bench.begin()
        bench.python("-m", "benchmarks.jdbc", str(folder), str(bench.rounds(5)), str(file))

        def process(side: str) -> Cost:
            shutil.rmtree(folder / "lake", ignore_errors=True)
            shutil.rmtree(folder / "plain", ignore_errors=True)
            return bench.python("-m", "benchmarks.jdbc", str(folder), side).cost

        memory = in_turn(2, lambda: process("ours"), lambda: process("floor"))
    finally:
        server.remove()
        os.environ.pop("BENCH_PASSWORD", None)
    found = json.loads(file.read_text())
    rounds = Rounds(*([Cost(**cost) for cost in found[side]] for side in ("ours", "floor")))
    floor_is = (
        '`spark.read.format("jdbc").option("partitionColumn", "id")….load().write.format("delta").save(…)` with as '
        "many connections, in the same session; it reads no one snapshot and counts nothing"
    )
    yield bench.figure(
        "jdbc",
        "rows/s",
        ROWS / rounds.median("wall_s"),
        floor=ROWS / rounds.median("wall_s", "floor"),
        better="more",
        how=f"`pipeline.ingest` of a table of Postgres of {ROWS:,} rows and 5 columns by {PARTITIONS} connections into "
        f"a new bronze table, after {WARM_UP} round that is not counted, in one warm session beside the server: one "
        "snapshot, count, read, hold, append with provenance and receipt",
        floor_is=floor_is,
        costs=rounds,
    )
    yield bench.figure(
        "jdbc: CPU",
        "CPU s",
        rounds.median("cpu_s"),
        floor=rounds.median("cpu_s", "floor"),
        how="the same rounds: user and system time of Python and JVM, without the server's",
        floor_is=floor_is,
    )
    yield bench.memory("jdbc", memory, floor_is="that of a process that does the same with plain Spark")
    yield bench.figure(
        "jdbc: nothing new",
        "s",
        found["empty_s"],
        goal=0.3,
        how="`pipeline.ingest` of the same source when nothing was written to the server since, in the same session",
    )
    yield bench.figure(
        "jdbc: nothing new, other tables written",
        "s",
        found["looked_s"],
        goal=0.3,
        how=f"the same after another table of the server was written: Postgres looks through all {ROWS:,} rows",
    )


def main(words: Sequence[str]) -> None:
    from lakehouse.config import load_project
    from lakehouse.spark import open_session

    folder, what = Path(words[0]), words[1]
    project = load_project(folder)
    spark = open_session(project)
    if what in ("ours", "floor"):
        _ingest(project, "done") if what == "ours" else _plain(spark, project)
    else:
        Path(words[2]).write_text(json.dumps(_measured(spark, project, int(what))))


def _project(folder: Path, url: str) -> None:
    for below in ("conf", "jobs"):
        (folder / below).mkdir(parents=True)
    (folder / "conf" / "base.yaml").write_text(
        "name: bench\nroot: lake\ntables: jobs.bench\nsources:\n  readings:\n    type: jdbc\n"
        f'    url: "{url}"\n    user: lake\n    password: "${{env:BENCH_PASSWORD}}"\n'
        f"    table: public.readings\n    cursor: updated_at\n    partitions: {PARTITIONS}\n"
    )
    (folder / "jobs" / "bench.py").touch()


def _measured(spark: SparkSession, project: Project, rounds: int) -> dict[str, object]:
    def ours() -> Cost:
        shutil.rmtree(project.root, ignore_errors=True)
        return _timed(lambda: _ingest(project, "done"))

    def floor() -> Cost:
        shutil.rmtree(project.folder / "plain", ignore_errors=True)
        return _timed(lambda: _plain(spark, project))

    in_turn(WARM_UP, ours, floor)
    found = in_turn(rounds, ours, floor)
    empty = [_timed(lambda: _ingest(project, "unchanged")).wall_s for _ in range(5)]
    looked = []
    for _ in range(5):
        _write_elsewhere(spark, project)
        looked.append(_timed(lambda: _ingest(project, "unchanged")).wall_s)
    path = str(project.path("bronze.readings"))
    landed = spark.read.format("delta").load(path).where("_kind = 'record'").count()
    counts = {landed, spark.read.format("delta").load(str(project.folder / "plain")).count(), ROWS}
    if len(counts) != 1:
        raise BenchmarkError(f"the engine, plain Spark and Postgres have different numbers of rows: {sorted(counts)}")
    return {**asdict(found), "empty_s": median(empty), "looked_s": median(looked)}


def _ingest(project: Project, status: str) -> None:
    from lakehouse import pipeline

    for result in pipeline.ingest(project).results:
        if result.status != status:
            raise BenchmarkError(f"{result.address}: {result.status} {result.note}")


def _options(project: Project) -> dict[str, str]:
    from lakehouse.config import JdbcSource

    source = project.config.sources["readings"]
    assert isinstance(source, JdbcSource) and source.password is not None
    login = {"user": "lake", "password": source.password.get_secret_value()}
    return {"url": source.url.get_secret_value(), "fetchsize": str(source.fetch_size), **login}


def _plain(spark: SparkSession, project: Project) -> None:
    parts = {"partitionColumn": "id", "lowerBound": "1", "upperBound": str(ROWS), "numPartitions": str(PARTITIONS)}
    rows = spark.read.format("jdbc").options(**_options(project), **parts, dbtable="readings").load()
    rows.write.format("delta").save(str(project.folder / "plain"))


def _write_elsewhere(spark: SparkSession, project: Project) -> None:
    rows = spark.range(1).write.format("jdbc").options(**_options(project), dbtable="elsewhere")
    rows.mode("append").save()


def _timed(work: Callable[[], None]) -> Cost:
    busy, cpu, begun = machine_cpu_s(), tree_cpu_s(), time.perf_counter()
    work()
    wall, spent = time.perf_counter() - begun, tree_cpu_s() - cpu
    return Cost(wall, spent, None, max(0.0, machine_cpu_s() - busy - spent))


if __name__ == "__main__":
    main(sys.argv[1:])
