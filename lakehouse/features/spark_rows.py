"""Training rows by Spark: one shuffle an input, then the as-of kernel on each bucket of keys.

Entity rows and the rows of all views with the same join keys go by the hash of their key into buckets, in one exchange,
and are met there by :class:`lakehouse.features.bucket.Bucket`. No pair of rows is ever built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa

from lakehouse.features.bucket import CELL, INPUT, KEY, Bucket, Newest, Parted, Side, View
from lakehouse.features.retrieval import Span, Wanted
from lakehouse.features.skew import column, hot_keys, in_cells
from lakehouse.features.spark_sides import Met, seen_rows, windows

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

ROW = "row"
ROWS_A_BUCKET = 1_000_000
"""No more rows should be in one bucket, so that a worker of Spark has room for them."""
ROWS_A_KEY = ROWS_A_BUCKET
"""A key with more entity rows, or more rows of one view, is split."""
FEWEST = 50_000
"""Buckets with fewer rows than this cost more than they save."""


@dataclass(frozen=True)
class Entities:
    """Entity rows in Spark: ROW numbers them in order, the other columns are c0, c1, …"""

    frame: DataFrame
    names: tuple[str, ...]
    """What the columns are called by who asks."""
    schema: pa.Schema
    """Their types by those names, as the kernel sees them."""
    time: str
    rows: int
    span: Span
    unit: pa.DataType | None = None
    """The type of the times where they come as whole numbers."""

    def column(self, name: str) -> str:
        return f"c{self.names.index(name)}"


def with_features(
    spark: SparkSession, entities: Entities, wanted: Sequence[Wanted], names: Sequence[str], notes: list[str]
) -> Entities:
    """The entity rows with the features, called ``names``, after their own columns; the frame is not computed yet.

    Views with the same join keys meet the entity rows in one exchange, those with windows in one of their own.
    """
    called, first = iter(names), entities.frame
    for (keys, windowed), group in groupby(wanted, key=lambda one: (tuple(one.keys), one.windows is not None)):
        views = list(group)
        new = [next(called) for one in views for _ in one.features]
        columns, span = {key: entities.column(key) for key in keys}, entities.span
        if windowed:
            met = [windows(spark, one, columns, span) for one in views]
        else:
            met = [seen_rows(spark, one, columns, span, notes) for one in views]
        entities = _met(spark, entities, first, met, new, notes)
    return entities


def _met(
    spark: SparkSession, entities: Entities, first: DataFrame, views: list[Met], names: list[str], notes: list[str]
) -> Entities:
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import from_arrow_type
    from pyspark.sql.types import StructField, StructType

    for one in views:
        one.check(entities.schema)
    own = [entities.column(key) for key in views[0].keys]
    hashed = _hashed([[schema.field(key).type for key in keys] for schema, keys in _keys(entities, views)])
    key = hashed(entities.frame, own)
    if own:  # Rows without a whole key match nothing: spread, so that they burden no bucket.
        whole = reduce(lambda one, other: one & other, (F.col(name).isNotNull() for name in own))
        key = F.when(whole, key).otherwise(F.xxhash64(ROW))
    asked = entities.frame.withColumn(KEY, key)
    sliced = [by for one in views for _, by in one.frames]
    frames = []
    for one in views:
        frames += [frame.withColumn(KEY, hashed(frame, list(one.keys.values()))) for frame, _ in one.frames]
    # A window is made of all events of its key that it holds, so that just entity rows can be split.
    together = any(one.together for one in views)
    counts = [entities.rows, *(one.rows for one in views)]
    hot = []
    if max(counts[:1] if together else counts) > ROWS_A_KEY:
        # Asked of the rows as they were given: those with features would be computed twice.
        hot = hot_keys(first.withColumn(KEY, key), frames, ROWS_A_KEY, together=together)
    buckets = _buckets(spark, sum(counts) + sum(one.more for one in hot))

    inputs = [in_cells(spark, asked, ROW, hot, asks=True)]
    for frame, by in zip(frames, sliced, strict=True):
        inputs.append(in_cells(spark, frame, by, hot, asks=False))
    rows, layouts = _as_one(inputs)
    rows = rows.repartitionById(buckets, F.pmod(KEY, F.lit(buckets)).cast("int")).drop(KEY)
    given, time = tuple(entities.frame.columns), entities.column(entities.time)
    sides: list[Side] = [one.side for one in views]
    parted = [one.side for one in views if isinstance(one.side, View)] if any(one.seen > 1 for one in hot) else []

    def answers(sides: Sequence[Side]) -> StructType:
        kinds = [from_arrow_type(field.type) for side in sides for field in side.fields]
        new = [StructField(f"f{number}", kind) for number, kind in enumerate(kinds)]
        return StructType([*entities.frame.schema, *new])

    if parted:
        bucket = Bucket(tuple(map(Parted, parted)), layouts, time, entities.unit, given, entities.span)
        met = rows.mapInArrow(_run(bucket), answers(bucket.sides))
        met = met.repartitionById(buckets, F.pmod(F.xxhash64(ROW), F.lit(buckets)).cast("int"))
        met = met.mapInArrow(_run(Newest(tuple(parted), given)), answers(sides))
    else:
        bucket = Bucket(tuple(sides), layouts, time, entities.unit, given, entities.span)
        met = rows.mapInArrow(_run(bucket), answers(sides))
    renamed = [ROW, *(f"c{number}" for number in range(len(met.columns) - 1))]
    schema = entities.schema
    for name, field in zip(names, (field for side in sides for field in side.fields), strict=True):
        schema = schema.append(field.with_name(name))
    split = f", {len(hot)} key(s) split" if hot else ""
    notes.append(f"{', '.join(one.name for one in views)}: joined by Spark in {buckets} bucket(s) of keys{split}")
    return replace(entities, frame=met.toDF(*renamed), names=(*entities.names, *names), schema=schema)


def _keys(entities: Entities, views: Sequence[Met]) -> Iterator[tuple[pa.Schema, list[str]]]:
    """The schema of the entity rows and of each view's rows, with what their keys are called there."""
    yield entities.schema, list(views[0].keys)
    for one in views:
        yield one.types, list(one.keys.values())


