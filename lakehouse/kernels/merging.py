"""Tiles of more events: what was there before, merged with the tiles of the new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.aggregations import COUNT, HOP, START, Aggregation, Aggregations, Part, column_of
from lakehouse.kernels.keys import Ints, key_codes
from lakehouse.kernels.tiles import items_of, tile_schema, tiles_of, tiles_of_items
from lakehouse.kernels.times import ticks
from lakehouse.kernels.windows import counted

Truths = npt.NDArray[np.bool_]
ORDERED: tuple[Part, ...] = ("first", "last")


@dataclass(frozen=True)
class Since:
    """All events from a time on (microseconds since 1970), old and new."""

    at: int
    events: pa.Table


def ordered(told: Aggregations) -> dict[str, list[Part]]:
    """Of each measure the partial results that hold values in their order, but not when they were."""
    found = {measure: [part for part in parts if part in ORDERED] for measure, parts in told.parts().items()}
    return {measure: parts for measure, parts in found.items() if parts}


def merged_tiles(told: Aggregations, old: pa.Table, new: pa.Table, since: Since | None) -> tuple[pa.Table, Truths]:
    """The tiles in which ``new`` events are, of these and of all before; and of which of them there was one before.

    ``old`` are the tiles of the events before, at least those in which new ones are; ``since`` has the newest events,
    new ones and old, from the earliest new one on: needed where there is something :func:`ordered`. Guaranteed: the
    bits that :func:`lakehouse.kernels.tiles.tiles_of` gives of all events. Raises LateError where these don't tell.
    """
    counting = _counting(told)
    fresh = tiles_of(new, counting)
    types = {name: new.schema.field(name).type for name in (*told.keys, *(one.name for one in told.measures))}
    schema = tile_schema(told, types)
    spots = _spots(told, fresh, old)
    there = spots >= 0
    before = old.select(schema.names).cast(schema).take(pa.array(spots[there]))
    after = fresh.select(schema.names)
    if since is not None and fresh.num_rows:
        newest = tiles_of(since.events, counting)
        newest = newest.take(pa.array(_spots(told, fresh, newest)))
        before, after = _in_order(told, since.at, (before, after), (fresh, newest), there)
    found = [_of_hop(told, hop_s, before, after, there, types) for hop_s in told.hops]
    return pa.concat_tables(found), there  # tiles are in the order of their hops


class LateError(Exception):
    """What comes first in a tile can't be told from the newest events alone."""


def _counting(told: Aggregations) -> Aggregations:
    """The same features, and how many values there are of each measure that is ordered."""
    needed = ordered(told)
    more = [
        Aggregation(f"{one.measure}:count:{one.hop_s}", "count", one.measure, one.over_s, one.hop_s)
        for one in told.features
        if one.measure in needed
    ]
    return replace(told, features=(*told.features, *more))


def _spots(told: Aggregations, tiles: pa.Table, among: pa.Table) -> Ints:
    """Where each tile's key, hop and beginning are among others; -1 where they are not."""
    names = (*told.keys, HOP, START)
    ours, theirs = ([one.column(name) for name in names] for one in (tiles, among))
    asked, codes, width = key_codes(ours, theirs, (tiles.num_rows, among.num_rows))
    spots = np.full(width + 1, -1, np.int64)
    spots[codes] = np.arange(among.num_rows)
    spots[-1] = -1  # of what no tile has
    return spots[asked]


def _in_order(
    told: Aggregations, since: int, sides: tuple[pa.Table, pa.Table], counts: tuple[pa.Table, pa.Table], there: Truths
) -> tuple[pa.Table, pa.Table]:
    """Both sides with what is ordered parted in time: all that is since then on the later side."""
    before, after = sides
    fresh, newest = counts
    covered = ticks(fresh.column(START))[0] >= since
    for measure, parts in ordered(told).items():
        name = column_of(measure, "count")
        # So many of the old values are among the newest events.
        known = _numbers(newest, name) - _numbers(fresh, name)
        for part in parts:
            column = column_of(measure, part)
            after = _with(after, column, newest.column(column))
            kept = before.column(column).combine_chunks()
            size = pc.fill_null(pc.list_value_length(kept), 0).to_numpy(zero_copy_only=False).astype(np.int64)
            if part == "first" and ((size > 0) & ((known > 0) & ~covered)[there]).any():
                raise LateError
            left = np.maximum(size - known[there], 0) if part == "last" else size
            before = _with(before, column, _heads(kept, size, np.where(covered[there], 0, left)))
    return before, after


def _heads(lists: pa.ListArray, size: Ints, left: Ints) -> pa.ListArray:
    """The first so many items of each list."""
    begin = np.cumsum(size) - size
    places = np.repeat(begin, left) + counted(left)
    offsets = np.concatenate([[0], np.cumsum(left)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pc.list_flatten(lists).take(pa.array(places)))


def _of_hop(
    told: Aggregations, hop_s: int, before: pa.Table, after: pa.Table, there: Truths, types: Mapping[str, pa.DataType]
) -> pa.Table:
    own = _numbers(after, HOP) == hop_s
    places = np.flatnonzero(own)
    if not len(places):
        return after.schema.empty_table()
    both = pa.concat_tables([before.filter(pa.array(own[there])), after.filter(pa.array(own))]).combine_chunks()
    places = np.concatenate([places[there[places]], places])
    order = np.argsort(places, kind="stable")  # of each tile the one before comes first
    both, places = both.take(pa.array(order)), places[order]
    starts = np.flatnonzero(np.append(True, places[1:] != places[:-1]))
    columns = {name: both.column(name).take(pa.array(starts)) for name in (*told.keys, HOP, START)}
    columns[COUNT] = pa.array(np.add.reduceat(_numbers(both, COUNT), starts))
    return tiles_of_items(items_of(both, told, hop_s, types), starts, columns, told.parts(hop_s), after.schema)


def _numbers(tiles: pa.Table, name: str) -> Ints:
    column = tiles.column(name)
    return np.asarray(pc.fill_null(column, 0).to_numpy(), np.int64)


def _with(tiles: pa.Table, name: str, values: pa.ChunkedArray | pa.Array) -> pa.Table:
    place = tiles.schema.get_field_index(name)
    field = tiles.schema.field(name)
    return tiles.set_column(place, field, values.cast(field.type))
