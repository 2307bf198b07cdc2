"""Change events through Spark and Delta, batch by batch: rows, feed and versions are what a replay says."""

from __future__ import annotations

import json
import random
import shutil
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
from tests.laws.test_exactly_once import Killed, dies
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


@pytest.mark.parametrize(
    "seed", [3, *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(1, 52) if seed != 3)]
)
def test_batch_by_batch(spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The quick one is killed in its second batch too."""
    project = make_project(SOURCES, TABLES)
    states = captured(project, seed, 2, monkeypatch) if seed == 1 else captured(project, seed, 4)
    known_then(project, states["newest"])
    for what in ("newest.versions", "filled.fold"):
        (folder,) = (project.root / "state" / "silver").glob(f"{what}.*")
        shutil.rmtree(folder)
    again = {result.address: result.note for result in run(project).results if result.status == "done"}
    assert again == {
        f"silver.{name}": f"what is kept beside it ({what}) is not there any more"
        for name, what in (("newest", "versions"), ("filled", "fold"))
    }
    for name in ("newest", "filled"):
        path = project.path(f"silver.{name}")
        assert stored(path) == states[name][-1], f"{name}, rebuilt, seed {seed}"
        assert fed(path) == (set(), set(), set()), f"{name}, rebuilt, seed {seed}"
    known_then(project, states["newest"])


STEPS = ["record", "remember_versions", "remember_fold", "apply_changes"]


@pytest.mark.parametrize(
    ("step", "moment"),
    [pytest.param(step, moment, marks=pytest.mark.torture) for step in STEPS for moment in ("before", "after")],
)
def test_killed_while_changes_are_captured(
    spark: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    """At every commit that captures changes, and then more lands before the next run."""
    tables = TABLES[: TABLES.index("@silver.table(**CHANGES)")]
    project = make_project(SOURCES, tables)
    events = large(100 + STEPS.index(step))
    third = len(events) // 3
    write(project.folder, 0, events[:third])
    assert run(project).exit_code == 0
    for number, (start, stop) in enumerate([(third, 2 * third), (2 * third, len(events))], start=1):
        write(project.folder, number, events[start:stop])
        with monkeypatch.context() as patched:
            dies(patched, "lakehouse.silver.merging", step, moment)
            with pytest.raises(Killed):
                run(project)
    assert run(project, wait=60).exit_code == 0
    for name in ("newest", "filled"):
        assert stored(project.path(f"silver.{name}")) == replayed(events, **MODES[name]), f"{name}, {step} {moment}"
    cuts = (third, 2 * third, len(events))
    known_then(project, [set(), *(replayed(events[:stop]) for stop in cuts)])


def captured(
    project: Project, seed: int, batches: int, killing: pytest.MonkeyPatch | None = None
) -> dict[str, list[set[Row]]]:
    """Land a history in batches; after each the tables and their feeds are what a replay says. Returns their states."""
    events = large(seed)
    cuts = sorted(random.Random(seed).sample(range(1, len(events)), batches - 1))
    states: dict[str, list[set[Row]]] = {name: [set()] for name in MODES}
    for number, (start, stop) in enumerate(zip([0, *cuts], [*cuts, len(events)], strict=True)):
        write(project.folder, number, events[start:stop])
        if killing is not None and number:
            with killing.context() as patched:
                dies(patched, "lakehouse.silver.merging", "remember_fold", "after")
                with pytest.raises(Killed):
                    run(project)
        report = run(project, wait=60)
        assert report.exit_code == 0, [result.note for result in report.results]
        for name, mode in MODES.items():
            path = project.path(f"silver.{name}")
            want = replayed(events[:stop], **mode)
            assert stored(path) == want, f"{name} after batch {number} of seed {seed}"
            if number:
                assert fed(path) == difference(states[name][-1], want), f"{name}'s feed, batch {number}, seed {seed}"
            states[name].append(want)
    return states


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
