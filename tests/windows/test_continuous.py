"""From files or a topic to window features online in a loop: each round answers what plain Python says, late and
doubled events too, and so does the next loop after one that ended.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.pipeline import run
from lakehouse.pipeline.following import follow
from tests.sources.conftest import broker, topics  # noqa: F401
from tests.windows.oracle import same
from tests.windows.world import DAY, HOUR, World, expected

Send = Callable[[str, str], Any]
CONF = """
name: shop
root: data/lake
tables: depot.tables
sources:
  events: SOURCE
"""
FILES = "{type: files, format: json, path: data/raw/*.json}"
TOPIC = "windows"
SILVER = '''
from pyspark.sql import functions as F
from lakehouse import silver

@silver.table(key="id", sequence_by="seq")
def events(bronze_events):
    """One row an event; a later line of the same id corrects it. A file has columns, a topic has texts."""
    def of(name):
        return F.get_json_object("value", f"$.{name}") if "value" in bronze_events.columns else F.col(name)

    return bronze_events.select(
        of("id").try_cast("bigint").alias("id"), of("seq").try_cast("bigint").alias("seq"),
        of("k").alias("k"), of("shop").alias("shop"), F.try_to_timestamp(of("t")).alias("t"),
        of("v").try_cast("double").alias("v"), of("n").try_cast("int").alias("n"), of("s").alias("s"),
    )
'''


@pytest.fixture(params=["files", "kafka"])
def sending(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Send]:
    """A source's settings, and what sends it lines under a name."""
    if request.param == "files":
        return FILES, to_files(tmp_path)
    to = request.getfixturevalue("topics")
    to.make(TOPIC, partitions=2)

    def send(name: str, text: str) -> None:
        for number, line in enumerate(text.splitlines()):
            to.send(TOPIC, line.encode(), partition=number % 2)

    return f"{{type: kafka, servers: '{to.servers}', topic: {TOPIC}, value: text}}", send


@pytest.fixture
def world(tmp_path: Path, spark: Any, sending: tuple[str, Send]) -> World:
    return followed(tmp_path, spark, sending[0])


def followed(folder: Path, spark: Any, source: str) -> World:
    """A project that makes its events of what a source has."""
    World.make(folder, spark)
    (folder / "conf" / "base.yaml").write_text(CONF.replace("SOURCE", source))
    tables = folder / "depot" / "tables.py"
    tables.write_text(SILVER + tables.read_text())
    (folder / "data" / "raw").mkdir(parents=True)
    return World.at(folder, spark)


def to_files(folder: Path) -> Send:
    return lambda name, text: (folder / "data" / "raw" / f"{name}.json").write_text(text)


def lines(world: World, draw: random.Random, now: datetime, number: int, send: Send) -> None:
    """New events, late ones and corrections, and all of that a second time."""
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
    for name in (str(number), f"{number}-again"):
        send(name, text)


def test_each_round_is_right(world: World, sending: tuple[str, Send]) -> None:
    draw = random.Random(4)
    assert follows(world, draw, sending[1], 0, 3) == 3
    again = World.at(world.project.folder, world.spark)  # as another process would
    again.rows = world.rows
    assert follows(again, draw, sending[1], 3, 5) == 2


def follows(world: World, draw: random.Random, send: Send, first: int, after: int) -> int:
    """How many rounds went by, each of them right; something was sent before each."""
    told = world.tables["load"].windows
    assert told is not None
    rounds = iter(range(first + 1, after))
    lines(world, draw, datetime.now(UTC), first, send)

    def pause(_: float) -> bool:
        number = next(rounds, None)
        if number is not None:
            lines(world, draw, datetime.now(UTC), number, send)
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
    return seen
