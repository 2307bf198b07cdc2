"""``online_store: {type: lakehouse.online.redis.RedisOnlineStore, connection_string: "host:6379"}``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from feast.repo_config import RepoConfig

from lakehouse.online.address import LOCAL, MASTER, Address
from lakehouse.online.publication import Asked, Found
from lakehouse.online.server import RecordServer
from lakehouse.online.shared import SharedConnection
from lakehouse.online.store import PackedOnlineStore, PackedOnlineStoreConfig


class RedisOnlineStoreConfig(PackedOnlineStoreConfig):
    """``online_store:`` in feature_store.yaml."""

    type: Literal["lakehouse.online.redis.RedisOnlineStore"] = "lakehouse.online.redis.RedisOnlineStore"
    connection_string: str = LOCAL
    """HOST:PORT and redis-py's options: "host:6379,db=1,ssl=true,password=…"; several hosts for sentinels."""
    redis_type: Literal["redis", "redis_sentinel"] = "redis"
    sentinel_master: str = MASTER
    timeout_s: float = 1.0
    """How long (seconds) a look-up waits for the server, and for a connection to it."""
    publish_timeout_s: float = 30.0
    """The same for a publisher; also how long a publisher that was killed keeps others away."""
    connections: int = 64
    """How many one process opens for look-ups at most; those of an event loop share one."""


class RedisOnlineStore(PackedOnlineStore):
    """Records in one Redis, or in the master that sentinels name."""

    def __init__(self) -> None:
        super().__init__()
        self._server: RecordServer | None = None
        self._loops: dict[asyncio.AbstractEventLoop, SharedConnection] = {}

    async def find_async(self, config: RepoConfig, asked: Sequence[Asked]) -> list[Found]:
        loop, server = asyncio.get_running_loop(), self.holder(config)
        if loop not in self._loops:
            self._drop_closed()
            self._loops[loop] = SharedConnection(server.address)
        return await server.find_async(self._loops[loop], asked)

    async def close(self) -> None:
        """Close the running event loop's connection."""
        shared = self._loops.pop(asyncio.get_running_loop(), None)
        self._drop_closed()
        if shared is not None:
            await shared.aclose()

    def _drop_closed(self) -> None:
        """Let go of connections that nobody can ask any more; they hold on to their loops."""
        for loop in [one for one in self._loops if one.is_closed()]:
            del self._loops[loop]

    def holder(self, config: RepoConfig) -> RecordServer:
        if self._server is None:
            settings = config.online_store
            self._server = RecordServer(Address.of_settings(settings.model_dump()), settings.publish_timeout_s)
        return self._server
