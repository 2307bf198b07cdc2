"""Every type of Feast's, published and pushed, is read as stock Feast reads it from its own SQLite store.

Where we differ on purpose: a null time is null in Feast's messages too, times keep their microseconds in ``to_dict``,
and a ttl is kept.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore, Field, PushSource
from feast.data_source import PushMode
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import (
    Array,
    Bool,
    Bytes,
    Decimal,
    Float32,
    Float64,
    ImageBytes,
    Int32,
    Int64,
    Json,
    Map,
    PdfBytes,
    ScalarMap,
    Set,
    String,
    Struct,
    TimeUuid,
    UnixTimestamp,
    Uuid,
    ZonedTimestamp,
)

from lakehouse.errors import DefinitionError
from lakehouse.features.engine import publish_view
from lakehouse.online.kinds import NO_TIME
from lakehouse.online.response import PackedResponse
from tests.online.stores import (
    START,
    STORES,
    US,
    applied,
    feast_store,
    keys_of,
    online_store,
    stock_store,
    view_of,
    write,
)

ONE, TWO = uuid.UUID(int=7), uuid.UUID(int=2**100)
WHEN = [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)]
SCALARS: dict[str, tuple[Any, pa.DataType, list[Any]]] = {
    "int32": (Int32, pa.int32(), [-(2**31), 2**31 - 1]),
    "int64": (Int64, pa.int64(), [-(2**53), 2**53]),  # of larger ones in a frame with nulls Feast makes doubles
    "float": (Float32, pa.float32(), [0.1, float("inf")]),
    "double": (Float64, pa.float64(), [0.1, -0.0]),
    "bool": (Bool, pa.bool_(), [True, False]),
    "text": (String, pa.string(), ["", "grün"]),
    "bytes": (Bytes, pa.binary(), [b"", b"\0\xff"]),
    "time": (UnixTimestamp, US, WHEN),
    "json": (Json, pa.string(), [json.dumps({"a": [1]}), "3"]),
    "uuid": (Uuid, pa.string(), [str(ONE), str(TWO)]),
    "timeuuid": (TimeUuid, pa.string(), [str(ONE), str(TWO)]),
    "decimal": (Decimal, pa.string(), ["1.50", "-3"]),
}
PERSON = {"name": String, "age": Int64}
STRUCT = pa.struct([("name", pa.string()), ("age", pa.int64())])
LISTED = ["int32", "int64", "float", "double", "bool", "text", "bytes", "time", "uuid", "decimal"]
TYPES = {
    **SCALARS,
    **{
        f"{name}_list": (Array(SCALARS[name][0]), pa.list_(SCALARS[name][1]), [SCALARS[name][2], SCALARS[name][2][:1]])
        for name in LISTED
    },
    **{
        f"{name}_set": (Set(SCALARS[name][0]), pa.list_(SCALARS[name][1]), [SCALARS[name][2], SCALARS[name][2][:1]])
        for name in ("int32", "int64", "float", "double", "bool", "text", "bytes", "time", "uuid", "decimal")
    },
    "map": (Map, pa.map_(pa.string(), pa.string()), [{"a": "b"}, {"a": ""}]),
    "struct": (Struct(PERSON), STRUCT, [{"name": "x", "age": 3}, {"name": "", "age": -1}]),
    "structs": (Array(Struct(PERSON)), pa.list_(STRUCT), [[{"name": "x", "age": 3}], []]),
    "nested": (Array(Array(Int64)), pa.list_(pa.list_(pa.int64())), [[[1, 2], [3]], []]),
    "nested_set": (Set(Array(String)), pa.list_(pa.list_(pa.string())), [[["a"], ["b", ""]], []]),
    "jsons": (Array(Json), pa.list_(pa.string()), [[json.dumps({"a": 1})], []]),
    "pdf": (PdfBytes, pa.binary(), [b"%PDF", b""]),
    "image": (ImageBytes, pa.binary(), [b"\x89", b""]),
}
OURS = {
    "maps": (Array(Map), pa.list_(pa.map_(pa.string(), pa.string())), [[{"a": "b"}, {"c": ""}], []]),
    "scalar_map": (ScalarMap, pa.map_(pa.int64(), pa.string()), [{1: "b"}, {-2: ""}]),
    "zoned": (ZonedTimestamp, US, WHEN),
    "empty": (Array(Array(Int64)), pa.list_(pa.list_(pa.int64())), [[[1, 2], []], [[], None]]),
    "deep": (Array(Array(Array(Bool))), pa.list_(pa.list_(pa.list_(pa.bool_()))), [[[[True], []], []], [[[]]]]),
}
"""Those that stock Feast can't write from a frame, or gives back as others: an empty list in a list as null."""
ROWS = 3
"""The last one is null throughout."""