def _as_one(inputs: Sequence[DataFrame]) -> tuple[DataFrame, tuple[tuple[int, ...], ...]]:
    """All inputs as one frame: KEY, CELL, INPUT, then slots of values; and for each input the slots of its columns.

    An input takes slots of its columns' types, whoever else uses them: inputs of one shape leave none empty.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import DataType

    slots: list[DataType] = []
    layouts = []
    for frame in inputs:
        layout: dict[int, str] = {}
        for field in frame.drop(KEY, CELL).schema:
            free = (slot for slot, kind in enumerate(slots) if kind == field.dataType and slot not in layout)
            slot = next(free, len(slots))
            slots += [field.dataType] if slot == len(slots) else []
            layout[slot] = field.name
        layouts.append(layout)
    parts = []
    for number, (frame, layout) in enumerate(zip(inputs, layouts, strict=True)):
        values = [
            (column(layout[slot]) if slot in layout else F.lit(None).cast(kind)).alias(f"_slot{slot}")
            for slot, kind in enumerate(slots)
        ]
        parts.append(frame.select(KEY, CELL, F.lit(number).alias(INPUT), *values))
    return reduce(lambda one, other: one.unionAll(other), parts), tuple(tuple(layout) for layout in layouts)


def _run(bucket: Bucket | Newest) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    return lambda batches: bucket(batches)  # Spark wants a function


def _hashed(kinds: Sequence[Sequence[pa.DataType]]) -> Callable[[DataFrame, list[str]], Column]:
    """One hash for all keys that the kernel holds for equal. ``kinds``: for each side the types of its key's parts."""
    from pyspark.sql import functions as F

    numbers = []
    for of_part in zip(*kinds, strict=True):
        wholes = [pa.types.is_integer(kind) for kind in of_part]
        mixed = any(wholes) or any(map(pa.types.is_floating, of_part))
        numbers.append("bigint" if all(wholes) else "double" if mixed else "")

    def hashed(frame: DataFrame, names: list[str]) -> Column:
        parts = []
        for name, number in zip(names, numbers, strict=True):
            part, kind = column(name), frame.schema[name].dataType.typeName()
            if number:
                part = part.cast(number) + F.lit(0).cast(number)  # -0.0 + 0.0 is 0.0
            elif kind == "timestamp":
                part = F.unix_seconds(part)
            elif kind in ("timestamp_ntz", "date"):
                # Naive times and dates are in UTC, whatever the time zone of the session.
                part = F.unix_date(part.cast("date")).cast("bigint") * 86400
                if kind == "timestamp_ntz":
                    part += F.hour(column(name)) * 3600 + F.minute(column(name)) * 60 + F.second(column(name))
            parts.append(part)
        return F.xxhash64(*parts) if parts else F.lit(0).cast("bigint")

    return hashed


def _buckets(spark: SparkSession, rows: int) -> int:
    parallel = int(spark.conf.get("spark.sql.shuffle.partitions") or 2)
    return max(-(-rows // ROWS_A_BUCKET), min(parallel, -(-rows // FEWEST)), 1)
