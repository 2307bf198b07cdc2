"""Short runs of the pipeline: one with nothing new, one with one more month."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.demo import whole_year
from benchmarks.figures import Figure
from benchmarks.measure import BenchmarkError, Cost, in_turn
from benchmarks.workbench import Workbench, middle

SHOWN_S = 0.05
"""A step that took less is not shown on its own."""


def unchanged(bench: Workbench) -> Iterator[Figure]:
    """``lakehouse run`` where nothing is new, beside the start of a JVM, which it does without."""
    project = bench.built

    def ours() -> Cost:
        done, answer = bench.answer(project, "run")
        moved = [one["address"] for one in answer["results"] if one["status"] != "unchanged"]
        if moved:
            raise BenchmarkError(f"a run with nothing new did something: {', '.join(moved)}")
        return done.cost

    def floor() -> Cost:
        return bench.python("-m", "benchmarks.plain_spark", str(project)).cost

    bench.begin()
    rounds = in_turn(bench.rounds(5), ours, floor)
    yield bench.wall(
        "unchanged",
        rounds,
        goal=15.0,
        how="`lakehouse run` after the demo, the whole process: every table and view is found unchanged, without a JVM",
        floor_is="a process that opens a Spark session with the same settings and ends: what any JVM would cost",
    )


def month(bench: Workbench) -> Iterator[Figure]:
    """``lakehouse run`` when the twelfth month has arrived."""
    project, plain = bench.copy("month"), bench.folder / "plain-month"
    raw = project / "data" / "raw"
    bench.stage(project, months=11)
    bench.lakehouse(project, "run")
    bench.python("-m", "benchmarks.plain_spark", str(project), *whole_year(raw, plain))
    # Both as they are after eleven months, to start every round from.
    kept, kept_plain = bench.folder / "kept-month", bench.folder / "kept-plain-month"
    shutil.copytree(project / "data", kept)
    plain.rename(kept_plain)
    new = [file.relative_to(project / "data") for file in bench.stage(project)]
    arrived = bench.folder / "arrived-month"
    for file in new:
        (arrived / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(project / "data" / file, arrived / file)
    if len(new) != 2:
        raise BenchmarkError(f"a month is two files, not {len(new)}")
    spent: list[dict[str, float]] = []

    def ours() -> Cost:
        shutil.rmtree(project / "data")
        shutil.copytree(kept, project / "data")
        shutil.copytree(arrived, project / "data", dirs_exist_ok=True)
        done, answer = bench.answer(project, "run")
        landed = {one["address"] for one in answer["results"] if one["step"] == "ingest" and one["landed"]}
        if landed != {"bronze.flights", "bronze.weather"}:
            raise BenchmarkError(f"one more month landed in {', '.join(sorted(landed)) or 'nothing'}")
        spent.append({one["address"]: one["seconds"] for one in answer["results"] if one["seconds"] >= SHOWN_S})
        return done.cost

    def floor() -> Cost:
        shutil.copytree(kept_plain, plain)
        words = [word for file in sorted(new) for word in _append(arrived / file, plain)]
        cost = bench.python("-m", "benchmarks.plain_spark", str(project), *words).cost
        shutil.rmtree(plain)
        return cost

    bench.begin()
    rounds = in_turn(bench.rounds(3), ours, floor)
    yield bench.wall(
        "month",
        rounds,
        goal=25.0,
        how="`lakehouse run` when the twelfth month's flights and weather lie beside eleven months that were run, "
        "the whole process: ingest, build, publish; tables that do not need each other run at once, so their seconds "
        "overlap",
        floor_is="plain Spark appends the two new files to two Delta tables, in a process and session of its own",
        parts=spent[middle([cost.wall_s for cost in rounds.ours])],
    )
    yield bench.memory("month", rounds, floor_is="that of plain Spark's process tree")


def _append(file: Path, plain: Path) -> list[str]:
    return ["--write", file.suffix.removeprefix("."), str(file), str(plain / file.parent.name)]
