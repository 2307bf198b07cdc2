"""A column that can't be what its view declares is refused at apply, in training and in publishing alike."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from feast import Entity, Field, ValueType
from feast.types import (
    Array,
    Bool,
    Bytes,
    Decimal,
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
from lakehouse.online.response import NOT_FOUND, PRESENT
from tests.online.stores import START, STORES, US, applied, feast_store, keys_of, online_store, view_of, write

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


KEYS = {
    "text": pa.array(["1"]),
    "whole": pa.array([1]),
    "gaps": pa.array([1.0]),  # as pandas writes whole numbers of which some are missing
    "bytes": pa.array([b"1"]),
    "time": pa.array([START], US),
}
FIT = {
    ValueType.STRING: {"text"},
    ValueType.INT32: {"whole", "gaps"},
    ValueType.INT64: {"whole", "gaps"},
    ValueType.BYTES: {"bytes"},
    ValueType.UNIX_TIMESTAMP: {"time"},
}


@pytest.mark.parametrize("column", KEYS)
@pytest.mark.parametrize("value_type", FIT, ids=lambda one: one.name)
def test_a_key_of_another_kind_than_its_entity_is_refused(tmp_path: Path, value_type: ValueType, column: str) -> None:
    """Else training would find only keys as the table has them, and look-ups only keys as the entity says."""
    write(tmp_path, "t", pa.table({"key": KEYS[column], "at": pa.array([START], US), "a": [7]}))
    entity = Entity(name="id", join_keys=["id"], value_type=value_type)
    one = view_of(
        tmp_path, "t", [Field(name="a", dtype=Int64)], [entity], source={"field_mapping": {"key": "id"}}, ttl=None
    )
    rows = pa.table({"id": KEYS[column], "event_timestamp": pa.array([START], US)})
    store = feast_store(tmp_path, online_store("sqlite", tmp_path))
    if column in FIT[value_type]:
        applied(store, [entity, one])
        assert store.get_historical_features(rows, ["t:a"]).to_arrow()["a"].to_pylist() == [7]
        publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)
        assert store.get_online_features(["t:a"], {"id": KEYS[column].to_pylist()}).to_dict()["a"] == [7]
        return
    said = f"t: the key 'key' is .*, but the entity of 't' says {value_type.name}"
    with pytest.raises(DefinitionError, match=said):
        applied(store, [entity, one])
    other = feast_store(tmp_path / "other", online_store("sqlite", tmp_path), batch_engine={"type": "local"})
    applied(other, [entity, one])
    with pytest.raises(DefinitionError, match=said):
        other.get_historical_features(rows, ["t:a"])
    with pytest.raises(DefinitionError, match=said):
        publish_view(other.config, store.provider.online_store, other.get_feature_view("t"), START)


def test_a_key_whose_entity_says_no_type_is_of_its_column_s(tmp_path: Path) -> None:
    write(tmp_path, "t", pa.table({"id": KEYS["whole"], "at": pa.array([START], US), "a": [7]}))
    with pytest.warns(DeprecationWarning, match="value_type"):
        entity = Entity(name="id", join_keys=["id"])
    one = view_of(tmp_path, "t", [Field(name="a", dtype=Int64)], [entity], ttl=None)
    store = applied(feast_store(tmp_path, online_store("sqlite", tmp_path)), [entity, one])
    publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START)
    assert store.get_online_features(["t:a"], {"id": [1]}).to_dict()["a"] == [7]


FAR = {"year 33658": 10**18, "before the year 1": -(10**17)}


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (Uuid, pa.array(["0" * 32, "oops"]), "'oops'"),
        (TimeUuid, pa.array(["0" * 32, ""]), "''"),
        (Array(Uuid), pa.array([["0" * 32], ["0" * 32, "oops"]]), "'oops'"),
        (Set(TimeUuid), pa.array([["0" * 32], ["oops"]]), "'oops'"),
        (Decimal, pa.array(["1.5", "oops"]), "'oops'"),
        (Set(Decimal), pa.array([["1.5"], ["oops"]]), "'oops'"),
        (Json, pa.array(["{}", "oops"]), "JSON"),
        *((UnixTimestamp, pa.array([0, far], US), "years 1 to 9999") for far in FAR.values()),
        (Array(UnixTimestamp), pa.array([[0], [FAR["year 33658"]]], pa.list_(US)), "years 1 to 9999"),
        (Set(UnixTimestamp), pa.array([[0], [FAR["year 33658"]]], pa.list_(US)), "years 1 to 9999"),
        (ZonedTimestamp, pa.array([0, FAR["year 33658"]], US), "years 1 to 9999"),
        (Map, pa.array([[], [("a", FAR["year 33658"])]], pa.map_(pa.string(), US)), "out of range"),
    ],
    ids=str,
)
def test_a_value_that_no_look_up_could_give_is_not_published(
    tmp_path: Path, kind: Any, given: pa.Array, said: str
) -> None:
    """Else one bad row would fail each look-up that has its key among others."""
    write(tmp_path, "t", pa.table({"id": [1, 2], "at": pa.array([START] * 2, US), "a": given}))
    one = view_of(tmp_path, "t", [Field(name="a", dtype=kind)], [keys_of()])
    store = applied(feast_store(tmp_path, online_store("sqlite", tmp_path)), [keys_of(), one])
    with pytest.raises(DefinitionError, match=f"t: 'a' .*{said}"):
        publish_view(store.config, store.provider.online_store, one, START)


def test_the_first_and_the_last_time_of_all_are_published(tmp_path: Path) -> None:
    ends = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
    write(tmp_path, "t", pa.table({"id": [1, 2], "at": pa.array([START] * 2, US), "a": pa.array(ends, US)}))
    one = view_of(tmp_path, "t", [Field(name="a", dtype=UnixTimestamp)], [keys_of()])
    store = applied(feast_store(tmp_path, online_store("sqlite", tmp_path)), [keys_of(), one])
    publish_view(store.config, store.provider.online_store, one, START)
    assert store.get_online_features(["t:a"], {"id": [1, 2]}).to_dict()["a"] == ends


CHANGES = {
    "set": (Array(String), Set(String), pa.array([["a"], ["b"]])),
    "uuid": (Array(String), Uuid, pa.array([["a"], ["b"]])),
    "bytes": (Array(String), Array(Bytes), pa.array([["a"], ["b"]])),
    "map": (Array(String), Map, pa.array([["a"], ["b"]])),
    "list": (Map, Array(String), pa.array([[("k", 1)], [("k", 2)]], pa.map_(pa.string(), pa.int64()))),
    "json": (Decimal, Json, pa.array(["1.5", "2.5"])),
    "pdf": (ZonedTimestamp, PdfBytes, pa.array([START, START], US)),
    "zoned": (PdfBytes, ZonedTimestamp, pa.array([b"a", b"b"])),
}


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize(("before", "after", "given"), CHANGES.values(), ids=CHANGES)
def test_a_value_of_the_type_that_was_is_not_given(
    tmp_path: Path, kind: str, before: Any, after: Any, given: pa.Array
) -> None:
    """Both types stand in records as Feast's messages: a message says of which it is."""
    write(tmp_path, "t", pa.table({"id": [1, 2], "at": pa.array([START] * 2, US), "a": given, "b": [7, 8]}))
    one, two = (
        view_of(tmp_path, "t", [Field(name="a", dtype=dtype), Field(name="b", dtype=Int64)], [keys_of()])
        for dtype in (before, after)
    )
    online = online_store(kind, tmp_path)
    store = applied(feast_store(tmp_path, online, batch_engine={"type": "local"}), [keys_of(), one])
    publish_view(store.config, store.provider.online_store, one, START)
    applied(store, [keys_of(), two])
    got = store.get_online_features(["t:a", "t:b"], {"id": [1, 2, 3]})
    assert got.to_dict() == {"id": [1, 2, 3], "a": [None] * 3, "b": [7, 8, None]}
    assert statuses(got) == {"id": [PRESENT] * 3, "a": [NOT_FOUND] * 3, "b": [PRESENT] * 2 + [NOT_FOUND]}
    late = pa.table({"id": [1], "at": pa.array([START], US), "a": pa.nulls(1), "b": [9]}).to_pandas()
    store.write_to_online_store("t", late)  # over the record: what it does not say is the record's
    got = store.get_online_features(["t:a", "t:b"], {"id": [1]})
    assert got.to_dict()["a"] == [None]
    assert statuses(got)["a"] == [NOT_FOUND]


def statuses(got: Any) -> dict[str, list[int]]:
    """By name: in which order Feast takes a view's features is chance."""
    names = got.proto.metadata.feature_names.val
    return {name: list(column.statuses) for name, column in zip(names, got.proto.results, strict=True)}
