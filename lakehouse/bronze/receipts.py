"""The receipts of a bronze table: rows of the table itself, so that they can't say anything else than its data does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lakehouse.delta import Look, TableState, is_plain, read_state
from lakehouse.errors import StorageError

COLUMNS, RECEIPT = ["_batch", "_receipt"], "_kind = 'receipt'"
_known: dict[Path, dict[Path, list[dict[str, Any]]]] = {}
"""Rows by file, of each table that this process has read."""


@dataclass(frozen=True)
class Receipts:
    """What has landed in one bronze table, batch by batch; read without a JVM."""

    table: TableState | None
    batches: dict[int, dict[str, Any]]
    """Each batch's number and receipt, in the order in which they landed."""

    @property
    def cursors(self) -> list[dict[str, Any]]:
        """Where each batch ended, oldest first. A replay moves no cursor: it takes nothing from the source."""
        return [receipt["cursor"] for receipt in self.batches.values() if "replayed" not in receipt]

    @property
    def landed_at(self) -> dict[int, datetime]:
        """When each batch landed, in UTC."""
        if self.table is None:
            return {}
        found = self.table.rows(f"SELECT _batch, _ingested_at FROM t WHERE {RECEIPT}")
        return {row["_batch"]: row["_ingested_at"].replace(tzinfo=UTC) for row in found}

    def landed(self, after: int, upto: int) -> int:
        """Records that landed in the batches ``after`` < batch ≤ ``upto``."""
        return sum(receipt["landed"] for batch, receipt in self.batches.items() if after < batch <= upto)


def read_receipts(path: Path, look: Look = read_state) -> Receipts:
    """The receipts of the bronze table in the folder; none where there is no table yet.

    Raises StorageError when the folder holds a table that is not bronze.
    """
    state = look(path)
    if state is None:
        return Receipts(None, {})
    if "_receipt" not in state.columns:
        raise StorageError(
            f"{path} holds a Delta table that is no bronze table of ours",
            hint="Move it away, or name another root in conf/.",
        )
    query = f"SELECT {', '.join(COLUMNS)} FROM t WHERE {RECEIPT}"
    found = _by_file(path, state) if is_plain(state.table) else state.rows(query)
    in_order = sorted(found, key=itemgetter("_batch"))
    return Receipts(state, {row["_batch"]: json.loads(row["_receipt"]) for row in in_order})


def _by_file(path: Path, state: TableState) -> list[dict[str, Any]]:
    """The rows of all files with receipts. A file never changes: a loop of many rounds reads each once."""
    from pyarrow.parquet import ParquetFile

    known = _known.get(path, {})
    added = state.table.get_add_actions(flatten=True)
    kinds = zip(*(added.column(name).to_pylist() for name in ("path", "partition._kind")), strict=True)
    files = [path / unquote(name) for name, kind in kinds if kind == "receipt"]
    _known[path] = {file: known.get(file) or ParquetFile(file).read(columns=COLUMNS).to_pylist() for file in files}
    return [row for rows in _known[path].values() for row in rows]
