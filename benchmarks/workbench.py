"""What every benchmark works with: copies of the example project, commands on them, figures with their versions."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figures import Figure
from benchmarks.machine import REPOSITORY, load, machine, versions
from benchmarks.measure import BenchmarkError, Done, Rounds, run

LAKEHOUSE = str(Path(sys.executable).with_name("lakehouse"))
PROJECT = ("conf", "jobs", "features")


class Workbench:
    """A folder of its own, on the project's disk: the user's tables are not touched. Use :func:`workbench`."""

    def __init__(self, folder: Path, rounds: int | None) -> None:
        self.folder = folder
        self._rounds = rounds
        self._load: float | None = None

    def rounds(self, usual: int) -> int:
        """How often to measure: what the caller of the benchmarks asked for, else what is usual for this one."""
        return self._rounds or usual

    def copy(self, name: str) -> Path:
        """A new copy of the example project, without data."""
        project = self.folder / name
        for part in PROJECT:
            shutil.copytree(REPOSITORY / part, project / part, ignore=shutil.ignore_patterns("__pycache__"))
        return project

    @cached_property
    def staged(self) -> Path:
        """A project with a year of raw files and no tables."""
        project = self.copy("staged")
        self.stage(project)
        return project

    @cached_property
    def built(self) -> Path:
        """A project after ``lakehouse demo``. Benchmarks read it and leave it as it is."""
        project = self.copy("built")
        self.lakehouse(project, "demo")
        return project

    def stage(self, project: Path, *, months: int = 12) -> list[Path]:
        """Put raw files where the project's sources look; the files that were not there before."""
        from jobs.flights.stage import stage

        return list(stage(project / "data" / "raw", months=months).written)

    def lakehouse(self, project: Path, *words: str) -> Done:
        """A command of the engine, as a user runs it, in a process of its own."""
        return run([LAKEHOUSE, *words], project)

    def answer(self, project: Path, *words: str) -> tuple[Done, dict[str, Any]]:
        """The same, with its answer as JSON."""
        done = self.lakehouse(project, *words, "--json")
        try:
            found = json.loads(done.stdout)
        except ValueError as error:
            raise BenchmarkError(f"lakehouse {' '.join(words)} did not answer in JSON: {done.stdout[:500]}") from error
        if not isinstance(found, dict):
            raise BenchmarkError(f"lakehouse {' '.join(words)} answered with {type(found).__name__}")
        return done, found

    def python(self, *words: str, limit_s: float = 600.0) -> Done:
        """The same Python, from the repository's root."""
        return run([sys.executable, *words], REPOSITORY, limit_s=limit_s)

    def begin(self) -> None:
        """Note how busy the machine is; call it when all is prepared, before the first round."""
        self._load = load()

    def figure(self, name: str, unit: str, ours: float, *, how: str, **more: Any) -> Figure:
        """A figure of this machine, now. What else it may have: see :class:`Figure`."""
        return Figure(
            name=name,
            unit=unit,
            ours=ours,
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
            versions=versions(),
            machine=machine(self.folder),
            load=self._load,
            how=how,
            **more,
        )

    def wall(self, name: str, rounds: Rounds, *, how: str, beside: str = "floor", **more: Any) -> Figure:
        """The median seconds of a benchmark's rounds, ours beside those of the floor or of a ``peer``."""
        other = {beside: rounds.median("wall_s", "floor")}
        return self.figure(name, "s", rounds.median("wall_s"), how=how, costs=rounds, **other, **more)

    def part(self, name: str, rounds: Rounds, *, goal: float = 0.8) -> Figure:
        """The part of plain Spark's speed: each round beside that of its turn, since the machine is shared."""
        turns = zip(rounds.ours, rounds.floor, strict=True)
        parts = median(floor.wall_s / ours.wall_s for ours, floor in turns)
        how = "the same rounds, each beside the plain one of its turn; 1 is as fast"
        return self.figure(f"{name}, part of plain Spark's speed", "×", parts, goal=goal, better="more", how=how)

    def memory(self, name: str, rounds: Rounds, *, beside: str = "floor", **more: Any) -> Figure:
        """The most memory of the same rounds."""
        how = "the same runs: the largest resident memory of the process tree, Python and JVM, in any round"
        other = {beside: rounds.peak_gib("floor")}
        return self.figure(f"{name}: peak memory", "GiB", rounds.peak_gib("ours"), goal=4.0, how=how, **other, **more)

    def most_memory(self, name: str, process: Done) -> Figure:
        """The most memory of a process that measured by itself."""
        how = "the whole of it, the making of the tables too: the largest resident memory of Python and JVM"
        return self.figure(f"{name}: peak memory", "GiB", (process.cost.memory_mib or 0) / 1024, goal=4.0, how=how)


@contextmanager
def workbench(rounds: int | None) -> Iterator[Workbench]:
    """A workbench whose folder is deleted at the end."""
    parent = REPOSITORY / ".cache"
    parent.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="benchmarks-", dir=parent) as name:
        yield Workbench(Path(name), rounds)


def middle(walls: Sequence[float]) -> int:
    """The place of the round that took the median time, or as near below it as there is one."""
    return sorted(range(len(walls)), key=walls.__getitem__)[(len(walls) - 1) // 2]
