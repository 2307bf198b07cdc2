"""One version of one Delta table, read through its log; of a bronze table the records, not the bookkeeping."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakehouse.errors import LakehouseError, NotBuiltError, StorageError, UsageError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

KIND = "_kind"
BOOKKEEPING = {KIND, "_raw", "_offset", "_line", "_reason", "_receipt"}
"""Columns of rejects and receipts, which a bronze table's readers don't see."""


class Snapshot:
    """A table at one version. Nothing but the log is read until rows are asked for.

    ``kind`` is for tables that keep rows of several kinds apart, as bronze does: just those rows are seen.
    """

    def __init__(self, address: str, folder: Path, *, version: int | None = None, kind: str | None = None) -> None:
        self.address = address
        self.folder = folder
        self._kind = kind
        self._delta = _open(address, folder, version)

    @property
    def version(self) -> int:
        return int(self._delta.version())

    @cached_property
    def columns(self) -> dict[str, str]:
        """The columns that a reader sees, and Delta's name of the type of each."""
        fields = self._delta.schema().fields
        hidden = BOOKKEEPING if self._kind == "record" else {KIND} if self._kind else set()
        return {field.name: _type_name(field.type) for field in fields if field.name not in hidden}

    @cached_property
    def rows(self) -> int:
        """How many rows there are, from the statistics of the files where those have it."""
        actions = self._actions()
        counts = [action["num_records"] for action in actions]
        if None in counts:
            return int(self._scanned([self._least_column()]).num_rows)
        deleted = 0
        if "deletionVectors" in (self._delta.protocol().reader_features or []):
            seen = {action["path"].rpartition("/")[2] for action in actions}
            import pyarrow as pa

            for row in pa.table(self._delta.deletion_vectors()).to_pylist():
                if row["filepath"].rpartition("/")[2] in seen:
                    deleted += row["selection_vector"].count(False)
        return int(sum(counts)) - deleted

    @cached_property
    def bytes(self) -> int:
        """The size of the files that hold the rows."""
        return sum(int(action["size_bytes"]) for action in self._actions())

    @cached_property
    def changed(self) -> datetime:
        """When the version was written, in UTC."""
        # The log's last entry, not the whole history.
        entry = self._delta.history(1)[0]
        return datetime.fromtimestamp(entry["timestamp"] / 1000, UTC)

    def arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows in memory; with ``columns`` only those, which is also all that is read from the files.

        Timestamps are in UTC. Raises UsageError for a column that is not there.
        """
        wanted = list(self.columns) if columns is None else list(columns)
        for column in wanted:
            if column not in self.columns:
                raise UsageError(f"{self.address} has no column '{column}'", hint=did_you_mean(column, self.columns))
        return self.bookkeeping(wanted)

    def bookkeeping(self, columns: Sequence[str]) -> pa.Table:
        """As :meth:`arrow` with the columns that a reader does not see; a column that is not there is left out."""
        here = {field.name for field in self._delta.schema().fields}
        wanted = [column for column in columns if column in here]
        with self._reading():
            return self._scanned(wanted or [self._least_column()]).select(wanted)

    def files(self) -> list[str] | None:
        """The Parquet files that hold exactly this snapshot's rows; None where a file alone does not tell its rows.

        That is so with deletion vectors, columns that are mapped to other names, and partitions, whose values are in
        the log only.
        """
        partitions = [column for column in self._delta.metadata().partition_columns if column != KIND]
        if partitions or self._delta.protocol().min_reader_version > 1:
            return None
        found = [str(self.folder / unquote(action["path"])) for action in self._actions()]
        # DuckDB takes these characters for patterns, and a path that is not below the folder is a clone's.
        odd = any(character in path for path in found for character in "*?[]{}")
        return None if odd or not all(map(os.path.isfile, found)) else found

    def rows_of_all_kinds(self) -> pa.Table:
        """The rows, and those of other kinds; in memory, for where :meth:`files` can't be used."""
        with self._reading():
            return self._scanned([field.name for field in self._delta.schema().fields], predicate=None)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        import pyarrow as pa
        from deltalake.exceptions import DeltaError

        try:
            yield
        except (DeltaError, OSError, pa.ArrowException) as error:
            # A reader that is slower than a clean-up of old files sees this too.
            said = f"{self.address} at version {self.version} can't be read: {str(error).splitlines()[0]}"
            raise StorageError(said, hint=f"Read it again; if it stays so, look into {self.folder}.") from error

    @property
    def condition(self) -> str:
        """The SQL condition that picks this snapshot's rows out of :meth:`rows_of_all_kinds`."""
        return f"{KIND} = '{self._kind}'" if self._kind else "true"

    def _actions(self) -> list[dict[str, Any]]:
        """What the log says of each file that holds rows. Read without pyarrow, whose import takes half a second."""
        table = self._delta.get_add_actions(flatten=True)
        wanted = ["path", "size_bytes", "num_records", f"partition.{KIND}"]
        named = {name: table.column(name) for name in wanted if name in table.schema.names}
        actions = [{name: column[row].as_py() for name, column in named.items()} for row in range(table.num_rows)]
        return [action for action in actions if not self._kind or action.get(f"partition.{KIND}") == self._kind]

    def _scanned(self, columns: list[str], predicate: str | None = "") -> pa.Table:
        import pyarrow as pa

        # scan alone: it applies deletion vectors, and a process that also used to_pyarrow_* may abort when it ends.
        wanted = (self.condition if self._kind else None) if predicate == "" else predicate
        stream = self._delta.scan(columns=columns, predicate=wanted)
        return _plain_types(pa.RecordBatchReader.from_stream(stream).read_all())

    def _least_column(self) -> str:
        narrow = ("boolean", "byte", "short", "integer", "long", "date", "double")
        return next((name for name, kind in self.columns.items() if kind in narrow), next(iter(self.columns)))


