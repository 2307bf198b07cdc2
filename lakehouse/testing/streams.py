"""Hostile streams: events of a definition, and moments to ask, that are on every edge that it has."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from lakehouse.kernels.aggregations import Aggregations
from lakehouse.testing.columns import Known
from lakehouse.testing.events import Events, ticks
from lakehouse.testing.hostile import Values
from lakehouse.testing.reference import MICROSECONDS, Key

MOST, LATEST = 48, 2
"""How many events, and the number of the last batch that they come in."""
MINUTE, DAY = 60 * MICROSECONDS, 86_400 * MICROSECONDS
CENTRES = [
    *(datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2025, 11, 2, 6, tzinfo=UTC)),  # clocks change in New York
    *(datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2025, 10, 26, 1, tzinfo=UTC)),  # and in Europe
    *(datetime(2024, 2, 29, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)),
]
Point = tuple[Key, int]
"""A key and a moment, in microseconds since 1970."""


@dataclass(frozen=True)
class Publish:
    """The online store is filled as of ``at`` with what has come by ``batch``, and asked at the points."""

    at: int
    batch: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Stream:
    events: Events
    points: tuple[Point, ...]
    publishes: tuple[Publish, ...]


def hostile_stream(told: Aggregations, known: Known, seed: int) -> Stream:
    """The stream of a seed: the same each time, on every machine.

    In it are events that are late (they come in a batch after younger ones), doubled, out of order, of one time, dated
    ahead of a publish, on and beside the borders of hops and windows, around changes of the clocks; null keys, times
    and values; of numbers NaN, infinities, zeros of both signs and sums that cancel out. A few keys have most.
    """
    draw = random.Random(f"windows {seed}")
    times = _Times(told, draw)
    values = Values(told, known, draw)
    rows = list[dict[str, Any]]()
    for _ in range(draw.randint(MOST // 2, MOST)):
        if rows and draw.random() < 0.08:
            rows.append(dict(draw.choice(rows)))
            continue
        row = {name: values.value(name) for name in known.schema.names}
        row[told.at] = None if draw.random() < 0.04 else times.new(known.schema.field(told.at).type)
        rows.append(row)
    raw = pa.Table.from_pylist(rows, schema=known.schema)
    events = Events.of(told, raw, [draw.choice([0, 0, 0, 1, 2]) for _ in rows])
    moments = sorted(event.at for event in events.events if event.at is not None) or [0]
    asked = _Asked(told, events, draw)
    publishes = []
    for batch in range(LATEST + 1):
        at = times.beside(draw.choice(moments[len(moments) * 3 // 4 :]))
        publishes.append(Publish(at, batch, asked.points(12, at)))
    late = publishes[0].at
    publishes.append(Publish(late, LATEST, asked.points(12, late)))
    return Stream(events, asked.points(40), tuple(publishes))


class _Times:
    """Times of events: together, on borders, and as far from each other as windows are long."""

    def __init__(self, told: Aggregations, draw: random.Random) -> None:
        self.draw = draw
        self.hops = sorted({one.hop_s * MICROSECONDS for one in told.features})
        lengths = {one.over_s * MICROSECONDS for one in told.features if one.over_s is not None}
        self.lengths = sorted(lengths) or [DAY]
        self.centre = ticks(draw.choice(CENTRES)) or 0
        self.known = [self.centre]

    def new(self, kind: pa.DataType) -> Any:
        at = self._at()
        self.known.append(at)
        time = datetime.fromtimestamp(0, UTC) + (at // MICROSECONDS) * _SECOND + (at % MICROSECONDS) * _MICROSECOND
        if pa.types.is_date(kind):
            return time.date()
        return time if kind.tz is not None else time.replace(tzinfo=None)

    def _at(self) -> int:
        draw = self.draw
        way = draw.random()
        if way < 0.25:  # the same time as another
            return draw.choice(self.known)
        if way < 0.45:  # a window's length from another
            return self.beside(draw.choice(self.known) + draw.choice([-1, 1]) * draw.choice(self.lengths))
        if way < 0.65:  # in or beside the same hop
            return self.beside(draw.choice(self.known) + draw.randint(-3, 3) * draw.choice(self.hops))
        reach = draw.choice([*self.lengths, *self.hops, 3 * MINUTE])
        return self.beside(self.centre + draw.randint(-reach, reach // 2))

    def beside(self, at: int) -> int:
        """The time, or a border near it, or just before or after."""
        unit = self.draw.choice([1, 1, *self.hops, DAY, MINUTE])
        return at // unit * unit + self.draw.choice([0, 0, 0, -1, 1])


class _Asked:
    """Points at which events enter and leave windows."""

    def __init__(self, told: Aggregations, events: Events, draw: random.Random) -> None:
        self.told, self.draw = told, draw
        self.events = [event for event in events.events if event.at is not None]
        self.keys = [event.key for event in events.events]

    def points(self, count: int, since: int | None = None) -> tuple[Point, ...]:
        found = dict[Point, None]()
        for _ in range(count):
            key, at = self._point()
            if since is not None and at < since:
                at = since + self.draw.choice([0, 1, at % DAY])
            found[key, at] = None
        return tuple(found)

    def _point(self) -> Point:
        draw, one = self.draw, self.draw.choice(self.told.features)
        hop, length = one.hop_s * MICROSECONDS, (one.over_s or one.hop_s) * MICROSECONDS
        event = draw.choice(self.events) if self.events else None
        at = (event.at if event is not None else None) or 0
        first = at // hop * hop
        moment = draw.choice([at, at + 1, first + hop, first, at + length, first + length, first + length + hop])
        moment += draw.choice([0, 0, -1, 1])
        if event is not None and draw.random() < 0.85:
            return event.key, moment
        key = draw.choice(self.keys) if self.keys else (None,) * len(self.told.entity)
        mixed = tuple(draw.choice(self.keys)[place] if self.keys else None for place in range(len(key)))
        return mixed, moment


_SECOND = datetime.fromtimestamp(1, UTC) - datetime.fromtimestamp(0, UTC)
_MICROSECOND = _SECOND / MICROSECONDS
