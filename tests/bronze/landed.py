"""What a bronze table holds, read without the engine."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.config import Project

OURS = {"_kind", "_file", "_row", "_batch", "_ingested_at", "_raw", "_offset", "_line", "_reason", "_receipt"}


class Landed:
    """One version of one table. Checks law 1 for each of its batches."""

    def __init__(self, project: Project, name: str) -> None:
        self.path: Path = project.path(f"bronze.{name}")
        table = DeltaTable(str(self.path))
        self.version = table.version()
        rows: list[dict[str, Any]] = pa.table(table.scan()).to_pylist()
        self.kinds = {kind: [r for r in rows if r["_kind"] == kind] for kind in ("record", "reject", "receipt")}
        receipts = sorted(self.kinds["receipt"], key=lambda row: int(row["_batch"]))
        self.receipts = {row["_batch"]: json.loads(row["_receipt"]) for row in receipts}
        assert len(self.receipts) == len(self.kinds["receipt"])
        assert {row["_batch"] for row in rows} == set(self.receipts)
        for batch, receipt in self.receipts.items():
            counts = [sum(row["_batch"] == batch for row in self.kinds[kind]) for kind in ("record", "reject")]
            assert counts == [receipt["landed"], receipt["quarantined"]]
            assert receipt["read"] == receipt["landed"] + receipt["quarantined"]
            files = receipt["cursor"].get("files")
            if files is not None:
                assert receipt["landed"] == sum(file["records"] for file in files)
                assert receipt["quarantined"] == sum(file["rejects"] for file in files)

    @property
    def records(self) -> Counter[tuple[Any, ...]]:
        """Each record: its file, then its values by name."""
        rows = self.kinds["record"]
        return Counter((r["_file"], *sorted((k, v) for k, v in r.items() if k not in OURS)) for r in rows)

    @property
    def files(self) -> list[str]:
        return [file["path"] for _, receipt in sorted(self.receipts.items()) for file in receipt["cursor"]["files"]]
