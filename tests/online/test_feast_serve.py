"""``feast serve`` on each store: Feast's own app answers look-ups and takes pushes, and says whose mistake it was."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from feast import FeatureStore, Field, PushSource
from feast.feature_server import get_app
from feast.types import Int64

from tests.online.redis_server import RedisServer
from tests.online.stores import START, STORES, applied, feast_store, keys_of, online_store, redis_store, view_of, write
from tests.online.tens import publish, rows

SHORT = {"timeout_s": 0.6}


def opened(folder: Path, online: dict[str, Any]) -> FeatureStore:
    write(folder, "t", rows(), "overwrite")
    view = view_of(folder, "t", [Field(name="a", dtype=Int64)], [keys_of()])
    view = type(view)(
        name="t",
        entities=[keys_of()],
        schema=[Field(name="a", dtype=Int64)],
        source=PushSource(name="pushes", batch_source=view.batch_source),
        ttl=timedelta(0),
    )
    store = applied(feast_store(folder, online), [keys_of(), view])
    publish(store)
    return store


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with closing(RedisServer()) as made:
        yield made


class Client:
    """Asks Feast's app as a server would hand it requests, all in one event loop."""

    def __init__(self, store: FeatureStore) -> None:
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app=get_app(store, 1), raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://feast")
        self._online = store.provider.online_store

    def post(self, path: str, given: Any) -> httpx.Response:
        return self._runner.run(self._client.post(path, json=given))

    def close(self) -> None:
        self._runner.run(self._online.close())
        self._runner.close()


def ask(client: Client, feature: str, *keys: Any, name: str = "id") -> httpx.Response:
    return client.post("/get-online-features", {"features": [feature], "entities": {name: list(keys)}})


def values(answer: httpx.Response) -> tuple[list[Any], list[str]]:
    assert answer.status_code == 200, answer.text
    found = answer.json()["results"][1]
    return found["values"], found["statuses"]


@pytest.mark.parametrize("kind", STORES)
def test_look_ups_and_pushes(tmp_path: Path, kind: str) -> None:
    store = opened(tmp_path, online_store(kind, tmp_path))
    with closing(Client(store)) as client:
        assert values(ask(client, "t:a", 7, 3, 99)) == ([70, 30, None], ["PRESENT", "PRESENT", "NOT_FOUND"])
        row = {"id": [7], "at": [(START + timedelta(hours=1)).isoformat()], "a": [700]}
        assert client.post("/push", {"push_source_name": "pushes", "df": row, "to": "online"}).status_code == 200
        assert values(ask(client, "t:a", 7, 3)) == ([700, 30], ["PRESENT", "PRESENT"])
        wrong = [
            ask(client, "t:a", "seven"),
            ask(client, "t:a", 7, name="ix"),
            ask(client, "t:aa", 7),
            ask(client, "x:a", 7),
        ]
        assert [one.status_code for one in wrong] == [422, 422, 404, 404]
        assert "Did you mean 'a'" in wrong[2].text


def test_a_server_that_is_away_and_comes_back(tmp_path: Path, server: RedisServer) -> None:
    store = opened(tmp_path, redis_store(f"localhost:{server.port}", **SHORT))
    with closing(Client(store)) as client:
        assert values(ask(client, "t:a", 7))[0] == [70]
        server.halt()
        away = ask(client, "t:a", 7)
        server.go_on()
        assert (away.status_code, "does not answer" in away.text) == (503, True)
        assert values(ask(client, "t:a", 7))[0] == [70]
        server.kill()
        assert ask(client, "t:a", 7).status_code == 503
        store.config.online_store.unavailable = "null"
        assert values(ask(client, "t:a", 7)) == ([None], ["INVALID"])
