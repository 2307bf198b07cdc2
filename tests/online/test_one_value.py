"""What serving answers is what training gives for the same moment, out of one table."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore, Field
from feast.types import Int64

from lakehouse.features.cursor import Published
from lakehouse.features.engine import publish_view
from tests.online.stores import HOUR, START, STORES, US, applied, feast_store, keys_of, online_store, view_of, write


def publish(store: FeatureStore, now: datetime = START) -> Published:
    return publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), now)


def trained(store: FeatureStore, ids: list[int], features: list[str]) -> list[dict[str, Any]]:
    asked = pd.DataFrame({"id": ids, "event_timestamp": [START] * len(ids)})
    return store.get_historical_features(asked, features).to_arrow().drop(["id", "event_timestamp"]).to_pylist()


def served(store: FeatureStore, ids: list[int], features: list[str]) -> list[dict[str, Any]]:
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
