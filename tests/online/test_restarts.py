"""A Redis that is killed at a publisher's n-th command, and started again: the next run leaves what the table says."""

from __future__ import annotations

import random
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from redis.connection import AbstractConnection

from lakehouse.errors import OnlineStoreError
from lakehouse.features import records
from lakehouse.features.engine import publish_view
from lakehouse.online.leased import name_of
from tests.features.histories import KEYS, History, due
from tests.laws.corpus import seeds
from tests.online.redis_server import RedisServer
from tests.online.stores import START, applied, feast_store, redis_store, view_of
from tests.online.test_outages import ENTITIES, FIELDS, served

HERE = "tests/online/test_restarts.py::test_a_redis_that_is_started_again"


def strike(server: RedisServer, copy: Path | None, at: int, patch: pytest.MonkeyPatch) -> None:
    """At the ``at``-th command from now on it is started again: with a copy, or with all that it had by then."""
    send, left = AbstractConnection.send_packed_command, [at]

    def instead(self: Any, command: Any, check_health: bool = True) -> Any:
        left[0] -= 1
        if left[0] == 0:
            patch.undo()
            server.replaced(copy or server.copied(server.folder / "now.rdb"))
        return send(self, command, check_health)

    patch.setattr(AbstractConnection, "send_packed_command", instead)


@pytest.mark.parametrize("seed", seeds(HERE, quick=3, every=100))
def test_a_redis_that_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(records, "BATCH", 3)
    draw = random.Random(seed)
    history = History(tmp_path / "t", draw, feed=draw.random() < 0.5)
    with closing(RedisServer()) as server:
        store = feast_store(tmp_path, redis_store(f"localhost:{server.port}", timeout_s=10, as_of=START))
        view = view_of(tmp_path, "t", FIELDS, ENTITIES, source={"created_timestamp_column": "made"})
        applied(store, [*ENTITIES, view])

        def publish() -> str:
            return publish_view(store.config, store.provider.online_store, view, START).status

        publish()
        for most in (4, 12, 40):
            copy = server.copied(tmp_path / "copy")
            for _ in range(2):
                draw.choice([history.append, history.merge, history.delete])()
            with monkeypatch.context() as patch, suppress(OnlineStoreError):
                strike(server, copy if draw.random() < 0.5 else None, draw.randrange(1, most), patch)
                publish()
            server.client.delete(name_of("shop:t", "lock"))  # which the older state may hold; it ends by itself
            publish()
            seen = [due(history.rows, key, START, True, "ab") for key in KEYS]
            assert served(store) == [(None, None) if row is None else (row.a, row.b) for row in seen], f"seed {seed}"
            assert publish() == "unchanged"
