"""Rows that are written before they are committed: what a commit says of its rows is counted in its own files.

A source is read once, so that one that is slow to read, or gives something else when it is read again, lands too.
Delta's own appends write and commit in one step; here the two halves of its command are called one by one, in one
transaction.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakehouse.delta.commit import make_room
from lakehouse.errors import ConflictError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CONFLICTS = ("Concurrent", "MetadataChanged", "ProtocolChanged")
"""What the names of the exceptions begin with by which Delta refuses a commit."""


class Draft:
    """An append to the table in a folder, or the table's first commit, in the making. Nobody sees it until it is made;
    one that never is leaves files that belong to no version."""

    def __init__(
        self, session: SparkSession, path: Path, *, version: int, partition_by: str, properties: dict[str, str]
    ) -> None:
        """``version`` is the table's as the caller knows it, -1 for none; ``properties`` are those of a table that is
        made by this.

        Raises ConflictError where the table has another version, and StorageError where the folder above it can't be
        made.
        """
        make_room(path)
        jvm: Any = session._jvm
        self._path, self._partition_by = path, partition_by
        self._spark = session._jsparkSession
        self._scala = jvm.org.apache.spark.api.python.PythonUtils
        self._option = jvm.scala.Option
        self._append = jvm.org.apache.spark.sql.SaveMode.Append
        self._delta = jvm.org.apache.spark.sql.delta
        # A transaction asks for the thread's session, not for the one that made it.
        jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession(self._spark)
        session.conf.set("spark.databricks.delta.stats.collect", "true")  # what is written is counted by them
        self._log = self._delta.DeltaLog.forTable(self._spark, str(path))
        nothing = self._option.empty()
        self._transaction = self._log.startTransaction(nothing, nothing)
        if self._transaction.readVersion() != version:
            raise _conflict(path)
        # What rests on the version that was looked at is no blind append: a RESTORE meanwhile is a conflict.
        self._transaction.readWholeTable()
        self._new = version < 0
        self._properties = properties if self._new else {}
        self._actions: Any = None
        self._tags: Any = None

    def write(self, frame: DataFrame) -> Counter[str]:
        """Write the rows, whose columns are added to the table's; returns how many have each value of the partition."""
        nothing, by = self._option.empty(), self._scala.toSeq([self._partition_by])
        options = self._delta.DeltaOptions(
            self._scala.toScalaMap({"mergeSchema": "true"}), self._spark.sessionState().conf()
        )
        command = self._delta.commands.WriteIntoDelta(
            *(self._log, self._append, options, by, self._scala.toScalaMap(self._properties)),
            *(frame._jdf, nothing, nothing, False),
        )
        data = command.writeAndReturnCommitData(self._transaction, self._spark, nothing, False)
        self._actions, self._tags = data.actions(), data.stringTags()
        return self._counts(self._actions)

    def add(self, frame: DataFrame) -> Counter[str]:
        """Write more rows, which have no columns but those of the first."""
        more = self._transaction.writeFiles(frame._jdf)
        self._actions = self._actions.appendedAll(more)
        return self._counts(more)

    def commit(self) -> None:
        """Raises ConflictError where the table has changed since the draft was begun, and the draft is discarded."""
        from py4j.protocol import Py4JJavaError

        nothing, some = self._option.empty(), self._option.apply
        operation = getattr(self._delta, "DeltaOperations$Write")(
            *(self._append, some(self._scala.toSeq([self._partition_by]))),
            *(nothing, nothing, nothing, nothing, some(True), nothing, nothing),
        )
        try:
            self._transaction.commitIfNeeded(self._actions, operation, self._tags)
        except Py4JJavaError as error:
            # After any other failure the commit may have been made.
            if not str(error.java_exception.getClass().getSimpleName()).startswith(CONFLICTS):
                raise
            self.discard()
            raise _conflict(self._path) from error

    def discard(self) -> None:
        """Take away what was written and will not be committed, and the folder of a table that never was."""
        files = self.files()
        for file in files:
            file.unlink(missing_ok=True)
            file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
        log = self._path / "_delta_log"
        folders = (*{file.parent for file in files if file.parent != self._path}, log / "_staged_commits", log)
        for folder in (*folders, self._path) if self._new else ():
            with suppress(OSError):  # what else is there stays
                folder.rmdir()

    def files(self) -> list[Path]:
        """What was written so far."""
        return [self._path / unquote(file.path()) for file in _files(self._actions)]

    def _counts(self, actions: Any) -> Counter[str]:
        found: Counter[str] = Counter()
        for file in _files(actions):
            found[file.partitionValues().apply(self._partition_by)] += file.numPhysicalRecords().get()
        return found


def _conflict(path: Path) -> ConflictError:
    return ConflictError(
        f"{path}: somebody else wrote to the table since this run looked at it; nothing landed",
        hint="Run again. Let only one program at a time write to a lake.",
    )


def _files(actions: Any) -> list[Any]:
    found = (actions.apply(place) for place in range(actions.size()))
    return [action for action in found if action.getClass().getSimpleName() == "AddFile"]
