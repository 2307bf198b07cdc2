"""What is served is logged: of the same keys always, whole, without a word lost that is not counted."""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from feast import FeatureStore, Field
from feast.repo_config import RepoConfig
from feast.types import Float64, Int64, String, UnixTimestamp

from lakehouse.features.engine import publish_view
from lakehouse.online.response import NOT_FOUND, PRESENT
from lakehouse.online.served import ServedLog
from tests.online.stores import HOUR, START, STORES, US, applied, feast_store, keys_of, online_store, view_of, write

KEYS = 200
FEATURES = ["spend:total", "spend:name", "visits:count", "visits:last"]


def store_in(folder: Path, kind: str = "sqlite", **log: Any) -> FeatureStore:
    """A repository with two published views of the same key; what is served of them is logged."""
    settings = {"log": {"path": "served", "every_s": 3600, **log}} if log else {}
    store = feast_store(folder, online_store(kind, folder, as_of=START + HOUR, **settings))
    ids, at = pa.array(range(KEYS), pa.int64()), pa.array([START] * KEYS, US)
    totals = pa.array([number / 3 for number in range(KEYS)])
    names = pa.array([None if number % 7 == 0 else f"é{number}" for number in range(KEYS)])
    write(folder, "spend", pa.table({"id": ids, "at": at, "total": totals, "name": names}), mode="overwrite")
    write(folder, "visits", pa.table({"id": ids, "at": at, "count": ids, "last": at}), mode="overwrite")
    entity = keys_of()
    views = [
        view_of(folder, "spend", [Field(name="total", dtype=Float64), Field(name="name", dtype=String)], [entity]),
        view_of(
            folder, "visits", [Field(name="count", dtype=Int64), Field(name="last", dtype=UnixTimestamp)], [entity]
        ),
    ]
    applied(store, [entity, *views])
    for view in views:
        publish_view(store.config, store.provider.online_store, view, START)
    return store


def log_of(store: FeatureStore) -> ServedLog:
    log = store.provider.online_store.log(store.config)
    assert log is not None
    return log


def written(store: FeatureStore) -> list[dict[str, Any]]:
    """The rows of the log, once all that waits is written."""
    log = log_of(store)
    log.flush()
    if not DeltaTable.is_deltatable(log.path):
        return []
    rows = DeltaTable(log.path).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: (row["answered_at"], row["view"], row["row"]))


def ask(store: FeatureStore, ids: list[Any], features: list[str] = FEATURES, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = store.get_online_features(features, {"id": ids}, **options).to_dict()
    return answer


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("how", ["sync", "async"])
def test_each_vector_is_a_row(tmp_path: Path, kind: str, how: str) -> None:
    store = store_in(tmp_path, kind, share=1.0)
    asked = [3, None, 7, 10_000]
    if how == "sync":
        answer = ask(store, asked, full_feature_names=True)
    else:
        looked = store.get_online_features_async(FEATURES, {"id": asked}, full_feature_names=True)
        answer = asyncio.run(looked).to_dict()
    rows = written(store)
    assert [(row["view"], row["row"], row["keys"]) for row in rows] == [
        (view, row, json.dumps({"id": key}))
        for view in ("spend", "visits")
        for row, key in ((0, 3), (2, 7), (3, 10_000))
    ]
    assert len({row["request"] for row in rows}) == 1
    assert {row["at"] for row in rows} == {START + HOUR}
    for row in rows:
        table = DeltaTable(tmp_path / row["view"])
        known = json.loads(row["keys"])["id"] < KEYS
        assert (row["table_id"], row["version"]) == (str(table.metadata().id), 0 if known else None)
        assert (row["published"], row["pushed"], row["dropped"]) == (0, False, 0)
        for name, value in json.loads(row["features"]).items():
            given = answer[f"{row['view']}__{name}"][row["row"]]
            assert value == (given.isoformat() if name == "last" and given else given)
            assert json.loads(row["statuses"])[name] == (PRESENT if known else NOT_FOUND)
    assert json.loads(rows[0]["types"]) == {"total": "DOUBLE", "name": "STRING"}


def test_a_share_of_the_keys_is_logged_and_always_the_same_ones(tmp_path: Path) -> None:
    store = store_in(tmp_path, share=0.3)
    for _ in range(3):
        ask(store, list(range(KEYS)))
    ask(store, list(range(KEYS))[::-1], ["visits:count"])
    counts: dict[int, int] = {}
    for row in written(store):
        key = json.loads(row["keys"])["id"]
        counts[key] = counts.get(key, 0) + 1
    assert 0.2 * KEYS < len(counts) < 0.4 * KEYS
    assert set(counts.values()) == {7}, "a key that is logged is logged each time, in each view"


def test_what_finds_no_room_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = store_in(tmp_path, share=1.0, most=50)
    log = log_of(store)
    with log._writing:  # the disk is slow
        for _ in range(3):
            ask(store, list(range(40)))
        assert log.dropped == 3 * 80 - 50
    rows = written(store)
    assert len(rows) == 50
    assert sum(row["dropped"] for row in rows) == 190
    assert log.dropped == 0
    assert "190 vectors were dropped: more than 50 waited" in caplog.text
    ask(store, [1])
    assert [row["dropped"] for row in written(store)[-2:]] == [0, 0]


def test_serving_goes_on_while_the_log_can_not_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = store_in(tmp_path, share=1.0)
    (tmp_path / "served").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert ask(store, [1, 2])["count"] == [1, 2]
        log_of(store).flush()
        log_of(store).flush()
    said = [record.getMessage() for record in caplog.records if "can't be written" in record.getMessage()]
    assert len(said) == 1 and "4 vectors wait" in said[0]
    (tmp_path / "served").unlink()
    assert len(written(store)) == 4
    assert len(written(store)) == 4


def test_nothing_is_logged_that_nobody_asked_for(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    ask(store, [1])
    assert store.provider.online_store.log(store.config) is None


def test_a_pushed_row_is_marked(tmp_path: Path) -> None:
    store = store_in(tmp_path, share=1.0)
    row = pa.table({"id": [5], "at": pa.array([START + timedelta(minutes=1)], US), "total": [1.5], "name": ["new"]})
    store.write_to_online_store("spend", row.to_pandas())
    assert ask(store, [4, None, 5])["total"] == [4 / 3, None, 1.5]
    marked = {(row["view"], json.loads(row["keys"])["id"]): row["pushed"] for row in written(store)}
    assert marked == {("spend", 4): False, ("spend", 5): True, ("visits", 4): False, ("visits", 5): False}


def _fork_and_serve(config: RepoConfig) -> None:
    """A server that has its log before it forks, as one does that loads before its workers begin."""
    store = FeatureStore(config=config)
    log = log_of(store)
    with log._writing:
        ask(store, [7])
        worker = os.fork()
        if worker == 0:
            ask(store, [8])
            log.flush()
            os._exit(0)
        assert os.waitpid(worker, 0)[1] == 0
    log.flush()


def test_a_fork_logs_what_it_serves_and_not_what_its_parent_did(tmp_path: Path) -> None:
    """In a process of its own: delta-rs, which wrote the tables here, works in no fork of a process that used it."""
    store = store_in(tmp_path, share=1.0)
    server = multiprocessing.get_context("spawn").Process(target=_fork_and_serve, args=(store.config,))
    server.start()
    server.join(120)
    assert server.exitcode == 0
    assert sorted(row["keys"] for row in written(store)) == ['{"id": 7}'] * 2 + ['{"id": 8}'] * 2
