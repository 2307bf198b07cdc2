"""The receipts of a bronze table: rows of the table itself, so that they can't say anything else than its data does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse.delta import TableState, read_state
from lakehouse.errors import StorageError


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

    def landed(self, after: int, upto: int) -> int:
        """Records that landed in the batches ``after`` < batch ≤ ``upto``."""
        return sum(receipt["landed"] for batch, receipt in self.batches.items() if after < batch <= upto)


def read_receipts(path: Path) -> Receipts:
    """The receipts of the bronze table in the folder; none where there is no table yet.

    Raises StorageError when the folder holds a table that is not bronze.
    """
    state = read_state(path)
    if state is None:
        return Receipts(None, {})
    if "_receipt" not in state.columns:
        raise StorageError(
            f"{path} holds a Delta table that is no bronze table of ours",
            hint="Move it away, or name another root in conf/.",
        )
    found = state.rows("SELECT _batch, _receipt FROM t WHERE _kind = 'receipt' ORDER BY _batch")
    return Receipts(state, {row["_batch"]: json.loads(row["_receipt"]) for row in found})
