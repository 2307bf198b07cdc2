"""The lake of a project, opened for reading: its tables by address, as Arrow, pandas, Polars or SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.config import Project, load_project
from lakehouse.delta.state import read_state
from lakehouse.errors import LakehouseError, NotBuiltError, SetupError, UsageError, did_you_mean
from lakehouse.local.snapshot import Snapshot, is_table, next_command
from lakehouse.tables.beside import ORIGIN
from lakehouse.tables.definition import LAYERS

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

KNOWN_FROM, KNOWN_UNTIL = "_known_from", "_known_until"


def open_lake(start: Path | str | None = None, env: str | None = None) -> Lake:
    """The lake of the project that ``start`` (or the current folder) is in. Nothing is read yet, and nothing written.

    ``lake = open_lake(); lake.sql("select * from gold.carriers")``
    """
    return Lake(load_project(Path(start) if start is not None else None, env))


class Lake:
    """Every built table, read without a JVM. Addresses are LAYER.NAME; times are in UTC.

    ``bronze.x`` is the records that landed: rejects and receipts stand in the same Delta table and are not seen.
    """

    def __init__(self, project: Project) -> None:
        self.project = project

    def __repr__(self) -> str:
        return f"Lake({str(self.project.root)!r}, env={self.project.env!r})"

    def addresses(self) -> list[str]:
        """The tables that are built, bronze first."""
        return [
            f"{layer}.{folder.name}"
            for layer in LAYERS
            for folder in sorted((self.project.root / layer).glob("*"))
            if is_table(folder)
        ]

    def tables(self) -> list[Snapshot]:
        """Every built table at its newest version: how many rows, which columns, when it changed; no row is read."""
        return [self.snapshot(address) for address in self.addresses()]

    def snapshot(self, address: str, version: int | None = None) -> Snapshot:
        """A table at one version (the newest without one). Raises NotBuiltError, or UsageError for an unknown name."""
        folder = self._folder(address)
        kind = "record" if address.startswith("bronze.") else None
        return Snapshot(address, folder, version=version, kind=kind)

    def arrow(self, address: str, columns: Sequence[str] | None = None, version: int | None = None) -> pa.Table:
        """A table's rows as Arrow; name the columns that you need: the others are not read."""
        return self.snapshot(address, version).arrow(columns)

    def versions(self, address: str) -> pa.Table:
        """Every row that a silver table with ``keep_versions=True`` has or had, with ``_known_from`` and
        ``_known_until`` (UTC; null for a row that it has now). Raises UsageError for a table that keeps none.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        state = read_state(self.project.path(address))
        now = self.arrow(address, version=state.version if state is not None else None)
        if state is None or KNOWN_FROM not in now.column_names:
            raise UsageError(f"{address} keeps no versions", hint="Declare it with keep_versions=True and build it.")
        now = now.append_column(KNOWN_UNTIL, pa.nulls(now.num_rows, pa.timestamp("us", tz="UTC")))
        parts = [now]
        memory = self.project.state(address)
        for folder in sorted(memory.parent.glob(f"{memory.name}.versions.*")):
            kept = read_state(folder)
            origin = kept.properties.get(ORIGIN, "") if kept is not None else ""
            cursor = state.cursor(origin) if origin.endswith(state.made_under) else None
            if cursor is not None:  # of this content, and not of a commit that is not made yet
                ended = Snapshot(address, folder).arrow([*now.column_names, "_upto"])
                ended = ended.filter(pc.less_equal(ended.column("_upto"), cursor)).select(now.column_names)
                parts.append(ended.cast(now.schema))
        return pa.concat_tables(parts)

    def known(self, address: str, by: datetime) -> pa.Table:
        """The rows that a silver table with ``keep_versions=True`` had at a moment, which needs a time zone."""
        import pyarrow.compute as pc

        if by.tzinfo is None:
            raise UsageError(f"{by} has no time zone", hint="Such as datetime(2026, 1, 31, tzinfo=UTC).")
        rows = self.versions(address)
        since, until = rows.column(KNOWN_FROM), rows.column(KNOWN_UNTIL)
        there = pc.and_(pc.less_equal(since, by), pc.fill_null(pc.greater(until, by), True))
        return rows.filter(there).drop_columns([KNOWN_UNTIL])

    def pandas(self, address: str, columns: Sequence[str] | None = None, version: int | None = None) -> pd.DataFrame:
        """As :meth:`arrow`, as a pandas frame."""
        frame: pd.DataFrame = self.arrow(address, columns, version).to_pandas()
        return frame

    def polars(self, address: str, columns: Sequence[str] | None = None, version: int | None = None) -> pl.DataFrame:
        """As :meth:`arrow`, as a Polars frame. Raises SetupError where Polars is not installed."""
        try:
            import polars
        except ImportError as error:
            raise SetupError("Polars is not installed", hint="Install it: pip install polars") from error
        frame = polars.from_arrow(self.arrow(address, columns, version))
        assert isinstance(frame, polars.DataFrame)
        return frame

    def table(self, address: str) -> duckdb.DuckDBPyRelation:
        """A table as a DuckDB relation, to go on with: ``lake.table("gold.x").filter("n > 3").df()``."""
        self._folder(address)
        layer, _, name = address.partition(".")
        return self.sql(f'SELECT * FROM {layer}."{name}"')

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """One reading statement of DuckDB's SQL over the tables, as ``layer.name``; only those it names are opened.

        The connection can neither write nor reach a file or the network. Raises UsageError for SQL that DuckDB
        refuses, NotBuiltError for a table that is not built.
        """
        from lakehouse.local.query import run_query

        return run_query(self, query)

    def receipts(self, address: str) -> list[dict[str, Any]]:
        """What each batch of a bronze or silver table recorded, oldest first: counts, files, seconds.

        Each has ``batch`` and ``at`` (UTC) beside what its receipt says; none for a table that is not built.
        """
        folder = self.project.path(address) if address.startswith("bronze.") else self.project.state(address)
        if not is_table(folder):
            return []
        snapshot = Snapshot(address, folder, kind="receipt")
        rows = snapshot.bookkeeping(["_receipt", "_batch", "_ingested_at"]).to_pylist()
        receipts = [
            {"batch": row.get("_batch"), "at": row.get("_ingested_at"), **json.loads(row["_receipt"])} for row in rows
        ]
        return sorted(receipts, key=lambda receipt: (receipt["batch"] or 0, receipt.get("upto") or 0))

    def quality(self, address: str) -> list[dict[str, Any]]:
        """What each rule of a silver or gold table found in each of its builds, oldest first: ``rule``, ``on_fail``,
        ``verdict`` (passed, warned, quarantined, failed; skipped where another rule had stopped the table), ``looked``
        (rows), ``failures``, ``samples`` (up to three, as dicts), ``at`` (the run's clock, UTC), and ``batches`` or
        ``versions``: what the build read. A build that was stopped is there too; one that changed nothing is not.
        """
        folder = self.project.state(address)
        if address.partition(".")[0] not in ("silver", "gold") or not is_table(folder):
            if address not in self._declared():
                self._folder(address)
            return []
        rows = Snapshot(address, folder, kind="quality").bookkeeping(["_record"]).to_pylist()
        found = [json.loads(row["_record"]) for row in rows]
        for one in found:
            one["at"] = datetime.fromisoformat(one["at"])
        return sorted(found, key=lambda one: (one["at"], one["place"]))

    def _folder(self, address: str) -> Path:
        """The folder of a built table, or the error that says what the name should have been or what to run."""
        layer, dot, name = address.partition(".")
        if dot and layer in LAYERS and name and "/" not in name:
            folder = self.project.path(address)
            if is_table(folder):
                return folder
        known = set(self.addresses()) | self._declared()
        if address in known:
            raise NotBuiltError(f"{address} is not built yet", hint=next_command(address))
        bare = {other.partition(".")[2]: other for other in sorted(known)}
        if address in bare:
            raise UsageError(f"there is no table '{address}'", hint=f"Did you mean '{bare[address]}'?")
        raise UsageError(f"there is no table '{address}'", hint=did_you_mean(address, known))

    def _declared(self) -> set[str]:
        """The addresses that the project declares, as far as its modules can be imported here."""
        declared = {f"bronze.{name}" for name in self.project.config.sources}
        try:
            from lakehouse.tables.discovery import tables_in

            declared |= {table.address for table in tables_in(self.project.config.tables, self.project.folder)}
        except LakehouseError:
            pass  # a reader may lack what the tables' modules import, such as pyspark; what is built is known anyway
        return declared
