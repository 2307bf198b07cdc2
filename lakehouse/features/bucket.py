"""What a worker of Spark does with one bucket: entity rows and the rows of several views, met by the as-of kernel.

A bucket holds every row of its keys, so that it is a small training set of its own. Neither Feast nor Spark is
imported here: a worker starts with what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.features.seeing import Sight
from lakehouse.kernels.keys import Column

CELL, ENTITY = "cell", "entity"
OUT_ROWS = 100_000
"""Rows that are handed back at a time."""


@dataclass(frozen=True)
class View:
    """One view's rows in a bucket."""

    sight: Sight
    keys: tuple[str, ...]
    """The entity rows' columns, in the order of the table's keys."""
    features: tuple[str, ...]
    """The table's columns that are handed back, in order."""
    schema: pa.Schema
    """The rows in the types in which training gets them."""


@dataclass(frozen=True)
class Bucket:
    """Called with the batches of one bucket. Their columns: CELL, ENTITY (a struct), then a struct for each view.

    Each row belongs to one of these inputs, the others are null. Rows meet only within their cell. The entity rows
    come back with one column for each feature after their own, in no particular order, none twice.
    """

    views: tuple[View, ...]
    time: str
    unit: pa.DataType | None
    """The type of the entity rows' time where it comes as whole numbers: Spark knows no nanoseconds."""
    given: tuple[str, ...]
    """The entity rows' columns."""

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        entities: list[pa.RecordBatch] = []
        rows: list[list[pa.RecordBatch]] = [[] for _ in self.views]
        for batch in batches:
            for column, parts in zip(batch.columns[1:], (entities, *rows), strict=True):
                if column.null_count < len(column):
                    parts.append(_rows(column, batch.column(0)))
        if not entities:
            return
        asked = pa.Table.from_batches(entities).combine_chunks()
        times = asked.column(self.time)
        times = times if self.unit is None else times.cast(self.unit)
        answer = asked.select(self.given)
        for number, (view, parts) in enumerate(zip(self.views, rows, strict=True)):
            for place, values in enumerate(_seen(view, asked, times, parts)):
                answer = answer.append_column(f"view{number}_{place}", values)
        yield from answer.to_batches(max_chunksize=OUT_ROWS)


def _seen(view: View, asked: pa.Table, times: Column, parts: list[pa.RecordBatch]) -> Iterator[Column]:
    schema = view.schema.append(pa.field(CELL, pa.int32()))
    if not parts:
        yield from (pa.nulls(asked.num_rows, schema.field(name).type) for name in view.features)
        return
    table = pa.Table.from_batches(parts)
    table = table.cast(pa.schema([schema.field(name) for name in table.column_names])).combine_chunks()
    spots = view.sight.spots([asked.column(name) for name in view.keys], times, table)
    index = pa.array(spots, mask=spots < 0)
    for name in view.features:
        yield table.column(name).take(index)


def _rows(column: pa.StructArray, cells: pa.Array) -> pa.RecordBatch:
    """The rows of an input as columns of their own, with the cell that each is in."""
    if column.null_count:
        there = pc.is_valid(column)
        column, cells = column.filter(there), cells.filter(there)
    fields = [pa.field(one.name, one.type) for one in column.type]
    return pa.RecordBatch.from_arrays(
        [*column.flatten(), cells], schema=pa.schema([*fields, pa.field(CELL, cells.type)])
    )
