"""The same twelve files by dlt, which a user may pick instead: whole processes in turn, each into a new Delta table."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from deltalake import DeltaTable

from benchmarks.environment import environment
from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, in_turn, run
from benchmarks.workbench import Workbench

LOCK = Path(__file__).with_name("requirements-dlt.lock")


def dlt(bench: Workbench) -> Iterator[Figure]:
    """``lakehouse ingest`` of a year of flights beside a pipeline of dlt; wall time and peak memory."""
    project, into, python = bench.copy("dlt"), bench.folder / "dlt-tables", environment("dlt", LOCK)
    bench.stage(project)
    folder = project / "data" / "raw" / "flights"
    script = str(Path(__file__).with_name("dlt_flights.py"))

    def ours() -> Cost:
        cost = bench.lakehouse(project, "ingest", "--select", "bronze.flights").cost
        counts.add(DeltaTable(project / "data" / "lake" / "bronze" / "flights").count() - 1)  # less the receipt
        shutil.rmtree(project / "data" / "lake")
        return cost

    def theirs() -> Cost:
        cost = run([python, script, str(folder), str(into)], bench.folder).cost
        counts.add(DeltaTable(into / "raw" / "flights").count())
        shutil.rmtree(into)
        return cost

    counts: set[int] = set()
    bench.begin()
    rounds = in_turn(bench.rounds(3), ours, theirs)
    if len(counts) != 1:
        raise BenchmarkError(f"the engine and dlt landed different numbers of rows: {sorted(counts)}")
    version = next(line.split()[0] for line in LOCK.read_text().splitlines() if line.startswith("dlt=="))
    peer_is = f"{version} in an environment of its own: filesystem, `read_csv(dtype=str)`, `table_format='delta'`"
    how = "`lakehouse ingest` of 12 monthly CSV files into a new table, the whole process with the start of Spark"
    yield bench.wall("dlt", rounds, how=how, beside="peer", peer_is=peer_is)
    yield bench.memory("dlt", rounds, beside="peer", peer_is=peer_is)
