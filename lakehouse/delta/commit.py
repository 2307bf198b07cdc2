"""The commits that the engine makes. Each happens in a session of its own and is made at most once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable

from lakehouse.delta.state import EPOCH, FINGERPRINT, MARK, REBUILD, read_state
from lakehouse.errors import StorageError
from lakehouse.quality.literals import column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

ROWS_A_FILE = 100_000
"""A file is rewritten whole for a change of one of its rows."""


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
        session.conf.set("spark.databricks.delta.commitInfo.userMetadata", self.message)

    @staticmethod
    def of(session: SparkSession) -> Commit:
        """The one that was set on a session."""
        names = ("write.txnAppId", "write.txnVersion", "commitInfo.userMetadata")
        application, version, message = (session.conf.get(f"spark.databricks.delta.{name}") for name in names)
        assert application is not None and version is not None and message is not None
        return Commit(application, int(version), message.removeprefix(f"{MARK} "))

    def is_made(self, table: DeltaTable) -> bool:
        """Whether the table has it, or a later one."""
        done = table.transaction_version(self.application)
        return done is not None and done >= self.version

    @property
    def message(self) -> str:
        """What the log says of it."""
        return f"{MARK} {self.note}"


def create(frame: DataFrame, path: Path, *, properties: dict[str, str], partition_by: Sequence[str] = ()) -> None:
    """Make the table with its first rows, in one commit; files of a first commit that was killed are no table.

    Raises StorageError where there is a table already, and where the folder above it can't be made.
    """
    if read_state(path) is not None:
        raise StorageError(f"{path}: there is a table already", hint="Run again: another run made it meanwhile.")
    make_room(path)
    writer = settled(frame).writeTo(named(path)).using("delta")
    for key, value in properties.items():
        writer = writer.tableProperty(key, value)
    if partition_by:
        from pyspark.sql import functions as F

        first, *others = (F.col(name) for name in partition_by)
        writer = writer.partitionedBy(first, *others)
    writer.createOrReplace()  # create() takes what a killed first commit left for a table, for ever


def make_room(path: Path) -> None:
    """Make the folder above a table. Raises StorageError where it can't be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path.parent}: can't be written: {error.strerror}",
            hint="Make the folder writable for this user, or name another root in conf/.",
        ) from error


def settled(frame: DataFrame) -> DataFrame:
    """The same rows from the analysed plan: a frame of ``spark.sql`` names views that are gone when it is written."""
    from pyspark.sql import DataFrame

    spark: Any = frame.sparkSession
    plan = frame._jdf.queryExecution().analyzed()
    return DataFrame(spark._jvm.org.apache.spark.sql.classic.Dataset.ofRows(spark._jsparkSession, plan), spark)


def in_ranges(frame: DataFrame, by: Sequence[str], rows: int) -> DataFrame:
    """The same ``rows`` rows, so that each file that is written has a range of these columns, and a bounded size.

    Whoever asks for few values, or changes few rows, reads and rewrites few files.
    """
    if rows <= ROWS_A_FILE:
        return frame
    columns = [quoted(name) for name in by]
    return frame.repartitionByRange(-(-rows // ROWS_A_FILE), *columns).sortWithinPartitions(*columns)


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


def ask_for_rebuild(session: SparkSession, path: Path, why: str) -> None:
    """Say in the table, in one commit, that the next build rebuilds it and why; nothing where there is no table.

    Whoever is killed after it need not ask again. Until then the table is what it was, under its epoch.
    """
    state = read_state(path)
    if state is not None:
        _say(session, path, {REBUILD: f"{state.epoch} {why}"}, why)


def begin_epoch(session: SparkSession, path: Path, why: str) -> None:
    """Make every cursor of the table count no longer, and say why the next build rebuilds it, in one commit."""
    state = read_state(path)
    assert state is not None
    epoch = str(state.version + 1)  # a number that no RESTORE can bring back: restoring makes a version of its own
    _say(session, path, {EPOCH: epoch, REBUILD: f"{epoch} {why}"}, why)


def _say(session: SparkSession, path: Path, properties: dict[str, str], note: str) -> None:
    own = session.newSession()
    own.conf.set("spark.databricks.delta.commitInfo.userMetadata", f"{MARK} {note}")
    set_properties(own, path, properties)


def table_properties(epoch: int, fingerprint: str, *, feed: bool = True) -> dict[str, str]:
    """The properties that every table of ours carries. Checkpoints are made by us, at a hundredth of what they cost
    Spark: see :func:`lakehouse.delta.few.sum_up`."""
    ours = {EPOCH: str(epoch), FINGERPRINT: fingerprint, "delta.checkpointInterval": "100"}
    return ours | ({"delta.enableChangeDataFeed": "true"} if feed else {})


def named(path: Path) -> str:
    """The table in the folder, as SQL names it."""
    return f"delta.`{str(path).replace('`', '``')}`"


def quoted(name: str) -> str:
    """A column as Spark's SQL names it."""
    return column(name).spark


def same_key(key: Sequence[str]) -> Column:
    """Whether a new row ``s`` and a row ``t`` of the table have one key; neither has a null in it."""
    from pyspark.sql import functions as F

    return F.expr(" AND ".join(f"s.{quoted(name)} = t.{quoted(name)}" for name in key))
