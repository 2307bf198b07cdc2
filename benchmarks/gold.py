"""Gold by day: one changed day of a year, computed alone and as a whole table, and the least change of such a table.

``python -m benchmarks.gold FOLDER ROUNDS FILE`` measures all three in one warm session.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, Rounds, timed
from benchmarks.workbench import Workbench

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.config import Project

DAYS, ROWS_A_DAY, SENSORS = 365, 10_000, 1_000
WARM_UP = 2
TABLES = '''
from lakehouse import gold, silver

QUERY = """
    SELECT day, sensor, COUNT(*) AS readings, AVG(value) AS mean, MIN(value) AS least, MAX(value) AS most,
           STDDEV(value) AS spread, MAX(LENGTH(note)) AS longest
    FROM {rows} GROUP BY day, sensor
"""

@silver.table(key="id")
def readings(bronze_readings):
    return bronze_readings

@silver.table(key="id")
def few(bronze_readings):
    return bronze_readings

@gold.table(key=["day", "sensor"], refresh=gold.by("day"))
def part(silver_readings):
    return silver_readings.sparkSession.sql(QUERY, rows=silver_readings)

@gold.table(key=["day", "sensor"])
def whole(silver_readings):
    return silver_readings.sparkSession.sql(QUERY, rows=silver_readings)

@gold.table(key=["day", "sensor"], refresh=gold.by("day"))
def fixed(silver_few):
    return silver_few.sparkSession.sql(QUERY, rows=silver_few)
'''


def gold(bench: Workbench) -> Iterator[Figure]:
    """What a changed day costs a table that is refreshed by day, beside computing all of it, and the fixed cost."""
    folder, file = bench.folder / "gold", bench.folder / "gold.json"
    _project(folder)
    bench.begin()
    process = bench.python("-m", "benchmarks.gold", str(folder), str(bench.rounds(5)), str(file))
    found = json.loads(file.read_text())
    rounds = Rounds(*([Cost(**cost) for cost in found[side]] for side in ("ours", "floor")))
    part, whole, fixed = rounds.median("wall_s"), rounds.median("wall_s", "floor"), median(found["fixed"])
    rows = f"{DAYS * ROWS_A_DAY:,} rows of {DAYS} days to {DAYS * SENSORS:,}"
    yield bench.figure(
        "gold",
        "s",
        part,
        peer=whole,
        goal=0.1 * whole + fixed,
        how=f"`pipeline.build` of a table by day and sensor, {rows}, after all rows of one day have changed, in a warm "
        'session: with refresh=by("day"); the goal is a tenth of what all of it costs, and the fixed cost',
        peer_is='the same table with refresh="all", after the same change, in the same session',
        costs=rounds,
        parts={"fixed cost": fixed},
    )
    yield bench.figure(
        "gold: a day, part of the whole",
        "×",
        max(part - fixed, 0.0) / whole,
        goal=0.1,
        how="the same rounds: what the day takes beyond the fixed cost, as a part of computing the whole table",
    )
    yield bench.figure(
        "gold: fixed cost",
        "s",
        fixed,
        how="the same build of a table of as many rows, one reading each, after one reading has changed",
    )
    yield bench.most_memory("gold", process)


def main(words: Sequence[str]) -> None:
    from lakehouse.config import load_project
    from lakehouse.spark import open_session

    project = load_project(Path(words[0]))
    Path(words[2]).write_text(json.dumps(_measured(open_session(project), project, int(words[1]))))


def _project(folder: Path) -> None:
    for below in ("conf", "jobs"):
        (folder / below).mkdir(parents=True)
    (folder / "conf" / "base.yaml").write_text(
        "name: bench\nroot: lake\ntables: jobs.bench\nsources:\n"
        "  readings: {type: files, format: csv, path: data/readings.csv}\n"
    )
    (folder / "jobs" / "bench.py").write_text(TABLES)


def _measured(spark: SparkSession, project: Project, rounds: int) -> dict[str, object]:
    _write(spark, project, "silver.readings", ROWS_A_DAY)
    _write(spark, project, "silver.few", SENSORS)
    for table in ("part", "whole", "fixed"):
        _build(project, table, "new")
    fixed: list[float] = []
    changed = 0

    def ours() -> Cost:
        nonlocal changed
        changed += 1
        of_day = f"day = DATE '2026-01-01' + {changed * 37 % DAYS}"
        for name, which in (("readings", of_day), ("few", f"{of_day} AND sensor = 'sensor-7'")):
            rows = f"delta.`{project.path(f'silver.{name}')}`"
            spark.sql(f"UPDATE {rows} SET value = value + 1 WHERE {which}").collect()
        fixed.append(timed(lambda: _build(project, "fixed", "1 value of 'day'")).wall_s)
        return timed(lambda: _build(project, "part", "1 value of 'day'"))

    def floor() -> Cost:
        return timed(lambda: _build(project, "whole", "changed"))

    for _ in range(WARM_UP):
        ours()
        floor()
    fixed.clear()
    found = Rounds()
    for _ in range(rounds):  # ours makes the change, so it is always first
        found.ours.append(ours())
        found.floor.append(floor())
    columns = ["day", "sensor", "readings", "ROUND(mean, 6)", "least", "most", "ROUND(spread, 6)", "longest"]
    paths = [str(project.path(f"gold.{name}")) for name in ("part", "whole")]
    tables = [spark.read.format("delta").load(path).selectExpr(*columns) for path in paths]
    if tables[0].exceptAll(tables[1]).count() or tables[0].count() != DAYS * SENSORS:
        raise BenchmarkError("the table that was computed in part is not the one that was computed whole")
    return {**asdict(found), "fixed": fixed}


def _write(spark: SparkSession, project: Project, address: str, rows_a_day: int) -> None:
    """A silver table as the engine leaves it: with a change feed, its rows in an order."""
    rows = spark.range(DAYS * rows_a_day).selectExpr(
        "id",
        f"DATE '2026-01-01' + CAST(id DIV {rows_a_day} AS INT) AS day",
        f"CONCAT('sensor-', id % {SENSORS}) AS sensor",
        "id % 1009 / 7.0D AS value",
        "REPEAT('x', CAST(id % 20 AS INT)) AS note",
    )
    options = {"delta.enableChangeDataFeed": "true", "maxRecordsPerFile": "100000"}
    rows.write.format("delta").options(**options).save(str(project.path(address)))


def _build(project: Project, table: str, says: str) -> None:
    from lakehouse import pipeline

    (result,) = pipeline.build(project, select=[f"gold.{table}"]).results
    if result.status != "done" or (says != "new" and says not in result.note):
        raise BenchmarkError(f"{result.address}: {result.status} {result.note} {result.error or ''}")


if __name__ == "__main__":
    main(sys.argv[1:])
