"""A Redis that is down or hangs: an error with a name, or the default that is marked as such, and right answers from
the first look-up after it is back.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from feast import FeatureStore
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from lakehouse.errors import OnlineStoreError
from tests.online.redis_server import RedisServer
from tests.online.stores import redis_store, write
from tests.online.tens import LOOKS, NUMBERS, look, looked_up, opened, publish, refused, right, rows, within_reason

SHORT = {"timeout_s": 0.6, "publish_timeout_s": 1.0}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with closing(RedisServer()) as made:
        yield made


@pytest.fixture
def on_redis(tmp_path: Path, server: RedisServer) -> FeatureStore:
    server.client.flushall()
    store = opened(tmp_path, redis_store(f"localhost:{server.port}", **SHORT))
    publish(store)
    return store


@contextmanager
def halted(server: RedisServer) -> Iterator[None]:
    server.halt()
    try:
        yield
    finally:
        server.go_on()


@pytest.mark.parametrize("how", LOOKS)
def test_a_redis_that_hangs(on_redis: FeatureStore, server: RedisServer, how: str) -> None:
    """What it answers late, it answers to nobody: a connection that was given up is not read again."""
    assert looked_up(on_redis, how) == right()
    with halted(server):
        refused(within_reason(lambda: look(on_redis, how, 7)), "does not answer")
        on_redis.config.online_store.unavailable = "null"
        got = within_reason(lambda: look(on_redis, how, 7))
        assert got.to_dict() == {"id": [7], "a": [None]}
        assert FieldStatus.Name(got.proto.results[1].statuses[0]) == "INVALID"
    on_redis.config.online_store.unavailable = "error"
    assert looked_up(on_redis, how) == right()


def test_a_look_up_that_is_given_up_by_its_caller(on_redis: FeatureStore, server: RedisServer) -> None:
    """In one event loop, so with connections that are used again: the next one gets its own answer."""

    async def all_of_it() -> list[Any]:
        async def one(number: int) -> Any:
            return (await on_redis.get_online_features_async(["t:a"], {"id": [number]})).to_dict()["a"][0]

        assert await asyncio.gather(*map(one, NUMBERS[:8])) == right()[:8]
        with halted(server):
            tasks = [asyncio.create_task(one(number)) for number in NUMBERS[:8]]
            await asyncio.sleep(0.05)
            for task in tasks[1:]:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(ended[0], OnlineStoreError)
            assert all(isinstance(one, asyncio.CancelledError) for one in ended[1:])
        again = [await one(number) for number in reversed(NUMBERS)]
        await on_redis.provider.online_store.close()
        return again

    assert asyncio.run(all_of_it()) == right()[::-1]


def test_publishing_to_a_redis_that_hangs(on_redis: FeatureStore, server: RedisServer, tmp_path: Path) -> None:
    """The publisher's lease has ended when it gives up, so that it need not be waited for."""
    write(tmp_path, "t", rows(1), "overwrite")
    with halted(server):
        refused(within_reason(lambda: publish(on_redis)), "does not answer")
    assert server.client.pttl("lakehouse:shop:t:lock") <= 600  # what it took after that keeps nobody away for long
    server.client.delete("lakehouse:shop:t:lock")
    online, kept = on_redis.provider.online_store, type(on_redis.provider.online_store).publication

    @contextmanager
    def hanging(*given: Any, **named: Any) -> Iterator[Any]:
        with kept(online, *given, **named) as into:
            server.halt()  # the lease is the publisher's, and the server answers no more
            yield into

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(online, "publication", hanging)
        refused(within_reason(lambda: publish(on_redis)), "does not answer")
    server.go_on()
    assert looked_up(on_redis, "sync") == right()
    assert publish(on_redis) == "done"
    assert looked_up(on_redis, "sync") == right(1)


@pytest.mark.parametrize("how", LOOKS)
def test_a_redis_that_is_down(on_redis: FeatureStore, server: RedisServer, tmp_path: Path, how: str) -> None:
    copy = server.copied(tmp_path / "copy")
    assert looked_up(on_redis, how) == right()
    server.kill()
    refused(within_reason(lambda: look(on_redis, how, 7)), "does not answer")
    refused(within_reason(lambda: publish(on_redis)), "does not answer")
    on_redis.config.online_store.unavailable = "null"
    assert look(on_redis, how, 7).to_dict()["a"] == [None]
    on_redis.config.online_store.unavailable = "error"
    server.replaced(copy)
    assert looked_up(on_redis, how) == right()
    assert publish(on_redis) == "unchanged"


def test_what_takes_connections_and_is_no_redis(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = opened(tmp_path, redis_store(f"localhost:{silent.getsockname()[1]}", **SHORT))
        for how in LOOKS:
            refused(within_reason(lambda how=how: look(store, how, 7)), "does not answer")
        refused(within_reason(lambda: publish(store)), "does not answer")


@pytest.mark.parametrize("how", LOOKS)
@pytest.mark.parametrize("at", [b"CLIENT", b"MGET"])
def test_a_server_that_goes_on_answering_and_never_ends(tmp_path: Path, how: str, at: bytes) -> None:
    """Each byte comes in time, and the answer does not: of the first command of a connection, or of the look-up."""

    def answer(of: socket.socket) -> None:
        with suppress(OSError), of:  # until the other side has had enough
            while at not in (said := of.recv(65536)):
                of.sendall(b"+OK\r\n" * said.count(b"*"))
            of.sendall(b"*1\r\n$99999\r\n")
            while True:
                of.sendall(b".")
                time.sleep(0.02)

    def accept() -> None:
        with suppress(OSError):
            while True:
                Thread(target=answer, args=(trickling.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as trickling:
        Thread(target=accept, daemon=True).start()
        port = trickling.getsockname()[1]
        store = opened(tmp_path, redis_store(f"localhost:{port},protocol=2", timeout_s=0.3))
        refused(within_reason(lambda: look(store, how, 7)), "does not answer")
        refused(within_reason(lambda: look(store, how, 7)), "does not answer")


def test_more_look_ups_than_connections_wait_for_one(tmp_path: Path, server: RedisServer) -> None:
    server.client.flushall()
    store = opened(tmp_path, redis_store(f"localhost:{server.port},client_name=few", connections=2))
    publish(store)

    async def at_once() -> list[Any]:
        asked = [store.get_online_features_async(["t:a"], {"id": [number]}) for number in NUMBERS]
        got = [one.to_dict()["a"][0] for one in await asyncio.gather(*asked)]
        await store.provider.online_store.close()
        return got

    assert asyncio.run(at_once()) == right()
    got: dict[int, Any] = {}

    def one(number: int) -> None:
        got[number] = look(store, "sync", number).to_dict()["a"][0]

    threads = [Thread(target=one, args=(number,)) for number in NUMBERS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got.get(number) for number in NUMBERS] == right()
    assert len([one for one in server.client.client_list() if one["name"] == "few" and one["cmd"] == "mget"]) == 2


def test_event_loops_that_are_over_leave_no_connections(tmp_path: Path, server: RedisServer) -> None:
    server.client.flushall()
    store = opened(tmp_path, redis_store(f"localhost:{server.port},client_name=loops"))
    publish(store)
    assert looked_up(store, "async") == right()  # each in a loop of its own
    gc.collect()
    assert len([one for one in server.client.client_list() if one["name"] == "loops" and one["cmd"] == "mget"]) <= 2
