"""``online_store: {type: lakehouse.online.sqlite.SqliteOnlineStore, path: …}``: embedded, one file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from feast.repo_config import RepoConfig

from lakehouse.online.file import RecordFile
from lakehouse.online.publication import Asked, Found
from lakehouse.online.store import PackedOnlineStore, PackedOnlineStoreConfig


class SqliteOnlineStoreConfig(PackedOnlineStoreConfig):
    """``online_store:`` in feature_store.yaml."""

    type: Literal["lakehouse.online.sqlite.SqliteOnlineStore"] = "lakehouse.online.sqlite.SqliteOnlineStore"
    path: str = "data/online.db"
    """The file; a relative path starts at the Feast repository."""
    timeout_s: float = 5.0
    """How long (seconds) a look-up or a write waits for another's write."""


class SqliteOnlineStore(PackedOnlineStore):
    """Records in one SQLite file. Threads and processes of one machine may share it."""

    def __init__(self) -> None:
        super().__init__()
        self._file: RecordFile | None = None

    async def find_async(self, config: RepoConfig, asked: Sequence[Asked]) -> list[Found]:
        return await asyncio.to_thread(self.holder(config).find, asked)

    def holder(self, config: RepoConfig) -> RecordFile:
        settings = config.online_store
        path = Path(settings.path)
        if not path.is_absolute() and config.repo_path is not None:
            path = Path(config.repo_path) / path
        if self._file is None or self._file.path != path:
            self._file = RecordFile(path, settings.timeout_s)
        return self._file
