"""Text (UTF-8): a record is a line, empty ones too; the bytes are counted and proved here, then Spark reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from lakehouse.sources.files.inspection import LONGEST_RECORD, MARK, Inspection, blocks, is_utf8, spark_opens
from lakehouse.tables.batch import Reject

COLUMNS = ("value",)


def inspect_text(path: Path, name: str) -> Inspection:
    """Count the lines of a file and find those that are not UTF-8. Lines end with LF, CRLF or the file."""
    records = 0
    safe = spark_opens(path)
    for number, block in enumerate(blocks(path)):
        if not safe or (number == 0 and block.startswith(MARK)) or not is_utf8(block) or _longest(block):
            return split_text(path, name)
        records += block.count(b"\n") + (not block.endswith(b"\n"))
    return Inspection(COLUMNS, records)


def _longest(block: bytes) -> bool:
    """Whether a line is too long."""
    if len(block) <= LONGEST_RECORD:
        return False
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
    return bool(np.diff(ends, prepend=-1, append=len(block)).max() > LONGEST_RECORD)


def split_text(path: Path, name: str) -> Inspection:
    """Split the whole file here, in memory: each record and each reject with its exact place."""
    rejects: list[Reject] = []
    values: list[str] = []
    offsets: list[int] = []
    at = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            body = raw[len(MARK) :] if at == 0 and raw.startswith(MARK) else raw
            try:
                if len(raw) > LONGEST_RECORD:
                    rejects.append(Reject(name, at, number, raw, f"it is longer than {LONGEST_RECORD:,} bytes"))
                elif body or raw is body:  # a mark alone is no line
                    values.append(body.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8"))
                    offsets.append(at)
            except UnicodeDecodeError as error:
                reason = f"it is not UTF-8: byte {error.start} of the line is 0x{body[error.start]:02x}"
                rejects.append(Reject(name, at, number, raw, reason))
            at += len(raw)
    table = pa.table({"value": pa.array(values, pa.string()), "_row": pa.array(offsets, pa.int64())})
    return Inspection(COLUMNS, len(values), tuple(rejects), table)
