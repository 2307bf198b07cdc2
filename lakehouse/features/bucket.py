"""What a worker of Spark does with one bucket: entity rows and the rows of several views, met by the as-of kernel.

A bucket holds every row of its keys, so that it is a small training set of its own. Neither Feast nor Spark is
imported here: a worker starts with what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import ConservationError
from lakehouse.features.seeing import Knowing, Sight, content_of
from lakehouse.kernels.asof import latest
from lakehouse.kernels.decimals import nearest_doubles
from lakehouse.kernels.keys import Column
from lakehouse.kernels.times import UTC_TIME

KEY, CELL, INPUT = "_key", "_cell", "_input"
"""Columns of ours; no feature begins with an underscore."""
OUT_ROWS = 100_000
"""Rows that are handed back at a time."""


class Side(Protocol):
    """What the entity rows meet in a bucket: a view, of one input or more."""

    @property
    def inputs(self) -> tuple[pa.Schema, ...]: ...

    @property
    def fields(self) -> tuple[pa.Field, ...]:
        """The features, in order."""

    def columns(self, asked: pa.Table, times: Column, parts: Sequence[Sequence[pa.RecordBatch]]) -> list[Column]:
        """The features at each entity row; ``parts`` are the rows of each of ``inputs``, with their CELL."""


@dataclass(frozen=True)
class View:
    """One view's rows in a bucket, of which each entity row sees one."""

    sight: Sight
    keys: tuple[str, ...]
    """The entity rows' columns, in the order of the table's keys."""
    features: tuple[str, ...]
    """The table's columns that are handed back, in order."""
    schema: pa.Schema
    """The rows in the types in which training gets them."""
    knowing: Knowing | None = None

    @property
    def inputs(self) -> tuple[pa.Schema, ...]:
        return (self.schema,)

    @property
    def fields(self) -> tuple[pa.Field, ...]:
        return tuple(self.schema.field(feature) for feature in self.features)

    def columns(self, asked: pa.Table, times: Column, parts: Sequence[Sequence[pa.RecordBatch]]) -> list[Column]:
        table, index = self.seen(asked, times, parts[0])
        return [table.column(name).take(index) for name in self.features]

    def seen(self, asked: pa.Table, times: Column, parts: Sequence[pa.RecordBatch]) -> tuple[pa.Table, pa.Array]:
        """The view's rows, and which of them each entity row sees."""
        schema = self.schema.append(pa.field(CELL, pa.int32()))
        table = schema.empty_table()
        if parts:
            read = pa.Table.from_batches(parts)
            columns = [nearest_doubles(column) for column in read.columns]
            table = pa.Table.from_arrays(columns, names=read.column_names).cast(schema).combine_chunks()
        if self.knowing is not None:
            table = self.knowing.of(table, self.sight.time)
        spots = self.sight.spots([asked.column(name) for name in self.keys], times, table)
        return table, pa.array(spots, mask=spots < 0)


@dataclass(frozen=True)
class Parted:
    """A view of which some keys are split: the row that is seen comes back whole, for :class:`Newest` to choose."""

    view: View

    @property
    def inputs(self) -> tuple[pa.Schema, ...]:
        return self.view.inputs

    @property
    def fields(self) -> tuple[pa.Field, ...]:
        return (pa.field("row", pa.struct(list(self.view.schema))),)

    def columns(self, asked: pa.Table, times: Column, parts: Sequence[Sequence[pa.RecordBatch]]) -> list[Column]:
        table, index = self.view.seen(asked, times, parts[0])
        taken = table.select(self.view.schema.names).take(index).combine_chunks()
        columns = [column.combine_chunks() for column in taken.columns]
        return [pa.StructArray.from_arrays(columns, fields=list(taken.schema), mask=pc.is_null(index))]


@dataclass(frozen=True)
class Bucket:
    """Called with the batches of one bucket. Their columns: CELL, INPUT, then slots that the inputs share.

    Each row belongs to one input: 0 are the entity rows, then come those of the sides. Rows meet only within their
    cell. The entity rows come back, each as often as it came, with one column for each feature after their own, in no
    particular order.
    """

    sides: tuple[Side, ...]
    layouts: tuple[tuple[int, ...], ...]
    """For each input the slots of its columns, in order."""
    time: str
    unit: pa.DataType | None
    """The type of the entity rows' time where it comes as whole numbers: Spark knows no nanoseconds."""
    given: tuple[str, ...]
    """The entity rows' columns."""
    within: tuple[datetime | None, datetime | None]
    """The first and last time of an entity row: the views' rows were read for these. None: for any."""

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        names = [self.given, *(schema.names for side in self.sides for schema in side.inputs)]
        inputs: list[list[pa.RecordBatch]] = [[] for _ in names]
        for batch in batches:
            number = batch.column(1).to_numpy()
            for one in np.unique(number):
                part = batch if (number == one).all() else batch.filter(pa.array(number == one))
                columns = [part.column(2 + slot) for slot in self.layouts[one]]
                inputs[one].append(pa.RecordBatch.from_arrays([*columns, part.column(0)], [*names[one], CELL]))
        entities, *rows = inputs
        if not entities:
            return
        asked = pa.Table.from_batches(entities).combine_chunks()
        times = asked.column(self.time)
        times = times if self.unit is None else times.cast(self.unit)
        self._require_within(times)
        answer = asked.select(self.given)
        for number, side in enumerate(self.sides):
            own, rows = rows[: len(side.inputs)], rows[len(side.inputs) :]
            for place, values in enumerate(side.columns(asked, times, own)):
                answer = answer.append_column(f"view{number}_{place}", values)
        yield from answer.to_batches(max_chunksize=OUT_ROWS)

    def _require_within(self, times: Column) -> None:
        first, last = self.within
        if first is None or last is None or times.null_count == len(times):
            return
        ends = pc.min_max(times.cast(UTC_TIME, safe=False)).as_py()
        if ends["min"] < first or ends["max"] > last:
            raise ConservationError(
                "the entity rows are other ones than when the features were asked for: a frame that gives other times "
                "each time it is computed",
                hint="Give the frame after localCheckpoint(), or write it first.",
            )


@dataclass(frozen=True)
class Newest:
    """Called with what buckets say of split keys: the entity rows of one part, each with all its answers.

    An entity row comes back once, with the features of the newest of its answers in each view, ties as ever.
    """

    views: tuple[View, ...]
    given: tuple[str, ...]
    """The entity rows' columns; the first one numbers them."""

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        parts = list(batches)
        if not parts:
            return
        table = pa.Table.from_batches(parts).combine_chunks()
        rows, firsts = np.unique(table.column(0).to_numpy(), return_index=True)
        answer = table.select(self.given).take(pa.array(firsts))
        for number, view in enumerate(self.views):
            column = table.column(len(self.given) + number).combine_chunks()
            there = pc.is_valid(column)
            column, of = column.filter(there), table.column(0).filter(there)
            found = pa.table(column.flatten(), names=view.schema.names).cast(view.schema)
            sight = view.sight
            made = found.column(sight.created) if sight.created else None
            content = content_of(found, sight.telling)
            spots = latest([of], found.column(sight.time), created=made, content=content)
            index = np.full(len(rows), -1, np.int64)
            index[np.searchsorted(rows, of.to_numpy()[spots])] = spots
            taken = pa.array(index, mask=index < 0)
            for place, name in enumerate(view.features):
                answer = answer.append_column(f"view{number}_{place}", found.column(name).take(taken))
        yield from answer.to_batches(max_chunksize=OUT_ROWS)
