"""A table whose key 7 has the value 70, and 71 after a change; published, and looked up key by key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
from feast import FeatureStore, Field
from feast.types import Int64

from lakehouse.errors import OnlineStoreError
from lakehouse.features.engine import publish_view
from tests.online.stores import START, US, applied, feast_store, keys_of, view_of, write

NUMBERS = list(range(40))
LOOKS = ["sync", "async"]


def rows(more: int = 0) -> pa.Table:
    numbers = pa.array(NUMBERS, pa.int64())
    return pa.table(
        {"id": numbers, "at": pa.array([START] * len(NUMBERS), US), "a": [one * 10 + more for one in NUMBERS]}
    )


def opened(folder: Path, online: dict[str, Any]) -> FeatureStore:
    write(folder, "t", rows(), "overwrite")
    return applied(
        feast_store(folder, online), [keys_of(), view_of(folder, "t", [Field(name="a", dtype=Int64)], [keys_of()])]
    )


def publish(store: FeatureStore) -> str:
    return publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), START).status


def look(store: FeatureStore, how: str, *numbers: int) -> Any:
    keys = {"id": list(numbers)}
    if how == "sync":
        return store.get_online_features(["t:a"], keys)
    return asyncio.run(store.get_online_features_async(["t:a"], keys))


def looked_up(store: FeatureStore, how: str) -> list[Any]:
    """Each key by itself, so that an answer that is meant for another would be seen."""
    return [look(store, how, number).to_dict()["a"][0] for number in NUMBERS]


def right(more: int = 0) -> list[int]:
    return [number * 10 + more for number in NUMBERS]


def within_reason(call: Callable[[], Any]) -> Any:
    """The error that a call ends with, by itself: it would hang for ever but for its timeout."""
    ended: list[Any] = []

    def calling() -> None:
        try:
            ended.append(call())
        except Exception as error:
            ended.append(error)

    thread = Thread(target=calling, daemon=True)
    thread.start()
    thread.join(30)
    assert ended, "it hangs"
    return ended[0]


def refused(error: Any, *said: str) -> None:
    assert isinstance(error, OnlineStoreError), repr(error)
    assert all(word in str(error) for word in said), str(error)
