"""Window features from events through tiles: training and serving give what plain Python gives."""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.online.stores import STORES, online_store
from tests.windows.oracle import same
from tests.windows.world import DAY, HOUR, START, US, World, event, expected


@pytest.fixture(scope="module")
def world(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    draw = random.Random(7)
    made = World.make(tmp_path_factory.mktemp("windows"), spark)
    made.put(*(event(draw, number) for number in range(300)))
    for name in ("load", "by_shop"):
        made.build(name)
    made.apply()
    return made


@pytest.mark.parametrize("view", ["load", "by_shop"])
def test_training_is_what_plain_python_says(world: World, view: str) -> None:
    told = world.tables[view].windows
    assert told is not None
    draw = random.Random(1)
    asked = [(draw.choice(["a", "b", "", "new", None]), START + draw.uniform(-1, 50) * DAY) for _ in range(60)]
    frame = pa.table(
        {
            "k": pa.array([key for key, _ in asked], pa.string()),
            "event_timestamp": pa.array([at for _, at in asked], US),
        }
    )
    names = [one.name for one in told.features]
    got = world.store().get_historical_features(frame, [f"{view}:{name}" for name in names]).to_arrow()
    for place, (key, at) in enumerate(asked):
        wanted = expected(told, key, at, list(world.rows.values()))
        for name in names:
            found = got[name][place].as_py(maps_as_pydicts="strict") if told.bucket else got[name][place].as_py()
            assert same(found, wanted[name]), (key, at, name, found, wanted[name])


def changed(world: World, draw: random.Random) -> None:
    """One commit of any kind: new events, late ones, corrections, deletes."""
    known = sorted(world.rows)
    new = [event(draw, known[-1] + 1 + number) for number in range(draw.randrange(4))]
    gone = draw.sample(known, draw.randrange(4))
    again = [event(draw, number) for number in draw.sample(known, 3) if number not in gone]
    world.change(gone, [*new, *again])


@pytest.mark.parametrize(
    ("kind", "seed", "moments"),
    [
        ("sqlite", 1, 5),
        ("redis", 2, 3),
        *(pytest.param(kind, seed, 100, marks=pytest.mark.torture) for kind in STORES for seed in range(3, 6)),
    ],
)
def test_what_is_served_is_what_training_says(spark: Any, tmp_path: Path, kind: str, seed: int, moments: int) -> None:
    """Published as of one moment after another, while events change in every way, and read then and later."""
    draw = random.Random(seed)
    world = World.make(tmp_path / "p", spark, online_store(kind, tmp_path))
    world.put(*(event(draw, number) for number in range(200)))
    world.build("load")
    world.build("by_shop")
    world.apply()
    now = START + 20 * DAY
    parts = 0
    for _ in range(moments):
        changed(world, draw)
        for name in ("load", "by_shop"):
            built = world.build(name)
            parts += built is not None and built.why.endswith("of 't'")
            world.publish(now, name)
        for at in (now, now + draw.uniform(0, 3) * HOUR, now + draw.uniform(0, 30) * DAY):
            compare(world, at, draw)
        now += draw.choice([HOUR / 7, HOUR, DAY])
    assert parts, "no build was in part"


def compare(world: World, at: datetime, draw: random.Random) -> None:
    keys = ["a", "b", "", "new", None]
    frame = pa.table({"k": pa.array(keys, pa.string()), "event_timestamp": pa.array([at] * len(keys), US)})
    for name in ("load", "by_shop"):
        told = world.tables[name].windows
        assert told is not None
        references = [f"{name}:{one.name}" for one in told.features]
        trained = world.store().get_historical_features(frame, references).to_arrow()
        if draw.random() < 0.5:
            served = world.store(at).get_online_features(references, {"k": keys}).to_dict()
        else:
            served = (
                world.store()
                .get_online_features(references, {"k": keys, "event_timestamp": [at] * len(keys)})
                .to_dict()
            )
        for place, key in enumerate(keys):
            wanted = expected(told, key, at, list(world.rows.values()))
            for one in told.features:
                found = served[one.name][place]
                assert same(found, wanted[one.name]), (key, at, one.name, found, wanted[one.name])
                value = trained[one.name][place]
                value = value.as_py(maps_as_pydicts="strict") if told.bucket else value.as_py()
                assert same(value, found) and repr(value) == repr(found), (key, at, one.name, value, found)
