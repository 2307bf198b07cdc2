"""Why what was served differs from what training says: at the version it was made of, and at the newest."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.types import from_value_type
from feast.value_type import ValueType

from lakehouse.features.declared import fits
from lakehouse.features.retrieval import Wanted
from lakehouse.features.verifying_log import Served, entity_rows_of
from lakehouse.features.verifying_replay import Replay, Trained
from lakehouse.features.windowed import reached
from lakehouse.kernels.aggregations import EVENTS, Aggregations
from lakehouse.online.kinds import ticks
from lakehouse.online.response import EXPIRED

Outcome = Literal["equal", "different", "missing", "extra"]
"""``missing``: training has a value, and none was served; ``extra``: the other way round."""
LATE = "late data"
CORRECTION = "correction"
TTL = "TTL"
DEFINITION = "definition changed"
LAG = "publish lag"
TYPE = "type"
UNEXPLAINED = "unexplained"
EVER = ""
"""No feature's name."""
CAUSES = (LATE, CORRECTION, TTL, DEFINITION, LAG, TYPE, UNEXPLAINED)


def same(one: Any, other: Any) -> bool:
    """Whether two values of the log are equal and of one type."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    return bool(one == other) and (one != 0 or str(one) == str(other))  # of two zeros each is another value


def alike(one: Any, other: Any) -> bool:
    """Whether they are the same value, whatever their types."""
    if one is None or other is None:
        return one is other
    if isinstance(one, float) and isinstance(other, float):
        return same(one, other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(value, other[name]) for name, value in one.items())
    try:
        return bool(one == other) or str(one) == str(other) or float(one) == float(other)
    except (TypeError, ValueError):
        return False


def outcome(vector: Served, name: str, trained: Trained) -> Outcome:
    """How one feature of a vector compares with what training says of it."""
    value, other = vector.features[name], trained.features[name]
    if value is None or other is None:
        return "equal" if value is other else "missing" if value is None else "extra"
    return "equal" if same(value, other) and _fits(vector.types[name], trained.kinds[name]) else "different"


def _fits(served: str, kind: pa.DataType) -> bool:
    """Whether a served type can be of such a column: a text that reads like a time is none."""
    return served not in ValueType.__members__ or fits(from_value_type(ValueType[served]), kind)


@dataclass(frozen=True)
class Causes:
    """Explains the vectors of one view."""

    replay: Replay

    def at_its_version(
        self, vectors: Sequence[Served], wanted: Wanted, found: Sequence[Trained]
    ) -> list[dict[str, str]]:
        """For each vector the features that differ at the version it was made of, and why."""
        apart = [place for place, one in enumerate(vectors) if differing(one, found[place])]
        causes: list[dict[str, str]] = [{} for _ in vectors]
        if not apart:
            return causes
        ever = self.replay.trained([vectors[place] for place in apart], wanted, ttl=False)
        for place, without_ttl in zip(apart, ever, strict=True):
            one, trained = vectors[place], found[place]
            for name in differing(one, trained):
                causes[place][name] = _own(
                    one, name, trained, without_ttl, one.definition not in (None, self.replay.definition)
                )
        return causes

    def at_the_newest(
        self, vectors: Sequence[Served], wanted: Wanted, found: Sequence[Trained], newest: Sequence[Trained]
    ) -> list[dict[str, str]]:
        """For each vector the features that are equal at its version and differ at the newest, and why."""
        apart = {
            place: names
            for place, one in enumerate(vectors)
            if (names := [name for name in differing(one, newest[place]) if name not in differing(one, found[place])])
        }
        causes: list[dict[str, str]] = [{} for _ in vectors]
        lagging = self._lagging([(place, vectors[place]) for place in apart], wanted.opened.version)
        places = list(apart)
        later = self._later([vectors[place] for place in places], wanted, [(found[i], newest[i]) for i in places])
        made_otherwise = self.replay.fingerprint(wanted.opened) != self.replay.fingerprint(self.replay.newest.opened)
        for place, late in zip(places, later, strict=True):
            for name in apart[place]:
                if place in lagging and name in differing(vectors[place], lagging[place]):
                    cause = LAG
                else:
                    cause = LATE if name in late else DEFINITION if made_otherwise else CORRECTION
                causes[place][name] = cause
        return causes

    def _lagging(self, vectors: Sequence[tuple[int, Served]], version: int) -> dict[int, Trained]:
        """What training says at the version that the table had when it was answered, where that is a later one."""
        by_version: dict[int, list[tuple[int, Served]]] = {}
        for place, one in vectors:
            then = self.replay.version_at(one.answered_at)
            if then is not None and then > version:
                by_version.setdefault(then, []).append((place, one))
        found: dict[int, Trained] = {}
        for then, group in by_version.items():
            trained = self.replay.trained([one for _, one in group], self.replay.wanted(then))
            found |= {place: one for (place, _), one in zip(group, trained, strict=True)}
        return found

    def _later(
        self, vectors: Sequence[Served], wanted: Wanted, pairs: Sequence[tuple[Trained, Trained]]
    ) -> list[set[str]]:
        """The features of each vector for which something came that was not there: an event that counts for it, or a
        row that is later than the one that was seen."""
        if wanted.windows is None:
            return [set(one.features) if _is_later(one.event, other.event) else set() for one, other in pairs]
        if not vectors:
            return []
        before, after = (self._events(vectors, one) for one in (wanted, self.replay.newest))
        return [
            {name for name, more in now.items() if more > then[name] and now[EVER] > then[EVER]} - {EVER}
            for then, now in zip(before, after, strict=True)
        ]

    def _events(self, vectors: Sequence[Served], wanted: Wanted) -> list[dict[str, int]]:
        """How many events of its key each feature's window held at the moment of each vector, of those with a value;
        and by the name EVER all that the key had before, of which a correction makes no more.
        """
        assert wanted.windows is not None
        events, rows = wanted.windows.events, entity_rows_of(self.replay.view, vectors).table
        told, stored = events.told, {own: rows.column(name) for name, own in wanted.keys.items()}
        asked = [stored[name] for name in told.entity]
        wished = list(zip(*(column.to_pylist() for column in asked), strict=True))
        moments, last = [ticks(one.at) for one in vectors], max(one.at for one in vectors)
        starts = {one.name: one.span.start(np.array(moments)).tolist() for one in told.features}
        whatever = replace(events, told=replace(told, features=(), measures=(), where="", bucket=""))
        ever = _times(whatever.read(asked, (None, last)), told, EVENTS, wished)
        counts = [{EVER: bisect_left(ever[key], moment)} for key, moment in zip(wished, moments, strict=True)]
        table = events.read(asked, (reached(told, min(one.at for one in vectors)), last))
        for one in told.features:
            times = _times(table, told, one.measure, wished)
            for place, key in enumerate(wished):
                first, after = (bisect_left(times[key], end) for end in (starts[one.name][place], moments[place]))
                counts[place][one.name] = after - first
        return counts


def _times(
    table: pa.Table, told: Aggregations, measure: str, wished: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], list[int]]:
    """The times, in order, of the events of each key that have a value of a measure."""
    at = table.column(told.at).cast(pa.int64())
    known = at if measure == EVENTS else pc.if_else(pc.is_valid(table.column(measure)), at, None)
    times: dict[tuple[Any, ...], list[int]] = {key: [] for key in wished}
    keys = zip(*(table.column(name).to_pylist() for name in told.entity), strict=True)
    for key, time in zip(keys, known.to_pylist(), strict=True):
        if key in times and time is not None:
            times[key].append(time)
    for own in times.values():
        own.sort()
    return times


def differing(vector: Served, trained: Trained) -> list[str]:
    """The features of a vector that are not what training says, of those that the view still has."""
    return [name for name in trained.features if name in vector.features and outcome(vector, name, trained) != "equal"]


def _own(vector: Served, name: str, trained: Trained, without_ttl: Trained, redefined: bool) -> str:
    how = outcome(vector, name, trained)
    expired = how == "missing" and vector.statuses[name] == EXPIRED
    if expired or (how == "extra" and outcome(vector, name, without_ttl) == "equal"):
        return TTL
    if how == "different" and alike(vector.features[name], trained.features[name]):
        return TYPE
    if redefined:
        return DEFINITION
    return LAG if vector.made_of is None else UNEXPLAINED


def _is_later(before: datetime | None, after: datetime | None) -> bool:
    return after is not None and (before is None or after > before)
