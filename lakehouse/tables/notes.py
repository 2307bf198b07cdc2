"""The small rows that a table remembers beside it: receipts, and what its rules found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def noted(rows: Iterable[Mapping[str, Any]], origin: str) -> pa.Table:
    """The rows with all columns of such a memory, also those of what is kept out, which may come later."""
    import pyarrow as pa

    texts = ("_kind", "_origin", "_receipt", "_file", "_record")
    fields = [*((name, pa.string()) for name in texts), *((name, pa.int64()) for name in ("_batch", "_row"))]
    schema = pa.schema([*fields, ("_reasons", pa.list_(pa.string()))])
    return pa.Table.from_pylist([{**row, "_origin": origin} for row in rows], schema=schema)
