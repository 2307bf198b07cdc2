"""Publishing to a store of Feast's own, by Feast's interface: it holds what the table's version says.

DynamoDB is played by moto, in this process.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from feast import FeatureStore, Field, ValueType
from feast.types import Int64, String

from lakehouse.errors import LockedError, OnlineStoreError
from lakehouse.features import records
from lakehouse.features.cursor import Published
from lakehouse.features.engine import publish_view
from lakehouse.features.ledger import feast_publication, ledger_file
from tests.features.histories import HOUR, KEYS, History, due
from tests.features.test_publishing_law import Killed, interrupted_at
from tests.online.stores import START, applied, cases, feast_store, keys_of, view_of

FIELDS = [Field(name="a", dtype=Int64), Field(name="b", dtype=String)]


FEASTS = ["sqlite", "dynamodb"]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An Amazon of the test's own; no word leaves this process."""
    from moto import mock_aws

    for name in [*filter(re.compile("AWS_").match, os.environ)]:
        monkeypatch.delenv(name)
    with mock_aws():
        yield


def make(folder: Path, kind: str = "sqlite") -> FeatureStore:
    online = {
        "sqlite": {"type": "sqlite", "path": str(folder / "stock.db")},
        "dynamodb": {"type": "dynamodb", "region": "eu-central-1"},
    }
    store = feast_store(folder, online[kind])
    keys = [keys_of(), keys_of("sub", ValueType.STRING)]
    view = view_of(folder, "t", FIELDS, keys, source={"created_timestamp_column": "made"})
    return applied(store, [*keys, view])


def publish(store: FeatureStore, now: datetime) -> Published:
    return publish_view(store.config, store.provider.online_store, store.get_feature_view("t"), now)


def served(store: FeatureStore) -> list[tuple[object, object]]:
    keys = [{"id": number, "sub": sub} for number, sub in KEYS]
    got = store.get_online_features(["t:a", "t:b"], keys).to_dict()
    return list(zip(got["a"], got["b"], strict=True))


def expected(history: History, now: datetime) -> list[tuple[object, object]]:
    seen = [due(history.rows, key, now, True, "ab") for key in KEYS]
    return [(None, None) if row is None else (row.a, row.b) for row in seen]


@pytest.mark.parametrize(
    ("kind", "seed"), cases("tests/features/test_ledger.py::test_histories", quick=3, every=60, kinds=FEASTS)
)
def test_histories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: None, kind: str, seed: int) -> None:
    """Late rows, corrections, deletes, rows dated ahead, tables made anew, a feed that is gone, publishers killed."""
    monkeypatch.setattr(records, "BATCH", 3)
    draw = random.Random(seed)
    history, store, now = History(tmp_path / "t", draw), make(tmp_path, kind), START
    done = []
    for _ in range(14):
        done.append(history.step())
        if draw.random() < 0.2:
            done.append("killed")
            with pytest.MonkeyPatch.context() as patch:
                interrupted_at(store.provider.online_store, "online_write_batch", draw.randrange(1, 5), patch)
                try:
                    publish(store, now)
                except Killed:
                    done.append("indeed")
        if draw.random() < 0.6:
            now += draw.choice([0, 3, 9]) * HOUR
            done.append("publish")
            publish(store, now)
            assert served(store) == expected(history, now), f"seed {seed}, after {', '.join(done)}"
            assert publish(store, now).status == "unchanged"
            now += 7 * HOUR
            publish(store, now)
            assert served(store) == expected(history, now), f"seed {seed}, due after {', '.join(done)}"


def test_two_at_once_and_a_store_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    History(tmp_path / "t", random.Random(1))
    store = make(tmp_path)
    online, view = store.provider.online_store, store.get_feature_view("t")
    layout = records.ViewRows.of(store.config, view, START).layout
    other = feast_publication(store.config, online, view, layout, START)
    with other, pytest.raises(LockedError, match="another run is publishing"):
        publish(store, START)
    monkeypatch.setattr(online, "online_write_batch", lambda *_: 1 / 0)
    with pytest.raises(OnlineStoreError, match="t can't be written to SqliteOnlineStore: division by zero"):
        publish(store, START)
    monkeypatch.undo()
    assert publish(store, START).status == "done"
    ledger_file(store.config).write_bytes(b"no database" * 99)
    with pytest.raises(OnlineStoreError, match="which says how far views were published, can't be used"):
        publish(store, START)
