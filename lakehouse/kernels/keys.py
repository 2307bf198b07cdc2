"""Keys of two sides as one code a row, whatever their Arrow types: equal keys, and only those, have equal codes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import DefinitionError

Column: TypeAlias = pa.Array | pa.ChunkedArray
Ints: TypeAlias = npt.NDArray[np.int64]


def key_codes(left: Sequence[Column], right: Sequence[Column], rows: tuple[int, int]) -> tuple[Ints, Ints, int]:
    """One code a row for each side, from 0 to below the number returned; -1 where a part of the key is null, or no
    left row has it.

    Parts are coded one by one and never joined into one text, so ("1", "11") is not ("11", "1"). Without any part
    (a table without entities) all rows have the same key. ``rows`` are the lengths of the two sides.
    Raises DefinitionError for two types that can't be compared.
    """
    ours, theirs, width = np.zeros(rows[0], np.int64), np.zeros(rows[1], np.int64), 1
    for number, (left_part, right_part) in enumerate(zip(left, right, strict=True)):
        one, other, wide = _part(left_part, right_part)
        if number == 0:
            ours, theirs, width = one, other, wide
            continue
        ours = np.where((ours < 0) | (one < 0), -1, ours * wide + one)
        theirs = np.where((theirs < 0) | (other < 0), -1, theirs * wide + other)
        # Dense again before the next part, so that the product of their widths can't overflow.
        known = np.sort(ours[ours >= 0])
        known = known[np.append(True, known[1:] != known[:-1])] if len(known) else known
        ours, theirs, width = _dense(ours, known), _dense(theirs, known), len(known)
    return ours, theirs, width


def _dense(codes: Ints, known: Ints) -> Ints:
    if not len(known):
        return np.full(len(codes), -1, np.int64)
    order = np.argsort(codes)  # asked in order, a search is several times faster
    place = np.empty(len(codes), np.int64)
    place[order] = np.minimum(np.searchsorted(known, codes[order]), len(known) - 1)
    return np.where(known[place] == codes, place, -1)


def _part(left: Column, right: Column) -> tuple[Ints, Ints, int]:
    one, other = comparable(left, right)
    if pa.types.is_int64(one.type) and len(one) > one.null_count:
        ends = pc.min_max(one).as_py()
        if ends["max"] - ends["min"] < 4 * (len(one) + len(other)):
            return _by_offset(one, other, ends["min"], ends["max"])
    values = pc.drop_null(pc.unique(one))
    return _index(one, values), _index(other, values), len(values)


def _by_offset(left: Column, right: Column, least: int, most: int) -> tuple[Ints, Ints, int]:
    """Whole numbers that lie close together are their own codes, less the least: nothing needs to be looked up."""
    there = np.zeros(most - least + 1, np.bool_)
    coded = []
    for column in (left, right):
        numbers = pc.fill_null(column, most).to_numpy(zero_copy_only=False) if column.null_count else _numbers(column)
        inside = (numbers >= least) & (numbers <= most)
        codes = np.where(inside, numbers, least)
        codes -= least
        if column.null_count:
            inside &= np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), np.bool_)
        if column is left:
            there[codes[inside]] = True
        codes[~(inside & there[codes])] = -1
        coded.append(codes)
    return coded[0], coded[1], len(there)


def _numbers(column: Column) -> Ints:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.int64)


def _index(column: Column, values: pa.Array) -> Ints:
    index: Any = pc.index_in(column, value_set=values, skip_nulls=True)
    return _numbers(pc.fill_null(index, -1)).astype(np.int64)


def is_whole(parts: Sequence[Column]) -> Column:
    """Which rows have no null in any part."""
    return reduce(pc.and_, map(pc.is_valid, parts))


def comparable(left: Column, right: Column) -> tuple[Column, Column]:
    """Both columns in one type, without changing a value; what has no equal in that type becomes null.

    Floats that hold whole numbers (pandas makes them of integers with gaps) meet integers; NaN is null; zeros of both
    signs are equal; naive timestamps are UTC, and a date is its midnight. Raises DefinitionError for types that have no
    values in common.
    """
    left, right = _plain(left), _plain(right)
    if left.type == right.type:
        return left, right
    if left.null_count == len(left) or right.null_count == len(right):
        # Nothing to match, whatever the type: pandas calls an empty column, or one without values, double.
        return pa.nulls(len(left), pa.int64()), pa.nulls(len(right), pa.int64())
    numbers = {left.type, right.type}
    if numbers == {pa.int64(), pa.float64()}:
        return _whole(left), _whole(right)
    if all(pa.types.is_decimal(kind) or pa.types.is_integer(kind) for kind in numbers):
        scale = max((kind.scale for kind in numbers if pa.types.is_decimal(kind)), default=0)
        wide = pa.decimal256(76, scale)
        return left.cast(wide), right.cast(wide)
    raise DefinitionError(
        f"a key is {left.type} on one side and {right.type} on the other, which are never equal",
        hint="Cast one of them, so that both sides hold the same kind of value.",
    )


def _plain(column: Column) -> Column:
    """One type for each kind of value: int64, float64, large_string, large_binary, timestamp[us]."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if pa.types.is_signed_integer(kind) or kind in (pa.uint8(), pa.uint16(), pa.uint32()):
        return column.cast(pa.int64())
    if pa.types.is_uint64(kind):
        return column.cast(pa.decimal256(76, 0))
    if pa.types.is_floating(kind):
        values = pc.add(column.cast(pa.float64()), 0.0)  # -0.0 + 0.0 is 0.0
        return pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    if pa.types.is_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return column.cast(pa.large_binary())
    if pa.types.is_timestamp(kind) and kind.unit != "us":
        return _microseconds(column)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return column.cast(pa.timestamp("us"))
    if pa.types.is_nested(kind):
        raise DefinitionError(f"a key can't be {kind}", hint="Use strings, whole numbers, dates or timestamps.")
    return column


def _microseconds(column: Column) -> Column:
    if column.type.unit != "ns":
        return column.cast(pa.timestamp("us"))
    ticks = column.cast(pa.int64())
    whole = pc.divide(ticks, 1000)
    exact = pc.equal(pc.multiply(whole, 1000), ticks)
    return pc.if_else(exact, whole, pa.scalar(None, pa.int64())).cast(pa.timestamp("us"))


def _whole(column: Column) -> Column:
    if pa.types.is_integer(column.type):
        return column
    fits = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 2.0**63))
    return pc.if_else(fits, column, pa.scalar(None, pa.float64())).cast(pa.int64())
