"""Training rows by Spark: one shuffle an input, then the as-of kernel on each bucket of keys.

Entity rows and the rows of all views with the same join keys go by the hash of their key into buckets, in one exchange,
and are met there by :class:`lakehouse.features.bucket.Bucket`. No pair of rows is ever built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.features.bucket import CELL, INPUT, KEY, Bucket, Newest, View
from lakehouse.features.retrieval import Span, Wanted
from lakehouse.features.seeing import UNTIL, Knowing
from lakehouse.features.skew import column, hot_keys, in_cells
from lakehouse.features.spark_tables import knowing_of, rows_of
from lakehouse.kernels.keys import comparable
from lakehouse.kernels.times import UTC_TIME

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

ROW = "row"
ROWS_A_BUCKET = 1_000_000
"""No more rows should be in one bucket, so that a worker of Spark has room for them."""
ROWS_A_KEY = ROWS_A_BUCKET
"""A key with more entity rows, or more rows of one view, is split."""
FEWEST = 50_000
"""Buckets with fewer rows than this cost more than they save."""
AS_DATA = {"spark.sql.execution.arrow.localRelationThreshold": "0"}
"""Arrow tables become data, not a part of the plan, which Spark would copy row by row each time it looks at it."""
WHOLE_BATCHES = {"spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1)}
"""Batches for Python are cut by their rows only: Spark would add up the bytes of a batch after each row."""


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

    Views with the same join keys meet the entity rows in one exchange.
    """
    called, first = iter(names), entities.frame
    for keys, group in groupby(wanted, key=lambda one: tuple(one.keys)):
        views = list(group)
        new = [next(called) for one in views for _ in one.features]
        entities = _met(spark, entities, first, keys, views, new, notes)
    return entities


def _met(
    spark: SparkSession,
    entities: Entities,
    first: DataFrame,
    keys: tuple[str, ...],
    wanted: list[Wanted],
    names: list[str],
    notes: list[str],
) -> Entities:
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import from_arrow_type
    from pyspark.sql.types import StructField, StructType

    told = [knowing_of(spark, one, entities.span) for one in wanted]
    notes += [said for _, said in told if said]
    views = [_view(one, entities, keys, knowing) for one, (knowing, _) in zip(wanted, told, strict=True)]
    hashed = _hashed(entities, keys, wanted)
    own = [entities.column(key) for key in keys]
    key = hashed(entities.frame, own)
    if keys:  # Rows without a whole key match nothing: spread, so that they burden no bucket.
        whole = reduce(lambda one, other: one & other, (F.col(name).isNotNull() for name in own))
        key = F.when(whole, key).otherwise(F.xxhash64(ROW))
    asked = entities.frame.withColumn(KEY, key)
    frames = []
    for one, view in zip(wanted, views, strict=True):
        frame = rows_of(spark, one, view.schema.names, entities.span)
        frames.append(frame.withColumn(KEY, hashed(frame, [one.keys[key] for key in keys])))
    counts = [entities.rows, *(one.opened.rows for one in wanted)]
    hot = []
    if max(counts) > ROWS_A_KEY:  # asked of the rows as they were given: those with features would be computed twice
        hot = hot_keys(first.withColumn(KEY, key), frames, ROWS_A_KEY)
    buckets = _buckets(spark, sum(counts) + sum(one.more for one in hot))

    inputs = [in_cells(spark, asked, ROW, hot, asks=True)]
    for one, frame in zip(wanted, frames, strict=True):
        inputs.append(in_cells(spark, frame, one.time, hot, asks=False))
    rows, layouts = _as_one(inputs)
    rows = rows.repartitionById(buckets, F.pmod(KEY, F.lit(buckets)).cast("int")).drop(KEY)
    given = tuple(entities.frame.columns)
    parted = any(one.seen > 1 for one in hot)
    time = entities.column(entities.time)
    bucket = Bucket(tuple(views), layouts, time, entities.unit, given, entities.span, parted)
    fields = [view.schema.field(feature) for view in views for feature in view.features]
    new = [StructField(f"f{number}", from_arrow_type(field.type)) for number, field in enumerate(fields)]
    done = StructType([*entities.frame.schema, *new])
    if parted:
        kinds = [StructField(f"view{number}", from_arrow_type(view.struct)) for number, view in enumerate(views)]
        met = rows.mapInArrow(_run(bucket), StructType([*entities.frame.schema, *kinds]))
        met = met.repartitionById(buckets, F.pmod(F.xxhash64(ROW), F.lit(buckets)).cast("int"))
        met = met.mapInArrow(_run(Newest(tuple(views), given)), done)
    else:
        met = rows.mapInArrow(_run(bucket), done)
    renamed = [ROW, *(f"c{number}" for number in range(len(met.columns) - 1))]
    schema = entities.schema
    for name, field in zip(names, fields, strict=True):
        schema = schema.append(field.with_name(name))
    split = f", {len(hot)} key(s) split" if hot else ""
    notes.append(f"{', '.join(one.name for one in wanted)}: joined by Spark in {buckets} bucket(s) of keys{split}")
    return replace(entities, frame=met.toDF(*renamed), names=(*entities.names, *names), schema=schema)


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


def _view(one: Wanted, entities: Entities, keys: tuple[str, ...], knowing: Knowing | None) -> View:
    features = tuple(one.source.stored(feature) for feature in one.features)
    names = [*one.keys.values(), one.time, *([one.created] if one.created else []), *one.telling, *features]
    one.opened.require(names, f"a column of '{one.name}'")
    names += [knowing.since] if knowing else []
    schema = pa.schema([one.opened.schema.field(name) for name in dict.fromkeys(names)])
    schema = schema.append(pa.field(UNTIL, UTC_TIME)) if knowing else schema
    for key, stored in one.keys.items():
        _check(entities.schema.field(key).type, schema.field(stored).type)
    sight = replace(one.sight, keys=(CELL, *one.sight.keys))
    return View(sight, (CELL, *(entities.column(key) for key in one.keys)), features, schema, knowing)


def _hashed(
    entities: Entities, keys: tuple[str, ...], wanted: list[Wanted]
) -> Callable[[DataFrame, list[str]], Column]:
    """One hash for all keys that the kernel holds for equal, whatever type each side has."""
    from pyspark.sql import functions as F

    numbers = []
    for key in keys:
        kinds = [entities.schema.field(key).type, *(one.opened.schema.field(one.keys[key]).type for one in wanted)]
        wholes = [pa.types.is_integer(kind) for kind in kinds]
        mixed = any(wholes) or any(map(pa.types.is_floating, kinds))
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


def _check(ours: pa.DataType, theirs: pa.DataType) -> None:
    """Raise DefinitionError here, not in a worker, for keys that can't be compared."""
    one, other = _sample(ours), _sample(theirs)
    if one is not None and other is not None:
        comparable(one, other)


def _sample(kind: pa.DataType) -> pa.Array | None:
    """One value of the type; None where we have none."""
    value: Any = None
    for value in (0, "", b"", [], {}):
        try:
            return pa.array([value]).cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
            continue
    return None


def _buckets(spark: SparkSession, rows: int) -> int:
    parallel = int(spark.conf.get("spark.sql.shuffle.partitions") or 2)
    return max(-(-rows // ROWS_A_BUCKET), min(parallel, -(-rows // FEWEST)), 1)


@contextmanager
def settings(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """The session with these settings, for as long as it takes to make something."""
    before = {name: spark.conf.get(name, None) for name in values}
    for name, value in values.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                spark.conf.unset(name)
            else:
                spark.conf.set(name, old)