def columns(types: dict[str, Any] = TYPES) -> pa.Table:
    """A row of each value, and one of nulls."""
    made = {"id": pa.array(range(ROWS), pa.int64()), "at": pa.array([START] * ROWS, US)}
    for name, (_, kind, values) in types.items():
        listed = [_items(one) if "map" in str(kind) else one for one in values]
        made[name] = pa.array([*listed, None], kind)
    return pa.table(made)


def _items(value: Any) -> Any:
    """Maps as Arrow takes them."""
    return list(value.items()) if isinstance(value, dict) else [list(one.items()) for one in value]


def frame() -> pd.DataFrame:
    """The same as a caller pushes it."""
    wanted = {name: pd.Series([*values, None], dtype=object) for name, (_, _, values) in TYPES.items()}
    return pd.DataFrame({"id": range(ROWS), "at": [START] * ROWS, **wanted})


def view(folder: Path, types: dict[str, Any] = TYPES) -> Any:
    fields = [Field(name=name, dtype=kind) for name, (kind, _, _) in types.items()]
    return view_of(folder, "t", fields, [keys_of()])


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What Feast answers from its own store, out of the same rows: to_dict, and the message of each name."""
    folder = tmp_path_factory.mktemp("stock")
    write(folder, "t", columns())
    store = applied(stock_store(folder), [keys_of(), view(folder)])
    store.write_to_online_store("t", frame())
    return looked_up(store)


def looked_up(store: FeatureStore) -> tuple[dict[str, Any], dict[str, Any]]:
    asked = [f"t:{name}" for name in TYPES]
    got = store.get_online_features(asked, [{"id": number} for number in range(ROWS)])
    message = got.proto
    names = list(message.metadata.feature_names.val)
    return got.to_dict(), {name: message.results[spot] for spot, name in enumerate(names)}


def shown(values: list[Any]) -> list[str]:
    """To the type; the order within a set, and of a map's keys, is chance."""
    return [repr(_sorted(value)) for value in values]


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(one) for one in value]
    return sorted(value, key=repr) if isinstance(value, set) else value


def in_order(values: Any) -> list[Any]:
    """Messages whose sets are in one order."""
    ordered = []
    for value in values:
        name = value.WhichOneof("val") or ""
        copy = Value.FromString(value.SerializeToString())
        if name.endswith("_set_val"):
            items = sorted(getattr(value, name).val, key=repr)
            del getattr(copy, name).val[:]
            getattr(copy, name).val.extend(items)
        ordered.append(copy)
    return ordered


def same(ours: Any, stock: Any) -> None:
    for name in stock[0]:
        assert shown(ours[0][name]) == shown(stock[0][name]), name
        values = [Value() if one.unix_timestamp_val == NO_TIME else one for one in stock[1][name].values]
        assert in_order(ours[1][name].values) == in_order(values), name
        assert list(ours[1][name].statuses) == list(stock[1][name].statuses), name
    assert list(ours[0]) == list(stock[0])


@pytest.mark.parametrize("kind", STORES)
def test_published(tmp_path: Path, stock: Any, kind: str) -> None:
    write(tmp_path, "t", columns())
    store = applied(feast_store(tmp_path, online_store(kind, tmp_path)), [keys_of(), view(tmp_path)])
    publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)
    same(looked_up(store), stock)


