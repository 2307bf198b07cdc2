"""All look-ups of an event loop share one connection to Redis: each gets its own answer; a lost one is opened anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import redis

from lakehouse.errors import OnlineStoreError
from lakehouse.online.address import Address
from lakehouse.online.server import RecordServer
from lakehouse.online.shared import SharedConnection
from tests.online.redis_server import RedisServer, client, connection_string

MANY = 500


def test_many_at_a_time_get_their_own_answers(tmp_path: Path) -> None:
    server = client(tmp_path)
    server.mset({f"key {number}": f"value {number}" for number in range(MANY)})
    before = server.info("stats")["total_connections_received"]

    async def ask() -> list[list[bytes]]:
        shared = SharedConnection(Address.of(connection_string(tmp_path)))

        async def one(number: int) -> list[bytes]:
            keys = [f"key {number}".encode(), b"none", f"key {MANY - 1 - number}".encode()]
            asked = asyncio.create_task(shared.mget(keys))
            if number % 7 == 0:  # it leaves when it has asked, and its answer is not given to somebody else
                await asyncio.sleep(0)
                asked.cancel()
                return []
            return list(await asked)

        try:
            assert await shared.mget([b"none"]) == [None]
            return await asyncio.gather(*map(one, range(MANY)))
        finally:
            await shared.aclose()

    expected = [[f"value {number}".encode(), None, f"value {MANY - 1 - number}".encode()] for number in range(MANY)]
    assert asyncio.run(ask()) == [one if number % 7 else [] for number, one in enumerate(expected)]
    assert server.info("stats")["total_connections_received"] == before + 1


def test_an_error_of_the_server_is_of_whom_it_answers(tmp_path: Path) -> None:
    async def ask() -> None:
        shared = SharedConnection(Address.of(connection_string(tmp_path)))
        refused, answered = await asyncio.gather(shared.mget([]), shared.mget([b"none"]), return_exceptions=True)
        await shared.aclose()
        assert isinstance(refused, redis.exceptions.ResponseError)
        assert answered == [None]

    asyncio.run(ask())


def test_a_server_that_is_lost_hangs_and_comes_back() -> None:
    redis_server = RedisServer()
    server = RecordServer(Address.of(f"localhost:{redis_server.port}", timeout_s=0.5), 5)

    async def live() -> None:
        shared = SharedConnection(server.address)

        async def look_up() -> str:
            try:
                return str(await server.find_async(shared, [("view", [b"key"])]))
            except OnlineStoreError as error:
                return str(error)

        nothing = str([((None,), ())])
        assert await look_up() == nothing
        redis_server.halt()
        said = await asyncio.gather(*(look_up() for _ in range(5)))
        assert all("does not answer" in one for one in said)
        redis_server.go_on()
        assert await look_up() == nothing
        redis_server.kill()
        assert "does not answer" in await look_up()
        redis_server.start()
        assert await look_up() == nothing
        await shared.aclose()
        assert await look_up() == nothing
        await shared.aclose()

    try:
        asyncio.run(live())
    finally:
        redis_server.close()
