"""The packed record: all that an online store keeps of one key of one view, as one value.

Little-endian, with nothing between the parts:

    record  = header, row…                       rows by event time; none: the key was deleted (a tombstone)
    header  = encoding u8, 0 u8, rows u16, layout u32, version u64
    row     = event i64, created i64, length u32, nulls, fixed, heap
    nulls   = a bit for each field, lowest first; set: the value is null
    fixed   = for each field its value, or where it ends in the heap (u32)
    heap    = the bytes of the fields without a fixed size, one after another

``version`` is the Delta version that the record was made of, ``event`` and ``created`` are microseconds since 1970 in
UTC, and ``length`` counts what follows it in its row. A record names its layout by number; the text of each layout
(:attr:`Layout.text`) stands once in the store, so that records of an earlier shape of a view can still be read.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import DefinitionError, StorageError
from lakehouse.kernels.keys import Ints

ENCODING = 1
UNKNOWN = -(2**63)
"""No created time."""
EVER = 2**63 - 1
"""When every row is due."""
HEADER = struct.Struct("<BBHIQ")
ROW = struct.Struct("<qqI")
MOST_ROWS = 2**16 - 1

FIXED = {
    "int32": ("i", pa.int32()),
    "int64": ("q", pa.int64()),
    "float": ("f", pa.float32()),
    "double": ("d", pa.float64()),
    "bool": ("?", pa.bool_()),
    "time": ("q", pa.timestamp("us", "UTC")),
}
"""Kinds of one size: how they are packed, and their Arrow type. A time is microseconds since 1970 in UTC."""
HEAP = {"text": pa.large_string(), "bytes": pa.large_binary(), "value": pa.large_binary()}
"""Kinds of any size. What the bytes of a ``value`` mean is the caller's affair."""
LISTS = {f"list {kind}": (code, pa.large_list(arrow)) for kind, (code, arrow) in FIXED.items()}
"""Lists of values of one size, none of them null."""


def arrow_type(kind: str) -> pa.DataType:
    """The type in which a column of that kind is given to :func:`encode`."""
    return FIXED[kind][1] if kind in FIXED else LISTS[kind][1] if kind in LISTS else HEAP[kind]


@dataclass(frozen=True)
class Layout:
    """The fields of a view's records, in order: the name and the kind of each."""

    fields: tuple[tuple[str, str], ...]

    @cached_property
    def text(self) -> str:
        return json.dumps(self.fields, separators=(",", ":"))

    @cached_property
    def number(self) -> int:
        """Tells this layout from the others of a store."""
        return int.from_bytes(hashlib.blake2b(self.text.encode(), digest_size=4).digest(), "little")

    @cached_property
    def codes(self) -> str:
        """The fixed part as :mod:`struct` names it."""
        return "".join(FIXED[kind][0] if kind in FIXED else "I" for _, kind in self.fields)

    @property
    def bitmap(self) -> int:
        """How many bytes the nulls take."""
        return (len(self.fields) + 7) // 8

    @staticmethod
    def of_text(text: str) -> Layout:
        return Layout(tuple((name, kind) for name, kind in json.loads(text)))


def encode(
    layout: Layout, columns: pa.Table, events: Ints, created: Ints, version: int, counts: Ints | None = None
) -> list[bytes]:
    """The record of each key. ``columns`` has a row's fields in the layout's order, in :func:`arrow_type`.

    ``counts`` says how many rows, one after another and by event time, each key has (None: one each). Raises
    DefinitionError for a null within a list and for more than 65,535 rows of a key.
    """
    if counts is None:
        return _rows(layout, columns, events, created, HEADER.pack(ENCODING, 0, 1, layout.number, version))
    if len(counts) and int(counts.max()) > MOST_ROWS:
        raise DefinitionError(f"a key has {int(counts.max()):,} rows that are due later; {MOST_ROWS:,} are the most")
    rows = _rows(layout, columns, events, created, b"")
    heads = {int(n): HEADER.pack(ENCODING, 0, int(n), layout.number, version) for n in np.unique(counts)}
    ends = np.cumsum(counts).tolist()
    return [
        heads[count] + (rows[end - 1] if count == 1 else b"".join(rows[end - count : end]))
        for count, end in zip(counts.tolist(), ends, strict=True)
    ]


