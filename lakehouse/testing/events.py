"""Some events, as the kernels take them and as the reference does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.kernels.aggregations import Aggregations
from lakehouse.kernels.measures import check_measures, measured, plain_columns
from lakehouse.quality.condition import parse
from lakehouse.testing.columns import conditions_of
from lakehouse.testing.reference import Event, Key

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Events:
    """Rows of the table of events, the conditions over them, and in which of several batches each comes."""

    told: Aggregations
    raw: pa.Table
    conditions: pa.Table
    """True, false or null, a column for each of :func:`conditions_of`."""
    batches: tuple[int, ...]

    @staticmethod
    def of(told: Aggregations, raw: pa.Table, batches: Sequence[int]) -> Events:
        """Raises DefinitionError for a feature that can't be computed of its column."""
        made = Events(told, raw, _judged(told, raw), tuple(batches))
        check_measures(told, made.types)
        return made

    def __len__(self) -> int:
        return len(self.batches)

    def take(self, spots: Sequence[int]) -> Events:
        """Some of the events, in this order."""
        where = pa.array(spots, pa.int64())
        batches = tuple(self.batches[spot] for spot in spots)
        return Events(self.told, self.raw.take(where), self.conditions.take(where), batches)

    def until(self, batch: int) -> Events:
        """What has come with this batch."""
        return self.take([spot for spot, one in enumerate(self.batches) if one <= batch])

    @cached_property
    def types(self) -> dict[str, pa.DataType]:
        """Those of the keys, the time and the measures."""
        told, schema = self.told, self.raw.schema
        found = {name: measured(schema.field(name).type) for name in (*told.keys, told.at)}
        for one in told.measures:
            found[one.name] = pa.bool_() if one.condition else measured(schema.field(one.sql).type)
        return found

    @cached_property
    def table(self) -> pa.Table:
        """For the kernels: keys, time and measures of the events that fulfil the ``where``."""
        told, judged = self.told, iter(self.conditions.columns)
        columns = {name: self.raw.column(name) for name in (*told.keys, told.at)}
        for one in told.measures:
            columns[one.name] = next(judged) if one.condition else self.raw.column(one.sql)
        rows = plain_columns(pa.table(columns))
        return rows.filter(next(judged)) if told.where else rows

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """For the reference."""
        told = self.told
        columns = {name: self.raw.column(name).to_pylist() for name in self.raw.column_names}
        judged = iter([column.to_pylist() for column in self.conditions.columns])
        values = {one.name: next(judged) if one.condition else columns[one.sql] for one in told.measures}
        counts = next(judged) if told.where else [True] * len(self)
        labels = [None] * len(self)
        if told.bucket:
            labels = self.raw.column(told.bucket).cast(measured(self.raw.schema.field(told.bucket).type))
            labels = pc.cast(labels, pa.string()).to_pylist()
        return tuple(
            Event(
                key=tuple(plain_value(columns[name][spot]) for name in told.entity),
                bucket=labels[spot],
                at=ticks(plain_value(columns[told.at][spot])),
                counts=counts[spot] is True,
                values={name: plain_value(column[spot]) for name, column in values.items()},
            )
            for spot in range(len(self))
        )


def plain_value(value: Any) -> Any:
    """A decimal as the nearest double, a date and a time without a zone in UTC."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


def ticks(time: datetime | None) -> int | None:
    """In microseconds since 1970."""
    return None if time is None else (time - EPOCH) // MICROSECOND


def key_columns(told: Aggregations, schema: pa.Schema, keys: Sequence[Key]) -> list[pa.Array]:
    """Keys as the columns of entity rows."""
    return [
        pa.array([key[place] for key in keys], measured(schema.field(name).type))
        for place, name in enumerate(told.entity)
    ]


def _judged(told: Aggregations, raw: pa.Table) -> pa.Table:
    conditions = conditions_of(told)
    if not conditions:
        return pa.table({"none": pa.nulls(len(raw))}).select([])
    import duckdb

    shown = ", ".join(f'({parse(sql).duckdb}) AS "c{number}"' for number, sql in enumerate(conditions))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
        connection.register("events", raw)
        return connection.sql(f"SELECT {shown} FROM events").to_arrow_table()
