"""Four processes write to one local table, two as bronze commits and two as silver and gold do.

With the engine's lock nothing is lost; without it something must be.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from lakehouse.config import Project
from tests.laws.shop import rows_of
from tests.laws.system_calls import Calls

WRITERS = 4
FEW, MANY = 40, 250
"""Writes of each writer."""
DELAY = 0.02
"""Seconds before each rename: what a slow disk does."""
WRITER = """
import random, sys, time
from contextlib import nullcontext
from pathlib import Path
from lakehouse.config import load_project
from lakehouse.delta import Commit, Draft, append, locked, read_state
from lakehouse.spark import open_session
folder, table, who, writes, lock = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
spark, draw = open_session(load_project(folder)), random.Random(who)
def rows(session, number, halves):
    return session.range(*halves).selectExpr(f"{who}L AS who", f"{number}L AS number", "id AS half")
def write(session, number, table):
    if who % 2:  # as silver and gold do
        append(rows(session, number, (0, 2)), table)
        return
    known = read_state(table)
    version = known.version if known else -1
    draft = Draft(session, table, version=version, partition_by="who", properties={})  # as bronze does
    draft.write(rows(session, number, (0, 1)))
    draft.add(rows(session, number, (1, 2)))
    draft.commit()
write(spark.newSession(), -1, table.with_name(f"warm-{who}") if who else table)  # the first is slow
print("up", flush=True)
sys.stdin.readline()
for number in range(int(writes)):
    session = spark.newSession()
    Commit(f"writer {who}", number, f"{who}").apply(session)
    try:
        with locked(spark, {"table": Path(lock)}, wait=600) if lock else nullcontext():
            write(session, number, table)
    except Exception as error:
        print("failed", number, type(error).__name__, flush=True)
        print(error, file=sys.stderr, flush=True)
    else:
        print("acknowledged", number, flush=True)
    if lock:
        time.sleep(draw.uniform(0, 0.4))  # or who has the lock would take it again before another looks
"""
Write = tuple[int, int]
"""A writer and the number of its write."""


def written(engine: Project, table: Path, lock: Path | None, calls: Calls, delay: float, writes: int) -> list[Write]:
    """Let the writers write, from when all of them are up; returns the writes that were acknowledged."""
    words = [str(engine.folder), str(table)]
    commands = [
        [sys.executable, "-c", WRITER, *words, str(who), str(writes), str(lock or "")] for who in range(WRITERS)
    ]
    logs = [table.with_name(f"writer-{who}.log") for who in range(WRITERS)]
    with ExitStack() as stack:
        running: list[subprocess.Popen[str]] = []
        for command, log in zip(commands, logs, strict=True):
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": stack.enter_context(log.open("w"))}
            process = stack.enter_context(
                subprocess.Popen(command, text=True, env=os.environ | calls.env, start_new_session=True, **pipes)
            )
            stack.callback(_end, process)
            running.append(process)
        for process, log in zip(running, logs, strict=True):
            assert process.stdout is not None and process.stdout.readline() == "up\n", log.read_text()[-3000:]
        calls.plan(delay=delay)
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate()[0].splitlines() for process in running]
    lines = [(who, line.split()) for who, each in enumerate(said) for line in each]
    assert len(lines) == WRITERS * writes, [said, *(log.read_text()[-3000:] for log in logs)]
    if lock is not None:
        assert all(words[0] == "acknowledged" for _, words in lines), [log.read_text()[-3000:] for log in logs]
    return [(who, int(words[1])) for who, words in lines if words[0] == "acknowledged"]


def lost_and_doubled(
    engine: Project, tmp_path: Path, *, locked: bool, delay: float, writes: int
) -> tuple[list[Write], list[Write]]:
    """The writes of which acknowledged rows are not in the table, and those of rows that are there twice."""
    table = tmp_path / "table"
    calls = Calls(tmp_path, table)
    acknowledged = written(engine, table, tmp_path / "lock" if locked else None, calls, delay, writes)
    rows = Counter((row["who"], row["number"], row["half"]) for row in rows_of(table) if row["number"] >= 0)
    turns = [_writer(entry) for entry in sorted((table / "_delta_log").glob("0*.json"))[1:]]
    changes = sum(one != following for one, following in pairwise(turns))
    assert changes >= writes // 2, "the writers did not write at once"
    lost = {(who, number) for who, number in acknowledged for half in (0, 1) if not rows[who, number, half]}
    return sorted(lost), sorted({(who, number) for (who, number, _), times in rows.items() if times > 1})


def _end(process: subprocess.Popen[str]) -> None:
    """End the writer and its JVM, where they have not ended."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _writer(entry: Path) -> str:
    """Who made a commit, as its log entry says."""
    lines = (json.loads(line) for line in entry.read_text().splitlines())
    return next(str(line["commitInfo"].get("userMetadata")) for line in lines if "commitInfo" in line)


@pytest.mark.torture
@pytest.mark.parametrize(
    ("delay", "writes"),
    [(DELAY, FEW), (0.0, MANY), (DELAY, MANY)],
    ids=["few, slow renames", "as it is", "slow renames"],
)
def test_four_writers_lose_nothing(engine: Project, tmp_path: Path, delay: float, writes: int) -> None:
    assert lost_and_doubled(engine, tmp_path, locked=True, delay=delay, writes=writes) == ([], [])


@pytest.mark.torture
def test_without_the_lock_a_commit_is_lost(engine: Project, tmp_path: Path) -> None:
    """What the suite above would say, were there no lock: it can fail."""
    lost, _ = lost_and_doubled(engine, tmp_path, locked=False, delay=DELAY, writes=FEW)
    print(f"without the lock {len(lost)} of {WRITERS * FEW} acknowledged writes are lost: {lost}")
    assert lost
