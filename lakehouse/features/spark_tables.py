"""A view's rows, or events and tiles, in Spark at the version that was opened; and when the rows were known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa

from lakehouse.errors import ConservationError, DefinitionError, LakehouseError, StorageError
from lakehouse.features.events import Events, Within
from lakehouse.features.knowledge import UPTO
from lakehouse.features.reading import OpenTable
from lakehouse.features.retrieval import Span, Wanted, bounds_of
from lakehouse.features.seeing import FROM, UNTIL, Knowing
from lakehouse.features.skew import column
from lakehouse.features.spark_settings import IN_UTC, settings
from lakehouse.kernels.aggregations import START, Aggregations
from lakehouse.kernels.times import UTC_TIME
from lakehouse.quality.condition import parse
from lakehouse.quality.literals import column as quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


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
        return _within(frame, one.time, bounds_of(span, one.ttl))


def events_of(spark: SparkSession, events: Events, told: Aggregations, within: Within) -> DataFrame:
    """The keys, time and measures of the events within these times, in the table's types; conditions are judged."""
    from pyspark.sql import functions as F

    texts = {name: quoted(name).spark for name in (*told.keys, told.at)}
    texts |= {one.name: parse(one.sql).spark if one.condition else quoted(one.sql).spark for one in told.measures}
    with _in_words(), settings(spark, IN_UTC):
        frame = _within(_table(spark, events.opened), told.at, within)
        for name in (*told.keys, told.at):
            frame = frame.where(column(name).isNotNull())
        frame = frame.where(F.expr(parse(told.where).spark)) if told.where else frame
        return frame.select(*(F.expr(sql).alias(name) for name, sql in texts.items()))


def tiles_of(spark: SparkSession, tiles: OpenTable, names: Sequence[str], within: Within) -> DataFrame:
    """The columns of the tiles that begin within these times."""
    with _in_words():
        return _within(_table(spark, tiles), START, within).select(*map(column, names))


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


def _within(frame: DataFrame, time: str, within: Within) -> DataFrame:
    """The rows within these times, where they are moments; naive times and dates are not looked at."""
    start, end = within
    if frame.schema[time].dataType.typeName() != "timestamp":
        return frame
    frame = frame if start is None else frame.where(column(time) >= _moment(start))
    return frame if end is None else frame.where(column(time) <= _moment(end))


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
    """What Spark raised, in words; what a worker of ours said, as it said it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        for kind in (ConservationError, DefinitionError):  # as the last line of a traceback of Python has it
            begin = f"{kind.__module__}.{kind.__qualname__}: "
            if line.startswith(begin):
                return kind(line.removeprefix(begin), hint=after.strip() if after.startswith("  ") else "")
    return StorageError(f"Spark could not make the training set: {lines[0]}", hint="Spark's own log says more.")
