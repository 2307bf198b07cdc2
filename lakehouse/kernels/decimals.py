"""Decimals as doubles: the one that is nearest to each, as Python's ``float`` has it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

EXACT = 2**53
"""Up to here a double holds every whole number."""
MOST_SCALE = 22
"""Up to here a double holds the power of ten: of two exact numbers the quotient is the nearest."""
ONE_WORD = 18
"""Digits that fit into the lower of a decimal's two words."""


def nearest_doubles(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """The column with doubles for decimals, whatever they stand in; Arrow's own cast is off by a bit in the last place.

    >>> import decimal
    >>> nearest_doubles(pa.array([decimal.Decimal("-2.30"), None]))[0]
    <pyarrow.DoubleScalar: -2.3>
    """
    if isinstance(column, pa.ChunkedArray):
        chunks = [nearest_doubles(chunk) for chunk in column.chunks]
        return pa.chunked_array(chunks, _replaced(column.type, pa.float64()))
    kind = _replaced(column.type, pa.float64())
    if kind == column.type:
        return column
    exact = _quotients(column)
    return column.cast(_replaced(column.type, pa.string())).cast(kind) if exact is None else exact


def _quotients(column: pa.Array) -> pa.Array | None:
    """The same, several times faster, where whole number and power of ten are exact; else None."""
    kind = column.type
    if not pa.types.is_decimal128(kind) or kind.precision > ONE_WORD or not 0 <= kind.scale <= MOST_SCALE:
        return None
    words = np.frombuffer(column.buffers()[1], "<i8")[::2][column.offset : column.offset + len(column)]
    null = np.asarray(pc.is_null(column).to_numpy(zero_copy_only=False))
    numbers = np.where(null, 0, words)
    if len(numbers) and (int(numbers.max()) > EXACT or int(numbers.min()) < -EXACT):
        return None
    return pa.array(numbers / 10.0**kind.scale, pa.float64(), mask=null)


def _replaced(kind: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The type with another one in the place of decimals."""
    if pa.types.is_decimal(kind):
        return other
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_replaced(kind.value_type, other)))
    if pa.types.is_map(kind):
        return pa.map_(_replaced(kind.key_type, other), kind.item_field.with_type(_replaced(kind.item_type, other)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_replaced(field.type, other)) for field in kind])
    return kind
