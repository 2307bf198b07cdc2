"""What may befall an online store while somebody publishes to it: at its n-th command, before it is done or after."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.connection import AbstractConnection

from tests.online.redis_server import client

KINDS = ("killed", "gone", "read-only", "full", "busy")
WORDS = {
    "gone": "disk I/O error",
    "read-only": "attempt to write a readonly database",
    "full": "database or disk is full",
    "busy": "database is locked",
}


NEVER = 10**9


class Killed(BaseException):
    """The publisher is gone, at once."""


class Outage:
    """Strikes at the n-th command, and at all that follow until it is over; ``struck`` says whether that came."""

    def __init__(self, kind: str, at: int, after: bool) -> None:
        self.kind, self.left, self.after = kind, at, after
        self.struck = False

    def command(self, call: Any, *given: Any) -> Any:
        self.left -= 1
        if self.left > 0:
            return call(*given)
        if self.left == 0 and self.after:
            call(*given)
        self.struck = True
        raise Killed if self.kind == "killed" else sqlite3.OperationalError(WORDS[self.kind])


@contextmanager
def outage(store: str, file: Path, kind: str, at: int, after: bool) -> Iterator[Outage]:
    """An outage of one store while this lasts."""
    if store == "redis":
        with _redis_outage(file.parent, kind, at, after) as made:
            yield made
        return
    made = Outage(kind, at, after)

    class Failing(sqlite3.Connection):
        def execute(self, *given: Any) -> Any:
            return made.command(super().execute, *given)

        def executemany(self, *given: Any) -> Any:
            return made.command(super().executemany, *given)

    connect = sqlite3.connect
    opened: list[sqlite3.Connection] = []

    def instead(path: Any, *given: Any, **named: Any) -> Any:
        if Path(str(path)) != file:
            return connect(path, *given, **named)
        opened.append(connect(path, *given, **named, factory=Failing))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", instead)
        yield made
    if made.struck and kind == "killed":
        for connection in opened:
            connection.close()  # as the system does


@contextmanager
def _redis_outage(folder: Path, kind: str, at: int, after: bool) -> Iterator[Outage]:
    """A server that is full or takes no writes is so itself; one that is gone or busy is so for its clients."""
    server = client(folder)
    made = Outage(kind, at, after)
    send = AbstractConnection.send_packed_command

    def instead(self: Any, command: Any, check_health: bool = True) -> Any:
        if made.left > -NEVER:
            made.left -= 1
        if made.left > 0 or (made.left < 0 and kind in ("full", "read-only")):
            return send(self, command, check_health)
        if made.left == 0 and kind in ("full", "read-only"):
            made.struck, made.left = True, -NEVER
            patch.undo()
            _break(server, kind)
            return send(self, command, check_health)
        if made.left == 0 and after:
            send(self, command, check_health)
            time.sleep(0.02)  # the server does it, and nobody hears of it
        made.struck = True
        self.disconnect()
        if kind == "killed":
            raise Killed
        raise redis.exceptions.TimeoutError("Timeout") if kind == "busy" else redis.exceptions.ConnectionError("reset")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AbstractConnection, "send_packed_command", instead)
        try:
            yield made
        finally:
            patch.undo()
            server.config_set("maxmemory", 0)
            server.replicaof("NO", "ONE")
            lease_runs_out("redis", folder)


def lease_runs_out(store: str, folder: Path) -> None:
    """What happens by itself after a while: a publisher that was killed keeps nobody away any more."""
    if store == "redis":
        for lock in client(folder).scan_iter("lakehouse:*:lock"):
            client(folder).delete(lock)


def _break(server: redis.Redis, kind: str) -> None:
    if kind == "full":
        server.config_set("maxmemory-policy", "noeviction")
        server.config_set("maxmemory", 1)
    else:
        server.replicaof("127.0.0.1", 1)
