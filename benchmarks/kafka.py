"""Ingest from a real broker: the engine and plain Spark land the same offsets of a topic in turn, in a warm session.

``python -m benchmarks.kafka FOLDER SERVERS FILE PROFILE ROUNDS [WORK]`` is the process with the session; it
writes its rounds to FILE. The broker is a process of its own, whose CPU seconds and memory are nobody's.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, Rounds, timed
from benchmarks.workbench import Workbench

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.config import Project

RECORDS, PARTITIONS = 1_000_000, 4
KINDS = ("text", "json")
PROFILES = ("local", "cluster")
"""Short runs on one machine, with half of Java's compiler; and long ones, with all of it. Two cores both."""
FIELDS = (
    "id",
    "concat('sensor-', id % 1000) AS sensor",
    "if(id % 10 = 0, NULL, round(rand(7) * 100, 3)) AS value",
    "named_struct('room', concat('r', id % 50), 'tags', array('a', 'b')) AS place",
    "1763640000000 + id AS at",
)
"""Of a message: nested as messages are, and with a key that one in ten does not have."""
SCHEMA = "id bigint, sensor string, value double, place struct<room string, tags array<string>>, at bigint"
WARM_UP = 2
GOAL, PART = 100_000, 0.8
"""Records a second on two cores that the broker shares, and the part of plain Spark's speed."""
PLAIN = '`spark.read.format("kafka").option("subscribe", …).load()` with the value cast to a string, to Delta'
WORKS = ("text", "json", "plain", "from_json")


def kafka(bench: Workbench) -> Iterator[Figure]:
    """A million small messages to bronze, records a second; what a run with nothing new costs, and the memory."""
    from tests.sources.kafka.broker import Broker

    folder = bench.folder / "kafka"
    broker = Broker(folder / "broker")
    try:
        broker.start()
        yield from _figures(bench, folder, broker.servers)
    finally:
        broker.stop()


def _figures(bench: Workbench, folder: Path, servers: str) -> Iterator[Figure]:
    file, number = folder / "rounds.json", bench.rounds(5)

    def measured(profile: str, rounds: int, *work: str) -> tuple[Any, Cost]:
        words = ("-m", "benchmarks.kafka", str(folder), servers, str(file), profile, str(rounds), *work)
        cost = bench.python(*words).cost
        return json.loads(file.read_text()), cost

    for profile in PROFILES:
        bench.begin()
        found, _ = measured(profile, number)
        costs = {work: [Cost(**cost) for cost in found[work]] for work in WORKS}
        for kind in KINDS:
            yield from _speed(bench, profile, kind, costs, found["bytes"])
        yield bench.figure(
            f"kafka: nothing new, {profile}",
            "s",
            found["empty_s"],
            goal=0.3,
            how="`pipeline.ingest` of the same source when nothing was sent since, in the same session",
        )
    for kind in KINDS:
        rounds = Rounds([measured("local", 1, kind)[1]], [measured("local", 1, "plain")[1]])
        yield bench.memory(f"kafka: {kind}, {profile}", rounds, floor_is=f"a session that does {PLAIN}")


def _speed(bench: Workbench, profile: str, kind: str, costs: dict[str, list[Cost]], size: float) -> Iterator[Figure]:
    rounds = Rounds(costs[kind], costs["plain"])
    how = (
        f"`pipeline.ingest` of {RECORDS:,} messages of {size:.0f} bytes in {PARTITIONS} partitions as {kind} into a "
        f"new bronze table, after {WARM_UP} rounds that are not counted, in one warm session of `spark.profile: "
        f"{profile}` beside the broker: ask for offsets, judge each value, count, append with provenance and receipt, "
        "count again by offsets"
    )
    peer: dict[str, Any] = {}
    if kind == "json":
        walls = [cost.wall_s for cost in costs["from_json"]]
        peer = {"peer": RECORDS / median(walls), "peer_is": f'plain Spark with `from_json(…, "{SCHEMA}")`, to Delta'}
    yield bench.figure(
        f"kafka: {kind}, {profile}",
        "records/s",
        RECORDS / rounds.median("wall_s"),
        floor=RECORDS / rounds.median("wall_s", "floor"),
        goal=GOAL,
        better="more",
        how=how,
        floor_is=f"{PLAIN}: the same offsets in the same session, nothing judged",
        costs=rounds,
        **peer,
    )
    yield bench.part(f"kafka: {kind}, {profile}", rounds, goal=PART)
    yield bench.figure(
        f"kafka: {kind}, {profile}, CPU",
        "CPU s",
        rounds.median("cpu_s"),
        floor=rounds.median("cpu_s", "floor"),
        how="the same rounds: user and system time of Python and JVM, without the broker",
        floor_is=PLAIN,
    )


