"""The small rows that a table remembers beside it: receipts, and what its rules found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from lakehouse.tables.quarantine import of_origin

if TYPE_CHECKING:
    import pyarrow as pa


class Rows(Protocol):
    """The rows that a table remembers beside it."""

    @property
    def columns(self) -> dict[str, str]: ...

    def rows(self, sql: str) -> list[dict[str, Any]]: ...


def made_from(address: str, inputs: Mapping[str, str], epoch: int, fingerprint: str) -> str:
    """The transaction id of a gold table's content: its epoch, its definition, and the ids of the inputs' tables."""
    ids = ",".join(f"{name}={of} changed" for name, of in sorted(inputs.items()))
    return f"{address}:{hashlib.sha256(ids.encode()).hexdigest()[:16]}:{epoch}:{fingerprint}"


def receipt_of(beside: Rows, origin: str, cursor: int) -> dict[str, Any] | None:
    """What the build that left this cursor wrote down: ``versions`` of its inputs, and ``windows`` where it made tiles.

    None where there is no receipt.
    """
    if "_receipt" not in beside.columns:
        return None
    of_build = f"_kind = 'receipt' AND _batch = {cursor} AND {of_origin(origin)}"
    found = beside.rows(f"SELECT _receipt FROM t WHERE {of_build}")
    return dict(json.loads(found[0]["_receipt"])) if found else None


def noted(rows: Iterable[Mapping[str, Any]], origin: str) -> pa.Table:
    """The rows with all columns of such a memory, also those of what is kept out, which may come later."""
    import pyarrow as pa

    texts = ("_kind", "_origin", "_receipt", "_file", "_record")
    fields = [*((name, pa.string()) for name in texts), *((name, pa.int64()) for name in ("_batch", "_row"))]
    schema = pa.schema([*fields, ("_reasons", pa.list_(pa.string()))])
    return pa.Table.from_pylist([{**row, "_origin": origin} for row in rows], schema=schema)
