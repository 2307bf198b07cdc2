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
    Int32,
    Int64,
    Json,
    Map,
    Set,
    String,
    TimeUuid,
    UnixTimestamp,
    Uuid,
)

from lakehouse.errors import DefinitionError
from lakehouse.features.engine import publish_view
from lakehouse.online.kinds import NO_TIME
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
}
ROWS = 3
"""The last one is null throughout."""


def columns() -> pa.Table:
    """A row of each value, and one of nulls."""
    made = {"id": pa.array(range(ROWS), pa.int64()), "at": pa.array([START] * ROWS, US)}
    for name, (_, kind, values) in TYPES.items():
        listed = [list(one.items()) if isinstance(one, dict) else one for one in values]
        made[name] = pa.array([*listed, None], kind)
    return pa.table(made)


def frame() -> pd.DataFrame:
    """The same as a caller pushes it."""
    wanted = {name: pd.Series([*values, None], dtype=object) for name, (_, _, values) in TYPES.items()}
    return pd.DataFrame({"id": range(ROWS), "at": [START] * ROWS, **wanted})


def view(folder: Path) -> Any:
    fields = [Field(name=name, dtype=kind) for name, (kind, _, _) in TYPES.items()]
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
    """To the type; the order within a set is chance."""
    return [repr(sorted(value, key=repr)) if isinstance(value, set) else repr(value) for value in values]


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
    ("kind", "column"),
    [(Int64, ["5"]), (String, [5]), (Bool, [2]), (Int64, [1.5]), (Int32, [2**40]), (UnixTimestamp, [7])],
)
def test_a_column_of_another_type_is_refused(tmp_path: Path, kind: Any, column: list[Any]) -> None:
    """Training gives what the table has: serving must not make something else of it."""
    write(tmp_path, "t", pa.table({"id": [1], "at": pa.array([START], US), "a": column}))
    store = feast_store(tmp_path, online_store("sqlite", tmp_path))
    one = view_of(tmp_path, "t", [Field(name="id", dtype=Int64), Field(name="a", dtype=kind)], [keys_of()])
    applied(store, [keys_of(), one])
    with pytest.raises(DefinitionError, match="t: 'a' is declared as"):
        publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)