def main(words: Sequence[str]) -> None:
    from lakehouse.config import load_project
    from lakehouse.spark import open_session

    folder, servers, file, profile = Path(words[0]), words[1], Path(words[2]), words[3]
    sources = "".join(
        f'  {kind}: {{type: kafka, servers: "{servers}", topic: {profile}, value: {kind}}}\n' for kind in KINDS
    )
    for below in ("conf", "jobs"):
        (folder / below).mkdir(exist_ok=True)
    (folder / "conf" / "base.yaml").write_text(
        f"name: bench\nroot: lake\ntables: jobs.bench\nspark: {{profile: {profile}, master: 'local[*]'}}\n"
        f"sources:\n{sources}"
    )
    (folder / "jobs" / "bench.py").touch()
    project = load_project(folder)
    spark = open_session(project)
    works = _works(spark, project, servers, profile)
    if words[5:]:
        works[words[5]]()
        file.write_text("{}")
        return
    size = _fill(spark, servers, profile)
    file.write_text(json.dumps({**_measured(spark, project, works, int(words[4])), "bytes": size}))


def _fill(spark: SparkSession, servers: str, topic: str) -> float:
    """Make the topic and send the messages; returns the mean bytes of a message."""
    from tests.sources.kafka.producing import Topics

    topics = Topics(spark, servers)
    topics.make(topic, PARTITIONS)
    topics.close()
    sent = spark.range(RECORDS).selectExpr(*FIELDS).selectExpr("sensor AS key", "to_json(struct(*)) AS value")
    sent.write.format("kafka").option("kafka.bootstrap.servers", servers).option("topic", topic).save()
    return float(sent.selectExpr("avg(octet_length(value)) AS size").first()["size"])  # type: ignore[index]


def _works(spark: SparkSession, project: Project, servers: str, topic: str) -> dict[str, Callable[[], None]]:
    """Each lands the whole topic in a new table."""
    others = ("topic", "partition", "offset", "timestamp", "timestampType")
    reader = spark.read.format("kafka").options(**{"kafka.bootstrap.servers": servers, "subscribe": topic})

    def ours(kind: str) -> None:
        shutil.rmtree(project.root, ignore_errors=True)
        _ingest(project, kind, "done")

    def plain(*values: str) -> None:
        target = project.folder / "plain"
        shutil.rmtree(target, ignore_errors=True)
        frame: DataFrame = reader.load().selectExpr("key", *values)
        frame.write.format("delta").save(str(target))

    text = "CAST(value AS string)"
    return {
        "text": lambda: ours("text"),
        "json": lambda: ours("json"),
        "plain": lambda: plain(f"{text} AS value", *others),
        "from_json": lambda: plain(f"from_json({text}, '{SCHEMA}') AS value", *others),
    }


def _measured(
    spark: SparkSession, project: Project, works: dict[str, Callable[[], None]], rounds: int
) -> dict[str, object]:
    costs: dict[str, list[Cost]] = {work: [] for work in works}
    order = list(works)
    for number in range(WARM_UP + rounds):
        for work in order:
            cost = timed(works[work])
            if number >= WARM_UP:
                costs[work].append(cost)
        order.append(order.pop(0))  # none is always behind the same other
    works["json"]()
    empty = [timed(lambda: _ingest(project, "json", "unchanged")).wall_s for _ in range(5)]
    landed = spark.read.format("delta").load(str(project.path("bronze.json"))).where("_kind = 'record'").count()
    counts = {landed, spark.read.format("delta").load(str(project.folder / "plain")).count(), RECORDS}
    if len(counts) != 1:
        raise BenchmarkError(f"the engine, plain Spark and the sender have different numbers of rows: {sorted(counts)}")
    return {work: [asdict(cost) for cost in found] for work, found in costs.items()} | {"empty_s": median(empty)}


def _ingest(project: Project, name: str, status: str) -> None:
    from lakehouse import pipeline

    for result in pipeline.ingest(project, select=[f"bronze.{name}"]).results:
        if result.status != status:
            raise BenchmarkError(f"{result.address}: {result.status} {result.note}")


if __name__ == "__main__":
    main(sys.argv[1:])
