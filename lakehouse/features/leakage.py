"""What a careless join would have let into a training set: how many rows, and what it would have changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.features.canonical import differing
from lakehouse.features.entity_rows import EntityRows
from lakehouse.features.reading import UTC_TIME
from lakehouse.features.retrieval import Wanted
from lakehouse.kernels import asof_join, known_join
from lakehouse.kernels.keys import Ints

Mask = npt.NDArray[np.bool_]
END_OF_TIME = np.iinfo(np.int64).max


def leakage(
    rows: EntityRows, frame: pa.Table, wanted: Sequence[Wanted], full_names: bool
) -> tuple[dict[str, Any], ...]:
    """For each view a dict, in order:

    - ``naive``: a join that takes the newest row of each key, whatever its time;
    - ``without_knowledge_time``: one that takes what was written later for known all the time (None: the view's
      source does not say when a row was created);
    - ``in_this_set``: rows of ``frame`` with a value that was not known by their time, as far as the source says.

    Of each join ``leaked`` rows would have got a value from after their time, ``changed`` ones another value than the
    honest join's; and for each feature how many rows, and the mean (None where there is none) honestly and not.
    """
    return tuple(_of_view(rows, frame, one, full_names) for one in wanted if one.features)


def _of_view(rows: EntityRows, frame: pa.Table, one: Wanted, full_names: bool) -> dict[str, Any]:
    columns = {feature: one.source.stored(feature) for feature in one.features}
    fixed = [*one.keys.values(), one.time, *([one.created] if one.created else [])]
    table = one.opened.read([*fixed, *one.telling, *columns.values()])
    values = {feature: table.column(column) for feature, column in columns.items()}
    times = rows.table.column(rows.time)
    keys = [rows.table.column(name) for name in one.keys]
    sides = [table.column(name) for name in one.keys.values()], table.column(one.time)
    created = table.column(one.created) if one.created else None

    def content(spots: Ints) -> pa.Table:
        return table.select(list(dict.fromkeys(one.telling))).take(pa.array(spots))

    honest = asof_join(keys, times, *sides, created=created, content=content, ttl=one.ttl)
    always = pa.array(np.full(len(times), END_OF_TIME), UTC_TIME)
    naive = asof_join(keys, always, *sides, created=created, content=content)
    found: dict[str, Any] = {"view": one.name, "table": one.source.label, "without_knowledge_time": None}
    found["naive"] = _compared(values, honest, naive, _after(table.column(one.time), naive, times))
    known = honest
    if created is not None:
        known = known_join(keys, times, *sides, created, content=content, ttl=one.ttl)
        unknown = _after(created, honest, times, null_is_after=True)
        found["without_knowledge_time"] = _compared(values, known, honest, unknown)
    names = {feature: f"{one.name}__{feature}" if full_names else feature for feature in one.features}
    wrong = np.zeros(len(times), np.bool_)
    for feature, name in names.items():
        wrong |= differing(_taken(values[feature], known), frame.column(name))
    return {**found, "in_this_set": int(wrong.sum())}


def _compared(values: dict[str, pa.ChunkedArray], honest: Ints, other: Ints, leaked: Mask) -> dict[str, Any]:
    changed = np.zeros(len(honest), np.bool_)
    features = {}
    for feature, column in values.items():
        before, after = _taken(column, honest), _taken(column, other)
        differs = differing(before, after)
        changed |= differs
        features[feature] = {
            "changed": int(differs.sum()),
            "mean": _mean(before),
            "mean_leaked": _mean(after),
        }
    return {"leaked": int(leaked.sum()), "changed": int(changed.sum()), "features": features}


def _taken(column: pa.ChunkedArray, spots: Ints) -> pa.ChunkedArray:
    return column.take(pa.array(spots, mask=spots < 0))


def _after(moments: pa.ChunkedArray, spots: Ints, times: pa.ChunkedArray, *, null_is_after: bool = False) -> Mask:
    """Where the row that was taken has a moment after the entity row's time."""
    seen = _taken(moments, spots)
    asked = times.cast(pa.timestamp(times.type.unit, "UTC")) if pa.types.is_timestamp(times.type) else times
    if not pa.types.is_timestamp(asked.type):
        asked = asked.cast(UTC_TIME)
    later = pc.fill_null(pc.greater(seen, asked), False).to_numpy(zero_copy_only=False)
    if null_is_after:
        later = later | ((spots >= 0) & seen.is_null().to_numpy(zero_copy_only=False))
    return np.asarray(later, np.bool_)


def _mean(column: pa.ChunkedArray) -> float | None:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    mean = pc.mean(column).as_py()
    return float(mean) if mean is not None and math.isfinite(mean) else None
