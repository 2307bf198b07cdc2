"""Entity keys as bytes: the form that Feast calls version 3, so that its own tools find what we write.

Little-endian: how many join keys; for each, by name, ``2`` (a text), its length and its name; then for each its type,
the length of its value and the value. Types are numbered as Feast's ``ValueType``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import DefinitionError

BYTES, TEXT, INT32, INT64, TIME = 1, 2, 3, 4, 8
KEY_VERSION = 3
"""What Feast calls this form, ``entity_key_serialization_version``."""
_PAIR = struct.Struct("<II")
_WHOLE = {INT32: ("i", pa.int32()), INT64: ("q", pa.int64()), TIME: ("q", pa.int64())}


class EntityKeys:
    """Encodes keys of the join keys given, in any order; ``types`` are the numbers of Feast's types of their values.

    Raises DefinitionError for a type that can't be a key.

    >>> EntityKeys(["id"], [INT64]).of_rows([[7]])[0]
    b'\\x01\\x00\\x00\\x00\\x02\\x00\\x00\\x00\\x02\\x00\\x00\\x00id\\x04\\x00\\x00\\x00\\x08\\x00\\x00\\x00\\x07\\x00\\x00\\x00\\x00\\x00\\x00\\x00'
    """

    def __init__(self, names: Sequence[str], types: Sequence[int]) -> None:
        for name, kind in zip(names, types, strict=True):
            if kind not in (BYTES, TEXT, *_WHOLE):
                raise DefinitionError(
                    f"the join key '{name}' is of a type that Feast can't look up",
                    hint="Use a string, bytes, a whole number of 32 or 64 bits, or a timestamp.",
                )
        self.order = sorted(range(len(names)), key=lambda spot: names[spot])
        self.types = [types[spot] for spot in self.order]
        texts = [names[spot].encode() for spot in self.order]
        self.prefix = struct.pack("<I", len(texts)) + b"".join(_PAIR.pack(TEXT, len(one)) + one for one in texts)
        self._pack = [_packer(kind, b"" if spot else self.prefix) for spot, kind in enumerate(self.types)]

    def of_rows(self, columns: Sequence[Sequence[Any]]) -> list[bytes | None]:
        """The key of each row, None where a part of it is null.

        Columns are of str, bytes or int, one for each join key in the order of the names (a time: whole seconds).
        """
        if len(columns) == 1:
            pack = self._pack[0]
            return [None if value is None else pack(value) for value in columns[0]]
        ordered = zip(*(columns[spot] for spot in self.order), strict=True)
        return [
            None if None in row else b"".join([pack(value) for pack, value in zip(self._pack, row, strict=True)])
            for row in ordered
        ]

    def of_columns(self, columns: Sequence[pa.ChunkedArray | pa.Array], rows: int) -> pa.Array:
        """The keys of many rows: a large_binary array; null where a part is null.

        Raises DefinitionError for a time that is not a whole second: Feast's keys hold no less.
        """
        if not columns:
            return pa.array([self.prefix] * rows, pa.large_binary())
        parts: list[Any] = [pa.scalar(self.prefix, pa.large_binary())]
        for spot, kind in zip(self.order, self.types, strict=True):
            parts.append(_column(columns[spot], kind))
        joined = pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))
        return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def _packer(kind: int, head: bytes) -> Callable[[Any], bytes]:
    """Packs one value of a key, after what stands before it."""
    if kind == TEXT:
        return lambda value: _sized(head, TEXT, value.encode())
    if kind == BYTES:
        return lambda value: _sized(head, BYTES, value)
    code = _WHOLE[kind][0]
    whole = struct.Struct(f"<{len(head)}sII{code}")
    return partial(whole.pack, head, kind, struct.calcsize(code))


def _sized(head: bytes, kind: int, value: bytes) -> bytes:
    return head + _PAIR.pack(kind, len(value)) + value


def _column(column: pa.ChunkedArray | pa.Array, kind: int) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if kind in _WHOLE:
        return _whole(column, kind)
    values = column.cast(pa.large_string() if kind == TEXT else pa.large_binary()).cast(pa.large_binary())
    heads = np.empty((len(values), 2), "<u4")
    heads[:, 0] = kind
    heads[:, 1] = pc.fill_null(pc.binary_length(values), 0).to_numpy()
    return pc.binary_join_element_wise(_fixed(heads), values, pa.scalar(b"", pa.large_binary()))


def _whole(column: pa.Array, kind: int) -> pa.Array:
    code, arrow = _WHOLE[kind]
    if kind == TIME and pa.types.is_timestamp(column.type):
        try:
            column = column.cast(pa.timestamp("s", column.type.tz))
        except pa.ArrowInvalid as error:
            raise DefinitionError(f"a key is a time within a second, which Feast can't look up: {error}") from error
    try:
        column = column.cast(arrow)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        hint = "Give the entity the value_type that the table's column has."
        raise DefinitionError(f"a key is not of its entity's type, {arrow}: {error}", hint=hint) from error
    size = struct.calcsize(code)
    rows = np.empty(len(column), np.dtype([("kind", "<u4"), ("size", "<u4"), ("value", f"<i{size}")]))
    rows["kind"], rows["size"] = kind, size
    rows["value"] = pc.fill_null(column, 0).to_numpy()
    keys = _fixed(rows)
    return pc.if_else(column.is_valid(), keys, pa.scalar(None, pa.large_binary())) if column.null_count else keys


def _fixed(rows: Any) -> pa.Array:
    data = np.ascontiguousarray(rows)
    width = data.nbytes // len(data) if len(data) else 1
    kind = pa.binary(width)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(data), [None, pa.py_buffer(data)]).cast(pa.large_binary())
