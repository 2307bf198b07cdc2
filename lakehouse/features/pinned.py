"""The tables that a training set is read from, each at one version."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from feast.repo_config import RepoConfig

from lakehouse.delta.pins import is_there
from lakehouse.delta.state import EPOCH, FINGERPRINT
from lakehouse.errors import LakehouseError, VersionGoneError
from lakehouse.features.manifest import PinnedTable
from lakehouse.features.reading import OpenTable, open_table
from lakehouse.features.source import DeltaSource
from lakehouse.features.windowed import made_of

BESIDE = "state/"
"""How names of tables begin that stand beside one, from ROOT."""


class Tables:
    """Each table opened once: all that is read of it is of one version, however it moves meanwhile."""

    def __init__(self, config: RepoConfig, pinned: Sequence[PinnedTable] = ()) -> None:
        self._config = config
        self._opened: dict[str, OpenTable] = {}
        self._users: dict[str, list[str]] = {}
        self._pinned = {one.table: one for one in pinned}

    def open(self, source: DeltaSource, user: str) -> OpenTable:
        """At its pinned version, else the version that the source names, else the newest.

        Raises VersionGoneError where a pinned version can't be read any more.
        """
        name = self.name(source)
        if name not in self._opened:
            known = self._pinned.get(name)
            self._opened[name] = source.open(self._config) if known is None else self._again(source, known)
        self._users.setdefault(name, []).append(user)
        return self._opened[name]

    def open_events(self, source: DeltaSource, tiles: OpenTable, user: str) -> OpenTable:
        """The events that tiles were made of; raises as :meth:`open`."""
        assert source.windows is not None
        of = source.windows.of
        known = (one for one in self._pinned.values() if one.table.startswith(f"{of}@") and user in one.used_by)
        pinned = next(known, None)
        version = made_of(source, tiles, self._config)[0] if pinned is None else pinned.version
        events = DeltaSource(name=of, table=of, timestamp_field=source.windows.at, version=version)
        return self.open(events, user)

    def name(self, source: DeltaSource) -> str:
        """How a manifest calls the source's table: nothing of the machine is in it."""
        if source.table is not None:
            return source.table if source.version is None else f"{source.table}@{source.version}"
        return portable(source, self._config)

    def beside(self, root: Path, kept: OpenTable, user: str) -> None:
        """What a silver table keeps beside it, and was read too: the versions of rows that ended."""
        name = os.path.relpath(kept.location, root)
        self._opened[name] = kept
        self._users.setdefault(name, []).append(user)

    def require_beside(self, root: Path) -> None:
        """Raise VersionGoneError where such a table is gone, which nobody would miss otherwise."""
        for name, known in self._pinned.items():
            if name.startswith(BESIDE) and not is_there(root / name, known.pin("")):
                raise VersionGoneError(f"{name}: the versions that ended, which rows were made of, are gone")

    @property
    def places(self) -> dict[str, str]:
        """Where each table is on this machine, by name."""
        return {name: table.location for name, table in self._opened.items()}

    def pins(self) -> tuple[PinnedTable, ...]:
        """What was opened, by name."""
        found = []
        for name, table in sorted(self._opened.items()):
            said = table.delta.metadata().configuration
            found.append(
                PinnedTable(
                    *(name, table.id, int(said.get(EPOCH, "0")), table.version, said.get(FINGERPRINT, "")),
                    used_by=tuple(dict.fromkeys(self._users[name])),
                )
            )
        return tuple(found)

    def _again(self, source: DeltaSource, known: PinnedTable) -> OpenTable:
        try:
            table = open_table(source.location(self._config), source.label, known.version)
        except LakehouseError as error:
            raise VersionGoneError(f"{known.table}: version {known.version} is gone ({error.message})") from error
        if table.id != known.table_id:
            raise VersionGoneError(f"{known.table} was made anew since: its version {known.version} is another table's")
        if "://" not in table.location and not is_there(Path(table.location), known.pin("")):
            raise VersionGoneError(f"{known.table}: files of version {known.version} are gone")
        return table


def portable(source: DeltaSource, config: RepoConfig) -> str:
    """The path of a ``path=`` source from the Feast repository."""
    place = source.location(config)
    if "://" in place or config.repo_path is None:
        return place
    return os.path.relpath(place, Path(config.repo_path).absolute())
