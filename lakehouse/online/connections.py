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
from time import monotonic
from typing import Any

from redis import exceptions
from redis.connection import DefaultParser

from lakehouse.online.address import Address


class Answers(DefaultParser):  # type: ignore[misc, valid-type]
    """Reads what a server answers, and gives up at a time, however slowly more of it still comes."""

    until = 0.0
    """By :func:`time.monotonic`."""

    def read_from_socket(self, *_: Any, **__: Any) -> Any:
        left = self.until - monotonic()
        if left <= 0:
            raise exceptions.TimeoutError("Timeout reading from socket")
        return super().read_from_socket(timeout=min(left, self._socket_timeout or left))


Opened = tuple[Any, Answers]
"""A connection of redis-py, and what reads its answers."""


class Connections:
    """Threads may share one, and forks of the process have connections of their own."""

    def __init__(self, address: Address) -> None:
        self._timeout_s, self._most = address.timeout_s, address.connections
        self._pool = address.connect().connection_pool
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._room = threading.Semaphore(self._most)
        self._idle: list[Opened] = []

    def mget(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values of keys. Raises RedisError after ``timeout_s`` in all, whatever is waited for."""
        if self._process != os.getpid():
            self._begin()
        until = monotonic() + self._timeout_s
        room = self._room
        if not room.acquire(timeout=self._timeout_s):
            raise exceptions.ConnectionError(f"all {self._most} connections are in use")
        try:
            while True:
                opened = self._idle_one()
                if opened is None:
                    return self._asked(self._new_one(until), keys, until)
                with suppress(exceptions.ConnectionError):  # it was lost while nobody used it
                    return self._asked(opened, keys, until)
        finally:
            room.release()

    def _idle_one(self) -> Opened | None:
        try:
            return self._idle.pop()
        except IndexError:  # not asked before: another thread may take the last one
            return None

    def _new_one(self, until: float) -> Opened:
        made: list[Answers] = []

        def parser(socket_read_size: int) -> Answers:
            made.append(Answers(socket_read_size))
            made[-1].until = until
            return made[-1]

        # Not by the pool, which would keep what is let go of here, open sockets among it.
        connection = self._pool.connection_class(**self._pool.connection_kwargs, parser_class=parser)
        connection.connect()  # not left to the first command, which would not ask sentinels
        return connection, made[-1]

    def _asked(self, opened: Opened, keys: Sequence[bytes], until: float) -> Sequence[bytes | None]:
        """A connection that fails is closed by redis-py. It is let go of then, and with it all that may be alike."""
        connection, answers = opened
        answers.until = until
        try:
            connection.send_command("MGET", *keys)
            found: Sequence[bytes | None] = connection.read_response()
        except (exceptions.ConnectionError, exceptions.TimeoutError):
            self._idle.clear()
            raise
        except exceptions.ResponseError:
            self._idle.append(opened)
            raise
        self._idle.append(opened)
        return found
