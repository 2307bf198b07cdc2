"""The small rows that a table remembers beside it: receipts, and what its rules found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class Rows(Protocol):
    """The rows that a table remembers beside it."""

    @property
    def columns(self) -> dict[str, str]: ...

    def rows(self, sql: str) -> list[dict[str, Any]]: ...


class Content(Protocol):
    """One version of the table itself."""

    @property
    def made_under(self) -> str: ...

    def cursor(self, application: str) -> int | None: ...


def made_of(beside: Rows, table: Content) -> dict[str, int] | None:
    """The versions of its inputs that a gold table was made of; None where no receipt tells them."""
    if "_receipt" not in beside.columns:
        return None
    for row in beside.rows("SELECT _origin, _batch, _receipt FROM t WHERE _kind = 'receipt'"):
        if row["_origin"].endswith(table.made_under) and table.cursor(row["_origin"]) == row["_batch"]:
            return dict(json.loads(row["_receipt"])["versions"])
    return None


def noted(rows: Iterable[Mapping[str, Any]], origin: str) -> pa.Table:
    """The rows with all columns of such a memory, also those of what is kept out, which may come later."""
    import pyarrow as pa

    texts = ("_kind", "_origin", "_receipt", "_file", "_record")
    fields = [*((name, pa.string()) for name in texts), *((name, pa.int64()) for name in ("_batch", "_row"))]
    schema = pa.schema([*fields, ("_reasons", pa.list_(pa.string()))])
    return pa.Table.from_pylist([{**row, "_origin": origin} for row in rows], schema=schema)
