"""Threads' connections to Redis: each look-up gets its own answer, over few connections, in forks and after losses."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Thread
from typing import Any

import pytest
import redis

from lakehouse.online.address import Address
from lakehouse.online.connections import Connections
from tests.online.redis_server import RedisServer

MANY = 400


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with closing(RedisServer()) as made:
        made.client.mset({f"key {number}": f"value {number}" for number in range(MANY)})
        yield made


def connections(server: RedisServer, **given: Any) -> Connections:
    return Connections(Address.of(f"localhost:{server.port},client_name=look-ups", **given))


def ask(of: Connections, number: int) -> bool:
    keys = [f"key {number}".encode(), b"none", f"key {MANY - 1 - number}".encode()]
    return of.mget(keys) == [f"value {number}".encode(), None, f"value {MANY - 1 - number}".encode()]


def opened(server: RedisServer) -> int:
    return sum(one["name"] == "look-ups" for one in server.client.client_list())


def test_many_threads_over_few_connections(server: RedisServer) -> None:
    of = connections(server, connections=3)
    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(lambda number: ask(of, number), list(range(MANY)) * 3))
    assert 1 <= opened(server) <= 3
    with pytest.raises(redis.exceptions.ResponseError, match="wrong number of arguments"):
        of.mget([])
    before = opened(server)
    assert ask(of, 7)
    assert opened(server) == before, "a refused look-up costs no connection"


def test_where_all_are_in_use(server: RedisServer) -> None:
    of, answers = connections(server, connections=1, timeout_s=30.0), list[Any]()
    server.halt()
    try:
        thread = Thread(target=lambda: answers.append(of.mget([b"key 1"])))
        thread.start()
        while of._room.acquire(blocking=False):  # until the other look-up has the one that there is
            of._room.release()
        of._timeout_s = 0.05
        with pytest.raises(redis.exceptions.ConnectionError, match="all 1 connections are in use"):
            of.mget([b"key 2"])
    finally:
        server.go_on()
    thread.join()
    assert answers == [[b"value 1"]]
    assert ask(of, 3)


def test_an_answer_that_was_not_waited_for_is_nobody_else_s(server: RedisServer) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(*_: Any) -> None:
        raise Interrupted

    of = connections(server)
    assert ask(of, 1)
    kept = signal.signal(signal.SIGALRM, interrupt)
    server.halt()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Interrupted):
            of.mget([b"key 5"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)
        server.go_on()
    assert all(ask(of, number) for number in range(5))


def test_what_is_let_go_of_is_closed(server: RedisServer) -> None:
    """One look-up that is not answered in time lets all idle connections go."""
    of = connections(server, timeout_s=0.3)
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda number: ask(of, number), range(MANY)))
    server.halt()
    try:
        with pytest.raises(redis.exceptions.TimeoutError):
            of.mget([b"key 1"])
    finally:
        server.go_on()
    assert ask(of, 1)
    assert opened(server) == 1


def test_connections_that_were_lost_are_no_error(server: RedisServer) -> None:
    of = connections(server)
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda number: ask(of, number), range(MANY)))
    server.client.client_kill_filter(_type="normal", skipme=True)
    assert all(ask(of, number) for number in range(5))


def test_a_fork_has_connections_of_its_own(server: RedisServer) -> None:
    of = connections(server)
    assert ask(of, 1)
    children = []
    for _ in range(3):
        if (child := os.fork()) == 0:
            right = False
            try:
                right = all(ask(of, number) for number in range(MANY))
            finally:
                os._exit(0 if right else 1)
        children.append(child)
    assert all(ask(of, number) for number in range(MANY))
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
