"""Change events through Spark and Delta, batch by batch: rows, feed and versions are what a replay says."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse.bronze import read_receipts
from lakehouse.config import Project
from lakehouse.local.lake import Lake
from lakehouse.pipeline import run
from tests.laws.shop import rows_of
from tests.silver.histories import Change, history, replayed, written

SOURCES = "  things: {type: files, format: json, path: data/raw/*.jsonl}"
TABLES = """
from pyspark.sql import functions as F
from lakehouse import silver

CHANGES = dict(
    key="id",
    apply_as_deletes="op = 'delete'",
    apply_as_truncates="op = 'truncate'",
    except_column_list=["op"],
)

def typed(things):
    return things.select(
        F.col("id").try_cast("int").alias("id"), F.col("seq").try_cast("int").alias("seq"), "op", "word",
        F.col("number").try_cast("double").alias("number"),
    )

@silver.table(**CHANGES, sequence_by="seq", keep_versions=True)
def newest(bronze_things):
    return typed(bronze_things)

@silver.table(**CHANGES, sequence_by="seq", ignore_null_updates=True)
def filled(bronze_things):
    return typed(bronze_things)

@silver.table(**CHANGES)
def landed(bronze_things):
    return typed(bronze_things)
"""
MODES: dict[str, dict[str, bool]] = {"newest": {}, "filled": {"keep_nulls_out": True}, "landed": {"ordered": False}}
Row = tuple[Any, ...]


def large(seed: int) -> list[Change]:
    """Six histories of different keys, and two truncates of all."""
    draw = random.Random(seed)
    events = []
    for part in range(6):
        found = history(draw, truncates=False)
        events += [replace(event, id=(event.id or 0) + 10 * part) for event in found]
    draw.shuffle(events)
    for _ in range(2):
        events.insert(draw.randrange(len(events)), Change(None, draw.randrange(6), "truncate", None, None))
    return events


def write(folder: Path, number: int, events: Iterable[Change]) -> None:
    lines = [
        json.dumps({"id": e.id, "seq": e.seq, "op": e.op, "word": e.word, "number": written(e.number)}) for e in events
    ]
    (folder / "data" / "raw" / f"{number}.jsonl").write_text("".join(f"{line}\n" for line in lines))


def stored(path: Path) -> set[Row]:
    return {as_row(row) for row in rows_of(path)}


def as_row(row: dict[str, Any]) -> Row:
    return (row["id"], row["seq"], row["word"], written(row["number"]))


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(2, 52))])
def test_batch_by_batch(spark: Any, make_project: Any, seed: int) -> None:
    events = large(seed)
    draw = random.Random(seed)
    cuts = sorted(draw.sample(range(1, len(events)), 2))
    project = make_project(SOURCES, TABLES)
    states: dict[str, list[set[Row]]] = {name: [set()] for name in MODES}
    for number, (start, stop) in enumerate(zip([0, *cuts], [*cuts, len(events)], strict=True)):
        write(project.folder, number, events[start:stop])
        report = run(project)
        assert report.exit_code == 0, [result.note for result in report.results]
        for name, mode in MODES.items():
            path = project.path(f"silver.{name}")
            want = replayed(events[:stop], **mode)
            assert stored(path) == want, f"{name} after batch {number} of seed {seed}"
            if number:
                assert fed(path) == difference(states[name][-1], want), f"{name}'s feed, batch {number}, seed {seed}"
            states[name].append(want)
    known_then(project, states["newest"])
    changed = TABLES.replace("return typed(bronze_things)", "return typed(bronze_things).where('true')")
    project = make_project(SOURCES, changed)
    assert run(project).exit_code == 0
    for name in MODES:
        assert stored(project.path(f"silver.{name}")) == states[name][-1], f"{name}, rebuilt, seed {seed}"
    known_then(project, states["newest"])


def fed(path: Path) -> tuple[set[Row], set[Row], set[tuple[Row, Row]]]:
    """What the table's change feed says of its last version: inserted, deleted, (before, after)."""
    import pyarrow as pa
    from deltalake import DeltaTable

    table = DeltaTable(str(path))
    rows = pa.table(table.load_cdf(starting_version=table.version())).to_pylist()
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row["_change_type"], []).append(as_row(row))
    before = {row[0]: row for row in kinds.get("update_preimage", [])}
    after = {(before[row[0]], row) for row in kinds.get("update_postimage", [])}
    assert all(len(found) == len(set(found)) for found in kinds.values())
    return set(kinds.get("insert", [])), set(kinds.get("delete", [])), after


def difference(old: set[Row], new: set[Row]) -> tuple[set[Row], set[Row], set[tuple[Row, Row]]]:
    was, now = {row[0]: row for row in old}, {row[0]: row for row in new}
    return (
        {now[key] for key in now.keys() - was.keys()},
        {was[key] for key in was.keys() - now.keys()},
        {(was[key], now[key]) for key in was.keys() & now.keys() if was[key] != now[key]},
    )


def known_then(project: Project, states: list[set[Row]]) -> None:
    """What was known at each moment is what the table said then."""
    moments = sorted(read_receipts(project.path("bronze.things")).landed_at.values())
    lake = Lake(project)
    for moment, want in zip(moments, states[1:], strict=True):
        rows = lake.known("silver.newest", moment).to_pylist()
        assert {as_row(row) for row in rows} == want
    assert lake.known("silver.newest", datetime.fromisoformat("2000-01-01T00:00Z")).num_rows == 0
