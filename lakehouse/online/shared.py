"""One connection to a Redis that all look-ups of an event loop share.

What they ask goes out as it comes, and answers come back in the same order: nobody waits for a connection, however many
look-ups there are at a time, and the loop wakes up once for all answers that are there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from redis import exceptions

from lakehouse.online.address import Address


class SharedConnection:
    """Of one event loop. It connects when it is first asked, and again after it was lost."""

    def __init__(self, address: Address) -> None:
        self._timeout_s = address.timeout_s
        self._pool = address.connect_async().connection_pool
        self._opening = asyncio.Lock()
        self._connection: Any = None
        self._heard = 0.0
        """When the server was last heard of, by the loop's clock."""
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._reading: asyncio.Task[None] | None = None

    async def mget(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values of keys. Raises RedisError, or TimeoutError after the address's ``timeout_s``."""
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._opening:
                    if self._connection is None:
                        await self._open()
                answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                self._waiting.append(answer)
                await self._connection.send_command("MGET", *keys)
                found: Sequence[bytes | None] = await answer
                return found
        except TimeoutError:
            if self._heard < began:
                await self.aclose()  # nobody is there any more: the next look-up connects anew
            raise

    async def aclose(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def _open(self) -> None:
        connection = self._pool.make_connection()
        await connection.connect()
        self._connection, self._waiting = connection, deque()
        self._reading = asyncio.create_task(self._read(connection, self._waiting))

    async def _read(self, connection: Any, waiting: deque[asyncio.Future[Any]]) -> None:
        """Give each who waits its answer, until the connection is lost or closed."""
        error: Exception = exceptions.ConnectionError("the connection was closed")
        try:
            while True:
                try:
                    found = await connection.read_response()
                except exceptions.ResponseError as refused:
                    found = refused
                answer, self._heard = waiting.popleft(), asyncio.get_running_loop().time()
                if answer.done():  # whoever asked has left
                    continue
                if isinstance(found, Exception):
                    answer.set_exception(found)
                else:
                    answer.set_result(found)
        except (OSError, exceptions.RedisError) as lost:
            error = lost
        finally:
            if self._connection is connection:
                self._connection = self._reading = None
            for answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
            await connection.disconnect(nowait=True)
