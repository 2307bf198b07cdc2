"""Feast's own commands stay usable, with whatever dates; each version of a view has records of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feast import FeatureStore, Field
from feast.types import Int64, String

from tests.online.stores import HOUR, START, STORES, US, applied, feast_store, keys_of, online_store, view_of, write

LONG_AGO, FAR_AHEAD = datetime(1999, 1, 1, tzinfo=UTC), datetime(2222, 1, 1, tzinfo=UTC)


def rows(*values: tuple[int, int]) -> pa.Table:
    """Of each key a row an hour after START."""
    number, a = zip(*values, strict=True)
    times = pa.array([START + HOUR] * len(values), US)
    return pa.table({"id": pa.array(number), "at": times, "a": pa.array(a), "b": [str(one) for one in a]})


def answers(store: FeatureStore, *features: str) -> list[Any]:
    got = store.get_online_features(list(features), {"id": [1, 2]}).to_dict()
    return [got[one.partition(":")[2]] for one in features]


@pytest.mark.parametrize("kind", STORES)
def test_dates_choose_nothing(tmp_path: Path, kind: str) -> None:
    write(tmp_path, "t", rows((1, 1)))
    view = view_of(tmp_path, "t", [Field(name="a", dtype=Int64)], [keys_of()], ttl=timedelta(days=99999))
    store = applied(feast_store(tmp_path, online_store(kind, tmp_path)), [keys_of(), view])
    store.materialize(LONG_AGO, LONG_AGO + HOUR)
    assert answers(store, "t:a") == [[1, None]]
    store.materialize(LONG_AGO, FAR_AHEAD)
    write(tmp_path, "t", rows((2, 2)))
    store.materialize_incremental(datetime.now(UTC))
    assert answers(store, "t:a") == [[1, 2]]
    write(tmp_path, "t", rows((2, 3)), "overwrite")
    store.materialize_incremental(LONG_AGO)
    assert answers(store, "t:a") == [[None, 3]]
    store.materialize(FAR_AHEAD, FAR_AHEAD + HOUR)
    assert answers(store, "t:a") == [[None, 3]]


@pytest.mark.parametrize("kind", STORES)
def test_each_version_of_a_view_has_its_own_records(tmp_path: Path, kind: str) -> None:
    write(tmp_path, "t", rows((1, 1), (2, 2)))
    versioned = {"registry": {"enable_online_feature_view_versioning": True}}
    store = feast_store(tmp_path, online_store(kind, tmp_path), **versioned)
    applied(store, [keys_of(), view_of(tmp_path, "t", [Field(name="a", dtype=Int64)], [keys_of()])])
    store.materialize(LONG_AGO, FAR_AHEAD)
    both = [Field(name="a", dtype=Int64), Field(name="b", dtype=String)]
    applied(store, [keys_of(), view_of(tmp_path, "t", both, [keys_of()])])
    write(tmp_path, "t", rows((1, 5), (2, 6)), "overwrite")
    store.materialize(LONG_AGO, FAR_AHEAD)
    assert answers(store, "t:a", "t:b") == [[5, 6], ["5", "6"]]
    old = store.get_online_features(["t@v0:a"], {"id": [1, 2]}, full_feature_names=True).to_dict()
    new = store.get_online_features(["t@v1:a"], {"id": [1, 2]}, full_feature_names=True).to_dict()
    assert [one for name, one in old.items() if name != "id"] == [[1, 2]]
    assert [one for name, one in new.items() if name != "id"] == [[5, 6]]
