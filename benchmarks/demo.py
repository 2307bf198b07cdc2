"""The demo: from nothing to served features, as a new user sees it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.measure import Cost, in_turn
from benchmarks.workbench import Workbench, middle

SINGLE = ("planes", "airports", "airlines")


def demo(bench: Workbench) -> Iterator[Figure]:
    """Wall time and peak memory of ``lakehouse demo --fresh``."""
    raw = bench.staged / "data" / "raw"
    spent: list[dict[str, float]] = []

    def ours() -> Cost:
        project = bench.copy("demo")
        done, answer = bench.answer(project, "demo", "--fresh")
        seconds = dict(answer["seconds"])
        # What the command can't see of itself: Python's start and end.
        seconds["python"] = max(0.0, done.cost.wall_s - seconds.pop("total"))
        spent.append(seconds)
        shutil.rmtree(project)
        return done.cost

    def floor() -> Cost:
        target = bench.folder / "plain"
        cost = bench.python("-m", "benchmarks.plain_spark", str(bench.staged), *whole_year(raw, target)).cost
        shutil.rmtree(target)
        return cost

    bench.begin()
    rounds = in_turn(bench.rounds(3), ours, floor)
    parts = spent[middle([cost.wall_s for cost in rounds.ours])]
    floor_is = "plain Spark reads the same files and writes them to Delta, in a process and session of its own"
    how = (
        "`lakehouse demo --fresh` in a new copy of the project, the whole process: stage a year of files, ingest, "
        "build, publish, look up online, make a training set"
    )
    yield bench.wall(
        "demo",
        rounds,
        goal=60.0,
        how=how,
        floor_is=floor_is,
        parts=parts,
    )
    yield bench.memory("demo", rounds, floor_is=floor_is)


def whole_year(raw: Path, target: Path) -> list[str]:
    """The words that make plain Spark write every source of the example."""
    words = ["--write", "csv", f"{raw}/flights/*.csv", f"{target}/flights"]
    words += ["--write", "json", f"{raw}/weather/*.json", f"{target}/weather"]
    for name in SINGLE:
        words += ["--write", "csv", f"{raw}/{name}.csv", f"{target}/{name}"]
    return words
