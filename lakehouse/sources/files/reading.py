"""Open inspected files as one frame: Spark's own readers where they are safe, rows split by us elsewhere."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from lakehouse.config import FilesSource
from lakehouse.delta.commit import quoted
from lakehouse.sources.files.inspection import PATTERN, Inspection, bronze_name
from lakehouse.sources.files.joining import FILE, join, joinable
from lakehouse.sources.files.packed import Scratch
from lakehouse.tables.batch import Frames

NEVER = "\0"
"""What stands in no file that Spark is given."""
LARGEST_FRAME = 2**30
"""Bytes of the rows split by us that Spark is given at once: Arrow holds no 2 GiB of text in one piece."""
OPEN_COST = "65536"
"""Bytes that could be read in the time that opening a file takes: Spark's own 4 MiB give 32 small files a task each."""
BUT_LAST = "substring(value, 1, char_length(value) - 1)"
ROW_CHECKS = {
    f"parquet.{what}.row.check.{end}": rows
    for what in ("page.size", "block.size")
    for end, rows in (("min", "1"), ("max", "4"))
}
"""Parquet's writer looks after 100 rows whether they fill its memory; rows may be whole files."""
Files = list[tuple[str, Inspection]]


@dataclasses.dataclass
class _Alike:
    """Files that one reader of Spark reads."""

    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    """By what bronze calls them, but for case."""
    files: list[tuple[str, Path | None]] = dataclasses.field(default_factory=list)

    def takes(self, columns: tuple[str, ...]) -> bool:
        """Whether no two columns would have one name."""
        return all(self.columns.get(bronze_name(column).casefold(), column) == column for column in columns)

    def add(self, path: str, inspection: Inspection) -> None:
        self.columns |= {bronze_name(column).casefold(): column for column in inspection.columns}
        self.files.append((path, inspection.copy))


def read_files(
    session: SparkSession, source: FilesSource, folder: Path, files: Files, scratch: Scratch | None = None
) -> Frames:
    """The records of the files: their columns as bronze names them, ``_file`` and ``_row``; in several frames where
    files differ in a column's type. Where there is a scratch folder, many small files are joined in it."""
    session.conf.set("spark.sql.files.openCostInBytes", OPEN_COST)
    frames: list[DataFrame] = []
    split: list[pa.Table] = []
    whole: Files = []
    for path, inspection in files:
        if not inspection.columns and not inspection.records:
            continue  # quarantined whole
        if inspection.rows is not None:
            split.append(_split_rows(path, inspection.columns, inspection.rows))
        else:
            whole.append((path, inspection))
    for alike in _by_reader(source, whole):
        frames.append(_spark_rows(session, source, folder, tuple(alike.columns.values()), alike.files, scratch))
    if split:
        frames += map(session.createDataFrame, _in_pieces(pa.concat_tables(split, promote_options="default")))
    if not frames:
        return session.createDataFrame([], "_file string, _row bigint")
    together = _alike_together(frames)
    return together if len(together) > 1 else together[0]


def _by_reader(source: FilesSource, files: Files) -> list[_Alike]:
    """The files by the reader that they need: each reader takes its time, and one more union.

    JSON is read by name, and a key that a file lacks is null: one reader takes all files, but for names that clash.
    Parquet is read by name too, each column with its type; CSV by place.
    """
    kinds: dict[object, list[_Alike]] = {}
    for path, inspection in files:
        columns: object = inspection.columns
        if source.format == "json":
            columns = ()
        elif source.format == "parquet":
            columns = frozenset(zip(inspection.columns, inspection.types, strict=True))
        readers = kinds.setdefault((columns, inspection.copy is not None), [])
        alike = next((reader for reader in readers if reader.takes(inspection.columns)), None)
        if alike is None:
            readers.append(alike := _Alike())
        alike.add(path, inspection)
    return [reader for readers in kinds.values() for reader in readers]


def _in_pieces(rows: pa.Table) -> Iterator[pa.Table]:
    """The rows in tables whose columns are one chunk each: of several Spark takes the first and drops the others."""
    if rows.nbytes <= LARGEST_FRAME or rows.num_rows < 2:
        yield rows.combine_chunks()
        return
    half = rows.num_rows // 2
    yield from _in_pieces(rows.slice(0, half))
    yield from _in_pieces(rows.slice(half))


def _spark_rows(
    session: SparkSession,
    source: FilesSource,
    folder: Path,
    columns: tuple[str, ...],
    files: list[tuple[str, Path | None]],
    scratch: Scratch | None,
) -> DataFrame:
    names, paths = [path for path, _ in files], [copy or folder / path for path, copy in files]
    joined = scratch is not None and joinable(paths, source.format)
    if scratch is not None and joined:
        paths = [join(paths, source.format, source.delimiter, scratch)]
    frame = _opened(session, source, (*columns, FILE) if joined else columns, paths)
    metadata = frame.metadataColumn("_metadata")  # also where the source has a column of this name
    values, row = _renamed(columns), _place(metadata)
    if source.format == "parquet":
        row = metadata.getField("row_index")
    elif source.format == "text":
        value = F.col("value")
        values = [F.when(value.endswith("\r"), F.expr(BUT_LAST)).otherwise(value).alias("value")]
    elif source.format == "binary":
        values, row = [F.col("content"), F.col("length"), F.col("modificationTime").alias("modified_at")], F.lit(0)
    if joined:
        file = _at(names, F.col(FILE))
    elif files[0][1]:  # the name of a copy is a number
        copies = {int(copy.name): path for path, copy in files if copy}
        numbered = [copies.get(number, "") for number in range(1 + max(copies))]
        file = _at(numbered, F.substring_index(metadata.getField("file_path"), "/", -1))
    else:
        file = _file(metadata, folder, names)
    return frame.select(*values, file.alias("_file"), row.cast("long").alias("_row"))


