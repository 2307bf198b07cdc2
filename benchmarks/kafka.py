"""Ingest from a real broker: the engine and plain Spark land the same offsets of a topic in turn, in a warm session.

``python -m benchmarks.kafka FOLDER ROUNDS FILE`` is the process with the session; it writes its rounds to FILE.
"""

from __future__ import annotations

import json
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

RECORDS, PARTITIONS = 1_000_000, 4
TOPIC = "readings"
WARM_UP = 2
GOAL = 100_000
"""Records a second, on two cores that the broker shares."""


def kafka(bench: Workbench) -> Iterator[Figure]:
    """A million small JSON messages to bronze, records a second; and what a run with nothing new costs."""
    folder, file = bench.folder / "kafka", bench.folder / "kafka.json"
    folder.mkdir()
    number = bench.rounds(5)
    bench.begin()
    bench.python("-m", "benchmarks.kafka", str(folder), str(number), str(file))
    found = json.loads(file.read_text())
    rounds = Rounds(*([Cost(**cost) for cost in found[side]] for side in ("ours", "floor")))
    yield bench.figure(
        "kafka",
        "records/s",
        RECORDS / rounds.median("wall_s"),
        floor=RECORDS / rounds.median("wall_s", "floor"),
        goal=GOAL,
        better="more",
        how=f"`pipeline.ingest` of {RECORDS:,} JSON messages of {found['bytes']:.0f} bytes in {PARTITIONS} partitions "
        f"into a new bronze table, after {WARM_UP} rounds that are not counted, in one warm session beside the broker: "
        "ask for offsets, judge each value, count, append with provenance and receipt",
        floor_is='`spark.read.format("kafka").option("subscribe", …).load().write.format("delta").save(…)` '
        "of the same offsets in the same session",
        costs=rounds,
    )
    yield bench.figure(
        "kafka: nothing new",
        "s",
        found["empty_s"],
        goal=0.3,
        how="`pipeline.ingest` of the same source when nothing was sent since, in the same session",
    )


def main(words: Sequence[str]) -> None:
    from lakehouse.config import load_project
    from lakehouse.spark import open_session
    from tests.sources.kafka.broker import Broker

    folder, rounds, file = Path(words[0]), int(words[1]), Path(words[2])
    broker = Broker(folder / "broker")
    (folder / "conf").mkdir()
    (folder / "conf" / "base.yaml").write_text(
        f"name: bench\nroot: lake\ntables: jobs.bench\nsources:\n  {TOPIC}:\n    type: kafka\n"
        f'    servers: "{broker.servers}"\n    topic: {TOPIC}\n    value: json\n'
    )
    (folder / "jobs").mkdir()
    (folder / "jobs" / "bench.py").touch()
    project = load_project(folder)
    spark = open_session(project)
    try:
        broker.start()
        size = _fill(spark, broker.servers)
        found = _measured(spark, project, broker.servers, rounds)
    finally:
        broker.stop()
    file.write_text(json.dumps({**found, "bytes": size}))


def _fill(spark: SparkSession, servers: str) -> float:
    """Make the topic and send the messages; returns the mean bytes of a message."""
    from tests.sources.kafka.producing import Topics

    Topics(spark, servers).make(TOPIC, PARTITIONS)
    fields = (
        "id",
        "concat('sensor-', id % 1000) AS sensor",
        "round(rand(7) * 100, 3) AS value",
        "1763640000000 + id AS at",
    )
    sent = spark.range(RECORDS).selectExpr(*fields).selectExpr("sensor AS key", "to_json(struct(*)) AS value")
    sent.write.format("kafka").option("kafka.bootstrap.servers", servers).option("topic", TOPIC).save()
    return float(sent.selectExpr("avg(octet_length(value)) AS size").first()["size"])  # type: ignore[index]


def _measured(spark: SparkSession, project: Project, servers: str, rounds: int) -> dict[str, object]:
    target = project.folder / "plain"

    def ours() -> Cost:
        shutil.rmtree(project.root, ignore_errors=True)
        return _timed(lambda: _ingest(project, "done"))

    def floor() -> Cost:
        shutil.rmtree(target, ignore_errors=True)
        return _timed(lambda: _plain(spark, servers, target))

    in_turn(WARM_UP, ours, floor)
    found = in_turn(rounds, ours, floor)
    empty = [_timed(lambda: _ingest(project, "unchanged")).wall_s for _ in range(5)]
    landed = spark.read.format("delta").load(str(project.path(f"bronze.{TOPIC}"))).where("_kind = 'record'").count()
    counts = {landed, spark.read.format("delta").load(str(target)).count(), RECORDS}
    if len(counts) != 1:
        raise BenchmarkError(f"the engine, plain Spark and the sender have different numbers of rows: {sorted(counts)}")
    return {**asdict(found), "empty_s": median(empty)}


def _ingest(project: Project, status: str) -> None:
    from lakehouse import pipeline

    for result in pipeline.ingest(project).results:
        if result.status != status:
            raise BenchmarkError(f"{result.address}: {result.status} {result.note}")


def _plain(spark: SparkSession, servers: str, target: Path) -> None:
    options = {"kafka.bootstrap.servers": servers, "subscribe": TOPIC}
    spark.read.format("kafka").options(**options).load().write.format("delta").save(str(target))


def _timed(work: Callable[[], None]) -> Cost:
    busy, cpu, begun = machine_cpu_s(), tree_cpu_s(), time.perf_counter()
    work()
    wall, spent = time.perf_counter() - begun, tree_cpu_s() - cpu
    return Cost(wall, spent, None, max(0.0, machine_cpu_s() - busy - spent))


if __name__ == "__main__":
    main(sys.argv[1:])
