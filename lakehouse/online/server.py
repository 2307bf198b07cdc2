"""An online store in Redis (5 to 8): a key for each record, layouts and cursors in two hashes; without Feast.

    lakehouse:VIEW:now           which generation of the records is read, and whether rows were pushed: "3 1"
    lakehouse:VIEW:3:KEY         a record of the third generation
    lakehouse:VIEW:+:KEY         a pushed row
    lakehouse:VIEW:lock          who publishes, until when
    lakehouse:VIEW:generations   a set of those that there may be records of
    lakehouse:cursors, lakehouse:layouts

A look-up is one MGET for all views. It asks for ``now`` too: where that is not what the reader took it for, it asks
again. A full refresh writes another generation and then changes ``now``, so that no reader sees it by half. What a
publisher writes is in one transaction with a look at its lock, so that one whose time ran out writes nothing more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis.exceptions import WatchError

from lakehouse.errors import LockedError, OnlineStoreError
from lakehouse.kernels.record import Layout
from lakehouse.online.address import Address, in_words
from lakehouse.online.connections import Connections
from lakehouse.online.leased import AT_ONCE, CURSORS, LAYOUTS, PUSHED, ServerPublication, escaped, name_of
from lakehouse.online.publication import Asked, Found, Merge
from lakehouse.online.shared import SharedConnection

TRIES = 20
SCANNED = 5_000
"""Keys that a server looks at in one step: it answers nobody else meanwhile."""


class RecordServer:
    """Records in one Redis. Threads may share one."""

    def __init__(self, address: Address, publish_timeout_s: float) -> None:
        self.address = address
        self.lease_ms = int(publish_timeout_s * 1000)
        self.client = address.connect()
        self.connections = Connections(address)
        self.slow = address.connect(publish_timeout_s)
        """For what publishers ask, which may take longer than a look-up may."""
        self._now: dict[str, bytes | None] = {}

    def find(self, asked: Sequence[Asked]) -> list[Found]:
        """What is there of the keys of each view, in one round trip as a rule."""
        with in_words(self.address):
            while True:
                known = [self._now.get(view) for view, _ in asked]
                keys = _wanted(asked, known)
                found = self._found(asked, known, self.connections.mget(keys) if keys else [])
                if found is not None:
                    return found

    async def find_async(self, client: SharedConnection, asked: Sequence[Asked]) -> list[Found]:
        """:meth:`find` by a client of the running event loop."""
        with in_words(self.address):
            while True:
                known = [self._now.get(view) for view, _ in asked]
                keys = _wanted(asked, known)
                found = self._found(asked, known, await client.mget(keys) if keys else [])
                if found is not None:
                    return found

    def _found(
        self, asked: Sequence[Asked], known: Sequence[bytes | None], values: Sequence[bytes | None]
    ) -> list[Found] | None:
        """The answer, in the order of :func:`_wanted`; None where something is not as it was taken for."""
        answer: list[Found] = []
        current = True
        at = 0
        for (view, keys), before in zip(asked, known, strict=True):
            now = values[at]
            at += 1
            records: Sequence[bytes | None] = (None,) * len(keys)
            pushed: Sequence[bytes | None] = ()
            if before is not None:
                records = values[at : at + len(keys)]
                at += len(keys)
                if before.endswith(PUSHED):
                    pushed = values[at : at + len(keys)]
                    at += len(keys)
            answer.append((records, pushed if any(pushed) else ()))
            if now != before:
                self._now[view] = now
                current = False
        return answer if current else None

    def layouts(self) -> dict[int, str]:
        with in_words(self.address):
            return {int(number): text.decode() for number, text in self.client.hgetall(LAYOUTS).items()}

    def cursors(self) -> dict[str, str]:
        """The cursor of each view that was published, by its name in the store."""
        with in_words(self.address):
            return {view.decode(): text.decode() for view, text in self.client.hgetall(CURSORS).items()}

    def add(self, view: str) -> None:
        """Nothing to do: a view takes no room before it is published."""

    def drop(self, view: str) -> None:
        """Forget a view: readers first, then the records."""
        with in_words(self.address):
            self.slow.pipeline().delete(name_of(view, "now")).hdel(CURSORS, view).execute()
            for _ in self.swept(name_of(view, "")):
                pass

    def push(self, view: str, layout: Layout, rows: Sequence[tuple[bytes, bytes]], merge: Merge) -> None:
        """Lay pushed rows over the records of their keys."""
        with in_words(self.address):
            self.slow.hset(LAYOUTS, str(layout.number), layout.text)
            for start in range(0, len(rows), AT_ONCE):
                part = rows[start : start + AT_ONCE]
                names = list(dict.fromkeys(name_of(view, "+:") + key for key, _ in part))

                def lay(pipe: Any, part: Any = part, names: Any = names) -> None:
                    now, *before = pipe.mget([name_of(view, "now"), *names])
                    merged = dict(zip(names, before, strict=True))
                    for key, row in part:
                        name = name_of(view, "+:") + key
                        merged[name] = merge(merged[name], row)
                    pipe.multi()
                    pipe.mset(merged)
                    pipe.set(name_of(view, "now"), (now or b"0 0").split(b" ")[0] + b" 1")

                self.watched([name_of(view, "now"), *names], lay)

    @contextmanager
    def publication(self, view: str, layout: Layout) -> Iterator[ServerPublication]:
        """Publish a view. Raises LockedError where somebody else does."""
        lock, token = name_of(view, "lock"), os.urandom(16).hex().encode()
        # Short at first: a server that hung may take this after the publisher has given up.
        first_ms = min(self.lease_ms, int(self.address.timeout_s * 1000))
        with in_words(self.address):
            if self.address.sentinel is not None:
                # What is idle may lead to a former master: sentinels are asked anew.
                for client in (self.slow, self.client):
                    client.connection_pool.disconnect(inuse_connections=False)
            if not self.slow.set(lock, token, nx=True, px=first_ms):
                raise LockedError(
                    f"{view}: another run is publishing to {self.address.shown}",
                    hint=f"Run again when it is done; where it was killed, in {self.lease_ms / 1000:.0f} s.",
                )
        try:
            publication = ServerPublication(self, view, lock, token)
            publication.know(layout)
            yield publication
        finally:
            # As quick as a look-up: a server that hangs was waited for long enough, and the lease ends by itself.
            with in_words(self.address, quietly=True):
                if self.client.get(lock) == token:
                    self.client.delete(lock)

    def watched(self, names: Sequence[bytes], work: Callable[[Any], None]) -> None:
        """Do work on keys as one transaction, again where somebody else wrote to one of them meanwhile."""
        for _ in range(TRIES):
            with self.slow.pipeline() as pipe:
                try:
                    pipe.watch(*names)
                    work(pipe)
                    pipe.execute()
                    return
                except WatchError:
                    continue
        raise OnlineStoreError(f"{self.address.shown}: others write to the same keys all the time", hint="Try again.")

    def named(self, prefix: bytes) -> Iterator[list[bytes]]:
        """All keys that start so, step by step; there may be none in a step."""
        cursor, pattern = 0, escaped(prefix) + b"*"
        while True:
            cursor, names = self.slow.scan(cursor, pattern, count=SCANNED)
            yield names
            if cursor == 0:
                return

    def swept(self, prefix: bytes) -> Iterator[None]:
        """Delete all keys that start so, step by step."""
        for names in self.named(prefix):
            for start in range(0, len(names), AT_ONCE):
                self.slow.unlink(*names[start : start + AT_ONCE])
            yield


def _wanted(asked: Sequence[Asked], known: Sequence[bytes | None]) -> list[bytes]:
    """The names to ask for, by what is known of each view."""
    names = []
    for (view, keys), now in zip(asked, known, strict=True):
        names.append(name_of(view, "now"))
        if now is not None:
            prefix = name_of(view, "") + now.split(b" ")[0] + b":"
            names += [prefix + key for key in keys]
            if now.endswith(PUSHED):
                over = name_of(view, "+:")
                names += [over + key for key in keys]
    return names
