"""A column that can't be what its view declares is refused at apply, in training and in publishing alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from feast import Field
from feast.types import (
    Array,
    Bool,
    Bytes,
    Int64,
    Json,
    Map,
    PdfBytes,
    ScalarMap,
    Set,
    String,
    Struct,
    UnixTimestamp,
    Uuid,
    ZonedTimestamp,
)

from lakehouse.errors import DefinitionError
from lakehouse.features.engine import publish_view
from tests.online.stores import START, US, applied, feast_store, keys_of, online_store, view_of, write

PERSON = {"name": String, "age": Int64}
TEXTS, NESTED = pa.list_(pa.string()), pa.list_(pa.list_(pa.int64()))


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        (Uuid, pa.int64()),
        (Uuid, pa.binary(16)),
        (PdfBytes, pa.string()),
        (Array(String), pa.string()),
        (Array(String), pa.list_(pa.int64())),
        (Array(Bytes), TEXTS),
        (Array(Map), TEXTS),
        (Set(Int64), pa.map_(pa.int64(), pa.string())),
        (Set(UnixTimestamp), pa.list_(pa.int64())),
        (Map, pa.int64()),
        (Map, pa.map_(pa.int64(), pa.string())),
        (ScalarMap, pa.map_(pa.string(), pa.string())),
        (Struct(PERSON), pa.string()),
        (Struct(PERSON), pa.struct([("name", pa.string()), ("age", pa.string())])),
        (Array(Array(Int64)), TEXTS),
        (Array(Array(Int64)), pa.list_(TEXTS)),
        (Array(Array(String)), TEXTS),
        (Set(Array(String)), pa.map_(pa.string(), pa.int64())),
        (Array(Array(Array(Bool))), NESTED),
        (Json, US),
        (Json, pa.struct([("a", pa.binary())])),
        (ZonedTimestamp, pa.string()),
    ],
    ids=str,
)
def test_a_column_that_can_not_hold_the_type_is_refused_at_apply(tmp_path: Path, kind: Any, column: Any) -> None:
    write(tmp_path, "t", pa.table({"id": [1], "at": pa.array([START], US), "a": pa.nulls(1, column)}))
    one = view_of(tmp_path, "t", [Field(name="a", dtype=kind)], [keys_of()])
    store = feast_store(tmp_path, online_store("sqlite", tmp_path))
    with pytest.raises(DefinitionError, match="t: 'a' is declared as"):
        applied(store, [keys_of(), one])
    rows = pd.DataFrame({"id": [1], "event_timestamp": [START]})
    store = feast_store(tmp_path / "trained", online_store("sqlite", tmp_path), batch_engine={"type": "local"})
    applied(store, [keys_of(), one])
    with pytest.raises(DefinitionError, match="t: 'a' is declared as"):
        store.get_historical_features(rows, ["t:a"])
    with pytest.raises(DefinitionError, match="t: 'a' is declared as"):
        publish_view(store.config, store.provider.online_store, one, START)


@pytest.mark.parametrize(
    ("kind", "column", "given", "served"),
    [
        (Map, pa.struct([("a", pa.int64())]), {"a": 1}, {"a": 1}),
        (Map, pa.string(), '{"a": 1}', {"a": 1}),
        (Struct({"a": Int64}), pa.map_(pa.string(), pa.int64()), [("a", 1)], {"a": 1}),
        (Json, pa.struct([("a", pa.list_(pa.float64()))]), {"a": [0.5]}, {"a": [0.5]}),
        (Json, pa.map_(pa.string(), pa.bool_()), [("a", True)], {"a": True}),
        (Array(Json), TEXTS, ['{"a": 1}'], [{"a": 1}]),
        (Array(Array(String)), NESTED, [[1]], [[1]]),  # so Feast calls every list of lists that it finds
        (Array(Set(Int64)), NESTED, [[1]], [[1]]),
    ],
    ids=str,
)
def test_other_columns_that_hold_a_type(tmp_path: Path, kind: Any, column: Any, given: Any, served: Any) -> None:
    write(tmp_path, "t", pa.table({"id": [1], "at": pa.array([START], US), "a": pa.array([given], column)}))
    one = view_of(tmp_path, "t", [Field(name="a", dtype=kind)], [keys_of()])
    store = applied(feast_store(tmp_path, online_store("sqlite", tmp_path)), [keys_of(), one])
    publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)
    assert store.get_online_features(["t:a"], {"id": [1]}).to_dict()["a"] == [served]
