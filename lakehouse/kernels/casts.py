"""Columns in other types, without changing a value: Arrow's own casts make True of 2 and 7 of "7"."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as types

from lakehouse.kernels.decimals import nearest_doubles

WHOLE = pa.decimal128(20, 0)
"""Holds every integer. Arrow casts none to a decimal that has no room for all of its type."""
_KINDS = (
    (types.is_boolean,),
    (types.is_integer, types.is_floating, types.is_decimal),
    (types.is_string, types.is_large_string, types.is_string_view),
    (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary),
    (types.is_timestamp, types.is_date),
)
_LISTS = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)


def exactly(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """The column in this type; just the digits that a narrower float has no room for are rounded off.

    Raises ArrowInvalid, or what Arrow itself does, for values of another kind and for one that would be changed.

    >>> exactly(pa.chunked_array([[1.0, None]]), pa.int32()).to_pylist()
    [1, None]
    """
    if column.type == kind:
        return column
    if column.null_count == len(column):  # pandas calls a column without values double
        return pa.chunked_array([pa.nulls(len(column), kind)])
    if not _alike(column.type, kind):
        raise pa.ArrowInvalid("that is another kind of value")
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if types.is_timestamp(column.type) and column.type.tz:
        column = column.cast(pa.timestamp(column.type.unit, "UTC"))  # a date is a day in UTC
    if types.is_integer(column.type) and types.is_decimal(kind):
        column = column.cast(WHOLE)
    if types.is_decimal(column.type) and types.is_floating(kind):
        doubles = nearest_doubles(column)
        _compare(column, doubles)
        column = doubles
    cast = column.cast(kind)
    cast.validate()  # Arrow's casts of list views may not be whole
    for before, after in _leaves(column, cast):
        _compare(before, after)
    return cast


def _alike(one: pa.DataType, other: pa.DataType) -> bool:
    """Whether both are of one kind, in all that they are made of."""
    if types.is_dictionary(one):
        return _alike(one.value_type, other)
    if one == other or types.is_null(one):
        return True
    if _is_list(one) and _is_list(other):
        return _alike(one.value_type, other.value_type)
    if types.is_map(one) and types.is_map(other):
        return _alike(one.key_type, other.key_type) and _alike(one.item_type, other.item_type)
    if types.is_struct(one) and types.is_struct(other):
        names = {field.name: field.type for field in other}
        return all(field.name in names and _alike(field.type, names[field.name]) for field in one)
    return any(any(is_one(one) for is_one in kind) and any(is_one(other) for is_one in kind) for kind in _KINDS)


def _is_list(kind: pa.DataType) -> bool:
    return any(is_one(kind) for is_one in _LISTS)


def _leaves(before: pa.ChunkedArray, after: pa.ChunkedArray) -> Iterator[tuple[pa.ChunkedArray, pa.ChunkedArray]]:
    """The columns of plain values that both are made of."""
    if before.type == after.type or types.is_null(before.type):
        return
    if _is_list(before.type):
        yield from _leaves(pc.list_flatten(before), pc.list_flatten(after))
    elif types.is_map(before.type):
        yield from _leaves(before.cast(_pairs(before.type)), after.cast(_pairs(after.type)))
    elif types.is_struct(before.type):
        for field in before.type:
            yield from _leaves(pc.struct_field(before, field.name), pc.struct_field(after, field.name))
    elif types.is_dictionary(before.type):
        yield from _leaves(before.cast(before.type.value_type), after)
    else:
        yield before, after


def _pairs(kind: pa.DataType) -> pa.DataType:
    return pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))


def _compare(before: pa.ChunkedArray, after: pa.ChunkedArray) -> None:
    """Raise ArrowInvalid, with the first one, for values that are not the same after the cast."""
    if types.is_floating(before.type) and types.is_floating(after.type):
        same = pc.equal(pc.is_inf(before), pc.is_inf(after))
    else:
        back = nearest_doubles(after) if types.is_floating(before.type) else after
        same = pc.equal(before, back.cast(before.type, safe=False))
    if not pc.all(same, min_count=0).as_py():
        spot = pc.index(same, False).as_py()
        raise pa.ArrowInvalid(f"{before[spot].as_py()} would become {after[spot].as_py()}")
