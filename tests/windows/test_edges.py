"""What window features say at the edges: of odd types, odd conditions, far times and odd entity rows; no JVM."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from feast import Entity
from feast.value_type import ValueType

from lakehouse import gold
from lakehouse.errors import DefinitionError
from lakehouse.features.engine import publish_view
from lakehouse.features.events import Events
from lakehouse.features.reading import OpenTable, open_table
from lakehouse.features.windowed import WindowTable
from lakehouse.gold.aggregates import Wish
from lakehouse.kernels.aggregations import Aggregations
from lakehouse.kernels.answers import answers
from lakehouse.kernels.measures import check_measures
from lakehouse.online.key_values import EntityRowsError
from lakehouse.online.kinds import PlainConversion
from tests.windows import streams
from tests.windows.test_verifying import NOW, build, event
from tests.windows.world import DAY, HOUR, SCHEMA, START, US, World

KEYS = {"k": pa.string(), "t": US}


def told_of(*features: Wish, **given: Any) -> Aggregations:
    table = gold.windows(name="w", of="silver.events", entity="k", at="t", features=features, **given)
    assert table.windows is not None
    return table.windows


def table_of(folder: Path, rows: Sequence[dict[str, Any]], **columns: pa.DataType) -> OpenTable:
    write_deltalake(str(folder), pa.Table.from_pylist(list(rows), schema=pa.schema({**KEYS, **columns})))
    return open_table(str(folder), "silver.events")


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"x": b"", "y": b"\xff"}, {"x": b"", "y": b"\xff"}),
        ({"x": "", "y": "é"}, {"x": "", "y": "é"}),
        ({"x": 2**62, "y": 0}, {"x": 2**62, "y": 0}),
        ({"x": 0.0}, {"x": 0.0}),
        ({"x": False, "y": True}, {"x": False, "y": True}),
        ({"x": datetime(1969, 12, 31, 23, 59, 58, 500_000, UTC)}, {"x": -2}),
        ({"x": [datetime(2026, 3, 1, tzinfo=UTC), datetime(1970, 1, 1, 0, 0, 1)]}, {"x": [1_772_323_200, 1]}),
        ({"x": [b"", b"a"], "y": [b""]}, {"x": [b"", b"a"], "y": [b""]}),
        ({"x": [True, False]}, {"x": [True, False]}),
        ({}, {}),
    ],
)
def test_a_map_as_a_message(values: dict[str, Any], wanted: dict[str, Any]) -> None:
    conversion = PlainConversion(ValueType.MAP)
    nothing, message = conversion.to_proto([None, values])
    assert nothing.WhichOneof("val") is None
    assert message.WhichOneof("val") == "map_val"
    found = {}
    for name, one in message.map_val.val.items():
        field = one.WhichOneof("val")
        assert field is not None
        found[name] = list(getattr(one, field).val) if field.endswith("_list_val") else getattr(one, field)
        times = isinstance(values[name], datetime) or (
            isinstance(values[name], list) and isinstance(values[name][0], datetime)
        )
        assert ("timestamp" in field) is times
        assert type(found[name]) is type(wanted[name])
    assert found == wanted
    assert conversion.to_python([None, values]) == [None, values]


@pytest.mark.parametrize("as_stored", [True, False])
def test_a_far_time_on_a_table_with_texts(tmp_path: Path, as_stored: bool) -> None:
    times = [datetime(1, 1, 1, tzinfo=UTC), START, datetime(9999, 12, 31, tzinfo=UTC)]
    opened = table_of(tmp_path, [{"k": "é" * 20, "t": at, "b": b"x" * 20} for at in times], b=pa.binary())

    def read(start: datetime | None, end: datetime | None) -> list[datetime]:
        table = opened.read(["k", "b"], time="t", start=start, end=end, as_stored=as_stored)
        assert table.schema.types == [pa.string(), pa.binary()]
        return sorted(opened.read(["t", "k"], time="t", start=start, end=end, as_stored=as_stored)["t"].to_pylist())

    assert read(None, times[2]) == times
    assert read(None, times[2] - timedelta(microseconds=1)) == times[:2]
    assert read(times[0] + timedelta(microseconds=1), None) == times[1:]
    assert read(times[0], times[0]) == times[:1]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"features": [gold.rate("s > 5", over="1d")]}, "rate\\('s > 5'\\) can't be judged on silver.events"),
        ({"features": [gold.rate("n", over="1d")]}, "rate\\('n'\\) is int8, not true or false"),
        ({"features": [gold.count(over="1d")], "where": "s > 5"}, "where='s > 5' can't be judged"),
        ({"features": [gold.count(over="1d")], "where": "n"}, "where='n' is int8, not true or false"),
    ],
)
def test_a_condition_that_does_not_go_with_its_column(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    told = told_of(*given.pop("features"), **given)
    events = Events(told, table_of(tmp_path, [], s=pa.string(), n=pa.int8()))
    with pytest.raises(DefinitionError, match=says):
        assert events.types


def test_a_condition_that_a_value_is_too_great_for(tmp_path: Path) -> None:
    told = told_of(gold.rate("b", over="1d"), gold.rate("n + n > 5", over="1d"))
    rows = [{"k": "a", "t": START, "n": 100, "b": None}]
    events = Events(told, table_of(tmp_path, rows, n=pa.int8(), b=pa.bool_()))
    assert events.types["n_n_gt_5"] == pa.bool_()
    with pytest.raises(DefinitionError, match=r"rate\('n \+ n > 5'\) can't be judged"):
        events.read(None, (None, None))


def test_a_sum_beyond_64_bits_is_called_by_its_feature() -> None:
    told = told_of(gold.sum("n", over="1d", name="fine"), gold.sum("m", over="1d", name="much"))
    rows = [{"k": "a", "t": START, "n": 2**62, "m": 2**62}, {"k": "a", "t": START, "n": -1, "m": 2**62}]
    events = pa.Table.from_pylist(rows, schema=pa.schema({**KEYS, "n": pa.int64(), "m": pa.int64()}))
    with pytest.raises(DefinitionError, match="'much': a sum is 9223372036854775808, beyond 64 bits"):
        answers(told, [pa.array(["a"])], pa.array([START + HOUR], US), events)


def test_a_sum_that_will_be_too_large_is_called_by_its_feature_and_view(tmp_path: Path) -> None:
    """Not yet, but when the first event has left the window."""
    world = World.make(tmp_path, online={"type": "lakehouse.online.sqlite.SqliteOnlineStore", "path": "../o.db"})
    path = world.project.folder / "depot" / "tables.py"
    path.write_text(path.read_text().replace('sum("n", over="1d")', 'sum("n", over="7d")'))
    values = {6: -(2**62), 5: 2**62, 4: 2**62}
    rows = [{**event(days, NOW - days * DAY, 0.5, "a"), "n": value} for days, value in values.items()]
    write_deltalake(str(world.events), pa.Table.from_pylist(rows, schema=SCHEMA.set(5, pa.field("n", pa.int64()))))
    build(world)
    build(world, "by_shop")
    world.apply()
    with pytest.raises(DefinitionError, match="load: from now on 'n_sum_7d': a sum is 9223372036854775808, beyond 64"):
        world.publish(NOW)


@pytest.mark.parametrize(
    ("kind", "fine"),
    [
        *((one, True) for one in (pa.string(), pa.int64(), pa.bool_(), US)),
        *((one, False) for one in (pa.float64(), pa.binary(), pa.list_(pa.string()), pa.null())),
    ],
)
def test_what_a_bucket_may_be(kind: pa.DataType, fine: bool) -> None:
    told = told_of(gold.count(over="1d"), bucket="b")
    types = {**KEYS, "b": kind}
    if fine:
        check_measures(told, types)
        return
    with pytest.raises(DefinitionError, match="bucket='b' is .*; a bucket is a text"):
        check_measures(told, types)


def test_how_buckets_are_labelled(tmp_path: Path) -> None:
    rows = [{"k": "a", "t": START, "d": date(2026, 1, 2), "u": START, "b": True, "n": -7}]
    opened = table_of(tmp_path, rows, d=pa.date32(), u=US, b=pa.bool_(), n=pa.int16())
    labels = []
    for bucket in ("d", "u", "b", "n"):
        told = told_of(gold.count(over="1d"), bucket=bucket)
        events = Events(told, opened)
        assert events.types[bucket]
        found = answers(told, [pa.array(["a"])], pa.array([START + HOUR], US), events.read(None, (None, None)))
        labels += [name for name, _ in found["count_1d"].to_pylist()[0]]
    assert labels == ["2026-01-02 00:00:00.000000Z", "2026-03-01 00:00:00.000000Z", "true", "-7"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World.make(tmp_path)
    made.put(event(1, NOW - HOUR, 0.5))
    for name in ("load", "by_shop"):
        build(made, name)
    made.apply()
    made.publish(NOW)
    return made


def test_the_times_that_entity_rows_may_have(world: World) -> None:
    store, features = world.store(), ["load:count_1h"]
    midnight = NOW + DAY
    assert midnight == midnight.replace(hour=0, minute=0, second=0, microsecond=0)
    for given, wanted in (
        (NOW, 1),
        (pd.Timestamp(NOW), 1),
        (NOW.isoformat(), 1),
        (np.datetime64(NOW.replace(tzinfo=None)), 1),
        (NOW.date(), 1),
        (midnight.date(), 0),
        (np.datetime64(midnight.date()), 0),
    ):
        answer = store.get_online_features(features, {"k": ["a"], "event_timestamp": [given]})
        assert answer.to_dict() == {"k": ["a"], "count_1h": [wanted]}
        spot = list(answer.proto.metadata.feature_names.val).index("count_1h")
        assert answer.proto.results[spot].values[0].int64_val == wanted
    for odd in (pd.NaT, None, np.datetime64("NaT"), 5, float("nan"), "noon", True):
        with pytest.raises(EntityRowsError, match="'event_timestamp' has what is no time"):
            store.get_online_features(features, {"k": ["a"], "event_timestamp": [odd]})


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"k": ["a"], "event_timestamp": NOW}, "'event_timestamp' is datetime.* not a list"),
        ({"k": ["a"], "event_timestamp": NOW.isoformat()}, "'event_timestamp' is '2026.* not a list"),
        ({"k": "a"}, "'k' is 'a', not a list"),
        ({"k": None}, "'k' is None, not a list"),
        ({"k": {"a": 1}}, "'k' is .* not a list"),
        (pd.DataFrame({"k": ["a"]}), "are DataFrame, not a mapping"),
        ([{"k": "a"}, "b"], "are list, not a mapping"),
    ],
)
def test_entity_rows_that_are_none(world: World, rows: Any, says: str) -> None:
    with pytest.raises(EntityRowsError, match=says):
        world.store().get_online_features(["load:count_1h"], rows)


def test_an_entity_is_of_32_or_of_64_bits_as_its_events_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WindowTable, "require_fit", lambda self: None)  # no build is there to say what tiles are for
    answers = []
    for kind in (ValueType.INT64, ValueType.INT32):
        monkeypatch.setattr(streams, "J", Entity(name="j", join_keys=["j"], value_type=kind))
        store, given = streams.streams(tmp_path / kind.name, 3, 4)
        now, keys = START + 4 * DAY, [*streams.KEYS, "new"] * 3
        asked = {"k": keys, "j": [1, 2, -(2**31)] * (len(keys) // 3)}
        for one in given:
            publish_view(store.config, store.provider.online_store, store.get_feature_view(one.view.name), now)
            references = [f"{one.view.name}:{feature.name}" for feature in one.told.features]
            entity = {name: asked[name] for name in one.told.entity}
            at = pa.array([now] * len(keys), US)
            trained = store.get_historical_features(pa.table({**entity, "event_timestamp": at}), references).to_arrow()
            served = store.get_online_features(references, {**entity, "event_timestamp": at.to_pylist()}).to_dict()
            for feature in one.told.features:
                values = trained[feature.name].to_pylist(maps_as_pydicts="strict" if one.told.bucket else None)
                assert repr(values) == repr(served[feature.name])
                answers.append(values)
    assert sum(one not in (None, 0, [], {}) for values in answers for one in values) > 100
    assert repr(answers[: len(answers) // 2]) == repr(answers[len(answers) // 2 :])
    monkeypatch.setattr(streams, "J", Entity(name="j", join_keys=["j"], value_type=ValueType.STRING))
    with pytest.raises(DefinitionError, match="the key 'j' is INT32, but its entity says STRING"):
        streams.streams(tmp_path / "text", 3, 4)
