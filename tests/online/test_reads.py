"""Look-ups of every form are answered as stock Feast answers them from its own SQLite store, out of the same rows."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from feast import FeatureService, FeatureStore, Field, RequestSource, ValueType
from feast.errors import FeastError, RequestDataNotFoundInEntityRowsException
from feast.on_demand_feature_view import on_demand_feature_view
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import RepeatedValue, Value
from feast.types import Float64, Int64, String

from lakehouse.errors import UsageError
from lakehouse.features.engine import publish_view
from tests.online.stores import HOUR, START, STORES, US, applied, feast_store, keys_of, online_store, stock_store, write
from tests.online.stores import view_of as made_of

IDS = [1, 2, 3]
FEATURES = [Field(name="a", dtype=Int64), Field(name="b", dtype=String)]


def rows() -> dict[str, pa.Table]:
    times = pa.array([START + number * HOUR for number in IDS], US)
    one = pa.table({"id": pa.array(IDS), "at": times, "a": pa.array([10, None, 30]), "b": ["x", "y", None]})
    two = pa.table(
        {"id": pa.array(IDS), "sub": ["p", "q", "p"], "at": times, "a": pa.array([1, 2, 3]), "b": ["", "", "z"]}
    )
    whole = pa.table({"at": times[:1], "a": pa.array([7]), "b": ["all"]})
    return {"one": one, "two": two, "whole": whole}


def objects(folder: Path) -> list[Any]:
    number, sub = keys_of(), keys_of("sub", ValueType.STRING)
    one = made_of(folder, "one", FEATURES, [number])
    two = made_of(folder, "two", FEATURES, [sub, number])
    whole = made_of(folder, "whole", FEATURES, [])
    asked = RequestSource(name="asked", schema=[Field(name="plus", dtype=Float64)])

    def total(inputs: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"total": inputs["a"].astype(float) + inputs["plus"]})

    schema = [Field(name="total", dtype=Float64)]
    summed = on_demand_feature_view(sources=[one, asked], schema=schema, mode="pandas")(total)
    service = FeatureService(name="service", features=[one[["b"]], two, summed])
    renamed = FeatureService(name="renamed", features=[one.with_name("first").with_join_key_map({"id": "other"})])
    return [number, sub, one, two, whole, summed, service, renamed]


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("stock")
    for name, table in rows().items():
        write(folder, name, table)
    store = applied(stock_store(folder), objects(folder))
    for name, table in rows().items():
        store.write_to_online_store(name, table.to_pandas())
    return store


@pytest.fixture(scope="module", params=STORES)
def ours(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("ours")
    online = online_store(request.param, folder)
    for name, table in rows().items():
        write(folder, name, table)
    store = applied(feast_store(folder, online), objects(folder))
    for name in rows():
        publish_view(store.config, store.provider.online_store, store.get_feature_view(name), START + 9 * HOUR)
    return store


ASKED: dict[str, tuple[Any, Any, bool]] = {
    "one view": (["one:a", "one:b"], [{"id": 1}, {"id": 3}], False),
    "a key that is not there, doubled keys": (["one:a"], [{"id": 9}, {"id": 1}, {"id": 1}], False),
    "columns": (["one:b"], {"id": [3, 2, 1]}, False),
    "messages": (["one:b"], {"id": [Value(int64_val=2)]}, False),
    "a repeated message": (["one:b"], {"id": RepeatedValue(val=[Value(int64_val=2)])}, False),
    "a composite key": (["two:b", "two:a"], [{"id": 1, "sub": "p"}, {"id": 1, "sub": "q"}], False),
    "full names": (["one:a", "two:a"], [{"sub": "q", "id": 2}], True),
    "no entity": (["whole:a", "one:a"], [{"id": 1}], False),
    "on demand": (["total:total", "one:b"], [{"id": 1, "plus": 0.5}, {"id": 3, "plus": 1.0}], False),
    "a service": ("service", [{"id": 1, "sub": "p", "plus": 2.0}], True),
    "names and join keys of its own": ("renamed", [{"other": 3}, {"other": 2}], True),
    "more columns than asked for": (["one:a"], [{"id": 1, "sub": "p"}], False),
    "numpy": (["one:a"], pd.DataFrame({"id": IDS}).to_dict("records"), False),
}


def looked_up(store: FeatureStore, name: str) -> Any:
    asked, keys, full = ASKED[name]
    features = store.get_feature_service(asked) if isinstance(asked, str) else asked
    try:
        got = store.get_online_features(features, keys, full_feature_names=full)
    except Exception as error:
        return f"refused: {type(error).__name__}"
    names = list(got.proto.metadata.feature_names.val)
    values = {
        one: (list(each.values), list(each.statuses), [time.ToDatetime() for time in each.event_timestamps])
        for one, each in zip(names, got.proto.results, strict=True)
    }
    return got.to_dict(include_event_timestamps=True), values


@pytest.mark.parametrize("name", list(ASKED))
def test_as_stock_feast(ours: FeatureStore, stock: FeatureStore, name: str) -> None:
    mine, theirs = looked_up(ours, name), looked_up(stock, name)
    if isinstance(theirs, str):
        assert mine == theirs
        return
    keys = {"id", "sub", "other", "plus"}
    for one in theirs[1]:
        assert mine[1][one][:2] == theirs[1][one][:2], one
        if one not in keys:
            assert mine[1][one][2] == theirs[1][one][2], one
    assert {one: value for one, value in mine[0].items() if one.removesuffix("__ts") not in keys} == {
        one: value for one, value in theirs[0].items() if one.removesuffix("__ts") not in keys
    }
    assert set(mine[0]) == set(theirs[0])


def test_async_look_ups_are_the_same(ours: FeatureStore) -> None:
    for features, keys, full in (ASKED["one view"], ASKED["a composite key"], ASKED["on demand"]):
        got = asyncio.run(ours.get_online_features_async(features, keys, full_feature_names=full))
        assert got.to_dict() == ours.get_online_features(features, keys, full_feature_names=full).to_dict()


def test_keys_that_do_not_fit(ours: FeatureStore) -> None:
    for keys, said in (
        ([{"sub": "p"}], "no join key 'id'"),
        ([{"id": 1}, {"sub": "p"}], "different keys"),
        ({"id": [1, 2], "sub": ["p"]}, "different lengths"),
        ([{"id": "one"}], "not of the entity's type, INT64"),
        ({"id": [Value(string_val="1")]}, "the key 'id' is a string_val"),
        ([{"id": 2**63}], "not of the entity's type, INT64"),
        ([{"id": 2.9}, {"id": 1}], "the key 'id': 2.9 is not of the entity's type, INT64"),
        ([{"id": float("inf")}], "not of the entity's type, INT64"),
        ([{"id": True}], "the key 'id': True is not of the entity's type, INT64"),
        ([{"id": "1"}], "the key 'id': '1' is not of the entity's type, INT64"),
        ([{"id": pd.Timestamp(1, unit="s")}], "not of the entity's type, INT64"),
        ([], "no join key 'id', which 'one' needs\n  There are none."),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            ours.get_online_features(["one:a"], keys)
        assert isinstance(caught.value, FeastError) and caught.value.http_status_code() == 422
    with pytest.raises(UsageError, match="the key 'sub': 1 is not of the entity's type, STRING"):
        ours.get_online_features(["two:a"], [{"id": 1, "sub": 1}])


def test_keys_of_other_kinds_that_are_equal(ours: FeatureStore) -> None:
    """As in training: a double that holds a whole number, and what pandas and numpy have for numbers and for null."""
    keys = [2.0, np.int32(3), np.float32(1), Decimal(3), None, float("nan"), pd.NA, np.uint8(1)]
    got = ours.get_online_features(["one:b"], {"id": keys})
    assert got.to_dict()["b"] == ["y", None, "x", None, None, None, None, "x"]
    assert [one.int64_val for one in got.proto.results[0].values] == [2, 3, 1, 3, 0, 0, 0, 1]


def test_a_view_without_entities(ours: FeatureStore) -> None:
    """One row for each row of nothing; over Feast's server there is no other way to say one."""
    for keys, rows in (([{}], 1), ([{}, {}], 2), ({}, 1), ([], 0)):
        got = ours.get_online_features(["whole:a"], keys)
        assert got.to_dict() == {"a": [7] * rows}
        assert [one.int64_val for one in got.proto.results[0].values] == [7] * rows


