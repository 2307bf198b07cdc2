"""A view's rows in Spark, at the version that was opened; with what is known of when they were known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa

from lakehouse.errors import ConservationError, LakehouseError, StorageError
from lakehouse.features.knowledge import UPTO
from lakehouse.features.reading import OpenTable
from lakehouse.features.retrieval import Span, Wanted, bounds_of
from lakehouse.features.seeing import FROM, UNTIL, Knowing
from lakehouse.features.skew import column
from lakehouse.kernels.times import UTC_TIME

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

SAID = f"{ConservationError.__module__}.{ConservationError.__qualname__}: "
"""How a traceback of Python begins what a worker says of entity rows."""


def rows_of(spark: SparkSession, one: Wanted, names: Sequence[str], span: Span) -> DataFrame:
    """The columns of the rows that may be seen by entity rows of this span, UNTIL too where it is a name."""
    from pyspark.sql import functions as F

    with _in_words():
        frame = _table(spark, one.opened)
        frames = [frame]
        if one.known is not None:
            frames = [frame.withColumn(UNTIL, F.lit(None).cast("timestamp"))]
            frames += [_table(spark, kept).where(F.col(UPTO) <= upto) for kept, upto in one.known.ended]
        frame = reduce(lambda one, other: one.unionAll(other), (each.select(*map(column, names)) for each in frames))
        for name in (*one.keys.values(), one.time):
            frame = frame.where(column(name).isNotNull())
        if frame.schema[one.time].dataType.typeName() == "timestamp":
            start, end = bounds_of(span, one.ttl)
            if start is not None:
                frame = frame.where(column(one.time) >= _moment(start))
            if end is not None:
                frame = frame.where(column(one.time) <= _moment(end))
        return frame


def knowing_of(spark: SparkSession, one: Wanted, span: Span) -> tuple[Knowing | None, str]:
    """When the view's rows were known, and what is to be said of that; for this, Spark reads one column of them."""
    from pyspark.sql import functions as F

    if one.known is None:
        return None, ""

    def least(tables: Sequence[OpenTable]) -> datetime | None:
        with _in_words():
            found = [_table(spark, table).agg(F.min(F.unix_micros(FROM))).first() for table in tables]
        firsts = [row[0] for row in found if row is not None and row[0] is not None]
        return pa.scalar(min(firsts), UTC_TIME).as_py() if firsts else None

    knowing = one.known.knowing(least)
    since = column(knowing.since)
    names = list(dict.fromkeys([*one.keys.values(), one.time, knowing.since]))
    with _in_words():
        frame = rows_of(spark, one, names, span)
        early: Column = F.lit(None)
        if knowing.backfilled is not None:
            early = since <= _moment(knowing.backfilled)
            if frame.schema[knowing.since].dataType.typeName() != "timestamp":  # naive ones and dates are in UTC
                naive = knowing.backfilled.astimezone(UTC).replace(tzinfo=None)
                early = since.cast("timestamp_ntz") <= F.lit(naive.isoformat(" ")).cast("timestamp_ntz")
        counts = frame.agg(F.count_if(since.isNull()), F.count_if(early)).first() or (0, 0)
    return knowing, one.known.told(counts[0], counts[1])


def _table(spark: SparkSession, opened: OpenTable) -> DataFrame:
    return spark.read.format("delta").option("versionAsOf", str(opened.version)).load(opened.location)


def _moment(time: datetime) -> Column:
    from pyspark.sql import functions as F

    return F.timestamp_micros(F.lit(int(pa.scalar(time, UTC_TIME).value)))


@contextmanager
def _in_words() -> Iterator[None]:
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        raise unreadable(error) from error


def unreadable(error: Exception) -> LakehouseError:
    """What Spark raised, in words; what a worker of ours said of the entity rows, as it said it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if said := [line.partition(SAID)[2] for line in lines if line.startswith(SAID)]:
        return ConservationError(said[0], hint="Give the frame after localCheckpoint(), or write it first.")
    return StorageError(f"Spark could not make the training set: {lines[0]}", hint="Spark's own log says more.")
