"""Window features that were served are logged and computed again; no JVM: tiles are written by the kernel."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from lakehouse.delta.feed import FEED
from lakehouse.features.events import Events
from lakehouse.features.reading import open_table
from lakehouse.features.verifying import Verified, verify
from lakehouse.kernels.aggregations import HOP
from lakehouse.kernels.aggregations import START as TILE_START
from lakehouse.kernels.tiles import tiles_of
from lakehouse.online.kinds import ticks
from lakehouse.tables.notes import made_from, noted
from tests.windows.world import DAY, HOUR, START, TABLES, Row, World

NOW = START + 10 * DAY


def event(number: int, at: datetime, v: float, key: str = "a") -> Row:
    return {"id": number, "k": key, "shop": "x", "t": at, "v": v, "n": number, "s": f"s{number}"}


def build(world: World, name: str = "load") -> None:
    """What a build leaves: the tiles of the newest events, and a receipt that says of which version they are."""
    told = world.tables[name].windows
    assert told is not None
    address = f"gold.{name}"
    events = open_table(str(world.events), "silver.events")
    tiles = tiles_of(Events(told, events).read(None, (None, None)), told)
    origin = made_from(address, {"silver.events": events.id}, 0, "")
    place = world.project.path(address)
    # Here another definition leaves the id as it is, so each build has a cursor of its own.
    cursor = events.version + 1000 * (DeltaTable(place).version() + 1 if place.exists() else 0)
    done = CommitProperties(app_transactions=[Transaction(origin, cursor)])
    tiles = _new_ones(place, tiles, [*told.keys, HOP, TILE_START]) if place.exists() else tiles
    write_deltalake(place, tiles, mode="append", configuration={FEED: "true"}, commit_properties=done)
    receipt = {"_kind": "receipt", "_batch": cursor}
    receipt["_receipt"] = json.dumps({"versions": {"silver.events": events.version}, "windows": told.text})
    write_deltalake(str(world.project.state(address)), noted([receipt], origin), mode="append")


def _new_ones(place: Path, tiles: pa.Table, key: list[str]) -> pa.Table:
    """Deletes the tiles that went or became others; what is left to add. So the feed has what changed, no more."""

    def by_key(table: pa.Table) -> dict[tuple[Any, ...], str]:
        return {tuple(row[name] for name in key): repr(row) for row in table.to_pylist()}

    def asked(row: tuple[Any, ...]) -> str:
        values = zip(key, row, strict=True)
        return " and ".join(f"{name} is null" if one is None else f"{name} = {_sql(one)}" for name, one in values)

    delta = DeltaTable(place)
    before, after = (by_key(table.select(tiles.column_names)) for table in (delta.to_pyarrow_table(), tiles))
    gone = [row for row, text in before.items() if after.get(row) != text]
    if gone:
        delta.delete(" or ".join(f"({asked(row)})" for row in gone))
    return tiles.filter(pa.array([before.get(row) != text for row, text in after.items()], pa.bool_()))


def _sql(value: Any) -> str:
    return str(value) if isinstance(value, int) else f"'{value.isoformat() if isinstance(value, datetime) else value}'"


@pytest.fixture
def world(tmp_path: Path) -> World:
    online = {"type": "lakehouse.online.sqlite.SqliteOnlineStore", "path": "../data/online.db"}
    made = World.make(tmp_path, online={**online, "log": {"path": "../data/served", "share": 1.0}})
    rows = [event(n, START + n * DAY / 4, n / 10, "ab"[n % 2]) for n in range(1, 39)]
    made.put(*rows)
    for name in ("load", "by_shop"):
        build(made, name)
    made.apply()
    for name in ("load", "by_shop"):
        made.publish(NOW, name)
    return made


def serve(world: World, view: str, *keys: str | None, at: datetime) -> Any:
    told = world.tables[view].windows
    assert told is not None
    store = world.store(at)
    references = [f"{view}:{one.name}" for one in told.features]
    answer = store.get_online_features(references, {"k": list(keys)}).to_dict()
    log = store.provider.online_store.log(store.config)
    assert log is not None
    log.flush()
    return answer


def verified(world: World) -> Verified:
    return verify(world.project, now=datetime.now(UTC))


def named(found: Verified) -> dict[str, list[str]]:
    """The features that differ, by cause."""
    causes: dict[str, set[str]] = {}
    for one in found.differences:
        causes.setdefault(one.cause, set()).add(one.feature)
    return {cause: sorted(features) for cause, features in causes.items()}


def test_all_that_is_served_is_what_training_says(world: World) -> None:
    count = 0
    for view in ("load", "by_shop"):
        for at in (NOW, NOW + HOUR / 3, NOW + 3 * DAY, NOW + 40 * DAY):
            serve(world, view, "a", "b", "new", None, at=at)
            count += 3
    serve(world, "load", "a", at=NOW)
    found = verified(world)
    assert (found.equal, found.vectors, found.compared) == (True, count + 1, count + 1)
    assert found.differences == []
    assert {one.vectors for (view, _), one in found.features.items() if view == "load"} == {13}


def test_an_event_that_came_late_and_one_that_was_corrected(world: World) -> None:
    at = NOW + HOUR
    serve(world, "load", "a", "b", at=at)
    late = event(100, NOW - HOUR, 0.9, "a")
    world.put(late)
    build(world)
    found = verified(world)
    assert found.equal
    assert set(named(found)) == {"late data"}
    assert {"count_7d", "n_sum_1d", "s_last"} <= set(named(found)["late data"])
    assert {one.vector.keys["k"] for one in found.differences} == {"a"}
    serve(world, "load", "b", at=at)  # still of the version before
    last = max((row for row in world.rows.values() if row["k"] == "b"), key=lambda row: row["t"])
    world.change([], [{**last, "n": 77}])
    build(world)
    world.publish(NOW, "load")
    found = verified(world)
    assert found.equal
    assert named(found)["correction"] == ["n_sum_1d"]
    assert {one.vector.keys["k"] for one in found.differences if one.cause == "correction"} == {"b"}


def test_what_does_not_count_for_a_feature_is_not_why_it_differs(world: World) -> None:
    """A correction, and events that came: before the window, and one that the definition leaves out."""
    serve(world, "load", "b", at=NOW + HOUR)
    serve(world, "by_shop", "b", at=NOW + HOUR)
    last = max((row for row in world.rows.values() if row["k"] == "b"), key=lambda row: row["t"])
    came = [event(500, START - 60 * DAY, 0.3, "b"), {**event(501, NOW - HOUR, 0.3, "a"), "n": 3}]
    came.append({**event(502, NOW - 3 * DAY, 0.3, "b"), "n": 3, "v": None})
    world.change([], [{**last, "n": 77, "v": 0.75}, *came])
    for name in ("load", "by_shop"):
        build(world, name)
    found = verified(world)
    assert found.equal
    causes = {(one.vector.view, one.feature): one.cause for one in found.differences}
    assert causes["load", "n_sum_1d"] == causes["load", "v_mean_7d"] == causes["by_shop", "v_mean_1d"] == "correction"
    assert causes["load", "count_7d"] == "late data"


def test_corrections_that_make_more_events_count(world: World) -> None:
    """A value that was null, and a time that was another: nothing came."""
    world.put({**event(400, NOW - 2 * HOUR, 0.1, "b"), "v": None}, event(401, NOW - 30 * DAY, 0.3, "a"))
    build(world)
    world.publish(NOW, "load")
    serve(world, "load", "a", "b", at=NOW + HOUR)
    world.change([], [event(400, NOW - 2 * HOUR, 0.7, "b"), event(401, NOW - 2 * HOUR, 0.3, "a")])
    build(world)
    found = verified(world)
    assert found.equal
    assert {one.cause for one in found.differences} == {"correction"}
    assert {("a", "count_7d"), ("b", "v_mean_7d")} <= {(one.vector.keys["k"], one.feature) for one in found.differences}


def test_a_clock_that_is_behind_the_publisher_s(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up is as of the publish then, also for a key that has no record."""
    world.put(event(400, NOW - HOUR, 0.1, "a"))
    build(world, "by_shop")
    world.publish(NOW + 40 * DAY, "by_shop")
    monkeypatch.setattr("lakehouse.online.store._now", lambda _: ticks(NOW))
    store = world.store()
    assert store.get_online_features(["by_shop:count_7d"], {"k": ["a"]}).to_dict()["count_7d"] == [{}]
    log = store.provider.online_store.log(store.config)
    assert log is not None
    log.flush()
    found = verified(world)
    assert found.equal
    assert [one.vectors for (view, _), one in found.features.items() if view == "by_shop"] == [1]


def test_a_publish_that_lags_and_a_definition_that_was_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put(event(100, NOW - HOUR, 0.9, "a"))
    build(world)
    serve(world, "load", "a", at=NOW + HOUR)
    found = verified(world)
    assert found.equal
    assert set(named(found)) == {"publish lag"}
    text = TABLES.replace('count("s", over="1d")', 'count("s", over="1d", name="others")')
    text = text.replace('sum("n", over="1d")', 'sum("n", over="2d", name="n_sum_1d")')
    (world.project.folder / "depot" / "tables.py").write_text(text)
    for module in ("depot", "depot.tables"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    world.apply()
    found = verified(world)
    assert not found.equal
    assert [one.feature for one in found.differences if one.cause == "definition changed"] == ["n_sum_1d", "s_count_1d"]
    tally = found.features["load", "n_sum_1d"]
    assert (tally.equal, tally.different) == (0, 1)
