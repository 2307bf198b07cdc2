"""Append rows whose number is checked when their files are written, before the commit that makes them the table's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakehouse.delta.commit import make_room

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Counts = dict[str | None, int]
"""Rows by the value of the first column that the table is partitioned by."""


def append_counted(
    frame: DataFrame,
    path: Path,
    check: Callable[[Counts], None],
    *,
    properties: dict[str, str],
    partition_by: Sequence[str],
) -> None:
    """Add the rows, making the table where there is none; columns that the table lacks are added to it.

    ``check`` is told how many rows the written files hold, as Delta's own statistics have it, before the commit. What
    it raises is raised here; the files are taken away then, and the table is as it was. This is what Delta's command
    for an append does, in its two halves: a frame is written once, and need not be counted by a pass of its own.
    Raises StorageError where the folder above the table can't be made.
    """
    make_room(path)
    session: Any = frame.sparkSession
    session.conf.set("spark.databricks.delta.stats.collect", "true")
    jvm, spark = session._jvm, session._jsparkSession
    jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession(spark)
    delta, scala = jvm.org.apache.spark.sql.delta, jvm.org.apache.spark.api.python.PythonUtils
    nothing, by = jvm.scala.Option.empty(), scala.toSeq(list(partition_by))
    mode = jvm.org.apache.spark.sql.SaveMode.valueOf("Append")
    options = delta.DeltaOptions(scala.toScalaMap({"mergeSchema": "true"}), spark.sessionState().conf())
    log = delta.DeltaLog.forTable(spark, str(path))
    transaction = log.startTransaction(nothing, nothing)
    new = transaction.readVersion() < 0
    settings = scala.toScalaMap(properties if new else {})
    write = delta.commands.WriteIntoDelta(log, mode, options, by, settings, frame._jdf, nothing, nothing, False)
    data = write.writeAndReturnCommitData(transaction, spark, nothing, False)
    counts = _counts(data.actions(), partition_by[0])
    try:
        check(counts)
    except BaseException:
        take_away(path, [path / unquote(file.path()) for file in _added(data.actions())], whole=new)
        raise
    some = jvm.scala.Option.apply
    operation = getattr(delta, "DeltaOperations$Write")(
        *(mode, some(by), nothing, nothing, nothing, nothing, some(True), nothing, nothing)
    )
    transaction.commitIfNeeded(data.actions(), operation, data.stringTags())


def take_away(path: Path, files: list[Path], *, whole: bool) -> None:
    """Remove files that no commit knows, and the table's folder where it holds nothing else."""
    for file in files:
        file.unlink(missing_ok=True)
        file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
    log = path / "_delta_log"
    folders = (*{file.parent for file in files if file.parent != path}, log / "_staged_commits", log, path)
    for folder in folders if whole else ():
        with suppress(OSError):  # what else is there stays
            folder.rmdir()


def _added(actions: Any) -> list[Any]:
    found = (actions.apply(place) for place in range(actions.size()))
    return [action for action in found if action.getClass().getSimpleName() == "AddFile"]


def _counts(actions: Any, column: str) -> Counts:
    counts: Counts = {}
    for file in _added(actions):
        value = file.partitionValues().apply(column)
        counts[value] = counts.get(value, 0) + file.numPhysicalRecords().get()
    return counts