@pytest.mark.parametrize("keys", [[{"id": 1}], {"id": [1, 2]}])
def test_request_data_that_is_missing(ours: FeatureStore, stock: FeatureStore, keys: Any) -> None:
    said = []
    for store in (ours, stock):
        with pytest.raises(RequestDataNotFoundInEntityRowsException) as caught:
            store.get_online_features(["total:total", "one:b"], keys)
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("kind", STORES)
def test_a_feature_that_is_new_or_of_another_type(tmp_path: Path, kind: str) -> None:
    """Between feast apply and the next publish there is nothing of it, whatever stood under its name."""

    def store_of(*fields: Field) -> FeatureStore:
        a = pa.array([5]) if fields[0].dtype == Int64 else pa.array(["5"])
        table = pa.table({"id": pa.array([1]), "at": pa.array([START], US), "a": a, "b": ["5"]})
        write_deltalake(tmp_path / "t", table, mode="overwrite", schema_mode="overwrite")
        view = made_of(tmp_path, "t", fields, [keys_of()])
        return applied(feast_store(tmp_path, online_store(kind, tmp_path)), [keys_of(), view])

    store = store_of(Field(name="a", dtype=Int64))
    publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)
    frame = pd.DataFrame({"id": [1], "at": [START + HOUR], "a": [6]})
    for _ in range(2):
        store = store_of(Field(name="a", dtype=String), Field(name="b", dtype=String))
        got = store.get_online_features(["t:a", "t:b"], [{"id": 1}])
        assert got.to_dict() == {"id": [1], "a": [None], "b": [None]}
        assert all(FieldStatus.Name(one.statuses[0]) == "NOT_FOUND" for one in got.proto.results[1:])
        store = store_of(Field(name="a", dtype=Int64))
        assert store.get_online_features(["t:a"], [{"id": 1}]).to_dict()["a"] in ([5], [6])
        store.write_to_online_store("t", frame)


