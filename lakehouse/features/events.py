"""The events that window features are computed from, read without a JVM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from lakehouse.errors import DefinitionError
from lakehouse.features.changed import inserted
from lakehouse.features.reading import OpenTable
from lakehouse.kernels.aggregations import Aggregations
from lakehouse.kernels.keys import Column
from lakehouse.kernels.measures import check_measures, check_truth, measured, plain_columns
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

        Raises DefinitionError for a column that is not there, or that a feature can't be computed of, and for a
        condition that can't be judged.
        """
        told = self.told
        self.opened.require([*told.keys, told.at, *_needed(told)], "asked for by its windows")
        schema = self.opened.schema
        found = {name: measured(schema.field(name).type) for name in (*told.keys, told.at)}
        # Tried on no rows: a column may be of a type that the condition does not go with.
        judged = _judged(told, self.opened.stored(_needed(told)).empty_table())
        for one in told.measures:
            found[one.name] = judged[one.name].type if one.condition else measured(schema.field(one.sql).type)
        check_measures(told, found)
        if told.where:
            check_truth(f"where={told.where!r}", judged[WHERE].type)
        return found

    def read(self, asked: Sequence[Column] | None, within: Within) -> pa.Table:
        """The events within these times, of the keys asked or others too: their keys, time and measures.

        All measures are read, whichever are asked for, since they break ties.
        """
        return self._measured(
            self.opened.read(
                self.columns, time=self.told.at, start=within[0], end=within[1], keys=self.bounds(asked), as_stored=True
            )
        )

    def new_since(self, version: int, most: int) -> pa.Table:
        """The events that came after a version of the table, as :meth:`read` gives them.

        Raises NoFeedError where the feed does not tell, where there are more than ``most``, and where events changed or
        went as well.
        """
        return self._measured(inserted(self.opened, version, self.columns, most))

    @property
    def columns(self) -> list[str]:
        """The columns of the table that are needed of each event."""
        return list(dict.fromkeys([*self.told.keys, self.told.at, *_needed(self.told)]))

    def _measured(self, table: pa.Table) -> pa.Table:
        told = self.told
        judged = _judged(told, table)
        values = {name: table.column(name) for name in (*told.keys, told.at)}
        for one in told.measures:
            values[one.name] = judged[one.name] if one.condition else table.column(one.sql)
        rows = plain_columns(pa.table(values))
        return rows.filter(judged[WHERE]) if told.where else rows

    def bounds(self, asked: Sequence[Column] | None) -> Mapping[str, tuple[Any, Any]]:
        """The least and the greatest key asked for, where files can be left out by them."""
        columns = zip(self.told.entity, asked or (), strict=asked is not None)
        spans = {name: self.opened.key_span(name, column) for name, column in columns}
        return {name: span for name, span in spans.items() if span is not None}


def _needed(told: Aggregations) -> list[str]:
    conditions = [one.sql for one in told.measures if one.condition] + [told.where] * bool(told.where)
    return [*told.columns, *(name for one in conditions for name in parse(one).columns)]


def _judged(told: Aggregations, table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Whether each condition is true, false or null of each row, in order.

    Raises DefinitionError for a condition that can't be said of the columns, or of a value.
    """
    conditions = {one.name: (f"rate({one.sql!r})", one.sql) for one in told.measures if one.condition}
    conditions |= {WHERE: (f"where={told.where!r}", told.where)} if told.where else {}
    if not conditions:
        return {}
    import duckdb

    found = {}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
        connection.register("events", table)
        for name, (shown, sql) in conditions.items():
            try:
                found[name] = connection.sql(f"SELECT {parse(sql).duckdb} FROM events").to_arrow_table().column(0)
            except duckdb.Error as error:
                raise DefinitionError(
                    f"{shown} can't be judged on {told.of}: {str(error).splitlines()[0]}",
                    hint="Compare values of one type; cast the column in its table.",
                ) from error
    return found
