"""What a worker of Spark does with the events of windowed views in one bucket: what training in process does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.features.bucket import CELL
from lakehouse.kernels.aggregations import Aggregations
from lakehouse.kernels.answers import answers
from lakehouse.kernels.keys import Column
from lakehouse.kernels.measures import plain_columns


@dataclass(frozen=True)
class WindowView:
    """One windowed view's events in a bucket, and their tiles where whole hops come from these."""

    told: Aggregations
    keys: tuple[str, ...]
    """The entity rows' columns, in the order of its entity."""
    features: tuple[str, ...]
    inputs: tuple[pa.Schema, ...]
    """Of events and of tiles, in the types that the kernel takes."""
    fields: tuple[pa.Field, ...]
    """What comes back: the features, in order."""

    def columns(self, asked: pa.Table, times: Column, parts: Sequence[Sequence[pa.RecordBatch]]) -> list[Column]:
        events, *tiles = (_table(schema, rows) for schema, rows in zip(self.inputs, parts, strict=True))
        told, keys = self.told, self.keys
        if any(pc.max(table.column(CELL)).as_py() for table in (asked, events, *tiles)):
            # A split key's events are in each of its cells, and may meet others' in this bucket.
            told, keys = replace(told, entity=(CELL, *told.entity)), (CELL, *keys)
        found = answers(told, [asked.column(name) for name in keys], times, events, *tiles)
        return [found[name] for name in self.features]


def _table(schema: pa.Schema, rows: Sequence[pa.RecordBatch]) -> pa.Table:
    schema = schema.append(pa.field(CELL, pa.int64()))
    if not rows:
        return schema.empty_table()
    return plain_columns(pa.Table.from_batches(rows)).cast(schema).combine_chunks()
