"""Training sets by Spark: the engine's executor beside Feast's own Spark store, on the same Delta tables.

``python -m benchmarks.features_spark FOLDER SIDE`` makes one training set in a session of its own, after a small one;
with ``grow`` as the side, ours of several folders in turn in one session.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.feast_training import FEATURES, VIEWS, repository
from benchmarks.features import write_rows
from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, Rounds, timed
from benchmarks.workbench import Workbench

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = 1_000_000
SHAPES = {10: 1_000_000, 1_000: 100_000}
"""Rows a key, and how many entity rows then ask."""
ROUNDS = {10: 2, 1_000: 1}
"""How often is usual: with many rows a key, Feast's store computes for many minutes."""
LESS = {10: 3, 1_000: 15}
"""So many times less CPU than Feast's Spark store is the goal."""
GROWN = {"base": (ROWS, 10), "twice the rows": (2 * ROWS, 10), "ten times the rows a key": (ROWS, 100)}
"""Rows, of the entities too, and rows a key."""
MOST = {"twice the rows": 2.2, "ten times the rows a key": 1.2}
"""So many times the CPU of the base is the goal."""
PEER = "Feast's Spark store, `SparkSource(table_format=DeltaFormat())`, on the same Delta tables with the same settings"
Retrieve = Callable[["DataFrame"], "DataFrame"]


def features_spark(bench: Workbench) -> Iterator[Figure]:
    """CPU seconds and memory of the same training set in Spark, for few and for many rows a key; and how it grows."""
    for rows_a_key, asked in SHAPES.items():
        folder = bench.folder / f"features-spark-{rows_a_key}"
        write_rows(folder, ROWS, rows_a_key, asked, parquet=False)
        bench.begin()
        warm, whole = _rounds(bench, folder, bench.rounds(ROUNDS[rows_a_key]))
        ours, feast = warm.median("cpu_s"), warm.median("cpu_s", "floor")
        name = f"features_spark: {rows_a_key:,} rows a key"
        what = f"{asked:,} entity rows × {VIEWS} views × {ROWS:,} feature rows × {FEATURES} features"
        yield bench.figure(
            f"{name}, CPU",
            "s",
            ours,
            peer=feast,
            goal=feast / LESS[rows_a_key],
            how=f"`get_historical_features(spark_frame, …).to_spark_df()`, counted and summed in Spark, {what}, after "
            f"a small one in the same session; the JVM and Python's workers together: the goal is {LESS[rows_a_key]} "
            "times less than the peer",
            peer_is=PEER,
            costs=warm,
        )
        yield bench.figure(
            f"{name}, CPU of the whole process",
            "s",
            whole.median("cpu_s"),
            peer=whole.median("cpu_s", "floor"),
            how="the same runs with all that comes before: imports, the session's start, the small training set",
            peer_is=PEER,
            costs=whole,
        )
        yield bench.figure(
            f"{name}, peak memory",
            "GiB",
            whole.peak_gib("ours"),
            peer=whole.peak_gib("floor"),
            how="the same runs: the largest resident memory of the process tree, JVM and workers, in any round",
            peer_is=PEER,
        )
        shutil.rmtree(folder)
    yield from _growth(bench)


def _rounds(bench: Workbench, folder: Path, rounds: int) -> tuple[Rounds, Rounds]:
    """Both sides in turn, each in a process of its own: just the retrieval, and all of it. ``floor`` is Feast's."""
    warm, whole = Rounds(), Rounds()
    told: dict[str, Any] = {}
    sides = ["ours", "feast"]
    for _ in range(rounds):
        for side in sides:
            done = bench.python("-m", "benchmarks.features_spark", str(folder), side, limit_s=3600.0)
            found = json.loads(done.stdout.splitlines()[-1])
            told[side] = found["told"]
            place = "ours" if side == "ours" else "floor"
            getattr(whole, place).append(done.cost)
            getattr(warm, place).append(replace(done.cost, cpu_s=found["cpu_s"], wall_s=found["wall_s"]))
        sides.reverse()
    if told["ours"] != told["feast"]:
        raise BenchmarkError(f"the training sets are not the same: {told}")
    return warm, whole


def _growth(bench: Workbench) -> Iterator[Figure]:
    folders = {name: bench.folder / f"features-spark-{number}" for number, name in enumerate(GROWN)}
    for name, (rows, rows_a_key) in GROWN.items():
        write_rows(folders[name], rows, rows_a_key, rows, parquet=False)
    bench.begin()
    words = ["-m", "benchmarks.features_spark", *map(str, folders.values()), "grow", str(bench.rounds(3))]
    found = json.loads(bench.python(*words, limit_s=3600.0).stdout.splitlines()[-1])
    costs = dict(zip(GROWN, ([Cost(**cost) for cost in one] for one in found), strict=True))
    base = costs.pop("base")
    for name, grown in costs.items():
        yield bench.figure(
            f"features_spark: {name}",
            "×",
            median(one.cpu_s / other.cpu_s for one, other in zip(grown, base, strict=True)),
            goal=MOST[name],
            how=f"CPU of a training set of {GROWN[name][0]:,} entity rows × {VIEWS} views of as many rows, "
            f"{GROWN[name][1]} rows a key, beside {ROWS:,} and {GROWN['base'][1]}, in turn in one session",
            costs=Rounds(grown, base),
        )


def main(words: Sequence[str]) -> None:
    warnings.simplefilter("ignore")
    if "grow" in words:
        _grow([Path(word) for word in words[: words.index("grow")]], int(words[-1]))
        return
    place, side = Path(words[0]), words[1]
    spark = _session(place)
    entities = spark.read.parquet(str(place / "entities.parquet"))
    retrieve = _store(place, side)
    _told(retrieve(entities.limit(10)))
    told: list[Any] = []
    cost = timed(lambda: told.extend(_told(retrieve(entities))))
    print(json.dumps({"cpu_s": cost.cpu_s, "wall_s": cost.wall_s, "told": told}))


def _grow(places: Sequence[Path], rounds: int) -> None:
    spark = _session(places[0])
    work = []
    for place in places:
        work.append(partial(_made, _store(place, "ours"), spark.read.parquet(str(place / "entities.parquet"))))
    for one in work:
        one()
    costs = [[vars(timed(one)) for one in work] for _ in range(rounds)]
    print(json.dumps(list(zip(*costs, strict=True))))


def _made(retrieve: Retrieve, entities: DataFrame) -> list[Any]:
    return _told(retrieve(entities))


def _session(place: Path) -> SparkSession:
    from lakehouse.config import load_project
    from lakehouse.spark import open_session

    (place / "conf").mkdir(exist_ok=True)
    (place / "conf" / "base.yaml").write_text("name: bench\nroot: lake\ntables: jobs.bench\nsources: {}\n")
    return open_session(load_project(place))


def _told(frame: DataFrame) -> list[Any]:
    from pyspark.sql import functions as F

    columns = [f"v{view}_f{number}" for view in range(VIEWS) for number in range(FEATURES)]
    sums = [F.round(F.sum(name), 3) for name in columns]
    return list(frame.agg(F.count(F.lit(1)), F.count(columns[0]), *sums).first() or ())


def _store(place: Path, side: str) -> Retrieve:
    store, references = repository(place, "delta" if side == "ours" else "spark")

    def retrieve(entities: DataFrame) -> DataFrame:
        job: Any = store.get_historical_features(entities, references)
        frame: DataFrame = job.to_spark_df()
        return frame

    return retrieve


if __name__ == "__main__":
    main(sys.argv[1:])