def is_table(folder: Path) -> bool:
    """Whether a Delta table stands there, by the first look at its log."""
    log = folder / "_delta_log"
    return log.is_dir() and any(log.glob("*.json"))


def _open(address: str, folder: Path, version: int | None) -> DeltaTable:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    if not is_table(folder):
        raise NotBuiltError(f"{address} is not built: no table in {folder}", hint=next_command(address))
    try:
        table = DeltaTable(folder)
        if version is None:
            return table
        if not 0 <= version <= table.version():
            raise UsageError(f"{address} has no version {version}", hint=f"Its newest version is {table.version()}.")
        table.load_as_version(version)
        return table
    except TableNotFoundError as error:
        raise NotBuiltError(f"{address} is not built: no table in {folder}", hint=next_command(address)) from error
    except (DeltaError, OSError) as error:
        kept = f" at version {version}" if version is not None else ""
        raise _unreadable(address, folder, kept, error) from error


def _unreadable(address: str, folder: Path, kept: str, error: Exception) -> LakehouseError:
    hint = (
        "Older versions may have been cleaned up; read the newest." if kept else f"Look into {folder / '_delta_log'}."
    )
    return StorageError(f"{address}{kept} can't be read: {str(error).splitlines()[0]}", hint=hint)


def next_command(address: str) -> str:
    """What to run so that a table exists."""
    verb = "ingest" if address.startswith("bronze.") else "run"
    return f"Run: lakehouse {verb} --select {'' if verb == 'ingest' else '+'}{address}"


def _type_name(kind: Any) -> str:
    """``string``, ``long``, ``array<string>``, ``struct<a:long>``: as Spark writes them."""
    name = getattr(kind, "type", "")
    if name == "array":
        return f"array<{_type_name(kind.element_type)}>"
    if name == "map":
        return f"map<{_type_name(kind.key_type)},{_type_name(kind.value_type)}>"
    if name == "struct":
        return f"struct<{','.join(f'{field.name}:{_type_name(field.type)}' for field in kind.fields)}>"
    return str(name)


def _plain_types(table: pa.Table) -> pa.Table:
    """DataFusion answers with views of strings, which few tools take: make them strings."""
    import pyarrow as pa

    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    fields = [field.with_type(plain.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))
