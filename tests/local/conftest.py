"""A small lake of real Delta tables, laid out as the engine lays them out, written without a JVM."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.local import Lake, open_lake

LANDED = datetime(2026, 1, 2, 3, 4, 5, 600_700, tzinfo=UTC)
BRONZE = pa.schema(
    {
        "carrier": pa.string(),
        "delay": pa.string(),
        "_kind": pa.string(),
        "_file": pa.string(),
        "_row": pa.int64(),
        "_batch": pa.int64(),
        "_ingested_at": pa.timestamp("us", "UTC"),
        "_raw": pa.binary(),
        "_offset": pa.int64(),
        "_line": pa.int64(),
        "_reason": pa.string(),
        "_receipt": pa.string(),
    }
)
RECEIPT = (
    '{"cursor": {"files": []}, "took": "1 file", "read": 3, "landed": 2, "quarantined": 1, "seconds": 0.5, '
    '"columns": ["carrier", "delay"]}'
)


@pytest.fixture(autouse=True)
def _no_project_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKEHOUSE_PROJECT", raising=False)
    monkeypatch.delenv("LAKEHOUSE_ENV", raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "base.yaml").write_text(
        """\
name: small
root: lake
tables: tables
sources:
  delays: {type: files, format: csv, path: delays.csv}
  planes: {type: files, format: csv, path: planes.csv}
"""
    )
    (tmp_path / "tables.py").write_text("")
    append_batch(tmp_path, 0)
    carriers = pa.table({"carrier": ["AA", "UA"], "n": [1, 2], "seen": [LANDED, LANDED]}).cast(
        pa.schema({"carrier": pa.string(), "n": pa.int64(), "seen": pa.timestamp("us", "UTC")})
    )
    write_deltalake(tmp_path / "lake" / "gold" / "carriers", carriers)
    write_deltalake(tmp_path / "lake" / "gold" / "carriers", carriers.slice(0, 1), mode="overwrite")
    return tmp_path


def append_batch(project: Path, batch: int) -> None:
    """One batch: two records, a reject and a receipt, in one append."""
    common = {"_batch": batch, "_ingested_at": LANDED, "_file": "delays.csv"}
    rows = [
        {"carrier": "AA", "delay": "12", "_kind": "record", "_row": 1, **common},
        {"carrier": "UA", "delay": "NA", "_kind": "record", "_row": 2, **common},
        {"_kind": "reject", "_raw": b"\xff,1", "_offset": 20, "_line": 4, "_reason": "not UTF-8", **common},
        {"_kind": "receipt", "_receipt": RECEIPT, **common},
    ]
    table = pa.Table.from_pylist(rows, schema=BRONZE)
    write_deltalake(project / "lake" / "bronze" / "delays", table, mode="append", partition_by=["_kind"])


@pytest.fixture
def landed() -> datetime:
    return LANDED


@pytest.fixture
def write_bronze() -> Callable[[Path, int], None]:
    return append_batch


@pytest.fixture
def lake(project: Path) -> Lake:
    return open_lake(project)
