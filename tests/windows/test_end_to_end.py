"""Window features from events through tiles: training and serving give what plain Python gives."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.windows.world import DAY, HOUR, START, US, World, event, expected, same


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