def tombstone(layout: Layout, version: int) -> bytes:
    """The record of a key that its table no longer has."""
    return HEADER.pack(ENCODING, 0, 0, layout.number, version)


def version_of(record: bytes) -> int:
    """The Delta version that a record was made of."""
    layout_of(record)
    return int(HEADER.unpack_from(record)[4])


def layout_of(record: bytes) -> int:
    """The number of a record's layout. Raises StorageError for an encoding that this release can't read."""
    if len(record) < HEADER.size:
        raise torn(record)
    if record[0] != ENCODING:
        hint = "Publish with the same release that reads, or upgrade the reader first."
        raise StorageError(f"a record has the encoding {record[0]}, and this release reads {ENCODING}", hint=hint)
    return int(HEADER.unpack_from(record)[3])


def torn(record: bytes) -> StorageError:
    """What is said of bytes that are no record."""
    told = f"{len(record):,} bytes of the online store are no whole record"
    return StorageError(told, hint="Delete the online store and publish again: it is filled from its tables.")


def _rows(layout: Layout, columns: pa.Table, events: Ints, created: Ints, head: bytes) -> list[bytes]:
    """Each row packed, with ``head`` before it."""
    size = len(events)
    start = len(head) + ROW.size
    width = start + layout.bitmap + struct.calcsize("<" + layout.codes)
    fixed = np.zeros((size, width), np.uint8)
    if head:
        fixed[:, : len(head)] = np.frombuffer(head, np.uint8)
    _put(fixed, len(head), events)
    _put(fixed, len(head) + 8, created)
    heap: list[pa.Array] = []
    ends = np.zeros(size, np.uint32)
    at = start + layout.bitmap
    for spot, (name, kind) in enumerate(layout.fields):
        column = columns.column(spot).combine_chunks()
        if column.null_count:
            null = np.asarray(pc.is_null(column).to_numpy(zero_copy_only=False))
            fixed[:, start + spot // 8] |= null.astype(np.uint8) << np.uint8(spot % 8)
        if kind in FIXED:
            values = _numbers(column, kind)
        else:
            packed = _packed(name, kind, column)
            heap.append(packed)
            ends = ends + pc.binary_length(packed).to_numpy().astype(np.uint32)
            values = ends
        _put(fixed, at, values)
        at += values.itemsize
    _put(fixed, len(head) + 16, (width - start + ends.astype(np.int64)).astype(np.uint32))
    whole = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), size, [None, pa.py_buffer(fixed)])
    if heap:
        whole = pc.binary_join_element_wise(whole.cast(pa.large_binary()), *heap, pa.scalar(b"", pa.large_binary()))
    rows: list[bytes] = whole.to_pylist()
    return rows


def _put(matrix: npt.NDArray[np.uint8], at: int, values: npt.NDArray[Any]) -> None:
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    matrix[:, at : at + values.itemsize] = little.view(np.uint8).reshape(len(values), values.itemsize)


def _numbers(column: pa.Array, kind: str) -> npt.NDArray[Any]:
    if kind == "time":
        column = column.cast(pa.int64())
    filled = pc.fill_null(column, False if kind == "bool" else 0) if column.null_count else column
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def _packed(name: str, kind: str, column: pa.Array) -> pa.Array:
    """The column's values as bytes; nothing for null."""
    if kind in LISTS:
        column = _packed_lists(name, kind, column)
    column = column.cast(pa.large_binary())
    return pc.fill_null(column, b"") if column.null_count else column


def _packed_lists(name: str, kind: str, column: pa.Array) -> pa.Array:
    if column.null_count:
        column = pc.fill_null(column, pa.scalar([], column.type))
    values = column.flatten()
    if values.null_count:
        raise DefinitionError(
            f"'{name}' has a list with a null in it, which can't be served", hint="Leave nulls out of its lists."
        )
    lengths = pc.list_value_length(column).to_numpy().astype(np.int64)
    numbers = _numbers(values, kind.removeprefix("list "))
    numbers = np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<"))
    offsets = np.zeros(len(column) + 1, np.int64)
    np.cumsum(lengths * numbers.itemsize, out=offsets[1:])
    return pa.Array.from_buffers(
        pa.large_binary(), len(column), [None, pa.py_buffer(offsets), pa.py_buffer(numbers.tobytes())]
    )
