"""Pushed rows with nulls where a row has a key or a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from feast import FeatureStore, Field, PushSource
from feast.types import Int64

from lakehouse.errors import UsageError
from lakehouse.features.repository import quiet
from lakehouse.features.source import DeltaSource
from tests.online.stores import HOUR, START, STORES, applied, feast_store, keys_of, online_store, view_of, write
from tests.online.tens import rows

LATER = START + HOUR


def opened(folder: Path, kind: str) -> FeatureStore:
    """One view is pushed to by its name, the other one by its push source."""
    for name in ("t", "u"):
        write(folder, name, rows().append_column("made", rows()["at"]))
    store, fields = feast_store(folder, online_store(kind, folder)), [Field(name="a", dtype=Int64)]
    plain = view_of(folder, "t", fields, [keys_of()], source={"created_timestamp_column": "made"})
    pushed = view_of(folder, "u", fields, [keys_of()])
    batch = DeltaSource(name="u", path=folder / "u", timestamp_field="at", created_timestamp_column="made")
    pushed.stream_source = PushSource(name="pushes", batch_source=batch)
    pushed.batch_source = batch
    return applied(store, [keys_of(), plain, pushed])


def frame(**more: Any) -> pd.DataFrame:
    given = {"id": [1, 2], "at": [LATER, LATER], "made": [LATER, LATER], "a": [5, 6], **more}
    kinds = {"id": "Int64", "at": "datetime64[us, UTC]", "made": "datetime64[us, UTC]", "a": "Int64"}
    return pd.DataFrame({name: pd.array(values, dtype=kinds[name]) for name, values in given.items()})


def send(store: FeatureStore, name: str, sent: pd.DataFrame) -> None:
    with quiet():
        if name == "t":
            store.write_to_online_store("t", sent)
        else:
            store.push("pushes", sent)


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("name", ["t", "u"])
def test_what_a_row_must_have(tmp_path: Path, kind: str, name: str) -> None:
    """All of it is refused; a created time is not needed, and one that is null is before every other."""
    store = opened(tmp_path, kind)
    for column, said in (("at", f"a row for '{name}' has no event time"), ("id", "the key 'id' is null")):
        with pytest.raises(UsageError, match=said):
            send(store, name, frame(**{column: [frame()[column][0], None]}))
    assert store.get_online_features([f"{name}:a"], {"id": [1, 2]}).to_dict()["a"] == [None, None]
    send(store, name, frame(made=[None, LATER]))
    assert store.get_online_features([f"{name}:a"], {"id": [1, 2]}).to_dict()["a"] == [5, 6]
    send(store, name, frame(a=[7, 8], made=[LATER, None]))
    assert store.get_online_features([f"{name}:a"], {"id": [1, 2]}).to_dict()["a"] == [7, 6]
