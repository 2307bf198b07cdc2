"""Few new events are merged into the tiles that are there, without Spark; all else is made anew. Both are the same."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.features.events import Events
from lakehouse.features.reading import open_table
from lakehouse.kernels.tiles import tiles_of
from lakehouse.pipeline import tiling
from tests.windows.world import DAY, HOUR, SCHEMA, START, World, agree, event

MERGED = "new events merged"


def tiles(world: World, name: str = "load") -> list[str]:
    """The table's rows as text, in which the two zeros differ and NaN is itself."""
    opened = open_table(str(world.project.path(f"gold.{name}")), name)
    return sorted(map(repr, opened.read(opened.schema.names).to_pylist()))


def made_anew(world: World, name: str = "load") -> list[str]:
    told = world.tables[name].windows
    assert told is not None
    opened = open_table(str(world.project.path(f"gold.{name}")), name)
    every = tiles_of(Events(told, open_table(str(world.events), "events")).read(None, (None, None)), told)
    return sorted(map(repr, every.select(opened.schema.names).to_pylist()))


def recent(draw: random.Random, number: int, hour: int) -> dict[str, Any]:
    """An event of some hour, or a late one."""
    at = START + hour * HOUR + draw.random() * HOUR if draw.random() < 0.97 else START + draw.random() * hour * HOUR
    return {**event(draw, number), "t": draw.choice([at, at, at, at.replace(minute=0), None])}


@pytest.mark.parametrize("seed", [1, 2])
def test_merged_tiles_are_those_made_anew(seed: int, spark: Any, tmp_path: Path) -> None:
    """With late events, corrections and deletes between; at the end online is what plain Python says."""
    draw, world = random.Random(f"rounds {seed}"), World.make(tmp_path, spark)
    world.put(*(recent(draw, number, 0) for number in range(40)))
    for name in ("load", "by_shop"):
        world.build(name)
    ways: Counter[bool] = Counter()
    world.apply()
    for number in range(1, 16):
        first = len(world.rows) + 1000 * number
        if number % 7:
            world.put(*(recent(draw, first + n, number // 3) for n in range(draw.randrange(1, 12))))
        else:
            world.change(draw.sample(sorted(world.rows), 2), [recent(draw, first, number)])
        built = world.build()
        assert built is not None
        ways[MERGED in built.why] += 1
        world.build("by_shop")
        for name in ("load", "by_shop"):
            assert tiles(world, name) == made_anew(world, name), (number, built.why)
        world.publish(START + timedelta(days=number))
        if number % 5 == 0:
            DeltaTable(str(world.events)).optimize.compact()
    assert ways[True] > 4 < ways[False] + 3, ways
    world.publish(START + timedelta(days=15), "by_shop")
    agree(world, START + timedelta(days=15), "a", "b", "")


LATE = [
    0,
    1,
    299_999_999,
    300_000_000,
    *(hours * 3_600_000_000 + more for hours in (1, 12, 24, 168, 672) for more in (-1, 0, 1)),
]
"""By how many microseconds: around a tile, a window and none."""


def test_late_by_any_distance(spark: Any, tmp_path: Path) -> None:
    """Each event comes alone, is published, and is there until just the moment at which it leaves a window."""
    draw, world, now = random.Random(5), World.make(tmp_path, spark), START + timedelta(days=40, minutes=7)
    world.put(*({**event(draw, number), "k": "a"} for number in range(40)))
    for name in ("load", "by_shop"):
        world.build(name)
    world.apply()
    ways: Counter[bool] = Counter()
    for number, late in enumerate(LATE):
        at = now - timedelta(microseconds=late)
        world.put({**event(draw, 1000 + number), "k": "a", "shop": "x", "t": at, "v": 0.1 * number, "n": number})
        for name in ("load", "by_shop"):
            built = world.build(name)
            assert built is not None
            ways[MERGED in built.why] += 1
            assert tiles(world, name) == made_anew(world, name)
            world.publish(now, name)
        leaves = [
            at + over + timedelta(microseconds=more) for over in (HOUR, DAY, 7 * DAY, 28 * DAY) for more in (0, 1)
        ]
        for moment in (now, *(one for one in leaves if one >= now)):
            agree(world, moment, "a", "b")
    assert min(ways.values()) > 2 == len(ways)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_the_commit(when: str, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next build merges the same events once."""
    draw, world = random.Random(5), World.make(tmp_path, spark)
    world.put(*(recent(draw, number, 0) for number in range(30)))
    world.build()
    world.put(*({**recent(draw, number, 2), "t": START + 2 * HOUR + number * HOUR / 100} for number in range(30, 40)))
    real = tiling.write_rows

    def dies(*args: Any) -> Any:
        if when == "after":
            real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(tiling, "write_rows", dies)
    with pytest.raises(KeyboardInterrupt):
        world.build()
    monkeypatch.setattr(tiling, "write_rows", real)
    built = world.build()
    assert (built is None) == (when == "after")
    assert built is None or MERGED in built.why
    assert tiles(world) == made_anew(world)


def test_events_without_a_time_move_the_cursor(spark: Any, tmp_path: Path) -> None:
    draw, world = random.Random(6), World.make(tmp_path, spark)
    world.put(*(recent(draw, number, 0) for number in range(30)))
    world.build()
    world.put({**recent(draw, 99, 1), "t": None})
    assert world.build() is not None
    assert world.build() is None
    assert tiles(world) == made_anew(world)


def test_more_events_than_are_held_are_left_to_spark(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, world = random.Random(8), World.make(tmp_path, spark)
    world.put(*(recent(draw, number, 0) for number in range(30)))
    world.build()
    for name, most in (("MOST", 3), ("MOST_SINCE", 3), ("MOST_THERE", 3)):
        monkeypatch.setattr(tiling, name, most)
        world.put(*({**recent(draw, number, 1), "t": START + HOUR} for number in range(100, 105)))
        built = world.build()
        assert built is not None and MERGED not in built.why
        assert tiles(world) == made_anew(world)
        monkeypatch.undo()


def test_a_time_that_python_has_not_is_left_to_spark(spark: Any, tmp_path: Path) -> None:
    draw, world = random.Random(9), World.make(tmp_path, spark)
    world.put(*(recent(draw, number, 0) for number in range(30)))
    world.build()
    nothing = {name: [None] for name in SCHEMA.names}
    far = pa.table({**nothing, "id": [77], "k": ["a"], "t": [1_764_000_000_000_000_000]})
    write_deltalake(str(world.events), far.cast(SCHEMA), mode="append")
    built = world.build()
    assert built is not None and MERGED not in built.why
    starts = DeltaTable(str(world.project.path("gold.load"))).to_pyarrow_table().column("start")
    assert pa.compute.max(starts.cast(pa.int64())).as_py() > 1_763_000_000_000_000_000
