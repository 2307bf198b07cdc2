"""Tiles: the partial results of the events of one key in one hop, as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.aggregations import COUNT, EVENTS, HOP, START, Aggregations, Part, column_of
from lakehouse.kernels.exact import Exact
from lakehouse.kernels.keys import Ints, key_codes
from lakehouse.kernels.partials import Items, Kept, Partial, numbers_of, values_of
from lakehouse.kernels.ties import Content, in_order
from lakehouse.kernels.times import UTC_TIME, Scale, ticks
from lakehouse.kernels.windows import SECOND, Held, counted

SUM = pa.struct([("low", pa.int32()), ("limbs", pa.list_(pa.int64())), ("odd", pa.list_(pa.int64()))])
"""An exact sum: see :class:`lakehouse.kernels.exact.Exact`. Limbs have the sign of the sum; none is 0 at either end."""


def tile_schema(told: Aggregations, types: Mapping[str, pa.DataType]) -> pa.Schema:
    """The columns of tiles, of events whose columns and measures have these ``types``."""
    fields = [pa.field(name, types[name]) for name in told.keys]
    fields += [pa.field(HOP, pa.int64()), pa.field(START, UTC_TIME), pa.field(COUNT, pa.int64())]
    for measure, parts in told.parts().items():
        for part in parts if measure != EVENTS else ():
            fields.append(pa.field(column_of(measure, part), _type_of(part, types[measure])))
    return pa.schema(fields)


def _type_of(part: Part, kind: pa.DataType) -> pa.DataType:
    if part == "count":
        return pa.int64()
    if part in ("sum", "squares"):
        return SUM
    return pa.list_(kind) if part in ("first", "last") else kind


def tile_columns(told: Aggregations) -> list[str]:
    """The columns of tiles that these features need."""
    parts = [column_of(name, part) for name, parts in told.parts().items() for part in parts]
    return list(dict.fromkeys([*told.keys, HOP, START, *parts]))


def order_of(events: pa.Table, told: Aggregations) -> tuple[Ints, Ints, Ints]:
    """The rows of events that have a key and a time, in the order of both; of each its key's code and its time.

    Events of one time are in the order of their measures, so that what comes first does not depend on where they stand.
    """
    keys = [events.column(name) for name in told.keys]
    codes, _, distinct = key_codes(keys, keys, (events.num_rows, events.num_rows))
    _, at, known = ticks(events.column(told.at))
    rows = np.flatnonzero(known & (codes >= 0))
    rows, _ = in_order(rows, Scale(at[rows], distinct).places(codes[rows], at[rows]), None, content_of(events, told))
    return rows, codes[rows], at[rows]


def content_of(events: pa.Table, told: Aggregations) -> Content:
    """What tells events of one key and time apart: their measures."""
    names = [one.name for one in told.measures]
    return lambda rows: events.select(names).take(pa.array(rows))


def tiles_of(events: pa.Table, told: Aggregations) -> pa.Table:
    """The tiles of all hops, of events with the columns ``told.keys``, ``told.at`` and one for each measure.

    An event without a whole key or a time is in no tile. Guaranteed: any order of the same events gives the same
    tiles, and any way of parting events by key or by whole days gives parts of the same tiles.
    """
    names = (*told.keys, *(one.name for one in told.measures))
    schema = tile_schema(told, {name: events.schema.field(name).type for name in names})
    rows, codes, at = order_of(events, told)
    if not len(rows):
        return schema.empty_table()
    events = events.take(pa.array(rows)).combine_chunks()
    items = Items.of_events(events, told.parts())
    new = np.append(True, codes[1:] != codes[:-1])
    found = []
    for hop_s in told.hops:
        hop = at // (hop_s * SECOND)
        starts = np.flatnonzero(new | np.append(True, hop[1:] != hop[:-1]))
        columns = {name: events.column(name).take(pa.array(starts)) for name in told.keys}
        columns |= {HOP: pa.array(np.full(len(starts), hop_s)), COUNT: pa.array(np.diff(starts, append=len(rows)))}
        columns[START] = pa.array(hop[starts] * hop_s * SECOND).cast(pa.timestamp("us")).cast(UTC_TIME)
        found.append(tiles_of_items(items, starts, columns, told.parts(hop_s), schema))
    return pa.concat_tables(found)


def tiles_of_items(
    items: Items,
    starts: Ints,
    columns: Mapping[str, pa.Array],
    needed: Mapping[str, Mapping[Part, int]],
    schema: pa.Schema,
) -> pa.Table:
    """A tile for each run of items that begins at ``starts``: with these columns, and the parts that are needed."""
    columns = dict(columns)
    needed = {name: parts for name, parts in needed.items() if name != EVENTS}
    grouped = items.grouped(starts, needed)
    for name, parts in needed.items():
        one, kind = grouped.parts[name], grouped.types[name]
        columns |= {column_of(name, part): _column(one, part, kind) for part in parts}
    arrays = [columns.get(field.name, pa.nulls(len(starts), field.type)) for field in schema]
    return pa.table(arrays, schema=schema)


def items_of(tiles: pa.Table, told: Aggregations, hop_s: int, types: Mapping[str, pa.DataType]) -> Items:
    """The items of some tiles of one hop, in their order; ``types`` are those of the measures' values."""
    parts = {}
    for name, needed in told.parts(hop_s).items():
        take = partial(_read, tiles, name)
        if name == EVENTS:
            parts[name] = Partial(_whole(take("count")))
            continue
        found: dict[str, Any] = {"count": _whole(take("count")) if "count" in needed else np.ones(len(tiles), np.int64)}
        found |= {one: opened(take(one)) for one in ("sum", "squares") if one in needed}
        if "min" in needed:
            found["least"] = numbers_of(take("min"))
        if "max" in needed:
            found["most"] = numbers_of(take("max"))
        found |= {one: _kept(take(one)) for one in ("first", "last") if one in needed}
        parts[name] = Partial(**found)
    return Items(parts, {**types, EVENTS: pa.null()})


