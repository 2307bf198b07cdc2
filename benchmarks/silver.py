"""Change events into a large silver table, beside Delta's own MERGE of the same rows; and one row into small and large.

``python -m benchmarks.silver FOLDER ROUNDS FILE`` measures all in one warm session.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, Rounds, timed
from benchmarks.workbench import Workbench

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LARGE, SMALL, CHANGES = 10_000_000, 1_000_000, 100_000
ONE_ROW_ROUNDS, WARM_UP = 5, 2
COLUMNS = ("id", "seq", "customer", "amount", "note", "updated")


def silver(bench: Workbench) -> Iterator[Figure]:
    """A hundred thousand changes in ten million rows; one changed row in one and in ten million."""
    folder, file = bench.folder / "silver", bench.folder / "silver.json"
    (folder / "conf").mkdir(parents=True)
    (folder / "conf" / "base.yaml").write_text("name: bench\nroot: lake\ntables: jobs.bench\nsources: {}\n")
    bench.begin()
    process = bench.python("-m", "benchmarks.silver", str(folder), str(bench.rounds(3)), str(file), limit_s=3600.0)
    found = json.loads(file.read_text())
    rounds = Rounds(*([Cost(**cost) for cost in found[side]] for side in ("ours", "floor")))
    what = f"{CHANGES:,} change events (a tenth of them new keys, a twentieth deletes) into {LARGE:,} rows of 6 columns"
    plain = "Delta's `MERGE INTO … WHEN MATCHED … WHEN NOT MATCHED …` of the same rows into a table of the same rows"
    floor_is = f"{plain} with its change feed, in the same session; it compares no sequences and remembers no deletes"
    ours = rounds.median("wall_s")
    yield bench.figure(
        "silver: changes",
        "s",
        ours,
        floor=rounds.median("wall_s", "floor"),
        goal=1.5 * rounds.median("wall_s", "floor"),
        how=f"{what}, as a build does it: judged, counted, folded, remembered, merged; in one warm session",
        floor_is=floor_is,
        costs=rounds,
    )
    yield bench.figure(
        "silver: changes, CPU",
        "CPU s",
        rounds.median("cpu_s"),
        floor=rounds.median("cpu_s", "floor"),
        goal=1.5 * rounds.median("cpu_s", "floor"),
        how="the same rounds",
        floor_is=floor_is,
    )
    small, large = (median(found["one"][name]) for name in ("small", "large"))
    yield bench.figure(
        "silver: one row",
        "s",
        large,
        peer=small,
        goal=1.3 * small,
        how=f"one changed row of {LARGE:,}, the same way, after the table was clustered by its key",
        peer_is=f"the same of {SMALL:,} rows",
    )
    yield bench.most_memory("silver", process)


def main(words: Sequence[str]) -> None:
    from lakehouse.config import load_project
    from lakehouse.spark import open_session

    folder = Path(words[0])
    spark = open_session(load_project(folder))
    Path(words[2]).write_text(json.dumps(_measured(spark, folder, int(words[1]))))


def _events(spark: SparkSession, key: str, count: int, batch: int) -> DataFrame:
    """Records as bronze has them; ``key`` is SQL over ``id``, from 0 up. In later batches some are deletes."""
    return spark.range(count, numPartitions=min(8, count)).selectExpr(
        f"CAST({key} AS BIGINT) AS id",
        f"CAST({batch} AS BIGINT) AS seq",
        f"IF(id % 20 = 1 AND {batch} > 0, 'delete', 'upsert') AS op",
        "concat('customer ', id % 1000) AS customer",
        f"id / 7.0D + {batch} AS amount",
        "repeat('x', CAST(id % 20 AS INT)) AS note",
        f"timestamp_seconds({batch} + id) AS updated",
        f"CAST({batch} AS BIGINT) AS _batch",
        "'file' AS _file",
        "id AS _row",
    )


class _Lake:
    """Tables in a folder, into which events are built as a run does it, or by Delta alone."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        from lakehouse import silver as layer

        @layer.table(key="id", sequence_by="seq", apply_as_deletes="op = 'delete'", except_column_list=["op"])
        def orders(bronze_orders: DataFrame) -> DataFrame:
            return bronze_orders.select("id", "seq", "op", *COLUMNS[2:])

        self.spark, self.folder, self.orders = spark, folder, orders

    def build(self, name: str, events: DataFrame, count: int, batch: int) -> None:
        from lakehouse.delta import read_state
        from lakehouse.quality.gate import Gate
        from lakehouse.silver.merging import build_silver
        from lakehouse.silver.planning import Work

        path, state = self.folder / name, self.folder / f"{name}-state"
        address = f"silver.{name}"
        action = "new" if batch == 0 else "merge"
        work = Work(action, "", batch - 1, batch, address, "input", 0, "same", read_state(path))  # type: ignore[arg-type]
        gate = Gate(address, ("id",), (), datetime.now(UTC), {})
        build_silver(self.spark.newSession(), self.orders, work, events, count, path, state, gate)

    def fill(self, name: str, count: int) -> None:
        """A table of ``count`` rows as builds leave one: its first row is built, Delta appends the others in ranges."""
        from lakehouse.delta import in_ranges
        from lakehouse.delta.commit import append

        self.build(name, _events(self.spark, "id", 1, 0), 1, 0)
        others = _events(self.spark, "id + 1", count - 1, 0).select(*COLUMNS)
        append(in_ranges(others, ["id"], count), self.folder / name)

    def plain(self, events: DataFrame) -> None:
        events.createOrReplaceTempView("s")
        assigned = ", ".join(f"t.{name} = s.{name}" for name in COLUMNS)
        values = ", ".join(f"s.{name}" for name in COLUMNS)
        self.spark.sql(
            f"MERGE INTO delta.`{self.folder}/plain` t USING s ON t.id = s.id WHEN MATCHED AND s.op = 'delete' THEN "
            f"DELETE WHEN MATCHED THEN UPDATE SET {assigned} WHEN NOT MATCHED THEN "
            f"INSERT ({', '.join(COLUMNS)}) VALUES ({values})"
        ).collect()


