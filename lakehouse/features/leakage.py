"""What a careless join would have let into a training set: how many rows, and what it would have changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from feast.repo_config import RepoConfig

from lakehouse.errors import LakehouseError
from lakehouse.features.canonical import differing
from lakehouse.features.entity_rows import EntityRows
from lakehouse.features.knowledge import Asked, knowledge
from lakehouse.features.retrieval import Wanted
from lakehouse.features.seeing import FROM, UNTIL
from lakehouse.kernels.asof import asof_join
from lakehouse.kernels.keys import Ints
from lakehouse.kernels.times import UTC_TIME, ticks

Mask = npt.NDArray[np.bool_]
Values = dict[str, pa.ChunkedArray]
SINCE = "_since"
"""From when a row was known."""
END_OF_TIME = np.iinfo(np.int64).max


def leakage(
    rows: EntityRows, frame: pa.Table, wanted: Sequence[Wanted], full_names: bool, config: RepoConfig
) -> tuple[dict[str, Any], ...]:
    """For each view a dict, in order; of window features none, for nobody joins those by key alone:

    - ``naive``: a join that takes the newest row of each key, whatever its time;
    - ``without_knowledge_time``: one that takes what is known now for known all the time. None where nobody says when a
      row was known: not the source (``known_at``, ``created_timestamp_column``), nor a silver table's kept versions;
    - ``in_this_set``: rows of ``frame`` with a value that was not known by their time, as far as that is said.

    Of each join ``leaked`` rows would have got a value from after their time, ``changed`` ones another value than the
    honest join's; and for each feature how many rows, and the mean (None where there is none) honestly and not.
    """
    return tuple(_of_view(rows, frame, one, full_names, config) for one in wanted if one.features and not one.windows)


def _of_view(rows: EntityRows, frame: pa.Table, one: Wanted, full_names: bool, config: RepoConfig) -> dict[str, Any]:
    columns = {feature: one.source.stored(feature) for feature in one.features}
    keys, times = [rows.table.column(name) for name in one.keys], rows.times
    every, until = _rows(one, [*columns.values()], config)
    table = every if until is None else every.filter(until.is_null())

    def join(table: pa.Table, times: Any, **how: Any) -> tuple[Values, Ints]:
        sides = [table.column(name) for name in one.keys.values()], table.column(one.time)
        created = table.column(one.created) if one.created else None
        telling = table.select(list(dict.fromkeys(one.telling)))
        content = lambda spots: telling.take(pa.array(spots))  # noqa: E731
        spots = asof_join(keys, times, *sides, created=created, content=content, **how)
        return {feature: _taken(table.column(column), spots) for feature, column in columns.items()}, spots

    always = pa.array(np.full(len(times), END_OF_TIME), UTC_TIME)
    (honest, spots), (naive, last) = join(table, times, ttl=one.ttl), join(table, always)
    found: dict[str, Any] = {"view": one.name, "table": one.source.label, "without_knowledge_time": None}
    found["naive"] = _compared(honest, naive, _after(table.column(one.time), last, times))
    if SINCE in table.column_names:
        unknown = _after(table.column(SINCE), spots, times, null_is_after=True)
        known, _ = join(every, times, ttl=one.ttl, known_from=every.column(SINCE), known_until=until)
        found["without_knowledge_time"] = _compared(known, honest, unknown)
        honest = known
    wrong = np.zeros(len(times), np.bool_)
    for feature, values in honest.items():
        wrong |= differing(values, frame.column(f"{one.name}__{feature}" if full_names else feature))
    return {**found, "in_this_set": int(wrong.sum())}


def _rows(one: Wanted, features: list[str], config: RepoConfig) -> tuple[pa.Table, pa.ChunkedArray | None]:
    """The view's rows, with SINCE where it is said when each was known; and until when, where rows ended."""
    columns = [*one.keys.values(), one.time, *([one.created] if one.created else []), *one.telling, *features]
    columns = list(dict.fromkeys(columns))
    try:
        known = knowledge(one.name, one.source, one.opened, config, Asked(None))
        table, _ = known.rows(columns, one.time, lambda opened, names, when: opened.read(names, condition=when))
    except LakehouseError:  # not said, or not of every row
        table = one.opened.read(columns)
        made = one.source.created_timestamp_column
        return table.append_column(SINCE, table.column(one.source.stored(made))) if made else table, None
    until = table.column(UNTIL) if known.ended else None
    return table.select(columns).append_column(SINCE, table.column(FROM)), until


def _compared(honest: Values, other: Values, leaked: Mask) -> dict[str, Any]:
    changed = np.zeros(len(leaked), np.bool_)
    features = {}
    for feature, before in honest.items():
        differs = differing(before, other[feature])
        changed |= differs
        means = {"mean": _mean(before), "mean_leaked": _mean(other[feature])}
        features[feature] = {"changed": int(differs.sum()), **means}
    return {"leaked": int(leaked.sum()), "changed": int(changed.sum()), "features": features}


def _taken(column: pa.ChunkedArray, spots: Ints) -> pa.ChunkedArray:
    return column.take(pa.array(spots, mask=spots < 0))


def _after(moments: pa.ChunkedArray, spots: Ints, times: pa.ChunkedArray, *, null_is_after: bool = False) -> Mask:
    """Where the row that was taken has a moment after the entity row's time."""
    seen = _taken(moments, spots)
    _, moment, said = ticks(seen)
    now, _, asked = ticks(times)
    later = said & asked & (moment > now)
    return later | ((spots >= 0) & ~said) if null_is_after else later


def _mean(column: pa.ChunkedArray) -> float | None:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    mean = pc.mean(column).as_py()
    return float(mean) if mean is not None and math.isfinite(mean) else None
