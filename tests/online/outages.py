"""What may befall an online store while somebody publishes to it: at its n-th command, before it is done or after."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

KINDS = ("killed", "gone", "read-only", "full", "busy")
WORDS = {
    "gone": "disk I/O error",
    "read-only": "attempt to write a readonly database",
    "full": "database or disk is full",
    "busy": "database is locked",
}


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
    """An outage of one store while this lasts. A store of which none can be made here is skipped."""
    if store != "sqlite":
        pytest.skip(f"no outages of {store} are made here")
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
