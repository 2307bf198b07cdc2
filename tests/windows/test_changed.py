"""What becomes of window features when definitions, events and tables change on the way to a look-up."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from lakehouse.errors import NotBuiltError
from lakehouse.kernels.record import Layout, encode
from lakehouse.online.filing import FilePublication
from lakehouse.online.key_values import EntityRowsError
from lakehouse.online.request import view_keys
from tests.windows.test_verifying import build
from tests.windows.world import DAY, HOUR, START, TABLES, World, agree, expected

NOW = START + 10 * DAY + HOUR / 3


def event(number: int, at: datetime, key: str = "a") -> dict[str, Any]:
    return {"id": number, "k": key, "shop": "x", "t": at, "v": 0.5 * number, "n": number, "s": f"s{number}"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World.make(tmp_path)
    made.put(*(event(number, START + number * DAY / 4, "ab"[number % 2]) for number in range(1, 41)))
    for name in ("load", "by_shop"):
        build(made, name)
    made.apply()
    return made


def test_an_event_ahead_that_moves_within_its_tile(world: World) -> None:
    """The tile stays as it is, the record does not."""
    base = NOW.replace(minute=0, second=0, microsecond=0)
    early, late = base + timedelta(hours=2, minutes=6), base + timedelta(hours=2, minutes=9)
    world.put(event(100, early))
    build(world)
    assert world.publish(NOW).status == "done"
    world.change([], [event(100, late)])
    build(world)
    again = world.publish(NOW + HOUR)
    assert (again.status, again.why) == ("done", "")
    told = world.tables["load"].windows
    assert told is not None
    at = early + (late - early) / 2
    asked = {"k": ["a"], "event_timestamp": [at]}
    served = world.store().get_online_features(["load:count_1h", "load:s_last"], asked).to_dict()
    wanted = expected(told, "a", at, list(world.rows.values()))
    assert (served["count_1h"][0], served["s_last"][0]) == (wanted["count_1h"], wanted["s_last"]) == (0, "s40")
    assert world.publish(NOW + HOUR).status == "unchanged"


def test_one_that_was_ahead_when_its_record_was_made(world: World) -> None:
    """Its record is older than the last publish, and still has a row for it."""
    base = NOW.replace(minute=0, second=0, microsecond=0)
    early, late = base + timedelta(hours=2, minutes=6), base + timedelta(hours=2, minutes=9)
    world.put(event(100, early))
    build(world)
    world.publish(NOW)
    world.put(event(101, NOW - HOUR, "b"))
    build(world)
    assert world.publish(late + HOUR).rows == 1, "that of the other key"
    world.change([], [event(100, late)])
    build(world)
    assert world.publish(late + 2 * HOUR).rows == 1
    told = world.tables["load"].windows
    assert told is not None
    asked = {"k": ["a"], "event_timestamp": [late + 2 * HOUR]}
    served = world.store().get_online_features(["load:count_1h", "load:s_last"], asked).to_dict()
    assert (served["count_1h"][0], served["s_last"][0]) == (0, "s100")
    with pytest.raises(EntityRowsError, match="published as of"):
        world.store().get_online_features(
            ["load:count_1h"], {"k": ["a"], "event_timestamp": [early + timedelta(minutes=1)]}
        )


def test_many_events_ahead(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakehouse.kernels.ahead.AT_ONCE", 7)
    world.put(*(event(200 + n, NOW + n * HOUR / 4, "abc"[n % 3]) for n in range(60)))
    for name in ("load", "by_shop"):
        build(world, name)
        world.publish(NOW, name)
    for hours in (0, 0.1, 1.5, 7, 14.9, 15, 40):
        agree(world, NOW + hours * HOUR, "a", "b", "c", "d")


def test_one_event_far_ahead_among_many_keys(world: World) -> None:
    """All keys times all of that time are more microseconds than 64 bits count."""
    names = [f"k{number}" for number in range(60)]
    now = [event(1000 + number, NOW - HOUR / 2, name) for number, name in enumerate(names)]
    ahead = [event(4000 + number, NOW + 2 * HOUR, name) for number, name in enumerate(names)]
    world.put(*now, *ahead, event(9000, datetime(9999, 12, 31, tzinfo=UTC), "k7"))
    for name in ("load", "by_shop"):
        build(world, name)
        world.publish(NOW, name)
    for hours in (0, 1.5, 2.5, 30):
        agree(world, NOW + hours * HOUR, *names)


def test_a_time_before_the_publish_is_refused_for_who_has_no_record_too(world: World) -> None:
    world.change([number for number, row in world.rows.items() if row["k"] == "b"], [])
    build(world)
    world.publish(NOW)
    for key in ("a", "b", "new"):
        asked = {"k": [key], "event_timestamp": [NOW - DAY]}
        with pytest.raises(EntityRowsError, match="published as of"):
            world.store().get_online_features(["load:count_7d"], asked)
    found = world.store().get_online_features(["load:count_7d"], {"k": ["b", "new"], "event_timestamp": [NOW] * 2})
    assert found.to_dict()["count_7d"] == [0, 0]


def test_a_publish_as_of_an_earlier_time_than_the_last(world: World) -> None:
    """Of a key without a record it is known just from the later time on that it has nothing."""
    later = NOW + 40 * DAY
    world.publish(later, "by_shop")
    world.put(event(300, NOW - HOUR, "b"))
    build(world, "by_shop")
    world.publish(NOW, "by_shop")
    store, asked = world.store(), {"k": ["a"], "event_timestamp": [NOW + HOUR]}
    with pytest.raises(EntityRowsError, match="published as of"):
        store.get_online_features(["by_shop:count_7d"], asked)
    agree(world, later + HOUR, "a", "b", "new", views=("by_shop",))


def test_a_publish_that_was_killed_and_was_as_of_a_later_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have taken records away already that an earlier time asks for."""
    world.publish(NOW, "by_shop")
    world.change([number for number, row in world.rows.items() if row["k"] == "b" and row["t"] > NOW - DAY], [])
    build(world, "by_shop")
    later = NOW + 40 * DAY
    finish = FilePublication.finish
    monkeypatch.setattr(FilePublication, "finish", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        world.publish(later, "by_shop")
    monkeypatch.setattr(FilePublication, "finish", finish)
    asked = {"k": ["new"], "event_timestamp": [NOW + HOUR]}
    with pytest.raises(EntityRowsError, match="published as of"):
        world.store().get_online_features(["by_shop:count_7d"], asked)


def test_a_measure_less_orders_events_of_one_time_otherwise(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """So tiles and records that were made with it are not those of the definition without it."""
    at = NOW - HOUR
    world.put({**event(300, at, "b"), "n": 1, "s": "x"}, {**event(301, at, "b"), "n": 2, "s": "w"})
    build(world, "by_shop")
    world.publish(NOW, "by_shop")
    asked = {"k": ["b"], "event_timestamp": [NOW]}
    features = ["by_shop:s_last_7d", "by_shop:count_7d"]
    before = world.store().get_online_features(features, asked).to_dict()
    text = TABLES.replace('mean("v", over="1d"), last("s", over="7d")', 'last("s", over="7d")')
    (world.project.folder / "depot" / "tables.py").write_text(text)
    for module in ("depot", "depot.tables"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    world.apply()
    got = world.store().get_online_features(features, asked)
    assert got.to_dict() == {**before, "s_last_7d": [None]}
    spot = list(got.proto.metadata.feature_names.val).index("s_last_7d")
    assert FieldStatus.Name(got.proto.results[spot].statuses[0]) == "NOT_FOUND"
    with pytest.raises(NotBuiltError, match="made by another definition"):
        world.publish(NOW, "by_shop")


def test_an_event_loop_is_not_held_up_by_what_is_asked_once_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of when a view was published, for who has no record; and what a record's layout is."""
    build(world)
    world.publish(NOW)
    store, asked_in = world.store(), list[tuple[str, threading.Thread]]()
    holder = store.provider.online_store.holder(store.config)
    for what in ("cursors", "layouts"):
        own = getattr(holder, what)
        monkeypatch.setattr(
            holder, what, lambda what=what, own=own: (asked_in.append((what, threading.current_thread())), own())[1]
        )
    rows = {"k": ["a", "new"], "event_timestamp": [NOW] * 2}
    found = asyncio.run(store.get_online_features_async(["load:count_7d"], rows))
    assert found.to_dict() == store.get_online_features(["load:count_7d"], rows).to_dict()
    loops, here = asked_in[:2], asked_in[2:]
    assert [what for what, _ in loops] == ["layouts", "cursors"]
    assert threading.main_thread() not in [thread for _, thread in loops]
    assert here == [("cursors", threading.main_thread())]


def test_tiles_of_another_definition_and_restored_ones_are_refused(world: World) -> None:
    world.publish(NOW)
    tables = world.project.folder / "depot" / "tables.py"
    before = tables.read_text()
    tables.write_text(before.replace('count(over=["1h", "7d"])', 'count(over=["1h", "10d"])'))
    for module in ("depot", "depot.tables"):
        sys.modules.pop(module, None)
    world.apply()
    with pytest.raises(NotBuiltError, match="made by another definition"):
        world.publish(NOW)
    served = world.store().get_online_features(["load:count_10d", "load:count_1h"], {"k": ["a"]}, True)
    statuses = dict(zip(served.proto.metadata.feature_names.val, served.proto.results, strict=True))
    assert statuses["load__count_10d"].statuses[0] != 0
    build(world)
    assert world.publish(NOW).status == "done"
    build(world)
    DeltaTable(str(world.project.path("gold.load"))).restore(0)
    with pytest.raises(NotBuiltError, match="was restored"):
        world.publish(NOW + HOUR)


def test_a_view_that_was_no_window_before(world: World) -> None:
    """Records of another shape are not there, and break no look-up."""
    world.publish(NOW)
    store = world.store()
    view = store.get_feature_view("load")
    layout = Layout((("count_1h", "int64"),))
    key = view_keys(view).of_rows([["a"]])[0]
    assert key is not None
    with store.provider.online_store.publication(config=store.config, view=view, layout=layout) as into:
        moment = np.array([0], np.int64)
        into.write([key], encode(layout, pa.table({"count_1h": [7]}), moment, moment, 1))
        into.finish("{}")
    found = world.store().get_online_features(["load:count_1h"], {"k": ["a", "b"]})
    assert found.to_dict()["count_1h"] == [None, 0]
    assert list(found.proto.results[1].statuses) == [FieldStatus.NOT_FOUND, FieldStatus.PRESENT]
