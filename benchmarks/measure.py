"""Run a command and measure it: wall time, CPU seconds and peak memory of its whole process tree, the JVM included."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil  # type: ignore[import-untyped, unused-ignore]

MIB = 2**20
EACH_S, EACH_AT_FIRST_S, AT_FIRST_S = 0.05, 0.01, 1.0
"""How often the tree is looked at, and how often in its first second: short commands are over soon."""
LINGER_S = 15.0
"""For how long processes that outlive the command may go on; a JVM ends some two seconds after its Python."""


class BenchmarkError(Exception):
    """A benchmark that could not be measured: what it ran failed, or did not do what is to be measured."""


@dataclass(frozen=True)
class Cost:
    """What one run took."""

    wall_s: float
    """From the start of the command to its end, as a person waits for it."""
    cpu_s: float
    """User and system time of the command and all that it started, also of what ended after it."""
    memory_mib: float | None
    """The largest sum of the resident memory of the tree's processes that was seen; None where it was not looked at.

    Pages that processes share count once for each.
    """
    others_cpu_s: float
    """CPU seconds of everything else on the machine meanwhile: how quiet it was."""


@dataclass(frozen=True)
class Done:
    """A command that ended with exit code 0."""

    cost: Cost
    stdout: str


@dataclass
class Rounds:
    """The same work done several times, with and without the engine in turn."""

    ours: list[Cost] = field(default_factory=list)
    floor: list[Cost] = field(default_factory=list)

    def median(self, what: str, side: str = "ours") -> float:
        """The median of ``wall_s`` or ``cpu_s`` of one side."""
        return float(median(getattr(cost, what) for cost in getattr(self, side)))

    def peak_gib(self, side: str) -> float:
        """The most memory of all rounds of one side."""
        return max(cost.memory_mib or 0.0 for cost in getattr(self, side)) / 1024


def in_turn(rounds: int, ours: Callable[[], Cost], floor: Callable[[], Cost]) -> Rounds:
    """Both, ``rounds`` times. Who goes first changes each time, so that neither always finds warm caches."""
    found = Rounds()
    sides = [(found.ours, ours), (found.floor, floor)]
    for _ in range(rounds):
        for costs, work in sides:
            costs.append(work())
        sides.reverse()
    return found


def run(command: Sequence[str], folder: Path, *, limit_s: float = 600.0) -> Done:
    """Run a command in a folder to its end. Raises BenchmarkError when it fails or takes longer than the limit."""
    # A project or environment that the caller's shell chose would be measured instead of the one in the folder.
    variables = {key: value for key, value in os.environ.items() if key not in ("LAKEHOUSE_PROJECT", "LAKEHOUSE_ENV")}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        busy, begun = machine_cpu_s(), time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=out, stderr=errors)
        tree = Tree(process.pid)
        watcher = threading.Thread(target=tree.watch, name="watch", daemon=True)
        stopper = threading.Timer(limit_s, tree.kill)
        watcher.start()
        stopper.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:  # an interrupt: nothing that we started goes on
            tree.kill()
            raise
        finally:
            wall = time.perf_counter() - begun
            stopper.cancel()
            tree.ended.set()
        process.returncode = os.waitstatus_to_exitcode(status)
        watcher.join()
        cpu = tree.cpu_s(used.ru_utime + used.ru_stime)
        others = max(0.0, machine_cpu_s() - busy - cpu)
        if process.returncode:
            said = "\n".join(filter(None, (_text(errors), _text(out)))) or "it said nothing"
            took = f"after {wall:.1f} s" + (f", the limit of {limit_s:.0f} s" if wall >= limit_s else "")
            raise BenchmarkError(f"{' '.join(command)}\nended with {process.returncode} {took}:\n{said[-2000:]}")
        return Done(Cost(wall, cpu, tree.peak / MIB, others), _text(out))


def machine_cpu_s() -> float:
    """CPU seconds that the machine has spent on anything since it started."""
    times = psutil.cpu_times()
    return float(times.user + times.system + getattr(times, "nice", 0.0))


def tree_cpu_s() -> float:
    """CPU seconds so far of this process and of those below it, also of what ended and was waited for."""
    own, spent = psutil.Process(), 0.0
    for process in [own, *own.children(recursive=True)]:
        with suppress(psutil.Error):
            times = process.cpu_times()
            spent += times.user + times.system + times.children_user + times.children_system
    return float(spent)


def timed(work: Callable[[], object]) -> Cost:
    """What a piece of work costs this process and those below it. No memory: what shares a JVM shares its heap."""
    busy, cpu, begun = machine_cpu_s(), tree_cpu_s(), time.perf_counter()
    work()
    wall, spent = time.perf_counter() - begun, tree_cpu_s() - cpu
    return Cost(wall, spent, None, max(0.0, machine_cpu_s() - busy - spent))


class Tree:
    """A process and all that it starts, looked at again and again until the last of them has ended."""

    def __init__(self, pid: int) -> None:
        self.ended = threading.Event()
        """Set by whoever waits for the first process: from then on only what outlives it is looked at."""
        self.peak = 0
        """Bytes."""
        self._root = psutil.Process(pid)
        self._seen: dict[int, psutil.Process] = {pid: self._root}
        self._cpu: dict[int, float] = {}
        self._outlived: set[int] = set()

    def watch(self) -> None:
        begun = time.monotonic()
        while not self.ended.is_set():
            self._look()
            young = time.monotonic() - begun < AT_FIRST_S
            self.ended.wait(EACH_AT_FIRST_S if young else EACH_S)
        deadline = time.monotonic() + LINGER_S
        while left := [process for process in self._seen.values() if _alive(process)]:
            for process in left:
                self._outlived.add(process.pid)
                self._count(process)
                if time.monotonic() > deadline:
                    _kill(process)
            time.sleep(EACH_S)

    def kill(self) -> None:
        """End them all, by their ids."""
        for process in reversed(list(self._seen.values())):
            _kill(process)

    def cpu_s(self, reaped: float) -> float:
        """CPU seconds of all; ``reaped`` is what the system says of the first process and those that it waited for.

        The system's number is exact and lacks what outlived the first process; what was seen lacks what came and went
        between two looks. Neither counts anything twice, so the larger one is nearer.
        """
        outlived = sum(self._cpu.get(pid, 0.0) for pid in self._outlived)
        return max(reaped + outlived, sum(self._cpu.values()))

    def _look(self) -> None:
        known = set(self._seen)
        with suppress(psutil.Error):  # it may just have ended
            for process in self._root.children(recursive=True):
                self._seen.setdefault(process.pid, process)
        # Between fork and exec a process shows its parent's memory as its own: a new one counts from its second look.
        sizes = {pid: self._count(process) for pid, process in list(self._seen.items())}
        self.peak = max(self.peak, sum(size for pid, size in sizes.items() if pid in known))

    def _count(self, process: psutil.Process) -> int:
        """Remember its CPU seconds; returns its resident bytes."""
        used = _cpu_s(process)
        if used is None:
            return 0
        self._cpu[process.pid] = used
        try:
            return int(process.memory_info().rss)
        except psutil.Error:
            return 0


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _kill(process: psutil.Process) -> None:
    # psutil refuses an id that the system has given to another process since.
    with suppress(psutil.Error):
        process.kill()


def _cpu_s(process: psutil.Process) -> float | None:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace")).strip()