def _measured(spark: SparkSession, folder: Path, rounds: int) -> dict[str, object]:
    lake = _Lake(spark, folder / "lake")
    one: dict[str, list[float]] = {}
    for name, count in (("small", SMALL), ("large", LARGE)):
        lake.fill(name, count)
        for batch in range(1, 1 + WARM_UP + ONE_ROW_ROUNDS):
            event = _events(spark, f"{count // 10 * batch + 3}", 1, batch)
            cost = timed(partial(lake.build, name, event, 1, batch))
            one.setdefault(name, []).extend([cost.wall_s] * (batch > WARM_UP))
    shutil.copytree(lake.folder / "large", lake.folder / "plain")
    found = Rounds()
    for batch in range(100, 100 + rounds):
        key = f"IF(id % 10 = 0, {LARGE + batch * CHANGES} + id, id * {LARGE // CHANGES} + {batch})"
        events = _events(spark, key, CHANGES, batch).localCheckpoint()
        sides = [
            (found.ours, partial(lake.build, "large", events, CHANGES, batch)),
            (found.floor, partial(lake.plain, events)),
        ]
        for costs, work in sides if batch % 2 == 0 else sides[::-1]:
            costs.append(timed(work))
    _require_same(spark, lake.folder)
    return {**asdict(found), "one": one}


def _require_same(spark: SparkSession, folder: Path) -> None:
    tables = [spark.read.format("delta").load(str(folder / name)).select(*COLUMNS) for name in ("large", "plain")]
    if tables[0].exceptAll(tables[1]).limit(1).count() or tables[0].count() != tables[1].count():
        raise BenchmarkError("the table that was folded is not the one that Delta merged")


if __name__ == "__main__":
    main(sys.argv[1:])
