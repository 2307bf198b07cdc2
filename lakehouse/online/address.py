"""Where a Redis is, how it is talked to, and what its failures are called."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from lakehouse.errors import ConfigError, OnlineStoreError

LOCAL, MASTER = "localhost:6379", "mymaster"


@dataclass(frozen=True)
class Address:
    """Where a server is and how it is talked to. ``options`` are redis-py's own."""

    hosts: tuple[tuple[str, int], ...]
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    sentinel: str | None = None
    """The name of the master that the hosts, which are sentinels then, know."""
    timeout_s: float = 1.0
    connections: int = 64

    @staticmethod
    def of(text: str, **more: Any) -> Address:
        """Of a connection string as Feast has it: "host:6379,db=1,ssl=true,password=…"; several hosts are sentinels.

        Raises ConfigError for what is neither a host nor an option.
        """
        hosts, options = [], {}
        for part in filter(None, text.split(",")):
            name, equals, value = part.partition("=")
            if equals:
                options[name.strip()] = _value(value)
                continue
            host, colon, port = part.strip().rpartition(":")
            if not colon or not port.isdigit():
                raise ConfigError(
                    f"connection_string: '{part if len(part) < 40 else '…'}' is no HOST:PORT and no NAME=VALUE"
                )
            hosts.append((host, int(port)))
        if not hosts:
            raise ConfigError("connection_string names no HOST:PORT", hint="Such as localhost:6379")
        return Address(tuple(hosts), options, **more)

    @staticmethod
    def of_settings(settings: Mapping[str, Any]) -> Address:
        """Of ``online_store:`` in feature_store.yaml, where what is not said has a default."""
        sentinels = settings.get("redis_type") == "redis_sentinel"
        return Address.of(
            str(settings.get("connection_string", LOCAL)),
            sentinel=str(settings.get("sentinel_master", MASTER)) if sentinels else None,
            **{name: settings[name] for name in ("timeout_s", "connections") if name in settings},
        )

    @property
    def shown(self) -> str:
        return ", ".join(f"{host}:{port}" for host, port in self.hosts)

    def connect(self, timeout_s: float | None = None) -> Any:
        """A client; it connects when it is first asked."""
        options = self._options(timeout_s or self.timeout_s)
        if self.sentinel is not None:
            make: Any = Sentinel
            made = make(list(self.hosts), sentinel_kwargs=self._options(self.timeout_s), **options)
            return made.master_for(self.sentinel)
        return redis.Redis(*self.hosts[0], max_connections=self.connections, **options)

    def connect_async(self) -> Any:
        """The same for an event loop."""
        options = self._options(self.timeout_s)
        options["retry"] = AsyncRetry(NoBackoff(), 0)
        if self.sentinel is not None:
            make: Any = redis.asyncio.Sentinel
            made = make(list(self.hosts), sentinel_kwargs=dict(options), **options)
            return made.master_for(self.sentinel)
        host, port = self.hosts[0]
        return redis.asyncio.Redis(host=host, port=port, max_connections=self.connections, **options)

    def _options(self, timeout_s: float) -> dict[str, Any]:
        waits = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "retry": Retry(NoBackoff(), 0)}
        return {**waits, **self.options}


@contextmanager
def in_words(address: Address, quietly: bool = False) -> Iterator[None]:
    """Say what redis-py raises. ``quietly``: for what can be left undone."""
    try:
        yield
    except (RedisError, OSError) as error:
        if quietly:
            return
        doing = "refuses" if isinstance(error, ResponseError) else "does not answer"
        raise OnlineStoreError(
            f"the online store {address.shown} {doing}: {error or type(error).__name__}",
            hint="Is it up, reachable, and not full? Try again when it is.",
        ) from error


def _value(text: str) -> Any:
    try:
        return json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except ValueError:
        return text
