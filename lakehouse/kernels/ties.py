"""Rows in the order in which one hides the other: by key, event time, created time and content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.keys import Column, Ints
from lakehouse.kernels.times import LEAST, ticks

Content: TypeAlias = Callable[[Ints], pa.Table]
"""The rows at the positions given, with the columns that tell tied rows apart. Called only when rows are tied."""


def in_order(rows: Ints, places: Ints, created: Column | None, content: Content | None) -> tuple[Ints, Ints]:
    """The rows and their places by place; tied rows by created (null is least) and content, else as they came."""
    order = np.argsort(places)
    rows, places = rows[order], places[order]
    tied = _tied(places[1:] == places[:-1])
    if len(tied):
        made = np.zeros(len(tied), np.int64)
        if created is not None:
            moments, _, known = ticks(created)
            made = np.where(known, moments, LEAST)[rows[tied]]
        again = np.lexsort((rows[tied], made, places[tied]))
        rows[tied], made = rows[tied][again], made[again]
        still = _tied((places[tied][1:] == places[tied][:-1]) & (made[1:] == made[:-1]))
        if content is not None and len(still):
            equal = tied[still]
            ranks = _ranks(content(rows[equal]))
            again = np.lexsort((*reversed(ranks), made[still], places[equal]))
            rows[equal] = rows[equal][again]
    return rows, places


def _tied(same: Any) -> Ints:
    """The positions that equal the one before or after; ``same`` says of each but the last whether the next does."""
    if not same.any():
        return np.empty(0, np.int64)
    return np.flatnonzero(np.append(same, False) | np.append(False, same))


def _ranks(table: pa.Table) -> list[Ints]:
    """For each column the rank of each value, null least; values of the same bits, and all NaN, have equal ranks."""
    return [_rank(table.column(name)) for name in sorted(table.column_names)]


def _rank(column: pa.ChunkedArray) -> Ints:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _rank(column.cast(kind.value_type))
    if pa.types.is_nested(kind) or pa.types.is_null(kind):
        # Arrow can't order these; their text can be, and tied rows are few.
        column = pa.chunked_array([pa.array([None if value is None else repr(value) for value in column.to_pylist()])])
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    if pa.types.is_null(column.type):
        return np.zeros(len(column), np.int64)
    ranks: Any = pc.rank(column, sort_keys="ascending", tiebreaker="dense")
    null = pc.is_null(column).to_numpy(zero_copy_only=False)
    found = np.where(null, 0, ranks.to_numpy(zero_copy_only=False)).astype(np.int64)
    if pa.types.is_floating(column.type):  # Arrow takes the two zeros for equal, and which one comes first is seen
        values = column.to_numpy()
        found = 2 * found + ((values == 0) & ~np.signbit(values))
    return found
