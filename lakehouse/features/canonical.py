"""The one form of a table's content in bytes: equal content, and only that, has an equal hash."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def canonical(table: pa.Table) -> pa.Table:
    """The same columns in the same order, in one chunk each and without metadata.

    Texts and bytes are large ones, a dictionary is what it stands for, and what lies beneath a null is zero. Other
    types stay: an int32 is no int64.
    """
    columns = [_column(table.column(place)) for place in range(table.num_columns)]
    fields = [pa.field(name, column.type) for name, column in zip(table.column_names, columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def digest(table: pa.Table) -> str:
    """SHA-256 of the table's canonical form as an Arrow IPC stream, 64 hex digits."""
    plain = canonical(table)
    sink = _Sink()
    with pa.PythonFile(sink, mode="w") as file, pa.ipc.new_stream(file, plain.schema) as writer:
        writer.write_table(plain)
    return sink.sha.hexdigest()


def differing(one: pa.ChunkedArray, other: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Where two columns of one length hold different values; null is null, and NaN is NaN."""
    kind = one.type
    if pa.types.is_nested(kind) or kind != other.type:
        pairs = zip(one.to_pylist(), other.to_pylist(), strict=True)
        return np.fromiter((repr(left) != repr(right) for left, right in pairs), np.bool_, len(one))
    if pa.types.is_null(kind):
        return np.zeros(len(one), np.bool_)
    same = pc.equal(one, other)
    if pa.types.is_floating(kind):
        same = pc.or_(same, pc.and_(pc.is_nan(one), pc.is_nan(other)))
    same = pc.or_(pc.fill_null(same, False), pc.and_(one.is_null(), other.is_null()))
    return ~np.asarray(same.to_numpy(zero_copy_only=False), np.bool_)


class _Sink:
    """A file that keeps nothing but the hash of what is written to it."""

    closed = False

    def __init__(self) -> None:
        self.sha = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha.update(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def _column(column: pa.ChunkedArray) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _column(column.cast(kind.value_type))
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return _column(column.cast(pa.large_string()))
    if pa.types.is_binary(kind) or pa.types.is_binary_view(kind):
        return _column(column.cast(pa.large_binary()))
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], kind)
    if not len(array):
        return pa.array([], _nested(kind))
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return _text(array)
    if pa.types.is_boolean(kind):
        values = np.asarray(array.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)
        return _made(array, [pa.py_buffer(np.packbits(values, bitorder="little"))])
    if pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind):
        width = kind.bit_width // 8
        raw = np.frombuffer(array.buffers()[1], np.uint8)[array.offset * width :][: len(array) * width]
        raw = raw.reshape(len(array), width).copy()
        raw[~_valid(array)] = 0
        return _made(array, [pa.py_buffer(raw)])
    return pa.array(array.to_pylist(), _nested(kind))


def _nested(kind: pa.DataType) -> pa.DataType:
    """A list's values are called otherwise by Parquet than by Arrow."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(pa.field("item", _nested(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _nested(field.type)) for field in kind])
    return kind


def _text(array: pa.Array) -> pa.Array:
    empty = b"" if pa.types.is_large_binary(array.type) else ""
    filled = array.fill_null(empty) if array.null_count else array
    offsets = np.frombuffer(filled.buffers()[1], np.int64)[filled.offset :][: len(filled) + 1]
    data = filled.buffers()[2]
    held = data[int(offsets[0]) : int(offsets[-1])] if data is not None else pa.py_buffer(b"")
    return _made(array, [pa.py_buffer(offsets - offsets[0]), held])


def _made(array: pa.Array, values: list[pa.Buffer]) -> pa.Array:
    """An array of its own buffers, so that nothing but the content is in them."""
    valid = _valid(array)
    bits = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(array.type, len(array), [bits, *values])


def _valid(array: pa.Array) -> Any:
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False), np.bool_)
