"""Open inspected files as one frame: Spark's own readers where they are safe, rows split by us elsewhere."""

from __future__ import annotations

import re
from functools import reduce
from pathlib import Path

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from lakehouse.config import FilesSource
from lakehouse.errors import ContractError
from lakehouse.sources.files.inspection import Inspection, bronze_name

Files = list[tuple[str, Inspection]]


def read_files(session: SparkSession, source: FilesSource, folder: Path, files: Files) -> DataFrame:
    """The records of the files: their columns as bronze names them, ``_file`` and ``_row``."""
    frames = []
    alike: dict[tuple[str, ...], list[str]] = {}
    for path, inspection in files:
        if not inspection.records:
            continue
        if inspection.rows is not None:
            frames.append(_split_rows(session, path, inspection))
        else:
            alike.setdefault(inspection.columns, []).append(path)
    for columns, paths in alike.items():
        frames.append(_spark_rows(session, source, folder, columns, paths))
    if not frames:
        return session.createDataFrame([], "_file string, _row bigint")
    return reduce(_union, frames)


def _spark_rows(
    session: SparkSession, source: FilesSource, folder: Path, columns: tuple[str, ...], paths: list[str]
) -> DataFrame:
    found = [_escaped(str(folder / path)) for path in paths]
    texts = _texts(columns)
    if source.format == "csv":
        options = {"header": "true", "sep": source.delimiter, "quote": '"', "escape": '"', "encoding": "UTF-8"}
        frame = session.read.schema(texts).options(**options, mode="FAILFAST").csv(found)
    elif source.format == "json":
        frame = session.read.schema(texts).options(encoding="UTF-8", lineSep="\n", mode="FAILFAST").json(found)
    else:
        frame = session.read.parquet(*found)
    row = F.col("_metadata.row_index") if source.format == "parquet" else _place()
    return frame.select(*_renamed(columns), _file(folder, paths).alias("_file"), row.alias("_row"))


def _split_rows(session: SparkSession, path: str, inspection: Inspection) -> DataFrame:
    assert inspection.rows is not None
    rows: pa.Table = inspection.rows
    frame = session.createDataFrame(rows)
    if rows.column_names == ["line", "_row"]:
        options = {"mode": "FAILFAST"}
        frame = frame.select(F.from_json("line", _texts(inspection.columns), options).alias("r"), "_row")
        frame = frame.select("r.*", "_row")
    return frame.select(*_renamed(inspection.columns), F.lit(path).alias("_file"), F.col("_row"))


def _place() -> Column:
    """Where a record stands in its file, ascending but not gapless: the start of its block plus its number there.

    A file of more than one block has each block but the last in a task of its own, so the sums never cross.
    """
    within = F.monotonically_increasing_id().bitwiseAND(F.lit((1 << 33) - 1))
    return F.col("_metadata.file_block_start") + within


def _file(folder: Path, paths: list[str]) -> Column:
    """The path as the receipts have it: below the project's folder where it is there. Spark gives an encoded URI."""
    uri = F.col("_metadata.file_path")
    plain = f"file://{folder}/"
    if all(_plain(path) for path in [str(folder), *paths]):
        if not any(Path(path).is_absolute() for path in paths):
            return F.substr(uri, F.lit(len(plain) + 1))
        return F.substr(uri, F.lit(len("file://") + 1))
    path = F.substr(F.url_decode(F.replace(uri, F.lit("+"), F.lit("%2B"))), F.lit(len("file://") + 1))
    prefix = f"{folder}/"
    return F.when(path.startswith(prefix), F.substr(path, F.lit(len(prefix) + 1))).otherwise(path)


def _plain(path: str) -> bool:
    """Whether a URI writes the path as it is; decoding costs time for each row."""
    return re.fullmatch(r"[A-Za-z0-9_./=-]*", path) is not None


def _union(one: DataFrame, other: DataFrame) -> DataFrame:
    types = {field.name: field.dataType for field in one.schema}
    for field in other.schema:
        if types.get(field.name, field.dataType) != field.dataType:
            raise ContractError(
                f"the column {field.name!r} is {types[field.name].simpleString()} in one file "
                f"and {field.dataType.simpleString()} in another",
                hint="Nothing landed. Write both with one type, or send them to two sources.",
            )
    return one.unionByName(other, allowMissingColumns=True)


def _renamed(columns: tuple[str, ...]) -> list[Column]:
    return [F.col("`" + column.replace("`", "``") + "`").alias(bronze_name(column)) for column in columns]


def _texts(columns: tuple[str, ...]) -> StructType:
    return StructType([StructField(column, StringType()) for column in columns])


def _escaped(path: str) -> str:
    """Spark takes a path for a pattern."""
    return "".join(f"\\{letter}" if letter in "*?[]{}\\" else letter for letter in path)
