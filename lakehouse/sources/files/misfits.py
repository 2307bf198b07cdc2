"""Records that can be parsed and hold a value that a declared type can't: each with its own bytes and place.

Spark says which they are. Only their files are read once more, by our own splitters, which know where a record stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.config import FilesSource
from lakehouse.sources.files.csv import csv_records, split_csv
from lakehouse.sources.files.inspection import Inspection
from lakehouse.sources.files.jsonl import json_rows, lines
from lakehouse.sources.files.parquet import row_files
from lakehouse.sources.files.text import split_text
from lakehouse.tables.batch import Frames, Reject

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Files = list[tuple[str, Inspection]]


def tell_apart(
    session: SparkSession,
    source: FilesSource,
    folder: Path,
    files: Files,
    judge: Callable[[Frames], DataFrame],
) -> tuple[Files, dict[str, list[Reject]]]:
    """The files, of which those with misfits are split here now, and each misfit by its file, as a reject.

    ``judge`` gives the rows of misfits a ``_reason``, and ``_offset`` for their place.
    """
    from lakehouse.sources.files.reading import read_files

    found = judge(read_files(session, source, folder, files)).where("_reason IS NOT NULL")
    odd = {row["_file"] for row in found.select("_file").distinct().collect()}
    split = [(path, _split(source, folder, path, one) if path in odd else one) for path, one in files]
    some = [(path, one) for path, one in split if path in odd]
    found = judge(read_files(session, source, folder, some)).where("_reason IS NOT NULL")
    reasons: dict[str, dict[int, str]] = defaultdict(dict)
    for row in found.select("_file", "_offset", "_reason").collect():
        reasons[row["_file"]][row["_offset"]] = row["_reason"]
    return split, {
        path: [
            Reject(path, at, line, raw, reasons[path][at])
            for at, line, raw in _bytes(source, folder, path, one, reasons[path])
        ]
        for path, one in some
    }


def _split(source: FilesSource, folder: Path, path: str, inspection: Inspection) -> Inspection:
    """The same file split here, where its format has records with bytes of their own."""
    if inspection.rows is not None or source.format in ("parquet", "binary"):
        return inspection
    file = inspection.copy or folder / path
    if source.format == "csv":
        rows = split_csv(file, path, inspection.columns, source.delimiter).rows
    elif source.format == "json":
        rows = json_rows(file, inspection.columns, set())  # Spark read it: it has no rejects
    else:
        rows = split_text(file, path).rows
    return replace(inspection, rows=rows)


def _bytes(
    source: FilesSource, folder: Path, path: str, inspection: Inspection, wanted: dict[int, str]
) -> Iterator[tuple[int, int, bytes]]:
    """The place, line and bytes of each wanted record. A row of Parquet is a file of that one row."""
    file = inspection.copy or folder / path
    if source.format == "csv":
        found = csv_records(file, len(inspection.columns), source.delimiter)
        return ((at, line, raw) for at, line, raw, *_ in found if at in wanted)
    if source.format in ("json", "text"):
        return ((at, number, raw) for at, number, raw, _ in lines(file) if at in wanted)
    if source.format == "parquet":
        return ((row, row + 1, raw) for row, raw in row_files(file, set(wanted)))
    return iter([(0, 0, file.read_bytes())])
