"""Open Delta tables in Spark, at a version or as they are now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from deltalake import DeltaTable

from lakehouse.quality.literals import MOMENT

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

FEW = 32
"""From more files than these on Spark lists them in a job of its own."""
PLAIN = {"timestampNtz"}
"""What a reader may need to know, apart from which files there are, so that these hold just the table's rows."""
PATTERN = frozenset("{}[]*?\\")
"""What Spark takes for a pattern of paths."""


def read_table(
    session: SparkSession, path: Path, version: int | None = None, files: list[Path] | None = None
) -> DataFrame:
    """The rows of the table in the folder, at a version or the newest; with ``files`` just those in these files of it.

    A table of few plain files is read as these files: Delta's replay of a log by Spark costs four jobs, most of the
    time of a small table. One with deletion vectors, mapped columns or many files is left to Delta.
    """
    table = DeltaTable(str(path), version=version)
    if files is None:
        files = [path / unquote(file) for file in table.get_add_actions().column("path").to_pylist()]
    if len(files) <= FEW and readable_by_file(table, path):
        schema = _schema(table)
        if not files:
            return session.createDataFrame([], schema)
        frame = session.read.schema(schema).option("basePath", str(path)).parquet(*map(str, files))
        return frame.select(*(f"`{name.replace('`', '``')}`" for name in schema.names))
    return session.read.format("delta").option("versionAsOf", table.version()).load(str(path))


EXACT = {
    "timestampFormat": MOMENT,
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
    "ignoreNullFields": "false",
}
"""How a row is written as JSON: nothing cut, so that equal text means equal content."""


@contextmanager
def held(frame: DataFrame) -> Iterator[DataFrame]:
    """The same rows, computed once by whoever asks first, so that what is judged is what is written.

    They are held in memory, and on Spark's local disk where that is short, until the context ends. Unlike
    ``persist`` it builds no columns, and where an executor is lost the job fails: nothing is computed anew.
    """
    kept = frame.localCheckpoint(eager=False)
    try:
        yield kept
    finally:
        kept._jdf.queryExecution().analyzed().rdd().unpersist(False)


def readable_by_file(table: DeltaTable, path: Path) -> bool:
    """Whether Spark can be given files of the table instead of the table."""
    return is_plain(table) and not PATTERN & set(str(path))


def is_plain(table: DeltaTable) -> bool:
    """Whether the rows of its files, under their names there, are the table's."""
    protocol = table.protocol()
    if protocol.min_reader_version == 1:
        return True
    return protocol.min_reader_version >= 3 and set(protocol.reader_features or []) <= PLAIN


def doubles(frame: DataFrame, key: Sequence[str]) -> bool:
    """Whether two rows have one key."""
    from pyspark.sql import functions as F

    names = (f"`{name.replace('`', '``')}`" for name in key)
    counts = frame.groupBy(*names).agg(F.count(F.lit(1)).alias("lakehouse_rows"))
    return not counts.where("lakehouse_rows > 1").isEmpty()


def has_columns_of(frame: DataFrame, path: Path) -> bool:
    """Whether the table has the frame's columns and types; which of them may be null is no difference."""
    return _types(_schema(DeltaTable(str(path)))) == _types(frame.schema)


def _types(schema: StructType) -> dict[str, str]:
    return {field.name: field.dataType.simpleString() for field in schema}


def _schema(table: DeltaTable) -> StructType:
    from pyspark.sql.types import StructType

    return StructType.fromJson(json.loads(table.schema().to_json()))
