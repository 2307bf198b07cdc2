"""Pushed rows that name some features each, in any order: each feature is of the latest row that names it."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest
from feast import Field
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Int64

from lakehouse.features.engine import publish_view
from tests.online.stores import HOUR, START, STORES, US, applied, feast_store, keys_of, online_store, view_of, write

FEATURES = ("a", "b", "c")
ROW = 5
"""The hour of the row that is published."""


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize(("seed", "ttl"), [(0, None), (1, None), (2, None), (3, None), (4, 4), (5, 6), (6, 9)])
def test_in_any_order(tmp_path: Path, kind: str, seed: int, ttl: int | None) -> None:
    """A feature is of the newest row that names it, unless that is older than the ttl (hours) allows."""
    draw = random.Random(seed)
    published = {name: number for number, name in enumerate(FEATURES)}
    row = {"id": [1], "at": pa.array([START + ROW * HOUR], US), **{name: [one] for name, one in published.items()}}
    write(tmp_path, "t", pa.table(row))
    fields = [Field(name=name, dtype=Int64) for name in FEATURES]
    online = online_store(kind, tmp_path, as_of=START + 12 * HOUR)
    store = applied(
        feast_store(tmp_path, online), [keys_of(), view_of(tmp_path, "t", fields, [keys_of()], ttl=ttl and ttl * HOUR)]
    )
    view, into = store.get_feature_view("t"), store.provider.online_store
    publish_view(store.config, into, view, START + 12 * HOUR)
    key = EntityKey(join_keys=["id"], entity_values=[Value(int64_val=1)])
    # Hours before the published row, after it, and after the moment of the look-up.
    pushes = [
        (hour, {name: 100 * hour + place for place, name in enumerate(FEATURES) if draw.random() < 0.5})
        for hour in draw.sample([*range(1, 12), 14, 15], 9)
    ]
    for hour, values in pushes:
        messages = {name: Value(int64_val=value) for name, value in values.items()}
        if messages:
            into.online_write_batch(store.config, view, [(key, messages, START + hour * HOUR, None)], None)
    for moment in (12, 14, 15):
        store.config.online_store.as_of = START + moment * HOUR
        found = store.get_online_features([f"t:{name}" for name in FEATURES], {"id": [1]}).to_dict()
        for name in FEATURES:
            values = {ROW: published[name]}
            values |= {hour: pushed[name] for hour, pushed in pushes if name in pushed and ROW < hour <= moment}
            newest = max(values)
            wanted = values[newest] if ttl is None or moment - newest <= ttl else None
            assert found[name] == [wanted], (name, moment, pushes)
