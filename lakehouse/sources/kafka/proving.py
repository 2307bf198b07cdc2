"""Prove that values which were written as they came are records: in the files, all at once and without Spark.

Spark's own judgement of a value, one at a time, costs as much as all the rest of a batch. It is made where a value is
not proved sound here: it is no record, or one in words that take an exact parser.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from lakehouse.kernels.jsonlines import SoundObjects
from lakehouse.sources.kafka.reading import VALUE

BLOCK, ROWS = 8 * 2**20, 1024
"""Bytes that are looked at together, and values: the bytes of those that are there many times are counted once."""


def sound(kind: str, files: Sequence[Path]) -> bool:
    """Whether each value in the files is proved a record: UTF-8, for ``json`` an object. A tombstone is one."""
    if kind == "binary":
        return True
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        return all(pool.map(partial(_sound, kind), files))


def _sound(kind: str, file: Path) -> bool:
    look = partial(_objects, SoundObjects()) if kind == "json" else _texts
    return all(map(look, _values(file)))


def _texts(values: pa.Array) -> bool:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False  # it is not UTF-8
    return True


def _objects(objects: SoundObjects, values: pa.Array) -> bool:
    import pyarrow.compute as pc

    if not len(values):
        return True
    large = pa.large_string()
    lines = pc.binary_join_element_wise(values.cast(large), pa.scalar("", large), pa.scalar("\n", large))
    _, places, block = lines.buffers()
    offsets = np.frombuffer(places, np.int64)[lines.offset : lines.offset + len(lines) + 1]
    block = block.slice(offsets[0], offsets[-1] - offsets[0])
    return objects.keys(block, offsets[:-1] - offsets[0], offsets[1:] - offsets[0] - 1) is not None


def _values(file: Path) -> Iterator[pa.Array]:
    """The file's values without tombstones, some at a time."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(file) as opened:
        for group in range(opened.num_row_groups):
            about = opened.metadata.row_group(group)
            rows = min(ROWS, max(1, BLOCK * about.num_rows // max(1, about.total_byte_size)))
            for piece in opened.iter_batches(rows, row_groups=[group], columns=[VALUE]):
                yield piece[VALUE].drop_null()
