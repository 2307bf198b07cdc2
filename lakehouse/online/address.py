"""Where a Redis is, how it is talked to, and what its failures are called."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import MasterNotFoundError as AsyncMasterNotFoundError
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError

from lakehouse.errors import ConfigError, OnlineStoreError, did_you_mean
from lakehouse.online.sentinels import AsyncSentinelPool, SentinelPool

LOCAL, MASTER = "localhost:6379", "mymaster"
HOST = re.compile(r"(?:\[([^\s\[\]]+)\]|([^\s\[\]:@/]+)):([0-9]+)")
OF_SENTINELS = {"sentinel_username": "username", "sentinel_password": "password"}
TEXT = {"client_name", "username", "password", "ssl_password", *OF_SENTINELS}
"""Options that stay text, whatever they look like."""
OF_TLS = {
    *("ssl_ca_certs", "ssl_ca_data", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname"),
    *("ssl_ciphers", "ssl_keyfile", "ssl_password"),
}
KNOWN = {
    *("db", "protocol", "socket_connect_timeout", "socket_keepalive", "socket_timeout", "ssl"),
    *TEXT,
    *OF_TLS,
}


@dataclass(frozen=True)
class Address:
    """Where a server is and how it is talked to. ``options`` are named in ``KNOWN``, and mean what redis-py says."""

    hosts: tuple[tuple[str, int], ...]
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    sentinel: str | None = None
    """The name of the master that the hosts, which are sentinels then, know."""
    timeout_s: float = 1.0
    connections: int = 64

    @staticmethod
    def of(text: str, **more: Any) -> Address:
        """Of a connection string as Feast has it: "host:6379,db=1,ssl=true,password=…"; several hosts are sentinels.

        Sentinels are asked with the options of TLS and of time, and a login of their own (``sentinel_username``,
        ``sentinel_password``). An IPv6 address stands in brackets: "[::1]:6379". Raises ConfigError for what is neither
        a host nor an option.
        """
        if "://" in text.partition(",")[0]:
            hint = "Say what is in it as host:6379,db=1,username=…,password=…,ssl=true"
            raise ConfigError("connection_string is a URL, and should be HOST:PORT,NAME=VALUE,…", hint=hint)
        hosts, options = [], {}
        for part in filter(None, text.split(",")):
            name, equals, value = part.partition("=")
            if equals:
                options[name.strip()] = _value(name.strip(), value)
                continue
            found = HOST.fullmatch(part.strip())
            if found is None:
                shown = part if len(part) < 40 and not options else "…"  # else it may be the end of a password
                raise ConfigError(f"connection_string: '{shown}' is no HOST:PORT and no NAME=VALUE")
            hosts.append((found[1] or found[2], int(found[3])))
        if not hosts:
            raise ConfigError("connection_string names no HOST:PORT", hint="Such as localhost:6379")
        for name in options:
            if name not in KNOWN:
                raise ConfigError(f"connection_string: there is no option '{name}'", hint=did_you_mean(name, KNOWN))
            if name in OF_TLS and not options.get("ssl"):
                raise ConfigError(f"connection_string: {name} is given, and ssl=true is not", hint="Add ssl=true.")
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
        return ", ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)

    def connect(self, timeout_s: float | None = None) -> Any:
        """A client; it connects when it is first asked. Where all connections are in use, one is waited for."""
        return self._client(redis, SentinelPool, Retry(NoBackoff(), 0), timeout_s or self.timeout_s)

    def connect_async(self) -> Any:
        """The same for an event loop, without an end to its patience: see :class:`SharedConnection`."""
        retry = AsyncRetry(NoBackoff(), 0)
        return self._client(redis.asyncio, AsyncSentinelPool, retry, self.timeout_s, socket_timeout=None)

    def _client(self, library: Any, sentinel_pool: Any, retry: Any, timeout_s: float, **waits: float | None) -> Any:
        options = {
            "max_connections": self.connections,
            "timeout": timeout_s,
            **self._options(timeout_s, retry),
            **waits,
        }
        if self.sentinel is not None:
            sentinels = library.Sentinel(list(self.hosts), sentinel_kwargs=self._of_sentinels(retry))
            return library.Redis.from_pool(sentinel_pool(self.sentinel, sentinels, **options))
        kind = library.SSLConnection if options.pop("ssl", False) else library.Connection
        host, port = self.hosts[0]
        return library.Redis.from_pool(
            library.BlockingConnectionPool(connection_class=kind, host=host, port=port, **options)
        )

    def _options(self, timeout_s: float, retry: Any) -> dict[str, Any]:
        waits = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "retry": retry}
        return {**waits, **{name: value for name, value in self.options.items() if name not in OF_SENTINELS}}

    def _of_sentinels(self, retry: Any) -> dict[str, Any]:
        shared = {
            name: value
            for name, value in self._options(self.timeout_s, retry).items()
            if name.startswith(("ssl", "socket_")) or name == "retry"
        }
        login = {name: self.options[ours] for ours, name in OF_SENTINELS.items() if ours in self.options}
        return {**shared, **login}


@contextmanager
def in_words(address: Address, quietly: bool = False) -> Iterator[None]:
    """Say what redis-py raises. ``quietly``: for what can be left undone."""
    try:
        yield
    except (MasterNotFoundError, AsyncMasterNotFoundError):
        if not quietly:
            raise OnlineStoreError(
                f"none of the sentinels {address.shown} names a master '{address.sentinel}' that is up",
                hint="Are they up and reachable, and is sentinel_master its name? Try again when it is.",
            ) from None  # redis-py's own account shows the options, the login among them
    except (RedisError, OSError) as error:
        if quietly:
            return
        refused = isinstance(error, (ResponseError, AuthenticationError, AuthorizationError))
        doing = "refuses" if refused else "does not answer"
        hint = "Is it up, reachable, and not full? Try again when it is."
        if isinstance(error, (AuthenticationError, AuthorizationError)):
            hint = "Are username= and password= of connection_string right?"
        raise OnlineStoreError(
            f"the online store {address.shown} {doing}: {error or type(error).__name__}", hint=hint
        ) from error


def _value(name: str, text: str) -> Any:
    try:
        return text if name in TEXT else json.loads(text.lower() if text.lower() in ("true", "false") else text)
    except ValueError:
        return text
