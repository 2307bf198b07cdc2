"""A master, its replica, and a sentinel that puts the one in the place of the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import redis

from tests.online.redis_server import RedisServer, direct

PASSWORD, OF_THE_SENTINEL = "s3cret", "4711"


class Watched:
    """Two servers and the sentinel that watches them, each with a password."""

    def __init__(self, servers: list[RedisServer], sentinel: RedisServer) -> None:
        self.servers, self.sentinel = servers, sentinel

    @property
    def connection_string(self) -> str:
        where = f"127.0.0.1:{self.sentinel.port},127.0.0.1:1"
        return f"{where},db=2,password={PASSWORD},sentinel_password={OF_THE_SENTINEL}"

    @property
    def master(self) -> RedisServer:
        """The one that the sentinel names, and thinks to be up."""
        asked = redis.Sentinel([("127.0.0.1", self.sentinel.port)], sentinel_kwargs={"password": OF_THE_SENTINEL})
        port = asked.discover_master("mymaster")[1]
        return next(server for server in self.servers if server.port == port)

    def copied(self) -> None:
        """Wait until the replica has all that its master has."""
        has_all(self.master)

    def moved(self, old: RedisServer) -> RedisServer:
        """Wait until another one is the master, and takes writes."""
        until(lambda: self.master is not old)
        with closing(direct(self.master.port, password=PASSWORD)) as new:
            until(lambda: new.role()[0] == b"master")
        return self.master


@contextmanager
def watched() -> Iterator[Watched]:
    options = ("--requirepass", PASSWORD, "--masterauth", PASSWORD, "--repl-diskless-sync", "no")
    with closing(RedisServer(*options)) as master:
        copying = ("--replicaof", "127.0.0.1", str(master.port))
        with closing(RedisServer(*options, *copying)) as replica:
            has_all(master)  # so that the sentinel hears of the replica at once
            lines = [
                f"sentinel monitor mymaster 127.0.0.1 {master.port} 1",
                f"sentinel auth-pass mymaster {PASSWORD}",
                "sentinel down-after-milliseconds mymaster 1500",
                "sentinel failover-timeout mymaster 3000",
                f"requirepass {OF_THE_SENTINEL}",
            ]
            with closing(RedisServer(sentinel=lines)) as sentinel:
                with closing(direct(sentinel.port, password=OF_THE_SENTINEL)) as asked:
                    until(lambda: len(asked.sentinel_slaves("mymaster")) == 1)
                yield Watched([master, replica], sentinel)


def has_all(master: RedisServer) -> None:
    with closing(direct(master.port, password=PASSWORD)) as asked:
        until(lambda: asked.wait(1, 1000) == 1)


def until(there: Callable[[], object]) -> None:
    """Wait for what comes by itself."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if there():
                return
        except (redis.exceptions.RedisError, OSError):
            pass
        time.sleep(0.02)
    raise AssertionError("it does not come")
