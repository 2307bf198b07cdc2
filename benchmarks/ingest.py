"""Ingest in a session that is warm: the engine and plain Spark land the same files in turn.

``python -m benchmarks.ingest PROJECT ROUNDS FILE`` is the process with the session; it writes its rounds to FILE.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, Rounds, in_turn, timed
from benchmarks.workbench import Workbench

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.config import Project

FORMATS = ("csv", "json", "parquet")
WARM_UP = 2


def ingest(bench: Workbench) -> Iterator[Figure]:
    """Twelve monthly files of each format to bronze, wall time and CPU."""
    file = bench.folder / "ingest.json"
    project, number = bench.staged, bench.rounds(5)
    bench.begin()
    bench.python("-m", "benchmarks.ingest", str(project), str(number), str(file))
    for kind, found in json.loads(file.read_text()).items():
        rounds = Rounds(*([Cost(**cost) for cost in found[side]] for side in ("ours", "floor")))
        how = (
            f"`pipeline.ingest` of 12 monthly {kind} files ({found['rows']:,} records, {found['mib']:.0f} MiB) into a "
            f"new bronze table, after {WARM_UP} rounds that are not counted, in one warm session: plan, hash, find "
            "rejects, append with provenance and receipt, count before the commit"
        )
        read = {"csv": 'option("header", True).csv(…)', "json": "schema(…).json(…)", "parquet": "parquet(…)"}[kind]
        floor_is = f'`spark.read.{read}.write.format("delta").save(…)` in the same session'
        name = "ingest" if kind == "csv" else f"ingest: {kind}"
        yield bench.wall(name, rounds, how=how, floor_is=floor_is)
        yield bench.part("ingest: csv" if kind == "csv" else name, rounds)
        yield bench.figure(
            f"{name}{':' if kind == 'csv' else ','} CPU",
            "CPU s",
            rounds.median("cpu_s"),
            floor=rounds.median("cpu_s", "floor"),
            how="the same rounds: user and system time of Python and JVM",
            floor_is=floor_is,
        )


def main(words: Sequence[str]) -> None:
    from lakehouse.config import load_project
    from lakehouse.config.sources import FilesSource
    from lakehouse.spark import open_session

    folder, rounds, file = Path(words[0]), int(words[1]), Path(words[2])
    columns = _write_others(folder)
    project = load_project(folder)
    spark = open_session(project)
    target = folder / "data" / "plain"
    sources = {
        kind: FilesSource.model_validate({"type": "files", "format": kind, "path": f"{_below(kind)}/*.{kind}"})
        for kind in FORMATS
    }
    known = project.config.sources  # the example's tables read them
    lake = project.model_copy(
        update={"config": project.config.model_copy(update={"root": "data/ingested", "sources": known | sources})}
    )

    def measured(kind: str) -> dict[str, Any]:
        counts: set[int] = set()

        def rows(path: Path) -> int:
            return spark.read.format("delta").load(str(path)).count()

        def ours() -> Cost:
            cost = timed(lambda: engine(lake, kind))
            counts.add(rows(lake.path(f"bronze.{kind}")) - 1)  # less the receipt
            shutil.rmtree(lake.root)
            return cost

        def floor() -> Cost:
            cost = timed(lambda: _plain(spark, kind, folder, columns, target))
            counts.add(rows(target))
            shutil.rmtree(target)
            return cost

        in_turn(WARM_UP, ours, floor)
        found = in_turn(rounds, ours, floor)
        if len(counts) != 1:
            raise BenchmarkError(f"the engine and plain Spark landed different numbers of rows: {sorted(counts)}")
        mib = sum(path.stat().st_size for path in (folder / _below(kind)).glob(f"*.{kind}")) / 2**20
        return {**asdict(found), "rows": counts.pop(), "mib": mib}

    file.write_text(json.dumps({kind: measured(kind) for kind in FORMATS}))


def _write_others(folder: Path) -> list[str]:
    """The staged CSV files as JSON lines and as Parquet too; the columns."""
    import polars as pl

    columns: list[str] = []
    for kind in FORMATS[1:]:
        (folder / _below(kind)).mkdir(exist_ok=True)
    for csv in sorted((folder / _below("csv")).glob("*.csv")):
        texts = pl.read_csv(csv, infer_schema=False)
        texts.write_ndjson(folder / _below("json") / f"{csv.stem}.json")
        pl.read_csv(csv, infer_schema_length=None, null_values="NA").write_parquet(
            folder / _below("parquet") / f"{csv.stem}.parquet"
        )
        columns = texts.columns
    return columns


def _below(kind: str) -> str:
    return "data/raw/flights" if kind == "csv" else f"data/{kind}"


def engine(project: Project, kind: str) -> None:
    from lakehouse import pipeline

    for result in pipeline.ingest(project, select=[f"bronze.{kind}"]).results:
        if result.status != "done":
            raise BenchmarkError(f"{result.address}: {result.status} {result.note}")


def _plain(spark: SparkSession, kind: str, folder: Path, columns: list[str], target: Path) -> None:
    reader = spark.read.option("header", True) if kind == "csv" else spark.read
    if kind == "json":
        reader = reader.schema(", ".join(f"`{column}` string" for column in columns))
    frame = reader.format(kind).load(str(folder / _below(kind) / f"*.{kind}"))
    frame.write.format("delta").save(str(target))


if __name__ == "__main__":
    main(sys.argv[1:])
