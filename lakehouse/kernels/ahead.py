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
    scale = Scale(at, int(spots.max()) + 2)  # -1 is one of the codes
    before = np.searchsorted(scale.places(spots, at), scale.places(pairs[0], pairs[1] - 1), side="right")
    of_events = Held(np.searchsorted(spots, pairs[0]), before)
    of_tiles = Held(*(np.searchsorted(whole_days[1], pairs[0], side=side) for side in ("left", "right")))
    cuts = np.flatnonzero(np.diff(np.cumsum(of_events.count + of_tiles.count) // AT_ONCE)) + 1
    for part in np.split(np.arange(pairs.shape[1]), cuts):
        held = _repeated(table, of_events.take(part)), _repeated(whole_days[0], of_tiles.take(part))
        packed = _as_of(plan, pairs[1, part], *held, types)
        for (spot, moment), one in zip(pairs[:, part].T.tolist(), packed, strict=True):
            found.setdefault(spot, []).append((moment, one or empty))
    return found


def _as_of(
    plan: Plan, at: Ints, events: pa.Table, whole: pa.Table, types: dict[str, pa.DataType]
) -> list[bytes | None]:
    """What each pair of a key and a time comes to: of whole days' tiles, and of the events before the time. Both have
    the number of their pair.
    """
    made = tiles_of(events, replace(plan.told, entity=(PAIR,)))
    names = [PAIR, *(name for name in tile_columns(plan.told) if name not in plan.told.entity)]
    old = whole.select(names)
    every = pa.concat_tables([old, made.select(names).cast(old.schema)])
    every = every.sort_by(PAIR)
    return _packed(plan, every, every.column(PAIR).to_numpy(), at, types)


def _packed(plan: Plan, tiles: pa.Table, codes: Ints, at: Ints, types: dict[str, pa.DataType]) -> list[bytes | None]:
    return (together if plan.told.bucket else slides)(plan, tiles, codes, at, types)


def _repeated(table: pa.Table, held: Held) -> pa.Table:
    """The rows that each pair holds, with the number of it in PAIR."""
    rows = table.take(pa.array(held.rows))
    return rows.append_column(PAIR, pa.array(np.repeat(np.arange(len(held.first)), held.count)))


def _ticks(table: pa.Table, name: str) -> Ints:
    return np.asarray(table.column(name).cast(pa.int64()).to_numpy(), np.int64)
