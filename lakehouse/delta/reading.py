"""Open Delta tables in Spark, at a version or as they are now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def read_table(session: SparkSession, path: Path, version: int | None = None) -> DataFrame:
    """The rows of the table in the folder, at a version or the newest."""
    reader = session.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    return reader.load(str(path))


def has_columns_of(frame: DataFrame, path: Path) -> bool:
    """Whether the table has the frame's columns and types; which of them may be null is no difference."""
    return _types(read_table(frame.sparkSession, path)) == _types(frame)


def _types(frame: DataFrame) -> dict[str, str]:
    return {field.name: field.dataType.simpleString() for field in frame.schema}