def test_messages_are_made_only_for_who_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "t", columns())
    store = applied(feast_store(tmp_path, online_store("sqlite", tmp_path)), [keys_of(), view(tmp_path)])
    publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)
    asked = [f"t:{name}" for name in TYPES], [{"id": number} for number in range(ROWS)]
    whole = looked_up(store)[0]
    made: list[object] = []
    message = PackedResponse._message
    monkeypatch.setattr(PackedResponse, "_message", lambda one: (made.append(one), message(one))[1])
    got = store.get_online_features(*asked)
    assert {name: shown(values) for name, values in got.to_dict().items()} == {
        name: shown(values) for name, values in whole.items()
    }
    assert len(got.to_df()) == ROWS
    assert not made
    assert got.proto is got.proto
    assert made == [got]


@pytest.mark.parametrize("kind", STORES)
def test_published_where_stock_fails(tmp_path: Path, kind: str) -> None:
    write(tmp_path, "t", columns(OURS))
    store = applied(feast_store(tmp_path, online_store(kind, tmp_path)), [keys_of(), view(tmp_path, OURS)])
    publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)
    got = store.get_online_features([f"t:{name}" for name in OURS], [{"id": number} for number in range(ROWS)])
    for name, (_, _, values) in OURS.items():
        assert got.to_dict()[name] == [*values, None], name


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("over", [False, True])
def test_written_and_pushed(tmp_path: Path, stock: Any, kind: str, over: bool) -> None:
    write(tmp_path, "t", columns())
    one = view(tmp_path)
    source = PushSource(name="pushed", batch_source=one.batch_source)
    one.stream_source = source
    store = applied(feast_store(tmp_path, online_store(kind, tmp_path)), [keys_of(), one, source])
    if over:
        publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)
        store.push("pushed", frame(), to=PushMode.ONLINE)
    else:
        store.write_to_online_store("t", frame())
    same(looked_up(store), stock)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Array(String), pa.array([["a", None]])),
        (Array(Bytes), pa.array([[b"x", None]])),
        (Array(Int64), pa.array([[1, None]])),
        (Array(Uuid), pa.array([[str(ONE), None]])),
        (Set(String), pa.array([["a", None]])),
        (Array(Array(String)), pa.array([[["a", None], None]])),
        (Array(Struct(PERSON)), pa.array([[{"name": "x", "age": 3}, None]], pa.list_(STRUCT))),
    ],
)
def test_a_null_within_a_list_is_refused(tmp_path: Path, kind: Any, given: pa.Array) -> None:
    """Not served as an empty text, which training would not give."""
    write(tmp_path, "t", pa.table({"id": [1], "at": pa.array([START], US), "a": given}))
    one = view_of(tmp_path, "t", [Field(name="a", dtype=kind)], [keys_of()])
    store = applied(feast_store(tmp_path, online_store("sqlite", tmp_path)), [keys_of(), one])
    with pytest.raises(DefinitionError, match="t: 'a' has a list with a null in it, which can't be served"):
        publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)


@pytest.mark.parametrize(
    ("kind", "column"),
    [(Int64, ["5"]), (String, [5]), (Bool, [2]), (Int64, [1.5]), (Int32, [2**40]), (UnixTimestamp, [7])],
)
def test_a_column_of_another_type_is_refused(tmp_path: Path, kind: Any, column: list[Any]) -> None:
    """Training gives what the table has: serving must not make something else of it."""
    store = feast_store(tmp_path, online_store("sqlite", tmp_path))
    one = view_of(tmp_path, "t", [Field(name="id", dtype=Int64), Field(name="a", dtype=kind)], [keys_of()])
    applied(store, [keys_of(), one])
    write(tmp_path, "t", pa.table({"id": [1], "at": pa.array([START], US), "a": column}))
    with pytest.raises(DefinitionError, match="t: 'a' is declared as"):
        publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)
