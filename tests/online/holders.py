"""An online store of a test's own, which may be emptied, copied, and replaced by an older copy of itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.online.redis_server import RedisServer
from tests.online.stores import online_store, redis_store


class FileHolder:
    """A file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "online.db"
        self.settings = online_store("sqlite", folder)

    def flush(self) -> None:
        for one in self.file.parent.glob(f"{self.file.name}*"):
            one.unlink()

    def copied(self, to: Path) -> Path:
        return copied(self.file, to)

    def replaced(self, copy: Path) -> None:
        self.flush()
        copied(copy, self.file)


class ServerHolder:
    """A Redis, which is started again with the older copy."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.settings: dict[str, Any] = redis_store(f"localhost:{server.port}", timeout_s=10)

    def flush(self) -> None:
        self.server.client.flushall()

    def copied(self, to: Path) -> Path:
        return self.server.copied(to)

    def replaced(self, copy: Path) -> None:
        self.server.replaced(copy)


@contextmanager
def holder(kind: str, folder: Path) -> Iterator[FileHolder | ServerHolder]:
    """One of each kind of store of ours, empty."""
    if kind == "sqlite":
        yield FileHolder(folder)
        return
    with closing(RedisServer()) as server:
        yield ServerHolder(server)


def copied(file: Path, to: Path) -> Path:
    with closing(sqlite3.connect(file)) as one, closing(sqlite3.connect(to)) as other:
        one.backup(other)
    return to
