"""Publishing into a Redis: under a lease that others respect, and that each write looks at."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import WatchError

from lakehouse.errors import OnlineStoreError
from lakehouse.kernels.record import HEADER, Layout
from lakehouse.online.address import in_words
from lakehouse.online.publication import still_pushed

if TYPE_CHECKING:
    from lakehouse.online.server import RecordServer

CURSORS, LAYOUTS = "lakehouse:cursors", "lakehouse:layouts"
PUSHED = b" 1"
"""How ``now`` ends where rows were pushed."""
AT_ONCE = 500
"""Records in one command: a server answers nobody else while it is at one."""


class ServerPublication:
    """See :class:`lakehouse.online.publication.Publication`."""

    ordered = False

    def __init__(self, server: RecordServer, view: str, lock: bytes, token: bytes) -> None:
        self._server, self._view, self._lock, self._token = server, view, lock, token
        with in_words(server.address):
            now = server.slow.get(name_of(view, "now"))
        self._there = now is not None
        self._generation = self._before = (now or b"0 0").split(b" ")[0]

    def know(self, layout: Layout) -> None:
        """Write down the layout; from now on the lease is a whole one."""
        self._fenced(lambda pipe: pipe.hset(LAYOUTS, str(layout.number), layout.text))

    @property
    def cursor(self) -> str | None:
        with in_words(self._server.address):
            found = self._server.slow.hget(CURSORS, self._view)
        return found.decode() if found is not None and self._there else None

    def held(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        prefix = name_of(self._view, "") + self._generation + b":"
        found: list[bytes | None] = []
        with in_words(self._server.address):
            for start in range(0, len(keys), AT_ONCE):
                found += self._server.slow.mget([prefix + key for key in keys[start : start + AT_ONCE]])
        return found

    def mark(self, cursor: str) -> None:
        self._fenced(lambda pipe: pipe.hset(CURSORS, self._view, cursor))

    def refresh(self) -> None:
        generations = name_of(self._view, "generations")
        with in_words(self._server.address):
            for old in self._server.slow.smembers(generations) - {self._generation}:
                for _ in self._forgotten(old):
                    self._renew()
        self._generation = str(int(self._generation) + 1).encode()
        self._fenced(lambda pipe: pipe.sadd(generations, self._generation))

    def write(self, keys: Sequence[bytes], records: Sequence[bytes]) -> None:
        prefix, over = name_of(self._view, "") + self._generation + b":", name_of(self._view, "+:")
        for start in range(0, len(keys), AT_ONCE):
            part = dict(zip(keys[start : start + AT_ONCE], records[start : start + AT_ONCE], strict=True))
            gone = [over + key for key, record in part.items() if len(record) == HEADER.size]

            def put(pipe: Any, part: Any = part, gone: Any = gone) -> None:
                pipe.mset({prefix + key: record for key, record in part.items()})
                if gone:
                    pipe.unlink(*gone)

            self._fenced(put)
            if self._generation == self._before:
                self._done_with(part)

    def _done_with(self, records: Mapping[bytes, bytes]) -> None:
        """Take away what was pushed for keys and has come into their table since."""
        server, over = self._server, name_of(self._view, "+:")
        with in_words(server.address):
            if not (server.slow.get(name_of(self._view, "now")) or b"").endswith(PUSHED):
                return
            names = {over + key: record for key, record in records.items()}
            pushed = zip(names, server.slow.mget(list(names)), strict=True)
            if not (there := [name for name, one in pushed if one is not None]):
                return

            def take(pipe: Any) -> None:
                self._check(pipe)
                pairs = list(zip(there, pipe.mget(there), strict=True))
                pipe.multi()
                for name, one in pairs:
                    if one is not None and still_pushed(names[name], one) is None:
                        pipe.unlink(name)

            server.watched([self._lock, *there], take)

    def finish(self, cursor: str) -> None:
        now, generations = name_of(self._view, "now"), name_of(self._view, "generations")
        gone = self._left()

        def flip(pipe: Any) -> None:
            pushed = (pipe.get(now) or b"0 0").split(b" ")[1]
            self._check(pipe)
            pipe.multi()
            pipe.set(now, self._generation + b" " + pushed)
            pipe.sadd(generations, self._generation)
            pipe.hset(CURSORS, self._view, cursor)
            if gone:
                pipe.unlink(*gone)

        with in_words(self._server.address):
            self._server.watched([now, self._lock], flip)
        self._there = True
        if self.cursor != cursor:
            raise OnlineStoreError(
                f"{self._server.address.shown} does not hold what was just published to it",
                hint="Was it flushed? Publish again.",
            )
        with in_words(self._server.address):
            if self._generation != self._before:
                self._done_with_all()
            for old in self._server.slow.smembers(generations) - {self._generation}:
                for _ in self._forgotten(old):
                    pass  # the view is published: nobody needs the lock for this

    def _done_with_all(self) -> None:
        """The same for all keys, after a full refresh."""
        over, own = (_name_prefix(self._view, part) for part in (b"+", self._generation))
        if not (self._server.slow.get(name_of(self._view, "now")) or b"").endswith(PUSHED):
            return
        for names in self._server.named(over):
            self._renew()
            for start in range(0, len(names), AT_ONCE):
                keys = [name[len(over) :] for name in names[start : start + AT_ONCE]]
                records = zip(keys, self._server.slow.mget([own + key for key in keys]), strict=True)
                self._done_with({key: record for key, record in records if record is not None})

    def _left(self) -> list[bytes]:
        """What was pushed for keys that had a row before a full refresh, and have none now."""
        if self._generation == self._before:
            return []
        over, old, new = (_name_prefix(self._view, part) for part in (b"+", self._before, self._generation))
        gone: list[bytes] = []
        with in_words(self._server.address):
            if not (self._server.slow.get(name_of(self._view, "now")) or b"").endswith(PUSHED):
                return []
            for names in self._server.named(over):
                self._renew()
                for start in range(0, len(names), AT_ONCE):
                    part = names[start : start + AT_ONCE]
                    keys = [name[len(over) :] for name in part]
                    records = self._server.slow.mget([old + key for key in keys] + [new + key for key in keys])
                    pairs = zip(part, records[: len(part)], records[len(part) :], strict=True)
                    gone += [name for name, was, now in pairs if now is None and was and len(was) > HEADER.size]
        return gone

    def _forgotten(self, generation: bytes) -> Iterator[None]:
        """Delete a generation's records, step by step."""
        yield from self._server.swept(_name_prefix(self._view, generation))
        self._server.slow.srem(name_of(self._view, "generations"), generation)

    def _renew(self) -> None:
        """Hold the lock for longer: what goes through a whole server may take more time than it was given for."""
        self._fenced(lambda pipe: None)

    def _fenced(self, work: Callable[[Any], Any]) -> None:
        """Do work in one transaction with a look at the lock."""
        with in_words(self._server.address), self._server.slow.pipeline() as pipe:
            pipe.watch(self._lock)
            self._check(pipe)
            pipe.multi()
            work(pipe)
            pipe.pexpire(self._lock, self._server.lease_ms)
            try:
                pipe.execute()
            except WatchError:
                self._lost()

    def _check(self, pipe: Any) -> None:
        if pipe.get(self._lock) != self._token:
            self._lost()

    def _lost(self) -> None:
        raise OnlineStoreError(
            f"{self._view}: the lock on {self._server.address.shown} was lost while it was published",
            hint="Was the server flushed or restarted, or this process halted? Publish again: nothing is half done.",
        )


def _name_prefix(view: str, part: bytes) -> bytes:
    return name_of(view, "") + part + b":"


def escaped(prefix: bytes) -> bytes:
    """A prefix as a pattern of Redis."""
    return re.sub(rb"([\[\]*?\\^-])", rb"\\\1", prefix)


def name_of(view: str, what: str) -> bytes:
    """A key of a view."""
    return f"lakehouse:{view}:{what}".encode()