@pytest.mark.parametrize("kind", STORES)
def test_pushed_rows_lie_over_records(tmp_path: Path, kind: str) -> None:
    """The later by event time is given; the next publish does not undo a push, a delete takes it along."""
    from deltalake import DeltaTable

    both = [Field(name="a", dtype=Int64), Field(name="b", dtype=String)]
    write(
        tmp_path, "t", pa.table({"id": pa.array([1, 2]), "at": pa.array([START] * 2, US), "a": [1, 2], "b": ["x", "y"]})
    )
    view = made_of(tmp_path, "t", both, [keys_of()], ttl=timedelta(hours=5))
    store = applied(feast_store(tmp_path, online_store(kind, tmp_path, as_of=START + 4 * HOUR)), [keys_of(), view])

    def publish() -> None:
        publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START + 4 * HOUR)

    def push(number: int, hour: int, **values: Any) -> None:
        frame = pd.DataFrame({"id": [number], "at": [START + hour * HOUR], **{k: [v] for k, v in values.items()}})
        store.write_to_online_store("t", frame, allow_registry_cache=False)

    def read() -> list[tuple[Any, Any]]:
        got = store.get_online_features(["t:a", "t:b"], [{"id": 1}, {"id": 2}, {"id": 3}]).to_dict()
        return list(zip(got["a"], got["b"], strict=True))

    publish()
    push(1, 2, a=10, b="p")
    push(1, 1, a=99, b="late")
    push(2, -1, a=99, b="older than its record")
    push(3, 1, a=3, b="not in the table yet")
    assert read() == [(10, "p"), (2, "y"), (3, "not in the table yet")]
    write(tmp_path, "t", pa.table({"id": pa.array([1]), "at": pa.array([START + HOUR], US), "a": [5], "b": ["z"]}))
    publish()
    assert read() == [(10, "p"), (2, "y"), (3, "not in the table yet")]
    write(tmp_path, "t", pa.table({"id": pa.array([1]), "at": pa.array([START + 3 * HOUR], US), "a": [6], "b": ["w"]}))
    publish()
    assert read()[0] == (6, "w")
    push(1, 4, a=7, b="v")
    DeltaTable(tmp_path / "t").delete("id = 1")
    publish()
    assert read() == [(None, None), (2, "y"), (3, "not in the table yet")]


