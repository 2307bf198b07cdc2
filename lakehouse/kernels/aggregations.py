"""What a table of window features is defined as: its events, and what is computed of those in each window."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lakehouse.kernels.windows import Span

Kind = Literal["count", "sum", "mean", "min", "max", "variance", "rate", "first", "last", "last_n"]
Part = Literal["count", "sum", "squares", "min", "max", "first", "last"]
EVENTS = ""
"""The measure that is there for each event: what ``count()`` counts."""
PARTS: dict[Kind, tuple[Part, ...]] = {
    "count": ("count",),
    "sum": ("count", "sum"),
    "mean": ("count", "sum"),
    "rate": ("count", "sum"),
    "variance": ("count", "sum", "squares"),
    "min": ("count", "min"),
    "max": ("count", "max"),
    "first": ("first",),
    "last": ("last",),
    "last_n": ("last",),
}
"""The partial results that each is made of; those of two sets of events merge to that of both."""


HOP, START, COUNT = "hop_s", "start", "events"
"""Columns of every tile: the length of its hop in seconds, when it begins, and how many events it has."""


ORDERED = ("first", "last", "last_n")
"""Those to which it matters which of two events at one time comes first."""


def column_of(measure: str, part: Part) -> str:
    """The column of a tile with one partial result of a measure."""
    return COUNT if measure == EVENTS else f"{measure}__{part}"


def hop_of(window: timedelta) -> timedelta:
    """The hop of a window whose hop is "auto": 5 minutes below 12 hours, an hour below 12 days, a day beyond.

    >>> hop_of(timedelta(days=7))
    datetime.timedelta(seconds=3600)
    """
    if window < timedelta(hours=12):
        return timedelta(minutes=5)
    return timedelta(hours=1) if window < timedelta(days=12) else timedelta(days=1)


@dataclass(frozen=True)
class Measure:
    """A value of each event: a column, or whether a condition holds."""

    name: str
    sql: str
    """The column's name; or a condition, as :mod:`lakehouse.quality.condition` knows them."""
    condition: bool = False


@dataclass(frozen=True)
class Aggregation:
    """One feature: what the values of one measure come to in a window."""

    name: str
    kind: Kind
    measure: str
    over_s: int | None
    """The window's length in seconds; None: all that went before."""
    hop_s: int
    """The window starts at a whole number of these since 1970."""
    most: int = 1
    """How many values ``last_n`` gives."""

    @property
    def span(self) -> Span:
        from lakehouse.kernels.windows import SECOND, Span

        return Span(None if self.over_s is None else self.over_s * SECOND, self.hop_s * SECOND)


@dataclass(frozen=True)
class Aggregations:
    """The features of one table, over the same events."""

    of: str
    """The address of the table that has the events."""
    entity: tuple[str, ...]
    at: str
    """The column with an event's time."""
    measures: tuple[Measure, ...]
    features: tuple[Aggregation, ...]
    where: str = ""
    """A condition; an event that does not fulfil it counts for nothing. All do where it is empty."""
    bucket: str = ""
    """A column: a feature has one value for each value of it."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns by which events are kept apart."""
        return (*self.entity, self.bucket) if self.bucket else self.entity

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that values, without conditions, are read from."""
        return tuple(one.sql for one in self.measures if not one.condition)

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        return tuple(dict.fromkeys(one.span for one in self.features))

    @cached_property
    def hops(self) -> tuple[int, ...]:
        """The lengths of tiles in seconds, ascending."""
        return tuple(sorted({one.hop_s for one in self.features}))

    @property
    def longest(self) -> Span | None:
        """What reaches back furthest; None: something has no bound."""
        if any(one.length is None for one in self.spans):
            return None
        return max(self.spans, key=lambda one: (one.length or 0) + one.hop)

    def parts(self, hop_s: int | None = None) -> dict[str, dict[Part, int]]:
        """For each measure the partial results that are needed, of one hop or of all, and how many values at most."""
        found: dict[str, dict[Part, int]] = {}
        for one in self.features:
            if hop_s in (None, one.hop_s):
                own = found.setdefault(one.measure, {})
                own |= {part: max(one.most, own.get(part, 1)) for part in PARTS[one.kind]}
        return found

    def part_of(self, other: Aggregations) -> bool:
        """Whether the other computes these features too, of the same events."""
        return (
            self.same_events(other)
            and {*self.features} <= {*other.features}
            and {*self.measures} <= {*other.measures}
            and all(self.same_order(other, one) for one in self.features)
        )

    def same_order(self, other: Aggregations, one: Aggregation) -> bool:
        """Whether a feature takes events of one time in the same order: all measures tell which comes first."""
        return one.kind not in ORDERED or {*self.measures} == {*other.measures}

    def same_events(self, other: Aggregations) -> bool:
        """Whether both look at the same events, by the same keys."""
        parts = ("of", "entity", "at", "where", "bucket")
        return all(getattr(self, part) == getattr(other, part) for part in parts)

    @property
    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @staticmethod
    def of_text(text: str) -> Aggregations:
        told: dict[str, Any] = json.loads(text)
        told["measures"] = tuple(Measure(**one) for one in told["measures"])
        told["features"] = tuple(Aggregation(**one) for one in told["features"])
        return Aggregations(**{**told, "entity": tuple(told["entity"])})
