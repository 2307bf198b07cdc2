"""What entity rows meet in Spark, a view's rows or a windowed view's events, and what a worker makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.features.bucket import CELL, View
from lakehouse.features.retrieval import Span, Wanted
from lakehouse.features.seeing import UNTIL
from lakehouse.features.spark_tables import events_of, knowing_of, rows_of, tiles_of
from lakehouse.features.window_bucket import WindowView
from lakehouse.kernels.aggregations import START
from lakehouse.kernels.keys import comparable
from lakehouse.kernels.times import UTC_TIME

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Met:
    """One view."""

    name: str
    side: View | WindowView
    frames: tuple[tuple[DataFrame, str], ...]
    """The rows of each of its inputs, and the column that slices those of a key that is split."""
    keys: dict[str, str]
    """The entity rows' column → the frames'."""
    rows: int
    """How many there are in all, by the tables' logs."""
    together: bool = False
    """Whether an entity row's answer is made of several rows, so that all of its key must be in one cell."""

    @property
    def types(self) -> pa.Schema:
        """The types of its keys, as the kernel sees them."""
        return self.side.inputs[0]

    def check(self, entities: pa.Schema) -> None:
        """Raise DefinitionError here, not in a worker, for keys that can't be compared."""
        for key, stored in self.keys.items():
            ours, theirs = (_sample(one.type) for one in (entities.field(key), self.types.field(stored)))
            if ours is not None and theirs is not None:
                comparable(ours, theirs)


def seen_rows(spark: SparkSession, one: Wanted, columns: Mapping[str, str], span: Span, notes: list[str]) -> Met:
    """A view of which an entity row sees one row. ``columns``: what the entity rows' keys are called in Spark."""
    knowing, said = knowing_of(spark, one, span)
    notes += [said] if said else []
    features = tuple(one.source.stored(feature) for feature in one.features)
    names = [*one.keys.values(), one.time, *([one.created] if one.created else []), *one.telling, *features]
    one.opened.require(names, f"a column of '{one.name}'")
    names += [knowing.since] if knowing else []
    schema = pa.schema([one.opened.schema.field(name) for name in dict.fromkeys(names)])
    schema = schema.append(pa.field(UNTIL, UTC_TIME)) if knowing else schema
    sight = replace(one.sight, keys=(CELL, *one.sight.keys))
    view = View(sight, (CELL, *(columns[key] for key in one.keys)), features, schema, knowing)
    return Met(one.name, view, ((rows_of(spark, one, schema.names, span), one.time),), one.keys, one.opened.rows)


def windows(spark: SparkSession, one: Wanted, columns: Mapping[str, str], span: Span) -> Met:
    """A windowed view: the events that windows of entity rows within the span reach, or tiles and fewer of them."""
    assert one.windows is not None
    table = one.windows
    reach = table.reach(one.features, span)
    told = reach.told
    types = table.events.types
    names = dict.fromkeys([*told.keys, told.at, *(measure.name for measure in told.measures)])
    inputs = [pa.schema({name: types[name] for name in names})]
    frames = [(events_of(spark, table.events, told, reach.events), told.at)]
    rows = table.events.opened.rows
    if reach.tiles is not None:
        inputs.append(pa.schema([table.tiles.schema.field(name) for name in reach.tile_columns]))
        frames.append((tiles_of(spark, table.tiles, reach.tile_columns, reach.tiles), START))
        rows += table.tiles.rows
    ours = {stored: columns[key] for key, stored in one.keys.items()}
    side = WindowView(
        told=told,
        keys=tuple(ours[name] for name in told.entity),
        features=one.features,
        inputs=tuple(inputs),
        fields=tuple(pa.field(name, table.types[name]) for name in one.features),
    )
    return Met(one.name, side, tuple(frames), one.keys, rows, together=True)


def _sample(kind: pa.DataType) -> pa.Array | None:
    """One value of the type; None where we have none."""
    value: Any = None
    for value in (0, "", b"", [], {}):
        try:
            return pa.array([value]).cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            continue
    return None
