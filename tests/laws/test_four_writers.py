"""Four processes append to one local table. With the engine's lock nothing is lost; without it something must be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lakehouse.config import Project
from tests.laws.shop import rows_of
from tests.laws.system_calls import Calls

WRITERS, WRITES = 4, 250
DELAY = 0.02
"""Seconds before each rename: what a slow disk does."""
WRITER = """
import random, sys, time
from contextlib import nullcontext
from pathlib import Path
from lakehouse.config import load_project
from lakehouse.delta import Commit, append, locked
from lakehouse.spark import open_session
folder, table, who, writes, lock = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
spark, draw = open_session(load_project(folder)), random.Random(who)
for number in range(int(writes)):
    session = spark.newSession()
    Commit(f"writer {who}", number, f"{who}").apply(session)
    rows = session.range(1).selectExpr(f"{who}L AS who", f"{number}L AS number")
    try:
        with locked(spark, {"table": Path(lock)}, wait=600) if lock else nullcontext():
            append(rows, table)
    except Exception as error:
        print("failed", number, type(error).__name__, flush=True)
    else:
        print("acknowledged", number, flush=True)
    time.sleep(draw.uniform(0, 0.4))  # or who has the lock would take it again before another looks
"""


def written(engine: Project, table: Path, lock: Path | None, env: dict[str, str], writes: int) -> list[tuple[int, int]]:
    """Let the writers write; returns the writes that were acknowledged, by writer and number."""
    words = [str(engine.folder), str(table)]
    commands = [
        [sys.executable, "-c", WRITER, *words, str(who), str(writes), str(lock or "")] for who in range(WRITERS)
    ]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | env)
        for command in commands
    ]
    said = [process.communicate()[0].splitlines() for process in running]
    lines = [(who, line.split()) for who, each in enumerate(said) for line in each]
    assert len(lines) == WRITERS * writes, said
    if lock is not None:
        assert all(words[0] == "acknowledged" for _, words in lines), said
    return [(who, int(words[1])) for who, words in lines if words[0] == "acknowledged"]


def lost_and_doubled(engine: Project, tmp_path: Path, *, locked: bool, delay: float, writes: int) -> tuple[int, int]:
    """How many acknowledged rows are not in the table, and how many are there more often than they were written."""
    table = tmp_path / "table"
    columns = [pa.field("who", pa.int64()), pa.field("number", pa.int64())]
    DeltaTable.create(str(table), schema=pa.schema(columns))
    calls = Calls(tmp_path, table)
    calls.plan(delay=delay)
    acknowledged = written(engine, table, tmp_path / "lock" if locked else None, calls.env, writes)
    rows = [(row["who"], row["number"]) for row in rows_of(table)]
    turns = [_writer(entry) for entry in sorted((table / "_delta_log").glob("0*.json"))[1:]]
    changes = sum(one != following for one, following in pairwise(turns))
    assert changes >= writes // 2, "the writers did not write at once"
    return len(set(acknowledged) - set(rows)), len(rows) - len(set(rows))


def _writer(entry: Path) -> str:
    """Who made a commit, as its log entry says."""
    lines = (json.loads(line) for line in entry.read_text().splitlines())
    return next(str(line["commitInfo"].get("userMetadata")) for line in lines if "commitInfo" in line)


@pytest.mark.torture
@pytest.mark.parametrize("delay", [0.0, DELAY], ids=["as it is", "slow renames"])
def test_four_writers_lose_nothing(engine: Project, tmp_path: Path, delay: float) -> None:
    assert lost_and_doubled(engine, tmp_path, locked=True, delay=delay, writes=WRITES) == (0, 0)


@pytest.mark.torture
def test_without_the_lock_a_commit_is_lost(engine: Project, tmp_path: Path) -> None:
    """What the suite above would say, were there no lock: it can fail."""
    lost, _ = lost_and_doubled(engine, tmp_path, locked=False, delay=DELAY, writes=WRITES)
    assert lost > 0