def _opened(session: SparkSession, source: FilesSource, columns: tuple[str, ...], paths: list[Path]) -> DataFrame:
    """The files as Spark's reader of their format gives them."""
    found, reader = [_escaped(str(path)) for path in paths], session.read
    if source.format == "parquet":
        frame = reader.parquet(*found)
    elif source.format == "text":
        frame = reader.option("lineSep", "\n").text(found)
    elif source.format == "binary":
        for setting, rows in ROW_CHECKS.items():
            session.conf.set(setting, rows)
        frame = reader.format("binaryFile").load(found)
    else:
        # A column may have the name that Spark gives to what it can't parse: it would be null.
        reader = reader.schema(_texts(columns)).options(mode="FAILFAST", columnNameOfCorruptRecord=NEVER)
        if source.format == "csv":
            # What stands for null must be told from a quoted empty field, which is not null.
            options = {"sep": source.delimiter.replace("\\", "\\\\"), "quote": '"', "escape": '"', "nullValue": NEVER}
            reader = reader.options(**options, header=True, encoding="UTF-8", maxColumns=len(columns) + 1)
            frame = reader.csv(found)
        else:
            # No encoding is named: given one, Spark writes each number anew instead of copying its digits.
            frame = reader.options(lineSep="\n", maxStringLen=2**31 - 1).json(found)
    return frame


def _split_rows(path: str, columns: tuple[str, ...], rows: pa.Table) -> pa.Table:
    named = rows.rename_columns([*map(bronze_name, columns), "_row"])
    return named.add_column(len(columns), "_file", pa.array([path] * rows.num_rows, pa.string()))


def _place(metadata: Column) -> Column:
    """Where a record stands in its file, ascending but not gapless: the start of its block plus its number there.

    A file of more than one block has each block but the last in a task of its own, so the sums never cross.
    """
    within = F.monotonically_increasing_id().bitwiseAND(F.lit((1 << 33) - 1))
    return metadata.getField("file_block_start") + within


def _file(metadata: Column, folder: Path, paths: list[str]) -> Column:
    """The path as the receipts have it: below the project's folder where it is there. Spark gives an encoded URI."""
    uri = metadata.getField("file_path")
    scheme = "file:"
    if all(_plain(path) for path in [str(folder), *paths]) and not any(Path(path).is_absolute() for path in paths):
        return F.substr(uri, F.lit(len(f"{scheme}{folder}/") + 1))
    path = F.substr(F.url_decode(F.replace(uri, F.lit("+"), F.lit("%2B"))), F.lit(len(scheme) + 1))
    prefix = f"{folder}/"
    return F.when(path.startswith(prefix), F.substr(path, F.lit(len(prefix) + 1))).otherwise(path)


def _at(paths: list[str], number: Column) -> Column:
    """The path of that number, from 0. As one text the paths are one constant of the plan."""
    return F.element_at(F.from_json(F.lit(json.dumps(paths)), "array<string>"), number.cast("int") + 1)


def _plain(path: str) -> bool:
    """Whether a URI writes the path as it is; decoding costs time for each row."""
    return re.fullmatch(r"[A-Za-z0-9_./=-]*", path) is not None


def _alike_together(frames: list[DataFrame]) -> list[DataFrame]:
    """As few frames as may be: none has columns of one name but for case that differ in it or in their type."""
    together: list[DataFrame] = []
    for frame in frames:
        at = next((place for place, other in enumerate(together) if _agree(other, frame)), None)
        if at is None:
            together.append(frame)
        else:
            together[at] = together[at].unionByName(frame, allowMissingColumns=True)
    return together


def _agree(one: DataFrame, other: DataFrame) -> bool:
    known = {field.name.casefold(): (field.name, field.dataType) for field in one.schema}
    found = ((field.name.casefold(), (field.name, field.dataType)) for field in other.schema)
    return all(known.get(name, field) == field for name, field in found)


def _escaped(path: str) -> str:
    """Spark takes a path for a pattern."""
    return "".join(f"\\{letter}" if letter in PATTERN else letter for letter in path)


def _renamed(columns: tuple[str, ...]) -> list[Column]:
    return [F.col(quoted(column)).alias(bronze_name(column)) for column in columns]


def _texts(columns: tuple[str, ...]) -> StructType:
    return StructType([StructField(column, StringType()) for column in columns])
