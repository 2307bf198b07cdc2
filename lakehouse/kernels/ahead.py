"""Records of window features: what each key's windows hold from a moment on, and from each event on that is later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from lakehouse.kernels.aggregations import START
from lakehouse.kernels.buckets import together
from lakehouse.kernels.keys import Ints
from lakehouse.kernels.slides import Plan, nothing, slides
from lakehouse.kernels.tiles import tile_columns, tiles_of
from lakehouse.kernels.times import Scale
from lakehouse.kernels.windows import DAY, Held

Rows = list[tuple[int, bytes]]
"""From which time on (microseconds since 1970) which bytes count."""
Coded = tuple[pa.Table, Ints]
"""Rows and the code of the key of each."""
PAIR = "_pair"
AT_ONCE = 100_000
"""So many tiles and events are looked at at a time: each time of a key asks for all that the key has."""


def rows_of(
    plan: Plan, tiles: Coded, ahead: Coded | None, now: int, keys: int, types: dict[str, pa.DataType]
) -> list[Rows]:
    """The rows of each key: as of now, and just after each of its events that is not before now. None where no window
    reaches anything.

    ``tiles`` are in the order of their codes, which go from 0 to below ``keys``. ``ahead`` are all events since the
    beginning of the day of now (UTC), for a tile of today may hold later ones; an event of none of the keys has the
    code -1. It is None where no event is later.
    """
    packed = _packed(plan, tiles[0], tiles[1], np.full(keys, now, np.int64), types)
    rows: list[Rows] = [[] if one is None else [(now, one)] for one in packed]
    if ahead is not None:
        for spot, own in _rows_ahead(plan, tiles, ahead, now, types).items():
            rows[spot] = own
    return rows


def _rows_ahead(plan: Plan, tiles: Coded, events: Coded, now: int, types: dict[str, pa.DataType]) -> dict[int, Rows]:
    """The rows of those keys that have events which are not before now."""
    at = _ticks(events[0], plan.told.at)
    order = np.lexsort((at, events[1]))
    table, spots, at = events[0].take(pa.array(order)), events[1][order], at[order]
    complete = np.flatnonzero(_ticks(tiles[0], START) < now // DAY * DAY)
    whole_days = tiles[0].take(pa.array(complete)), tiles[1][complete]
    later = np.unique(np.stack([spots, at + 1])[:, (spots >= 0) & (at >= now)], axis=1)
    if not later.shape[1]:
        return {}
    asked = np.unique(later[0])
    pairs = np.concatenate([np.stack([asked, np.full(len(asked), now)]), later], axis=1)
    pairs = pairs[:, np.lexsort((pairs[1], pairs[0]))]
    empty = b"" if plan.told.bucket else nothing(plan, types)
    found: dict[int, Rows] = {}
    sizes = sum(
        np.searchsorted(codes, pairs[0], side="right") - np.searchsorted(codes, pairs[0])
        for codes in (spots, whole_days[1])
    )
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // AT_ONCE)) + 1
    for part in np.split(pairs, cuts, axis=1):
        packed = _as_of(plan, part, (table, spots, at), whole_days, types)
        for (spot, moment), one in zip(part.T.tolist(), packed, strict=True):
            found.setdefault(spot, []).append((moment, one or empty))
    return found


def _as_of(
    plan: Plan,
    pairs: Ints,
    events: tuple[pa.Table, Ints, Ints],
    tiles: Coded,
    types: dict[str, pa.DataType],
) -> list[bytes | None]:
    """What each pair of a key's code and a time comes to: of whole days' tiles, and of events before the time.

    Both are in the order of their codes, the events of their times too.
    """
    told = replace(plan.told, entity=(PAIR,))
    table, spots, at = events
    firsts = np.searchsorted(spots, pairs[0])
    scale = Scale(at, int(spots.max()) + 2)  # -1 is one of the codes
    ends = np.searchsorted(scale.places(spots, at), scale.places(pairs[0], pairs[1] - 1), side="right")
    made = tiles_of(_repeated(table, firsts, ends), told)
    whole, codes = tiles
    old = _repeated(whole, np.searchsorted(codes, pairs[0]), np.searchsorted(codes, pairs[0], side="right"))
    names = [PAIR, *(name for name in tile_columns(plan.told) if name not in plan.told.entity)]
    every = pa.concat_tables([old.select(names), made.select(names).cast(old.select(names).schema)])
    every = every.sort_by(PAIR)
    return _packed(plan, every, every.column(PAIR).to_numpy(), pairs[1], types)


def _packed(plan: Plan, tiles: pa.Table, codes: Ints, at: Ints, types: dict[str, pa.DataType]) -> list[bytes | None]:
    return (together if plan.told.bucket else slides)(plan, tiles, codes, at, types)


def _repeated(table: pa.Table, firsts: Ints, ends: Ints) -> pa.Table:
    """The rows from each of ``firsts`` to before its end, with the number of these in PAIR."""
    held = Held(firsts, np.maximum(firsts, ends))
    rows = table.take(pa.array(held.rows))
    return rows.append_column(PAIR, pa.array(np.repeat(np.arange(len(firsts)), held.count)))


def _ticks(table: pa.Table, name: str) -> Ints:
    return np.asarray(table.column(name).cast(pa.int64()).to_numpy(), np.int64)