def packed(sums: Exact) -> pa.StructArray:
    """Exact sums as they stand in a table: one way of writing each."""
    negative, parts = sums.magnitude()
    limbs = np.stack(parts)
    there = limbs != 0
    first = np.where(there.any(axis=0), there.argmax(axis=0), 0)
    after = np.where(there.any(axis=0), len(limbs) - there[::-1].argmax(axis=0), 0)
    size = after - first
    rows = np.repeat(np.arange(len(size)), size)
    values = limbs[Held(first, after).rows, rows] * np.where(negative[rows], -1, 1)
    low = np.where(size > 0, first + sums.low, 0).astype(np.int32)
    odd_size = np.where((sums.odd > 0).any(axis=0), 3, 0) if len(sums.odd) else np.zeros(len(sums), np.int64)
    odd = sums.odd[:, odd_size > 0].T.reshape(-1) if len(sums.odd) else np.empty(0, np.int64)
    return pa.StructArray.from_arrays([pa.array(low), _lists(values, size), _lists(odd, odd_size)], fields=list(SUM))


def opened(column: pa.Array) -> Exact:
    """What :func:`packed` made; 0 for null."""
    lows, limbs, odds = (column.field(number) for number in range(3))
    if column.null_count:
        there = pc.is_valid(column)
        lows, limbs, odds = (pc.if_else(there, one, pa.scalar(None, one.type)) for one in (lows, limbs, odds))
    low = pc.fill_null(lows, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    size = pc.fill_null(pc.list_value_length(limbs), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    used = size > 0
    least = int(low[used].min()) if used.any() else 0
    high = int((low + size)[used].max()) if used.any() else 1
    matrix = np.zeros((high - least, len(column)), np.int64)
    rows = np.repeat(np.arange(len(size)), size)
    matrix[low[rows] - least + counted(size), rows] = pc.list_flatten(limbs).to_numpy(zero_copy_only=False)
    count = pc.fill_null(pc.list_value_length(odds), 0).to_numpy(zero_copy_only=False)
    odd = np.empty((0, len(column)), np.int64)
    if (count > 0).any():
        odd = np.zeros((3, len(column)), np.int64)
        odd[:, count > 0] = pc.list_flatten(odds).to_numpy(zero_copy_only=False).reshape(-1, 3).T
    return Exact(least, matrix, odd)


def _column(one: Partial, part: Part, kind: pa.DataType) -> pa.Array:
    if part == "count":
        return pa.array(one.count)
    if part in ("sum", "squares"):
        sums = one.sum if part == "sum" else one.squares
        assert sums is not None
        return packed(sums)
    if part in ("first", "last"):
        kept = one.first if part == "first" else one.last
        assert kept is not None
        offsets = np.concatenate([[0], kept.ends]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), kept.values)
    numbers = one.least if part == "min" else one.most
    assert numbers is not None
    return values_of(numbers, one.count > 0, kind)


def _read(tiles: pa.Table, measure: str, part: Part) -> pa.Array:
    return tiles.column(column_of(measure, part)).combine_chunks()


def _whole(column: pa.Array) -> Ints:
    return np.asarray(pc.fill_null(column, 0).to_numpy(zero_copy_only=False), np.int64)


def _kept(column: pa.Array) -> Kept:
    size = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    return Kept(pc.list_flatten(column), np.cumsum(size.astype(np.int64)))


def _lists(values: Ints, sizes: Ints) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
