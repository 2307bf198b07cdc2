"""Where two sides differ about a feature, and the fewest events that show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa

from lakehouse.kernels.aggregations import Aggregation, Aggregations
from lakehouse.testing.events import Events
from lakehouse.testing.reference import Value, begin_of, reference, same
from lakehouse.testing.sides import ALL, Side, parted, shown, sides
from lakehouse.testing.streams import LATEST, Point, Stream


@dataclass(frozen=True)
class Raised:
    """A side that gives no answer."""

    error: str

    def __repr__(self) -> str:
        return f"raised {self.error}"


@dataclass(frozen=True)
class Difference:
    """A side says something else than the reference, of these events."""

    side: Side
    point: Point
    feature: Aggregation
    events: Events


@dataclass(frozen=True)
class TilesDiffer:
    """Tiles of the same events that were made in two ways."""

    way: str
    events: Events


def first_difference(told: Aggregations, stream: Stream) -> Difference | TilesDiffer | None:
    """The first difference of a stream, with few events; None where all agree."""
    for side in sides(told, stream):
        seen = stream.events.until(side.batch)
        for point, row in zip(side.points, _answers(side, seen, side.points), strict=True):
            wanted = reference(told, seen.events, *point)
            for one in told.features:
                if not same(row[one.name], wanted[one.name]):
                    wrong = _wrong(side, point, one)
                    return Difference(side, point, one, fewest(seen, wrong) if wrong(seen) else seen)
    ways = _other_ways(stream.events)
    return TilesDiffer(ways[0], fewest(stream.events, lambda events: ways[0] in _other_ways(events))) if ways else None


def fewest(events: Events, wrong: Callable[[Events], bool]) -> Events:
    """Of events that are wrong together, some that are too, of which none can be left out."""
    spots = list(range(len(events)))
    size = max(len(spots) // 2, 1)
    while True:
        before, at = len(spots), 0
        while at < len(spots):
            fewer = spots[:at] + spots[at + size :]
            if wrong(events.take(fewer)):
                spots = fewer
            else:
                at += size
        if size > 1:
            size //= 2
        elif len(spots) == before:
            return events.take(spots)


def message(where: str, told: Aggregations, stream: Stream, found: Difference | TilesDiffer) -> str:
    """What a person needs to see it, and to see it again."""
    raw = found.events.raw
    lines = _lines(found.events, raw.column_names)
    if isinstance(found, TilesDiffer):
        every, other = (_text(parted(found.events)[way]) for way in (ALL, found.way))
        said = [f"{where}: tiles differ", f"  tiles {ALL}: {_only(every, other)}"]
        said.append(f"  tiles {found.way}: {_only(other, every)}")
        return "\n".join([*said, *lines])
    key, at = found.point
    one = found.feature
    named = ", ".join(f"{name}={part!r}" for name, part in zip(told.entity, key, strict=True))
    begin = begin_of(one, at)
    said = [f"{where}: '{one.name}' differs for {named} at T = {shown(at)}"]
    said.append(f"  the window: from {'ever' if begin is None else shown(begin)} to before T")
    given = {"the reference, in plain Python": reference(told, found.events.events, key, at)[one.name]}
    for side in sides(told, stream):
        # Others are asked too, where they can answer of these events at this moment.
        if side.batch >= found.side.batch and (side.since is None or side.since <= at):
            given[side.name] = _answers(side, found.events, [found.point])[0][one.name]
    wide = max(map(len, given))
    said += [f"  {name + ':':{wide + 1}} {value!r}" for name, value in given.items()]
    return "\n".join([*said, *lines])


def _answers(side: Side, events: Events, points: Sequence[Point]) -> list[dict[str, Any]]:
    """What a side gives at each point; for a feature that it raises an error for, that."""
    told = events.told
    try:
        return side.answer(events, points)
    except Exception as error:  # whatever it is, it is what the test found
        if len(points) > 1:
            return [row for point in points for row in _answers(side, events, [point])]
        if len(told.features) == 1:
            return [{told.features[0].name: Raised(f"{type(error).__name__}: {error}")}]
    alone = [replace(events, told=replace(told, features=(one,))) for one in told.features]
    return [{name: value for own in alone for name, value in _answers(side, own, points)[0].items()}]


def _wrong(side: Side, point: Point, one: Aggregation) -> Callable[[Events], bool]:
    def wrong(events: Events) -> bool:
        wanted: Value = reference(events.told, events.events, *point)[one.name]
        return not same(_answers(side, events, [point])[0][one.name], wanted)

    return wrong


def _other_ways(events: Events) -> list[str]:
    """The ways of making tiles that give others than those of all events at once."""
    made = {way: _text(tiles) for way, tiles in parted(events).items()}
    return [way for way, text in made.items() if text != made[ALL]]


def _text(tiles: pa.Table) -> list[str]:
    return sorted(map(repr, tiles.to_pylist()))


def _only(these: list[str], those: list[str]) -> str:
    return next((one for one in these if one not in those), "…")


def _lines(events: Events, names: Sequence[str]) -> list[str]:
    """The events, a line each, and the batch in which each comes."""
    if not len(events):
        return ["  of no event at all"]
    found = [f"  of {'this event' if len(events) == 1 else f'these {len(events)} events'}, and of none fewer:"]
    rows = events.raw.to_pylist()
    for row, batch in zip(rows, events.batches, strict=True):
        late = f"  (late: comes with batch {batch} of {LATEST})" if batch else ""
        found.append("    " + ", ".join(f"{name}={_value(row[name])}" for name in names) + late)
    return found


def _value(value: Any) -> str:
    return str(value).replace("+00:00", "Z") if isinstance(value, date | Decimal) else repr(value)
