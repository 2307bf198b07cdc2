"""Slides of features with a value for each bucket: those of all the buckets of a key, as one value.

Little-endian: how many buckets u32; for each the lengths of its name and of its slides, u32 both; then each name, in
UTF-8, and slides.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.keys import Ints
from lakehouse.kernels.slides import Plan, slides


def together(plan: Plan, tiles: pa.Table, codes: Ints, at: Ints, types: dict[str, pa.DataType]) -> list[bytes | None]:
    """As :func:`lakehouse.kernels.slides.slides`, of each key with all its buckets."""
    names = pc.cast(tiles.column(plan.told.bucket), pa.string()).combine_chunks().dictionary_encode()
    labels = names.dictionary.to_pylist()
    pairs = codes * max(len(labels), 1) + names.indices.to_numpy().astype(np.int64)
    known, own = np.unique(pairs, return_inverse=True)
    keys = known // max(len(labels), 1)
    packed = slides(plan, tiles, own.astype(np.int64), at[keys], types)
    found: list[list[tuple[bytes, bytes]]] = [[] for _ in at]
    for pair, key, one in zip(known.tolist(), keys.tolist(), packed, strict=True):
        if one is not None:
            found[key].append((labels[pair % len(labels)].encode(), one))
    return [_joined(sorted(own)) if own else None for own in found]


def apart(packed: bytes) -> Iterator[tuple[str, bytes]]:
    """Each bucket's name and its slides. Raises ValueError and struct.error for other bytes."""
    if not packed:
        return
    (count,) = struct.unpack_from("<I", packed)
    lengths = struct.unpack_from(f"<{2 * count}I", packed, 4)
    at = 4 + 8 * count
    if at + sum(lengths) != len(packed):
        raise ValueError("they end elsewhere")
    for number in range(count):
        name, size = lengths[2 * number], lengths[2 * number + 1]
        yield packed[at : at + name].decode(), packed[at + name : at + name + size]
        at += name + size


def _joined(own: list[tuple[bytes, bytes]]) -> bytes:
    lengths = [size for name, one in own for size in (len(name), len(one))]
    return struct.pack(f"<I{len(lengths)}I", len(own), *lengths) + b"".join(name + one for name, one in own)
