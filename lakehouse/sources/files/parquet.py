"""Parquet: the footer tells the columns, their types and how many records there are; a pass proves that they decode."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.sources.files.inspection import Inspection, spark_finds, unusable, whole_file

REFUSED = frozenset(" ,;{}()\n\t=")
"""What Delta refuses in the name of a nested field, which is not renamed."""


def inspect_parquet(path: Path, name: str) -> Inspection:
    """Read the file; one that is not sound, or that Spark can't read without loss, is quarantined whole.

    A column of Parquet's type null holds nothing and is left out: Spark would make it a number.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            schema: pa.Schema = file.schema_arrow
            problem = unusable(schema.names) or _unreadable(file.schema) or _misnamed(schema)
            if not problem and (found := _decoded(file)) != file.metadata.num_rows:
                problem = f"its footer says {file.metadata.num_rows:,} records and it holds {found:,}"
            records: int = file.metadata.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        return whole_file(path, name, f"it is no sound Parquet file: {str(error).splitlines()[0]}")
    if not spark_finds(path):
        problem = problem or "Spark can't open a file whose name starts with '_' or '.', or holds a colon: rename it"
    if problem:
        return whole_file(path, name, problem)
    kept = [field for field in schema if not pa.types.is_null(field.type)]
    types = tuple(str(field.type) for field in kept)
    return Inspection(tuple(field.name for field in kept), records, types=types)


def row_files(path: Path, rows: set[int]) -> Iterator[tuple[int, bytes]]:
    """Each of these rows as a file of its own, with the columns and types of the whole."""
    first = 0
    # INT96 holds any day; by default it is read as nanoseconds in 64 bits, which end in 2262.
    with pq.ParquetFile(path, coerce_int96_timestamp_unit="us") as file:
        old = any(file.schema.column(i).physical_type == "INT96" for i in range(len(file.schema)))
        for batch in file.iter_batches():
            for row in sorted(rows.intersection(range(first, first + batch.num_rows))):
                buffer = BytesIO()
                table = pa.Table.from_batches([batch.slice(row - first, 1)])
                pq.write_table(table, buffer, use_deprecated_int96_timestamps=old)
                yield row, buffer.getvalue()
            first += batch.num_rows


def _decoded(file: Any) -> int:
    """How many records decode: a flipped byte shows here, not in the footer. So do texts that are not UTF-8."""
    found = 0
    try:
        for batch in file.iter_batches():
            batch.validate(full=True)
            found += batch.num_rows
        return found
    except pa.ArrowNotImplementedError:
        return int(file.metadata.num_rows)


def _unreadable(schema: Any) -> str:
    """Why Spark can't read a column, at any depth, as it is; or nothing."""
    for leaf in (schema.column(i) for i in range(len(schema))):
        kind = json.loads(leaf.logical_type.to_json())
        where = f"the column {leaf.path!r}"
        if kind["Type"] == "Timestamp" and kind["timeUnit"] == "nanoseconds":
            return f"{where} counts nanoseconds, which Spark would cut: write microseconds"
        if kind["Type"] in ("Time", "Float16"):
            return f"{where} is of the type {kind['Type'].lower()}, which Delta has not: write a number or text"
        if kind["Type"] in ("UUID", "Interval"):
            return f"{where} is of the type {kind['Type']}, which Spark can't read: write text"
        if kind["Type"] == "Decimal" and kind["precision"] > 38:
            return f"{where} is a decimal of more than 38 digits, which Spark has not: write text"
    return ""


def _misnamed(schema: pa.Schema) -> str:
    """Why the names of fields inside a column can't stand in a table, or nothing."""
    for column in schema:
        for names in _nested_names(column.type):
            refused = next((name for name in names if REFUSED & set(name)), None)
            if refused is not None:
                return f"the column {column.name!r} has a field {refused!r}, a name that Delta refuses: rename it"
            folded = [name.casefold() for name in names]
            doubled = next((names[i] for i, name in enumerate(folded) if folded.index(name) < i), None)
            if doubled is not None:
                return f"the column {column.name!r} has a field {doubled!r} twice (names differ by more than case)"
    return ""


def _nested_names(kind: pa.DataType) -> Iterator[list[str]]:
    """The names of each struct's fields, at any depth."""
    inner = [kind.field(i) for i in range(kind.num_fields)]
    if pa.types.is_struct(kind):
        yield [field.name for field in inner]
    for field in inner:
        yield from _nested_names(field.type)
