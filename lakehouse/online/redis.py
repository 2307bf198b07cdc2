"""``online_store: {type: lakehouse.online.redis.RedisOnlineStore, connection_string: "host:6379"}``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal
from weakref import WeakKeyDictionary

from feast.feature_view import FeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig

from lakehouse.kernels.record import Layout
from lakehouse.online.address import Address
from lakehouse.online.leased import ServerPublication
from lakehouse.online.reading import Found
from lakehouse.online.request import view_id
from lakehouse.online.server import RecordServer
from lakehouse.online.store import Asked, PackedOnlineStore


class RedisOnlineStoreConfig(FeastConfigBaseModel):
    """``online_store:`` in feature_store.yaml."""

    type: Literal["lakehouse.online.redis.RedisOnlineStore"] = "lakehouse.online.redis.RedisOnlineStore"
    connection_string: str = "localhost:6379"
    """HOST:PORT and redis-py's options: "host:6379,db=1,ssl=true,password=…"; several hosts for sentinels."""
    redis_type: Literal["redis", "redis_sentinel"] = "redis"
    sentinel_master: str = "mymaster"
    timeout_s: float = 1.0
    """How long (seconds) a look-up waits for the server, and for a connection to it."""
    publish_timeout_s: float = 30.0
    """The same for a publisher; also how long a publisher that was killed keeps others away."""
    connections: int = 64
    """How many one process opens at most."""
    as_of: datetime | None = None
    """Answer look-ups as of this moment (UTC where naive) instead of now: to replay what was served."""
    unavailable: Literal["error", "null"] = "error"
    """What a look-up does when the server does not answer: raise, or answer null with the status INVALID."""


class RedisOnlineStore(PackedOnlineStore):
    """Records in one Redis, or in the master that sentinels name."""

    def __init__(self) -> None:
        super().__init__()
        self._server: RecordServer | None = None
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    def find(self, config: RepoConfig, asked: Sequence[Asked]) -> list[list[Found]]:
        return self._open(config).find(asked)

    async def find_async(self, config: RepoConfig, asked: Sequence[Asked]) -> list[list[Found]]:
        loop, server = asyncio.get_running_loop(), self._open(config)
        if loop not in self._loops:
            self._loops[loop] = server.address.connect_async()
        return await server.find_async(self._loops[loop], asked)

    def layouts(self, config: RepoConfig) -> dict[int, str]:
        return self._open(config).layouts()

    def push(self, config: RepoConfig, view: str, layout: Layout, rows: Sequence[tuple[bytes, bytes]]) -> None:
        records = self.records(config)
        records.known(layout)
        self._open(config).push(view, layout, rows, records.merged)

    def add(self, config: RepoConfig, view: str) -> None:
        """Nothing to do: a view takes no room before it is published."""

    def drop(self, config: RepoConfig, view: str) -> None:
        self._open(config).drop(view)

    @contextmanager
    def publication(self, config: RepoConfig, view: FeatureView, layout: Layout) -> Iterator[ServerPublication]:
        with self._open(config).publication(view_id(config, view), layout) as publication:
            yield publication

    async def close(self) -> None:
        for client in self._loops.values():
            await client.aclose()
        self._loops.clear()

    def _open(self, config: RepoConfig) -> RecordServer:
        if self._server is None:
            settings = config.online_store
            address = Address.of(
                settings.connection_string,
                sentinel=settings.sentinel_master if settings.redis_type == "redis_sentinel" else None,
                timeout_s=settings.timeout_s,
                connections=settings.connections,
            )
            self._server = RecordServer(address, settings.publish_timeout_s)
        return self._server
