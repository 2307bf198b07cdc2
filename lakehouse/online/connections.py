"""Connections to a Redis for the look-ups of threads: each is one look-up's while it lasts.

redis-py's client takes as long about a command as Redis and the network together: it looks at the socket, meters what
it does and is ready to do it again. Of a look-up, which only reads, no more is needed than to ask once more where a
connection was lost while nobody used it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis import exceptions

from lakehouse.online.address import Address


class Connections:
    """Threads may share one, and forks of the process have connections of their own."""

    def __init__(self, address: Address) -> None:
        self._timeout_s, self._most = address.timeout_s, address.connections
        self._pool = address.connect().connection_pool
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._room = threading.Semaphore(self._most)
        self._idle: list[Any] = []

    def mget(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values of keys. Raises RedisError, also where all connections are in use for ``timeout_s``."""
        if self._process != os.getpid():
            self._begin()
        room = self._room
        if not room.acquire(timeout=self._timeout_s):
            raise exceptions.ConnectionError(f"all {self._most} connections are in use")
        try:
            while True:
                connection = self._idle_one()
                if connection is None:
                    return self._asked(self._new_one(), keys)
                with suppress(exceptions.ConnectionError):  # it was lost while nobody used it
                    return self._asked(connection, keys)
        finally:
            room.release()

    def _idle_one(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:  # not asked before: another thread may take the last one
            return None

    def _new_one(self) -> Any:
        # Not by the pool, which would keep what is let go of here, open sockets among it.
        connection = self._pool.connection_class(**self._pool.connection_kwargs)
        connection.connect()  # not left to the first command, which would not ask sentinels
        return connection

    def _asked(self, connection: Any, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """A connection that fails is closed by redis-py. It is let go of then, and with it all that may be alike."""
        try:
            connection.send_command("MGET", *keys)
            found: Sequence[bytes | None] = connection.read_response()
        except (exceptions.ConnectionError, exceptions.TimeoutError):
            self._idle.clear()
            raise
        except exceptions.ResponseError:
            self._idle.append(connection)
            raise
        self._idle.append(connection)
        return found
