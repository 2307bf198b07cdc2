"""The rate that ``feast serve`` holds with the engine's Redis store, beside Feast's own, while somebody publishes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil  # type: ignore[import-untyped, unused-ignore]

from benchmarks.figures import Figure
from benchmarks.machine import REPOSITORY
from benchmarks.measure import BenchmarkError, run
from benchmarks.online import redis_server
from benchmarks.workbench import Workbench

LOAD, SIDE = (str(Path(__file__).with_name(f"{name}.py")) for name in ("open_loop", "feast_serving"))
FEAST = str(Path(sys.executable).with_name("feast"))
SIDES = ("redis", "feast redis")
CLIENTS, SECONDS, P99_MS = 200, 10, 50.0
FIRST_RATE, FASTER, FINE = 10.0, 1.5, 1.1
BODY = json.dumps({"features": [f"t:f{number}" for number in range(10)], "entities": {"id": list(range(0, 5000, 500))}})
START_S = 120.0


@dataclass(frozen=True)
class Step:
    """What one rate came to."""

    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_ms: float
    """Of the server, for one request."""

    @property
    def held(self) -> bool:
        return self.errors == 0 and self.p99_ms <= P99_MS


def serving(bench: Workbench) -> Iterator[Figure]:
    """The highest rate at which a request takes no more than 50 ms, at the 99th percentile, and none fails."""
    bench.begin()
    rounds: dict[str, list[list[Step]]] = {side: [] for side in SIDES}
    turn = list(SIDES)
    for _ in range(bench.rounds(3)):
        for side in turn:
            rounds[side].append(_steps(bench.folder / "serving", side))
        turn.reverse()
    ours, theirs = (median(_best(steps).rate for steps in rounds[side]) for side in SIDES)
    last = _best(rounds["redis"][-1])
    yield bench.figure(
        "serving: rate held by feast serve",
        "requests a s",
        ours,
        peer=theirs,
        better="more",
        how=f"requests of 10 keys × 10 features from {CLIENTS} clients that come by chance, as many a second and in "
        f"one second of five 5 times as many, for {SECONDS} s, a time counted from when a request is due: the highest "
        f"rate with p99 ≤ {P99_MS:.0f} ms and no error (0: not even {FIRST_RATE:.0f}), while another process changes "
        "all 10,000 keys and publishes them over and over; one worker, which is never restarted; in the last round p50 "
        f"{last.p50_ms:.1f} and p99 {last.p99_ms:.1f} ms at that rate",
        peer_is="the same server with Feast's own store and engine",
    )
    ours, theirs = (median(step.cpu_ms for steps in rounds[side] for step in steps) for side in SIDES)
    yield bench.figure(
        "serving: CPU of feast serve for one request",
        "ms",
        ours,
        peer=theirs,
        how="user and system time of the server in the same runs, at any rate that was tried",
        peer_is="the same server with Feast's own store and engine",
    )


def _best(steps: list[Step]) -> Step:
    return max((step for step in steps if step.held), key=lambda step: step.rate, default=Step(0, 0, 0, 0, 0))


def _steps(folder: Path, side: str) -> list[Step]:
    """Rates that were tried, until the highest one that is held is known to a tenth, or the first one is not."""
    with _served(folder, side) as (port, server):
        _step(port, server, FIRST_RATE)  # what is done once in a process
        steps: list[Step] = []
        rate, missed = FIRST_RATE, 0.0
        while not missed or missed > _best(steps).rate * FINE:
            steps.append(_step(port, server, rate))
            if not steps[-1].held:
                steps.append(_step(port, server, rate))  # it may have been the machine
            held = _best(steps).rate
            if not held:
                break
            missed = missed if steps[-1].held else rate
            rate = (held * missed) ** 0.5 if missed else held * FASTER
        return steps


def _step(port: int, server: psutil.Process, rate: float) -> Step:
    before = _cpu_s(server)
    done = run([sys.executable, "-P", LOAD, str(port), BODY, str(rate), str(SECONDS), str(CLIENTS)], REPOSITORY)
    found = json.loads(done.stdout)
    cpu_ms = (_cpu_s(server) - before) / found["asked"] * 1000
    return Step(rate, found["p50"], found["p99"], found["errors"], cpu_ms)


def _cpu_s(server: psutil.Process) -> float:
    times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


@contextmanager
def _served(folder: Path, side: str) -> Iterator[tuple[int, psutil.Process]]:
    """A server of a repository that is published over and over: where it listens, and its process."""
    folder.mkdir(parents=True)
    quiet = subprocess.DEVNULL
    pipe = subprocess.PIPE
    with redis_server() as store, socket.socket() as free:
        publisher = subprocess.Popen(
            [sys.executable, "-P", SIDE, str(folder), side, str(store)], cwd=REPOSITORY, stdin=pipe, stdout=pipe
        )
        server = None
        try:
            assert publisher.stdout is not None
            if publisher.stdout.readline() != b"ready\n":
                raise BenchmarkError(f"{side}: nothing was published")
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
            free.close()
            words = ["--port", str(port), "--workers", "1", "--max-requests", "0", "--no-access-log"]
            command = [FEAST, "-c", str(folder), "serve", *words]
            server = subprocess.Popen(command, cwd=REPOSITORY, env=dict(os.environ), stdout=quiet, stderr=quiet)
            _await(port)
            yield port, psutil.Process(server.pid)
            if publisher.poll() is not None or server.poll() is not None:
                raise BenchmarkError(f"{side}: the publisher or the server ended")
        finally:
            for process in (server, publisher):
                if process is not None:
                    process.terminate()
                    process.wait()
            shutil.rmtree(folder)


def _await(port: int) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise BenchmarkError("feast serve does not start")
