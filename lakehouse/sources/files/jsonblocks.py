"""A file of JSON lines, proved sound a block at a time; what can't be proved so is left to the exact parser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from lakehouse.kernels.jsonlines import SoundObjects
from lakehouse.sources.files.inspection import blocks


def count_sound(path: Path, add: Callable[[list[str]], str]) -> int | None:
    """How many objects the file holds, or None where a line might be more, less or other than one sound object.

    ``add`` is told the keys of each block and says what is wrong with them, if anything.
    """
    records, objects = 0, SoundObjects()
    for block in blocks(path):
        if b"\r" in block:
            return None  # to Spark it ends a line
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
        if not len(ends) or ends[-1] + 1 != len(block):
            ends = np.append(ends, len(block))
        starts = np.concatenate(([0], ends[:-1] + 1))
        keys = objects.keys(pa.py_buffer(block), starts, ends)
        if keys is None or add(keys):
            return None
        records += len(ends)
    return records
