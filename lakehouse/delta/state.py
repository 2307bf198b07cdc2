"""What a Delta table's log says now, read without a JVM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import TableNotFoundError

from lakehouse.delta.log import changed_at, described
from lakehouse.errors import StorageError

EPOCH = "lakehouse.epoch"
"""The table property that counts rebuilds and restores; a cursor of an earlier epoch says nothing."""
MARK = "lakehouse"
"""What the user metadata of our commits starts with."""
UPKEEP = f"{MARK} maintenance"
"""What that of commits starts with that change no row, whatever was done before."""
REBUILD = "lakehouse.rebuild"
"""The table property that says why the table is to be rebuilt: the epoch of which that was said, and words."""
FINGERPRINT = "lakehouse.fingerprint"
"""The table property that holds the fingerprint of the definition that the content was made by."""


@dataclass(frozen=True)
class TableState:
    """One version of one table. ``id`` never changes while the table lives; a table made anew has another."""

    id: str
    version: int
    properties: dict[str, str]
    columns: dict[str, str]
    """Each column and its type, in Delta's words."""
    table: DeltaTable
    path: Path

    @property
    def epoch(self) -> int:
        return int(self.properties.get(EPOCH, "0"))

    @property
    def fingerprint(self) -> str:
        return self.properties.get(FINGERPRINT, "")

    @property
    def made_under(self) -> str:
        """How the transaction ids of its content end: its epoch and definition."""
        return f":{self.epoch}:{self.fingerprint}"

    @property
    def rebuild(self) -> str:
        """Why somebody wants it rebuilt; nothing where nobody does, or where a rebuild has begun since."""
        epoch, _, why = self.properties.get(REBUILD, "").partition(" ")
        return why if epoch == str(self.epoch) else ""

    @cached_property
    def changed_at(self) -> int:
        """The version that last changed rows or columns; what maintenance commits is no change."""
        return changed_at(self.path, self.version)

    def cursor(self, application: str) -> int | None:
        """The version of the last commit that was made under this transaction id, or None."""
        return self.table.transaction_version(application)

    @cached_property
    def restored(self) -> bool:
        """Whether somebody restored the table to an older version after our last commit.

        RESTORE keeps the transaction ids of what it takes away, so a cursor found after it claims too much.
        """
        for version in range(self.version, -1, -1):
            operation, note = described(self.path, version)
            if operation == "RESTORE":
                return True
            if operation is None or (note.startswith(MARK) and not note.startswith(UPKEEP)):
                return False
        return False

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Run DuckDB-like SQL over the table, named ``t`` there; deletion vectors are applied."""
        found = QueryBuilder().register("t", self.table).execute(sql)
        return [row for batch in found for row in _as_pyarrow(batch).to_pylist()]


Look: TypeAlias = "Callable[[Path], TableState | None]"
"""How to look at a table: :func:`read_state`, or what has done so before."""


def read_state(path: Path) -> TableState | None:
    """The newest version of the table in the folder, or None where there is no table.

    Raises StorageError when the folder holds a log that can't be read.
    """
    if not (path / "_delta_log").is_dir():
        return None
    try:
        table = DeltaTable(str(path))
        metadata = table.metadata()
    except TableNotFoundError:
        return None
    except Exception as error:
        raise StorageError(
            f"{path}: its Delta log can't be read: {error}",
            hint="Restore the folder _delta_log from a backup, or move the table away; bronze rebuilds the rest.",
        ) from error
    columns = {field.name: str(field.type) for field in table.schema().fields}
    return TableState(str(metadata.id), table.version(), dict(metadata.configuration), columns, table, path)


def _as_pyarrow(batch: Any) -> Any:
    import pyarrow

    return pyarrow.record_batch(batch)
