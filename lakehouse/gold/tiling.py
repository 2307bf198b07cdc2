"""The function of a table of window features: its events' tiles, by Spark, with the kernel that all others use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.errors import DefinitionError, did_you_mean
from lakehouse.kernels.aggregations import Aggregations
from lakehouse.quality.condition import parse
from lakehouse.quality.literals import column

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

DAY = "_day"
AT_ONCE = 500_000
"""So many events, and those of the day that they end in, are made tiles of at a time."""


@dataclass(frozen=True)
class Tiling:
    """Called with the frame of events."""

    told: Aggregations

    def __call__(self, events: DataFrame) -> DataFrame:
        """One row for each key, hop and beginning that has an event: see :func:`lakehouse.kernels.tiles.tiles_of`."""
        from pyspark.sql import functions as F
        from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

        from lakehouse.kernels.measures import check_measures, measured
        from lakehouse.kernels.tiles import tile_schema

        told = self.told
        self._require(events.columns)
        if told.where:
            events = events.where(parse(told.where).spark)
        names = [*told.keys, told.at]
        values = [(one.name, parse(one.sql).spark if one.condition else column(one.sql).spark) for one in told.measures]
        texts = [*((name, column(name).spark) for name in names), *values]
        rows = events.select(*(F.expr(sql).alias(name) for name, sql in dict(texts).items()))
        for name in names:
            rows = rows.where(F.col(column(name).spark).isNotNull())
        schema = to_arrow_schema(rows.schema, timezone="UTC")
        types = {field.name: measured(field.type) for field in schema}
        check_measures(told, types)
        rows = rows.withColumn(DAY, F.to_date(column(told.at).spark))
        rows = rows.repartition(*map(F.col, [*(column(name).spark for name in told.keys), DAY]))
        rows = rows.sortWithinPartitions(DAY)
        done = from_arrow_schema(tile_schema(told, types))
        return rows.mapInArrow(_in_days(told), done)

    def _require(self, columns: list[str]) -> None:
        told = self.told
        conditions = [told.where] * bool(told.where) + [one.sql for one in told.measures if one.condition]
        needed = [*told.keys, told.at, *told.columns, *(name for one in conditions for name in parse(one).columns)]
        for name in needed:
            if name not in columns:
                raise DefinitionError(f"{told.of} has no column '{name}'", hint=did_you_mean(name, columns))


def _in_days(told: Aggregations) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Of events in the order of their days, the tiles of some days at a time."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.compute as pc

        waiting: list[pa.RecordBatch] = []
        many, day = 0, None
        for batch in batches:
            if not len(batch):
                continue
            days = batch.column(batch.schema.get_field_index(DAY))
            if many >= AT_ONCE and days[-1] != day:
                same = pc.sum(pc.equal(days, day)).as_py() or 0
                yield from _tiles(pa.Table.from_batches([*waiting, batch.slice(0, same)]), told)
                waiting, many, batch = [], 0, batch.slice(same)
            waiting.append(batch)
            many, day = many + len(batch), days[-1]
        if waiting:
            yield from _tiles(pa.Table.from_batches(waiting), told)

    return run


def _tiles(rows: pa.Table, told: Aggregations) -> list[pa.RecordBatch]:
    from lakehouse.kernels.measures import plain_columns
    from lakehouse.kernels.tiles import tiles_of

    return list(tiles_of(plain_columns(rows.drop_columns([DAY])), told).to_batches())
