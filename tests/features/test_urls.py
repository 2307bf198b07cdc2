"""A table that is named by a URL, as those in object stores are: trained on, published, changed and written to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from feast import FeatureStore, FeatureView, Field
from feast.types import Int64

from lakehouse.features.engine import publish_view
from lakehouse.features.source import DeltaSource
from tests.online.stores import HOUR, START, US, applied, feast_store, keys_of, online_store


def put(url: str, rows: list[tuple[int, Any, int]]) -> None:
    ids, times, values = zip(*rows, strict=True)
    columns = pa.table({"id": pa.array(ids), "at": pa.array(times, US), "a": pa.array(values)})
    write_deltalake(url, columns, mode="append", configuration={"delta.enableChangeDataFeed": "true"})


def published(store: FeatureStore) -> tuple[str, int, list[int | None]]:
    done = publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START + HOUR)
    return done.status, done.rows, store.get_online_features(["t:a"], {"id": [1, 2, 3]}).to_dict()["a"]


def test_a_table_by_its_url(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/t"
    put(url, [(1, START, 10), (2, START, 20)])
    source = DeltaSource(name="t", path=url, timestamp_field="at")
    view = FeatureView(name="t", entities=[keys_of()], ttl=None, schema=[Field(name="a", dtype=Int64)], source=source)
    store = applied(feast_store(tmp_path, online_store("sqlite", tmp_path)), [keys_of(), view])
    asked = pa.table({"id": [1, 2, 3], "event_timestamp": pa.array([START + HOUR] * 3, US)})

    def trained() -> list[int | None]:
        found: list[int | None] = store.get_historical_features(asked, ["t:a"]).to_arrow()["a"].to_pylist()
        return found

    assert published(store) == ("done", 2, trained()) == ("done", 2, [10, 20, None])
    put(url, [(1, START + HOUR / 2, 11)])
    assert published(store) == ("done", 1, trained()) == ("done", 1, [11, 20, None])
    DeltaTable(url).delete("a = 11")
    assert published(store) == ("done", 1, trained()) == ("done", 1, [10, 20, None])
    assert published(store)[:2] == ("unchanged", 0)
    store.write_to_offline_store("t", pd.DataFrame({"id": [3], "at": [START], "a": [30]}))
    assert published(store) == ("done", 1, trained()) == ("done", 1, [10, 20, 30])