@pytest.mark.parametrize("kind", STORES)
def test_pushed_rows_that_are_dated_ahead_wait_beside_the_one_that_is_due(tmp_path: Path, kind: str) -> None:
    """In whatever order they are pushed; a feature that a row does not name keeps what the rows before it say."""
    write(tmp_path, "t", pa.table({"id": [1], "at": pa.array([START], US), "a": [1], "b": ["published"]}))
    view = made_of(tmp_path, "t", [Field(name="a", dtype=Int64), Field(name="b", dtype=String)], [keys_of()])
    store = applied(feast_store(tmp_path, online_store(kind, tmp_path)), [keys_of(), view])
    publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)
    online: Any = store.config.online_store
    key = EntityKey(join_keys=["id"], entity_values=[Value(int64_val=1)])

    def push(hour: int, a: int | None = None, b: str | None = None) -> None:
        values = {"a": Value(int64_val=a)} if a is not None else {}
        values |= {"b": Value(string_val=b)} if b is not None else {}
        row = key, values, START + hour * HOUR, None
        store.provider.online_store.online_write_batch(store.config, view, [row], None)

    def read(hour: int) -> tuple[Any, Any]:
        online.as_of = START + hour * HOUR
        got = store.get_online_features(["t:a", "t:b"], [{"id": 1}]).to_dict()
        return got["a"][0], got["b"][0]

    online.as_of = START + 2 * HOUR
    for hour, values in ((9, (9,)), (1, (10, "due")), (5, (None, "ahead")), (2, (2,))):
        push(hour, *values)
    assert [read(hour) for hour in (0, 2, 5, 8, 9)] == [
        (1, "published"),
        (2, "due"),
        (2, "ahead"),
        (2, "ahead"),
        (9, "ahead"),
    ]
    online.as_of = START + 6 * HOUR
    push(4, a=99, b="older than what is due")
    push(9, a=8)
    push(6, a=6)
    assert [read(hour) for hour in (6, 9)] == [(6, "ahead"), (8, "ahead")]


@pytest.mark.parametrize("kind", STORES)
def test_a_full_refresh_keeps_pushes_but_of_keys_that_left(tmp_path: Path, kind: str) -> None:
    table = pa.table({"id": pa.array([1, 2]), "at": pa.array([START] * 2, US), "a": [1, 2]})
    write(tmp_path, "t", table, feed=False)
    view = made_of(tmp_path, "t", FEATURES[:1], [keys_of()])
    store = applied(feast_store(tmp_path, online_store(kind, tmp_path)), [keys_of(), view])
    publish_view(store.config, store.provider.online_store, view, START)
    frame = pd.DataFrame({"id": [1, 2, 3], "at": [START + HOUR] * 3, "a": [10, 20, 30]})
    store.write_to_online_store("t", frame)
    write(tmp_path, "t", table.slice(1), "overwrite", feed=False)
    assert publish_view(store.config, store.provider.online_store, view, START).why
    assert store.get_online_features(["t:a"], {"id": [1, 2, 3]}).to_dict()["a"] == [None, 20, 30]
