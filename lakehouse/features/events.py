"""The events that window features are computed from, read without a JVM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.features.reading import OpenTable
from lakehouse.kernels.aggregations import Aggregations
from lakehouse.kernels.keys import Column
from lakehouse.kernels.measures import check_measures, measured, plain_columns
from lakehouse.quality.condition import parse

Within = tuple[datetime | None, datetime | None]
WHERE = "_where"


@dataclass(frozen=True)
class Events:
    """The table of events at one version."""

    told: Aggregations
    opened: OpenTable

    @cached_property
    def types(self) -> dict[str, pa.DataType]:
        """The type of each measure, of each key and of the time.

        Raises DefinitionError for a column that is not there, or that a feature can't be computed of.
        """
        told = self.told
        self.opened.require([*told.keys, told.at, *_needed(told)], "asked for by its windows")
        schema = self.opened.schema
        found = {name: measured(schema.field(name).type) for name in (*told.keys, told.at)}
        for one in told.measures:
            found[one.name] = pa.bool_() if one.condition else measured(schema.field(one.sql).type)
        check_measures(told, found)
        return found

    def read(self, asked: Sequence[Column] | None, within: Within) -> pa.Table:
        """The events within these times, of the keys asked or others too: their keys, time and measures.

        All measures are read, whichever are asked for, since they break ties.
        """
        told = self.told
        columns = list(dict.fromkeys([*told.keys, told.at, *_needed(told)]))
        table = self.opened.read(
            columns, time=told.at, start=within[0], end=within[1], keys=self.bounds(asked), as_stored=True
        )
        conditions = {one.name: one.sql for one in told.measures if one.condition}
        conditions |= {WHERE: told.where} if told.where else {}
        judged = _judged(table, conditions) if conditions else {}
        values = {name: table.column(name) for name in (*told.keys, told.at)}
        for one in told.measures:
            values[one.name] = judged[one.name] if one.condition else table.column(one.sql)
        rows = plain_columns(pa.table(values))
        return rows.filter(judged[WHERE]) if told.where else rows

    def bounds(self, asked: Sequence[Column] | None) -> Mapping[str, tuple[Any, Any]]:
        """The least and the greatest key asked for, where files can be left out by them."""
        found = {}
        for name, column in zip(self.told.entity, asked or (), strict=asked is not None):
            kinds = (column.type, self.opened.schema.field(name).type)
            if all(map(pa.types.is_integer, kinds)) or all(map(pa.types.is_string, kinds)):
                ends = pc.min_max(column).as_py()
                if ends["min"] is not None:
                    found[name] = (ends["min"], ends["max"])
        return found


def _needed(told: Aggregations) -> list[str]:
    conditions = [one.sql for one in told.measures if one.condition] + [told.where] * bool(told.where)
    return [*told.columns, *(name for one in conditions for name in parse(one).columns)]


def _judged(table: pa.Table, conditions: Mapping[str, str]) -> dict[str, pa.ChunkedArray]:
    """Whether each condition is true, false or null of each row, in order."""
    if not table.num_rows:
        return {name: pa.chunked_array([], pa.bool_()) for name in conditions}
    import duckdb

    shown = ", ".join(f'({parse(sql).duckdb}) AS "c{number}"' for number, sql in enumerate(conditions.values()))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
        connection.register("events", table)
        found = connection.sql(f"SELECT {shown} FROM events").to_arrow_table()
    return {name: found.column(number) for number, name in enumerate(conditions)}
