"""From files to window features online in a loop: each round answers what plain Python says, late events too."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.pipeline import run
from lakehouse.pipeline.following import follow
from tests.windows.oracle import same
from tests.windows.world import DAY, HOUR, World, expected

CONF = """
name: shop
root: data/lake
tables: depot.tables
sources:
  events: {type: files, format: json, path: data/raw/*.json}
"""
SILVER = '''
from pyspark.sql import functions as F
from lakehouse import silver

@silver.table(key="id", sequence_by="seq")
def events(bronze_events):
    """One row an event; a later line of the same id corrects it."""
    return bronze_events.select(
        F.col("id").try_cast("bigint").alias("id"), F.col("seq").try_cast("bigint").alias("seq"), "k", "shop",
        F.try_to_timestamp("t").alias("t"), F.col("v").try_cast("double").alias("v"),
        F.col("n").try_cast("int").alias("n"), "s",
    )
'''


@pytest.fixture
def world(tmp_path: Path, spark: Any) -> World:
    World.make(tmp_path, spark)
    (tmp_path / "conf" / "base.yaml").write_text(CONF)
    tables = tmp_path / "depot" / "tables.py"
    tables.write_text(SILVER + tables.read_text())
    (tmp_path / "data" / "raw").mkdir(parents=True)
    return World.at(tmp_path, spark)


def lines(world: World, draw: random.Random, now: datetime, number: int) -> None:
    """A file of new events, late ones and corrections; a second one that says the same again."""
    rows = []
    for spot in range(25):
        new = not world.rows or draw.random() < 0.7
        key = len(world.rows) if new else draw.choice(sorted(world.rows))
        at = now - draw.choice([HOUR / 30, 5 * HOUR, 3 * DAY, 20 * DAY]) * draw.random()
        row = {"id": key, "seq": number * 100 + spot, "k": draw.choice("ab"), "shop": draw.choice("xy"), "t": at}
        row |= {
            "v": draw.choice([None, 0.1, draw.uniform(-3, 3)]),
            "n": draw.choice([None, 3, 7]),
            "s": draw.choice("pq"),
        }
        world.rows[key] = row
        rows.append(row)
    text = "".join(
        json.dumps(
            {name: None if one is None else one.isoformat() if name == "t" else str(one) for name, one in row.items()}
        )
        + "\n"
        for row in rows
    )
    for name in (f"{number}.json", f"{number}-again.json"):
        (world.project.folder / "data" / "raw" / name).write_text(text)


def test_each_round_is_right(world: World) -> None:
    draw = random.Random(4)
    told = world.tables["load"].windows
    assert told is not None
    rounds = iter(range(1, 3))
    lines(world, draw, datetime.now(UTC), 0)

    def pause(_: float) -> bool:
        number = next(rounds, None)
        if number is not None:
            lines(world, draw, datetime.now(UTC), number)
        return number is None

    reports: Iterator[Any] = follow(world.project, run, pause=pause, every=0.1)
    seen = 0
    for report in reports:
        assert report.exit_code == 0, [result.note for result in report.results]
        seen += 1
        at = datetime.now(UTC) + timedelta(seconds=1)
        names = [one.name for one in told.features]
        asked = {"k": ["a", "b"], "event_timestamp": [at, at]}
        served = world.store().get_online_features([f"load:{name}" for name in names], asked).to_dict()
        for place, key in enumerate("ab"):
            wanted = expected(told, key, at, list(world.rows.values()))
            for name in names:
                assert same(served[name][place], wanted[name]), (seen, key, name)
    assert seen == 3
