"""The commits that the engine makes. Each happens in a session of its own and is made at most once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.delta.state import EPOCH, FINGERPRINT, MARK

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TOLERANCE = 1e-9
"""Doubles that differ by no more, relative to the larger, are equal: a rebuild may add in another order."""


@dataclass(frozen=True)
class Commit:
    """What makes a commit idempotent: Delta ignores one whose version is not above the last under its application."""

    application: str
    version: int
    note: str
    """For people, in the table's history; log clean-up erases it."""

    def apply(self, session: SparkSession) -> None:
        """Set it on a session; every later write of that session carries it, so a session serves one table."""
        session.conf.set("spark.databricks.delta.write.txnAppId", self.application)
        session.conf.set("spark.databricks.delta.write.txnVersion", str(self.version))
        session.conf.set("spark.databricks.delta.commitInfo.userMetadata", f"{MARK} {self.note}")


def create(frame: DataFrame, path: Path, *, properties: dict[str, str], partition_by: Sequence[str] = ()) -> None:
    """Make the table with its first rows, in one commit. Raises an error of Delta where there is one already."""
    writer = settled(frame).writeTo(named(path)).using("delta")
    for key, value in properties.items():
        writer = writer.tableProperty(key, value)
    if partition_by:
        from pyspark.sql import functions as F

        first, *others = (F.col(name) for name in partition_by)
        writer = writer.partitionedBy(first, *others)
    writer.create()


def settled(frame: DataFrame) -> DataFrame:
    """The same rows from the analysed plan: a frame of ``spark.sql`` names views that are gone when it is written."""
    from pyspark.sql import DataFrame

    spark: Any = frame.sparkSession
    plan = frame._jdf.queryExecution().analyzed()
    return DataFrame(spark._jvm.org.apache.spark.sql.classic.Dataset.ofRows(spark._jsparkSession, plan), spark)


def append(frame: DataFrame, path: Path) -> None:
    """Add the rows; columns that the table lacks are added to it."""
    frame.write.format("delta").mode("append").option("mergeSchema", "true").save(str(path))


def overwrite(frame: DataFrame, path: Path) -> None:
    """Replace all rows, and the columns, inside the table: its id and folder stay."""
    frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(str(path))


def set_properties(session: SparkSession, path: Path, properties: dict[str, str]) -> None:
    """Change table properties, as a commit of its own."""
    listed = ", ".join(f"'{key}' = {json.dumps(value)}" for key, value in properties.items())
    session.sql(f"ALTER TABLE {named(path)} SET TBLPROPERTIES ({listed})")


def upsert(frame: DataFrame, path: Path, key: Sequence[str], *, newer: str = "") -> dict[str, int]:
    """Insert rows of new keys and replace those of known ones; one row per key in ``frame``.

    ``newer`` is a condition on ``s`` (the new row) and ``t`` (the old); where it is false the old row stays.
    Returns what Delta counted: inserted, updated.
    """
    condition = f" AND ({newer})" if newer else ""
    clauses = f"WHEN MATCHED{condition} THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    return _merge(frame, path, key, clauses)


def replace_by_difference(frame: DataFrame, path: Path, key: Sequence[str]) -> dict[str, int]:
    """Make the table's rows those of ``frame`` by writing only what differs. Columns must be those of the table.

    Returns what Delta counted: inserted, updated, deleted.
    """
    differs = " OR ".join(_differs(field.name, field.dataType.typeName()) for field in frame.schema.fields) or "false"
    clauses = (
        f"WHEN MATCHED AND ({differs}) THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT * "
        "WHEN NOT MATCHED BY SOURCE THEN DELETE"
    )
    return _merge(frame, path, key, clauses)


def table_properties(epoch: int, fingerprint: str, *, feed: bool = True) -> dict[str, str]:
    """The properties that every table of ours carries."""
    return {EPOCH: str(epoch), FINGERPRINT: fingerprint} | ({"delta.enableChangeDataFeed": "true"} if feed else {})


def named(path: Path) -> str:
    """The table in the folder, as SQL names it."""
    return f"delta.`{str(path).replace('`', '``')}`"


def quoted(column: str) -> str:
    return "`" + column.replace("`", "``") + "`"


def _merge(frame: DataFrame, path: Path, key: Sequence[str], clauses: str) -> dict[str, int]:
    frame.createOrReplaceTempView("lakehouse_new")
    match = " AND ".join(f"t.{quoted(name)} <=> s.{quoted(name)}" for name in key)
    session = frame.sparkSession
    done: Any = session.sql(f"MERGE INTO {named(path)} t USING lakehouse_new s ON {match} {clauses}").collect()
    session.catalog.dropTempView("lakehouse_new")
    row = done[0].asDict() if done else {}
    return {
        "inserted": row.get("num_inserted_rows", 0),
        "updated": row.get("num_updated_rows", 0),
        "deleted": row.get("num_deleted_rows", 0),
    }


def _differs(column: str, kind: str) -> str:
    new, old = f"s.{quoted(column)}", f"t.{quoted(column)}"
    different = f"NOT ({new} <=> {old})"
    if kind not in ("double", "float"):
        return different
    close = f"abs({new} - {old}) <= {TOLERANCE} * greatest(abs({new}), abs({old}))"
    return f"({different} AND NOT coalesce({close}, false))"
