"""Rows that are written before they are committed: what a commit says of its rows is counted in its own files.

A source that is slow to read, or gives something else when it is read again, is read once. Delta's own appends write
and commit in one step; here its parts are called one by one, in one transaction of Delta.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakehouse.delta.counted import take_away

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class Draft:
    """An append to the table in a folder, or the table's first commit, in the making. Nobody sees it until it is made;
    one that never is leaves files that belong to no version."""

    def __init__(self, session: SparkSession, path: Path, *, partition_by: str, properties: dict[str, str]) -> None:
        """``properties`` are those of the table where this makes it."""
        jvm: Any = session._jvm
        self._jvm = jvm
        self._spark = session._jsparkSession
        self._partition_by, self._properties = partition_by, properties
        self._python = self._jvm.org.apache.spark.api.python.PythonUtils
        self._none = self._jvm.scala.Option.empty()
        # A transaction asks for the thread's session, not for the one that made it.
        self._jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession(self._spark)
        session.conf.set("spark.databricks.delta.stats.collect", "true")  # what is written is counted by them
        self._delta = self._jvm.org.apache.spark.sql.delta
        self._log = self._delta.DeltaLog.forTable(self._spark, str(path))
        self._transaction = self._log.startTransaction(self._none, self._none)
        self._append = self._jvm.org.apache.spark.sql.SaveMode.Append
        self._actions = self._jvm.java.util.ArrayList()

    def write(self, frame: DataFrame) -> Counter[str]:
        """Write the rows, whose columns are added to the table's; returns how many have each value of the partition."""
        options = self._delta.DeltaOptions(
            self._python.toScalaMap({"mergeSchema": "true"}), self._spark.sessionState().conf()
        )
        by, configuration = self._python.toSeq([self._partition_by]), self._python.toScalaMap(self._properties)
        command = self._delta.commands.WriteIntoDelta(
            *(self._log, self._append, options, by, configuration, frame._jdf, self._none, self._none, False)
        )
        return self._take(command.write(self._transaction, self._spark, self._none, False))

    def add(self, frame: DataFrame) -> Counter[str]:
        """Write more rows, which have the columns of the first."""
        return self._take(self._transaction.writeFiles(frame._jdf))

    def commit(self) -> None:
        by = self._jvm.scala.Some(self._python.toSeq([self._partition_by]))
        operation = self._delta.DeltaOperations.Write(self._append, by, *([self._none] * 7))
        self._transaction.commit(self._python.toSeq(self._actions), operation)

    def discard(self, path: Path) -> None:
        """Take away what was written and will not be committed, and the folder of a table that never was."""
        take_away(path, self.files(path), whole=self._transaction.readVersion() < 0)

    def files(self, path: Path) -> list[Path]:
        """What was written so far."""
        added = [action for action in self._actions if action.getClass().getSimpleName() == "AddFile"]
        return [path / unquote(action.path()) for action in added]

    def _take(self, actions: Any) -> Counter[str]:
        found: Counter[str] = Counter()
        each = actions.iterator()
        while each.hasNext():
            action = each.next()
            self._actions.add(action)
            if action.getClass().getSimpleName() == "AddFile":
                value = action.partitionValues().get(self._partition_by).get()
                found[value] += json.loads(action.stats())["numRecords"]
        return found
