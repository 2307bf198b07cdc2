"""Binary: a record is a file, whatever is in it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from lakehouse.errors import ContractError
from lakehouse.sources.files.inspection import Inspection, spark_finds

LARGEST_CONTENT = 64 * 2**20
"""Bytes of a file. It stands in memory several times while it is written, one for each core."""
COLUMNS = ("content", "length", "modified_at")


def inspect_binary(path: Path, name: str) -> Inspection:
    """The file as one record. Raises ContractError for one that is too large to stand in a row."""
    status = path.stat()
    size = status.st_size
    if size > LARGEST_CONTENT:
        raise ContractError(
            f"{name}: it has {size:,} bytes; a binary source takes files of at most {LARGEST_CONTENT:,}",
            hint="Nothing landed. Move it away, or let the source's path leave it out.",
        )
    if size and spark_finds(path):  # Spark passes over files without bytes
        return Inspection(COLUMNS, 1)
    modified_us = status.st_mtime_ns // 10**6 * 1000  # as exact as Spark has it
    row = {
        "content": pa.array([path.read_bytes()], pa.binary()),
        "length": pa.array([size], pa.int64()),
        "modified_at": pa.array([modified_us], pa.timestamp("us", "UTC")),
        "_row": pa.array([0], pa.int64()),
    }
    return Inspection(COLUMNS, 1, rows=pa.table(row))
