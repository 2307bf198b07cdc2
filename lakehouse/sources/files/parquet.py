"""Parquet: the footer tells the columns, their types and how many records there are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.sources.files.inspection import Inspection, unusable, whole_file


def inspect_parquet(path: Path, name: str) -> Inspection:
    """Read the footer; a file without a sound one is quarantined whole."""
    try:
        file = pq.ParquetFile(path)
        schema: pa.Schema = file.schema_arrow
        records: int = file.metadata.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        return whole_file(path, name, f"it is no sound Parquet file: {str(error).splitlines()[0]}")
    nanos = [field.name for field in schema if pa.types.is_timestamp(field.type) and field.type.unit == "ns"]
    problem = unusable(schema.names)
    if (
        not problem
        and nanos
        and file.metadata.row_group(0).column(schema.names.index(nanos[0])).physical_type != "INT96"
    ):
        problem = f"the column {nanos[0]!r} counts nanoseconds, which Spark would cut: write microseconds"
    if path.name.startswith(("_", ".")):
        problem = problem or "Spark passes over files whose name starts with '_' or '.': rename it"
    return whole_file(path, name, problem) if problem else Inspection(tuple(schema.names), records)
