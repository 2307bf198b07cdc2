"""Lines of flat JSON objects, proved sound a block at a time by Arrow; anything else is left to the exact parser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json

from lakehouse.sources.files.inspection import blocks, is_utf8

LONGEST_LINE = 1_000
"""Bytes: no number in it can be too long for Spark."""
NOT_PLAIN = (b"\\", b"\0", b"\r", b"[")
"""What Arrow's parser takes in another way than RFC 8259, or might."""


def count_flat(path: Path, add: Callable[[list[str]], str]) -> int | None:
    """How many objects the file holds, or None where a line might be more, less or other than one sound flat object.

    ``add`` is told the keys of each block and says what is wrong with them, if anything.
    """
    records, kinds = 0, None
    for block in blocks(path):
        lines = _flat_lines(block)
        if lines is None:
            return None
        try:
            table = json.read_json(
                pa.BufferReader(block),
                read_options=json.ReadOptions(use_threads=False, block_size=len(block)),
                parse_options=json.ParseOptions(explicit_schema=kinds),
            )
        except pa.ArrowException:
            return None  # no JSON, a key twice, or a key with values of several types
        if table.num_rows != lines or not _finite(table) or add(table.column_names):
            return None
        kinds = pa.schema([field for field in table.schema if not pa.types.is_null(field.type)])
        records += lines
    return records


def _finite(table: pa.Table) -> bool:
    """Whether no number is NaN or infinite, which Arrow's parser takes and RFC 8259 has no word for."""
    numbers = [column for column in table.columns if pa.types.is_floating(column.type)]
    return all(pc.all(pc.is_finite(column)).as_py() is not False for column in numbers)


def _flat_lines(block: bytes) -> int | None:
    """The lines of a block, if each begins with its one ``{`` and ends with its one ``}``, and holds no escapes."""
    if any(mark in block for mark in NOT_PLAIN) or not is_utf8(block):
        return None
    a = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(a == ord("\n"))
    if not len(ends) or ends[-1] + 1 != len(a):
        ends = np.append(ends, len(a))
    starts = np.concatenate(([0], ends[:-1] + 1))
    if (ends - starts).min() < len("{}") or (ends - starts).max() > LONGEST_LINE:
        return None
    alone = block.count(b"{") == block.count(b"}") == len(ends)
    return len(ends) if alone and (a[starts] == ord("{")).all() and (a[ends - 1] == ord("}")).all() else None
