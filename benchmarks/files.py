"""How ingesting files grows: ten thousand small ones beside one of the same rows, twenty million rows beside one.

``python -m benchmarks.files PROJECT ROUNDS FILE`` is the process with the session; it writes its rounds to FILE.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from deltalake import DeltaTable

from benchmarks.figures import Figure
from benchmarks.ingest import WARM_UP, engine
from benchmarks.measure import BenchmarkError, Cost, Rounds, in_turn, timed
from benchmarks.workbench import Workbench

SMALL = 10_000
MILLION, MOST, EACH = 1_000_000, 20, 500_000
"""Rows, so many times as many at most, and the rows of a file."""
FLAT = 1.25
"""What a heap that has not been collected yet may differ by."""
SOURCES = (
    "name: files\nroot: lake\ntables: jobs\nsources:\n"
    "  small: {type: files, format: csv, path: small/*.csv}\n"
    "  one: {type: files, format: csv, path: one/*.csv}\n"
    "  few: {type: files, format: csv, path: few/*.csv}\n"
    "  many: {type: files, format: csv, path: many/*.csv}\n"
)


def small_files(bench: Workbench) -> Iterator[Figure]:
    """A year of flights in ten thousand files, beside the same rows in one file, in one warm session."""
    project, file = _project(bench, "small-files"), bench.folder / "small-files.json"
    lines: list[str] = []
    for csv in sorted((bench.staged / "data" / "raw" / "flights").glob("*.csv")):
        header, *rows = csv.read_text().splitlines(keepends=True)
        lines += rows
    _write(project / "one" / "all.csv", header, lines)
    each = -(-len(lines) // SMALL)
    starts = range(0, len(lines), each)
    for start in starts:
        _write(project / "small" / f"{start:07}.csv", header, lines[start : start + each])
    bench.begin()
    bench.python("-m", "benchmarks.files", str(project), str(bench.rounds(5)), str(file))
    found = json.loads(file.read_text())
    rounds = Rounds(*([Cost(**cost) for cost in found[side]] for side in ("ours", "floor")))
    yield bench.wall(
        "files",
        rounds,
        how=f"`pipeline.ingest` of {len(lines):,} flights in {len(starts):,} CSV files into a new bronze table, after "
        f"{WARM_UP} rounds that are not counted, in one warm session",
        floor_is="the same of one CSV file with the same rows",
    )
    yield bench.figure(
        "files: beside one file",
        "×",
        median(ours.wall_s / one.wall_s for ours, one in zip(rounds.ours, rounds.floor, strict=True)),
        goal=1.5,
        how="the same rounds, each beside the one file of its turn",
    )


def memory(bench: Workbench) -> Iterator[Figure]:
    """The peak memory of landing twenty million rows, beside that of one million."""
    project = _project(bench, "memory")
    rows = [f"{number},{number * 7919 % 1000003},some text of row {number}\n" for number in range(EACH)]
    for name, millions in (("few", 1), ("many", MOST)):
        for number in range(millions * MILLION // EACH):
            _write(project / name / f"{number:03}.csv", "id,amount,words\n", rows)

    def landing(name: str, millions: int) -> Cost:
        cost = bench.lakehouse(project, "ingest", "--select", f"bronze.{name}").cost
        landed = DeltaTable(project / "lake" / "bronze" / name).count() - 1
        if landed != millions * MILLION:
            raise BenchmarkError(f"{landed:,} rows landed, not {millions * MILLION:,}")
        shutil.rmtree(project / "lake")
        return cost

    bench.begin()
    rounds = in_turn(bench.rounds(1), lambda: landing("many", MOST), lambda: landing("few", 1))
    yield bench.figure(
        "memory",
        "GiB",
        rounds.peak_gib("ours"),
        floor=rounds.peak_gib("floor"),
        how=f"`lakehouse ingest` of {MOST * MILLION:,} rows in {MOST * MILLION // EACH} CSV files, the whole process: "
        "the largest resident memory of Python and JVM",
        floor_is=f"the same of {MILLION:,} rows",
    )
    yield bench.figure(
        "memory: growth",
        "×",
        rounds.peak_gib("ours") / rounds.peak_gib("floor"),
        goal=FLAT,
        how=f"the same runs: the memory of {MOST} times the rows beside that of one; flat is about 1",
    )
    yield bench.wall("memory: time", rounds, how="the same runs, the whole process", floor_is=f"of {MILLION:,} rows")


def _project(bench: Workbench, name: str) -> Path:
    folder = bench.folder / name
    for below in ("conf", "jobs", "small", "one", "few", "many"):
        (folder / below).mkdir(parents=True)
    (folder / "conf" / "base.yaml").write_text(SOURCES)
    (folder / "jobs" / "__init__.py").touch()
    return folder


def _write(path: Path, header: str, rows: Sequence[str]) -> None:
    with path.open("w") as file:
        file.write(header)
        file.writelines(rows)


def main(words: Sequence[str]) -> None:
    from lakehouse.config import load_project
    from lakehouse.spark import open_session

    project, rounds, file = load_project(Path(words[0])), int(words[1]), Path(words[2])
    open_session(project)

    def landing(name: str) -> Cost:
        cost = timed(lambda: engine(project, name))
        counts.add(DeltaTable(project.path(f"bronze.{name}")).count() - 1)  # less the receipt
        shutil.rmtree(project.root)
        return cost

    counts: set[int] = set()
    in_turn(WARM_UP, lambda: landing("small"), lambda: landing("one"))
    found = in_turn(rounds, lambda: landing("small"), lambda: landing("one"))
    if len(counts) != 1:
        raise BenchmarkError(f"many files and one gave different numbers of rows: {sorted(counts)}")
    file.write_text(json.dumps(asdict(found)))


if __name__ == "__main__":
    main(sys.argv[1:])
