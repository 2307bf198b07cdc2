"""What serving answers is what training gives for the same moment, out of one table."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from feast import Entity, FeatureService, FeatureStore, Field, ValueType
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Array, Float64, Int64, String
from feast.types import Decimal as Decimals

from lakehouse.errors import DefinitionError, UsageError
from lakehouse.features.cursor import Published
from lakehouse.features.engine import publish_view
from tests.online.stores import HOUR, START, STORES, US, applied, feast_store, keys_of, online_store, view_of, write


def publish(store: FeatureStore, now: datetime = START) -> Published:
    return publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), now)


def trained(store: FeatureStore, ids: list[Any], features: list[str]) -> list[dict[str, Any]]:
    asked = pd.DataFrame({"id": ids, "event_timestamp": [START] * len(ids)})
    return store.get_historical_features(asked, features).to_arrow().drop(["id", "event_timestamp"]).to_pylist()


def served(store: FeatureStore, ids: list[Any], features: list[str]) -> list[dict[str, Any]]:
    got = store.get_online_features(features, {"id": ids}).to_dict()
    names = [one.partition(":")[2] for one in features]
    return [{name: got[name][spot] for name in names} for spot in range(len(ids))]


@pytest.mark.parametrize("kind", STORES)
def test_the_row_that_was_known_last(tmp_path: Path, kind: str) -> None:
    """Of two rows with one event time; and a source that begins to tell them apart is published anew."""
    times = pa.array([START - 2 * HOUR] * 2, US)
    known = pa.array([START - 2 * HOUR, START - HOUR], US)
    write(tmp_path, "t", pa.table({"id": [1, 1], "at": times, "known": known, "a": [100, 7]}))

    def store_of(**source: Any) -> FeatureStore:
        view = view_of(tmp_path, "t", [Field(name="a", dtype=Int64)], [keys_of()], source=source)
        return applied(feast_store(tmp_path, online_store(kind, tmp_path)), [keys_of(), view])

    store = store_of()
    publish(store)
    assert served(store, [1], ["t:a"]) == trained(store, [1], ["t:a"]) == [{"a": 100}]
    store = store_of(known_at="known")
    assert publish(store).why == "the view is defined otherwise"
    assert served(store, [1], ["t:a"]) == trained(store, [1], ["t:a"]) == [{"a": 7}]


@pytest.mark.parametrize("kind", STORES)
def test_decimals_are_the_nearest_doubles(tmp_path: Path, kind: str) -> None:
    digits = ["-2.30", "2.30", "0.07", "123456789012.34", None]
    values = [None if one is None else Decimal(one) for one in digits]
    ids = list(range(len(values)))
    columns = {"a": pa.array(values, pa.decimal128(18, 2)), "b": pa.array([[one] for one in values[:4]] + [None])}
    write(tmp_path, "t", pa.table({"id": ids, "at": pa.array([START] * len(ids), US), **columns}))
    fields = [Field(name="a", dtype=Float64), Field(name="b", dtype=Array(Float64))]
    view = view_of(tmp_path, "t", fields, [keys_of()])
    store = applied(feast_store(tmp_path, online_store(kind, tmp_path)), [keys_of(), view])
    publish(store)
    wanted = [{"a": float(one), "b": [float(one)]} for one in digits[:4]] + [{"a": None, "b": None}]
    assert served(store, ids, ["t:a", "t:b"]) == trained(store, ids, ["t:a", "t:b"]) == wanted


@pytest.mark.parametrize("kind", STORES)
def test_dates_are_keys(tmp_path: Path, kind: str) -> None:
    """A date finds the row of its date, offline and online; so does its midnight in UTC, and no other moment."""
    days = [START.date(), START.date() + timedelta(days=1)]
    write(tmp_path, "t", pa.table({"id": days, "at": pa.array([START] * 2, US), "a": [1, 2]}))
    entity = keys_of(kind=ValueType.UNIX_TIMESTAMP)
    view = view_of(tmp_path, "t", [Field(name="a", dtype=Int64)], [entity])
    store = applied(feast_store(tmp_path, online_store(kind, tmp_path)), [entity, view])
    publish(store)
    asked: list[list[Any]] = [
        [days[1], days[0], days[0] - timedelta(days=9), None],
        [START + timedelta(days=1), START, START + HOUR, None],
        [START.replace(tzinfo=None) + timedelta(days=1), START.replace(tzinfo=None), datetime(1970, 1, 1), None],
    ]
    for keys in asked:
        assert (
            served(store, keys, ["t:a"]) == trained(store, keys, ["t:a"]) == [{"a": one} for one in (2, 1, None, None)]
        )
        messages = store.get_online_features(["t:a"], {"id": keys}).proto.results[0].values
        assert messages[1].unix_timestamp_val == int(START.timestamp())
    numpy = pd.Series(asked[2]).to_numpy()
    assert served(store, list(numpy), ["t:a"]) == [{"a": one} for one in (2, 1, None, None)]
    for wrong in (START + timedelta(microseconds=1), pd.Timestamp(1, unit="ns", tz="UTC"), "2026-01-01", 1.5, True):
        with pytest.raises(UsageError, match="the key 'id': .* is not of the entity's type, UNIX_TIMESTAMP"):
            served(store, [wrong], ["t:a"])


def test_what_is_declared_otherwise_is_refused_in_training_and_serving(tmp_path: Path) -> None:
    """Here applied before the table was there, so that apply had nothing to say."""
    columns = {"text": ["5"], "price": pa.array([Decimal("1.50")], pa.decimal128(9, 2)), "flags": [[True]]}
    declared = {"text": Int64, "price": Decimals, "flags": Array(Int64)}
    for name, kind in declared.items():
        folder = tmp_path / name
        view = view_of(folder, "t", [Field(name=name, dtype=kind), Field(name="ok", dtype=Int64)], [keys_of()])
        store = applied(feast_store(folder, online_store("sqlite", folder)), [keys_of(), view])
        table = {"id": [1], "at": pa.array([START], US), "ok": [1], name: columns[name]}
        write(folder, "t", pa.table(table))
        for ask in (lambda: trained(store, [1], [f"t:{name}"]), lambda: publish(store)):  # noqa: B023
            with pytest.raises(DefinitionError, match=f"t: '{name}' is declared as"):
                ask()
        assert trained(store, [1], ["t:ok"]) == [{"ok": 1}]


@pytest.mark.parametrize(
    ("fields", "keys", "said"),
    [
        ([Field(name="aa", dtype=Int64)], keys_of(), "no column 'aa' .a feature of 't'.\n.*'a'"),
        ([Field(name="a", dtype=Int64)], keys_of("idd"), "no column 'idd' .a join key of 't'.\n.*'id'"),
        ([Field(name="a", dtype=String)], keys_of(), "t: 'a' is declared as STRING, but its column is int64"),
    ],
)
def test_apply_refuses_what_the_table_lacks(tmp_path: Path, fields: list[Field], keys: Entity, said: str) -> None:
    write(tmp_path, "t", pa.table({"id": [1], "at": pa.array([START], US), "a": [1]}))
    store = feast_store(tmp_path, online_store("sqlite", tmp_path))
    with pytest.raises(DefinitionError, match=said):
        applied(store, [keys, view_of(tmp_path, "t", fields, [keys])])
    applied(store, [keys_of(), view_of(tmp_path, "t", [Field(name="a", dtype=Int64)], [keys_of()])])


@pytest.mark.filterwarnings("ignore:.*serialization:DeprecationWarning")
@pytest.mark.parametrize("version", [1, 2, 3])
def test_keys_have_one_encoding_whatever_feast_is_told(tmp_path: Path, version: int) -> None:
    at = pa.array([START - HOUR] * 2, US)
    write(tmp_path, "t", pa.table({"id": [1, 2], "at": at, "a": [1, 2]}))
    view = view_of(tmp_path, "t", [Field(name="a", dtype=Int64)], [keys_of()])
    online = online_store("sqlite", tmp_path)
    store = applied(feast_store(tmp_path, online, entity_key_serialization_version=version), [keys_of(), view])
    publish(store)
    store.write_to_online_store("t", pd.DataFrame({"id": [1, 3], "at": [START] * 2, "a": [99, 33]}))
    assert served(store, [1, 2, 3], ["t:a"]) == [{"a": 99}, {"a": 2}, {"a": 33}]
    key = EntityKey(join_keys=["id"], entity_values=[Value(int64_val=2)])
    ((_, found),) = store.provider.online_store.online_read(store.config, view, [key], ["a"])
    assert found == {"a": Value(int64_val=2)}


def test_an_age_of_exactly_the_ttl_is_served(tmp_path: Path) -> None:
    """Also of a ttl that no double holds, as its microseconds do not."""
    for number, ttl in enumerate((timedelta(seconds=1.001), timedelta(seconds=4.1), timedelta(days=7, microseconds=1))):
        folder = tmp_path / str(number)
        at = pa.array([START - ttl, START - ttl - timedelta(microseconds=1)], US)
        write(folder, "t", pa.table({"id": [1, 2], "at": at, "a": [1, 2]}))
        view = view_of(folder, "t", [Field(name="a", dtype=Int64)], [keys_of()], ttl=ttl)
        store = applied(feast_store(folder, online_store("sqlite", folder, as_of=START)), [keys_of(), view])
        publish(store)
        assert served(store, [1, 2], ["t:a"]) == trained(store, [1, 2], ["t:a"]) == [{"a": 1}, {"a": None}]


def test_two_join_keys_that_are_taken_from_one_column_are_refused_in_training(tmp_path: Path) -> None:
    keys = [keys_of("one"), keys_of("two")]
    write(tmp_path, "t", pa.table({"one": [2], "two": [1], "at": pa.array([START], US), "a": [21]}))
    view = view_of(tmp_path, "t", [Field(name="a", dtype=Int64)], keys)
    both = FeatureService(name="both", features=[view.with_join_key_map({"one": "id", "two": "id"})])
    store = applied(feast_store(tmp_path, online_store("sqlite", tmp_path)), [*keys, view, both])
    asked = pd.DataFrame({"id": [1], "event_timestamp": [START]})
    with pytest.raises(DefinitionError, match="two join keys of 't' are taken from one column"):
        store.get_historical_features(asked, both)
