"""Window features at points: a key and a time each. Training, publishing and Spark's workers all ask here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.aggregations import EVENTS, HOP, START, Aggregation, Aggregations
from lakehouse.kernels.keys import Column, Ints, key_codes
from lakehouse.kernels.partials import Items, evaluate
from lakehouse.kernels.tiles import content_of, items_of
from lakehouse.kernels.windows import Bounds, Held, Windows, heads, tiled, whole

Answers = dict[str, pa.Array]
ORDERED = ("first", "last", "last_n")
"""What depends on the order of events of one time."""


def answers(
    told: Aggregations, asked: Sequence[Column], times: Column, events: pa.Table, tiles: pa.Table | None = None
) -> Answers:
    """Each feature at each point, in the order of the points; ``asked`` are the columns of their entity.

    ``events`` have the columns ``told.keys``, ``told.at`` and the measures, as
    :func:`lakehouse.kernels.measures.plain_columns` gives them: all that windows reach. With ``tiles``, which are what
    :func:`lakehouse.kernels.tiles.tiles_of` gives of all events, whole hops come from these, and of events just those
    since the last whole hop of a point are needed. The answers are the same, to the bit.
    """
    if not told.bucket:
        return _at(told, asked, times, events, tiles)
    keys = events.select(list(told.keys))
    keys = keys if tiles is None else pa.concat_tables([keys, tiles.select(list(told.keys))])
    keys = keys.group_by(keys.column_names, use_threads=False).aggregate([])
    keys = keys.sort_by([(name, "ascending") for name in keys.column_names]).combine_chunks()
    rows, size, spots = _each_bucket(told, asked, len(times), keys)
    buckets, points = keys.column(told.bucket).take(pa.array(spots)), pa.array(rows)
    found = _at(told, [*(one.take(points) for one in asked), buckets], times.take(points), events, tiles)
    return {one.name: _maps(one, rows, size, buckets, found[one.name]) for one in told.features}


def _at(told: Aggregations, keys: Sequence[Column], times: Column, events: pa.Table, tiles: pa.Table | None) -> Answers:
    if tiles is None:
        windows, measures = _of_events(told, keys, times, events, whole(told.spans))
        made: dict[str, list[pa.Array]] = {one.name: [] for one in told.features}
        parts = told.parts()
        for rows, spans in windows.pieces():
            items = Items.of_events(measures.take(pa.array(windows.events[rows])), parts)
            held = dict(zip(told.spans, spans, strict=True))
            for one in told.features:
                made[one.name].append(evaluate(one, [(items, held[one.span])]))
        back = pa.array(windows.back)
        return {name: pa.concat_arrays(own).take(back) for name, own in made.items()}
    found: Answers = {}
    types = {one.name: events.schema.field(one.name).type for one in told.measures}
    for hop_s in told.hops:
        one_hop = replace(told, features=tuple(one for one in told.features if one.hop_s == hop_s))
        own = tiles.filter(pc.equal(tiles.column(HOP), hop_s))
        own_keys = [own.column(name) for name in told.keys]
        before = Windows.of(keys, times, own_keys, own.column(START), tiled(one_hop.spans))
        hops = items_of(own.take(pa.array(before.events)), one_hop, hop_s, types)
        after, measures = _of_events(one_hop, keys, times, events, heads(one_hop.spans))
        head = Items.of_events(measures.take(pa.array(after.events)), one_hop.parts())
        for one in one_hop.features:
            spot = one_hop.spans.index(one.span)
            # Each side has the points in an order of its own.
            sides = [(items, side.spans[spot].take(side.back)) for items, side in ((hops, before), (head, after))]
            found[one.name] = evaluate(one, sides)
    return {one.name: found[one.name] for one in told.features}


def _of_events(
    told: Aggregations, keys: Sequence[Column], times: Column, events: pa.Table, bounds: Bounds
) -> tuple[Windows, pa.Table]:
    """The windows, and the events' measures."""
    content = content_of(events, told) if any(one.kind in ORDERED for one in told.features) else None
    own = [events.column(name) for name in told.keys]
    windows = Windows.of(keys, times, own, events.column(told.at), bounds, content)
    # Arrow forgets how many rows there are where there is no column.
    measures = [name for name in told.parts() if name != EVENTS] or [told.at]
    return windows, events.select(measures).combine_chunks()


def _each_bucket(told: Aggregations, asked: Sequence[Column], points: int, keys: pa.Table) -> tuple[Ints, Ints, Ints]:
    """Each point once for each bucket that its entity has: the point, how many of each point, and the key's place."""
    own = [keys.column(name) for name in told.entity]
    codes, theirs, _ = key_codes(asked, own, (points, keys.num_rows))
    order = np.argsort(theirs, kind="stable")
    first = np.searchsorted(theirs[order], codes, side="left")
    after = np.where(codes < 0, first, np.searchsorted(theirs[order], codes, side="right"))
    held = Held(first, after)
    return np.repeat(np.arange(points), held.count), held.count, order[held.rows]


def _maps(one: Aggregation, rows: Ints, size: Ints, buckets: Column, values: pa.Array) -> pa.Array:
    """A map a point; a bucket of which there is nothing in the window is not in it."""
    nothing = pc.is_null(values)
    if one.kind in ("count", "last_n"):
        nothing = pc.equal(values if one.kind == "count" else pc.list_value_length(values), 0)
    kept = np.flatnonzero(~np.asarray(nothing.to_numpy(zero_copy_only=False), np.bool_))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=len(size)))]).astype(np.int32)
    labels = buckets.take(pa.array(kept)).cast(pa.string())
    labels = labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels
    return pa.MapArray.from_arrays(pa.array(offsets), labels, values.take(pa.array(kept)))
