"""``online_store: {type: lakehouse.online.sqlite.SqliteOnlineStore, path: …}``: embedded, one file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from feast.feature_view import FeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig

from lakehouse.kernels.record import Layout
from lakehouse.online.file import FilePublication, RecordFile
from lakehouse.online.reading import Found
from lakehouse.online.request import view_id
from lakehouse.online.store import Asked, PackedOnlineStore


class SqliteOnlineStoreConfig(FeastConfigBaseModel):
    """``online_store:`` in feature_store.yaml."""

    type: Literal["lakehouse.online.sqlite.SqliteOnlineStore"] = "lakehouse.online.sqlite.SqliteOnlineStore"
    path: str = "data/online.db"
    """The file; a relative path starts at the Feast repository."""
    timeout_s: float = 5.0
    """How long (seconds) a look-up or a write waits for another's write."""
    as_of: datetime | None = None
    """Answer look-ups as of this moment (UTC where naive) instead of now: to replay what was served."""
    unavailable: Literal["error", "null"] = "error"
    """What a look-up does when the file can't be read: raise, or answer null with the status INVALID."""


class SqliteOnlineStore(PackedOnlineStore):
    """Records in one SQLite file. Threads and processes of one machine may share it."""

    def __init__(self) -> None:
        super().__init__()
        self._file: RecordFile | None = None

    def find(self, config: RepoConfig, asked: Sequence[Asked]) -> list[list[Found]]:
        file = self._open(config)
        answer = []
        for view, keys in asked:
            found = file.read(view, keys)
            answer.append([found.get(key, (None, None)) for key in keys])
        return answer

    async def find_async(self, config: RepoConfig, asked: Sequence[Asked]) -> list[list[Found]]:
        return await asyncio.to_thread(self.find, config, asked)

    def layouts(self, config: RepoConfig) -> dict[int, str]:
        return self._open(config).layouts()

    def push(self, config: RepoConfig, view: str, layout: Layout, rows: Sequence[tuple[bytes, bytes]]) -> None:
        records = self.records(config)
        records.known(layout)
        self._open(config).push(view, layout, rows, records.merged)

    def add(self, config: RepoConfig, view: str) -> None:
        self._open(config).add(view)

    def drop(self, config: RepoConfig, view: str) -> None:
        self._open(config).drop(view)

    @contextmanager
    def publication(self, config: RepoConfig, view: FeatureView, layout: Layout) -> Iterator[FilePublication]:
        with self._open(config).publication(view_id(config, view), layout) as publication:
            yield publication

    def _open(self, config: RepoConfig) -> RecordFile:
        settings = config.online_store
        path = Path(settings.path)
        if not path.is_absolute() and config.repo_path is not None:
            path = Path(config.repo_path) / path
        if self._file is None or self._file.path != path:
            self._file = RecordFile(path, settings.timeout_s)
        return self._file
