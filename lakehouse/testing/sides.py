"""The ways in which the engine comes to a window feature: training in this process, tiles, and the online store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.aggregations import Aggregations
from lakehouse.kernels.answers import answers
from lakehouse.kernels.tiles import tiles_of
from lakehouse.kernels.times import UTC_TIME
from lakehouse.testing.events import Events, key_columns, plain_value
from lakehouse.testing.published import Published
from lakehouse.testing.reference import Value, time_of
from lakehouse.testing.streams import LATEST, Point, Stream

Row = dict[str, Value]
ALL = "of all events"
PARTS = 4
"""In so many parts are tiles made, whole keys and days in each."""


@dataclass(frozen=True)
class Side:
    """One way to come to the features."""

    name: str
    batch: int
    """Of the events it sees those of this batch and before."""
    points: tuple[Point, ...]
    answer: Callable[[Events, Sequence[Point]], list[Row]]
    """Of the events, in all batches that it sees, the features at each point."""
    since: int | None = None
    """It answers no earlier moment."""


def sides(told: Aggregations, stream: Stream) -> list[Side]:
    """All of them, for one stream."""
    everything = stream.points
    found = [
        Side("training, from events", LATEST, everything, _of_events),
        Side("training, from events the other way round", LATEST, everything, _of_reversed),
        Side("training, from tiles and the head", LATEST, everything, _of_tiles),
        Side("training, from tiles that late data repaired", LATEST, everything, _of_repaired),
    ]
    for number, publish in enumerate(stream.publishes):
        again = number > 0
        name = f"online, published{' again' if again else ''} as of {shown(publish.at)}"
        found.append(Side(name, publish.batch, publish.points, _online(publish.at), publish.at))
    return found


def parted(events: Events) -> dict[str, pa.Table]:
    """The tiles of the events: of all at once, and made in other ways that must give the same."""
    told, table = events.told, events.table
    every = tiles_of(table, told)
    columns = [table.column(name).to_pylist() for name in told.keys]
    columns.append(_days(table.column(told.at)).to_pylist())
    parts: dict[int, list[int]] = {}
    for spot, key_and_day in enumerate(zip(*columns, strict=True)):
        parts.setdefault(crc32(repr(key_and_day).encode()) % PARTS, []).append(spot)
    one_by_one = [tiles_of(_turned(table.take(pa.array(spots))), told) for spots in parts.values()]
    return {
        ALL: every,
        "of the events the other way round": tiles_of(_turned(table), told),
        "of parts, by key and day": pa.concat_tables([every.slice(0, 0), *one_by_one]),
        "that late data repaired": repaired(events),
    }


def repaired(events: Events) -> pa.Table:
    """The tiles as they stand after each batch: those of the days that it touches are made again, the others stay."""
    told = events.told
    tiles = tiles_of(events.table.slice(0, 0), told)
    for batch in range(LATEST + 1):
        known, new = events.until(batch), events.take([i for i, one in enumerate(events.batches) if one == batch])
        touched = pc.unique(_days(new.table.column(told.at))).drop_null()
        kept = tiles.filter(pc.invert(pc.is_in(_days(tiles.column("start")), touched)))
        of_days = known.table.filter(pc.is_in(_days(known.table.column(told.at)), touched))
        tiles = pa.concat_tables([kept, tiles_of(of_days, told)])
    return tiles


def _days(times: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.floor_temporal(times, unit="day")


def _of_events(events: Events, points: Sequence[Point]) -> list[Row]:
    return _trained(events, points, events.table, None)


def _of_reversed(events: Events, points: Sequence[Point]) -> list[Row]:
    return _trained(events, points, _turned(events.table), None)


def _of_tiles(events: Events, points: Sequence[Point]) -> list[Row]:
    return _trained(events, points, events.table, _turned(tiles_of(events.table, events.told)))


def _of_repaired(events: Events, points: Sequence[Point]) -> list[Row]:
    return _trained(events, points, _turned(events.table), repaired(events))


def _turned(table: pa.Table) -> pa.Table:
    return table.take(pa.array(range(len(table) - 1, -1, -1), pa.int64()))


def _trained(events: Events, points: Sequence[Point], table: pa.Table, tiles: pa.Table | None) -> list[Row]:
    told = events.told
    asked = key_columns(told, events.raw.schema, [key for key, _ in points])
    times = pa.array([at for _, at in points], pa.int64()).cast(pa.timestamp("us")).cast(UTC_TIME)
    found = answers(told, asked, times, table, tiles)
    columns = {name: column.to_pylist(maps_as_pydicts="strict") for name, column in found.items()}
    return [{name: _plain(columns[name][spot]) for name in columns} for spot in range(len(points))]


def _plain(value: Any) -> Value:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {label: _plain(one) for label, one in value.items()}
    return plain_value(value) if isinstance(value, datetime) else value


def _online(now: int) -> Callable[[Events, Sequence[Point]], list[Row]]:
    def answer(events: Events, points: Sequence[Point]) -> list[Row]:
        published = Published.of(events, repaired(events), now)
        return [published.read(key, at) for key, at in points]

    return answer


def shown(at: int) -> str:
    """A moment as text."""
    return time_of(at).isoformat(sep=" ").replace("+00:00", "Z")
