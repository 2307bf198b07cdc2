"""The change data feed of a table between two of its versions: whether it is whole, and which values it touches."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable

from lakehouse.delta.log import actions
from lakehouse.quality.literals import column

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FEED = "delta.enableChangeDataFeed"


class NoFeedError(Exception):
    """What changed can't be told; its text says why, after the table's name."""


@dataclass(frozen=True)
class Feed:
    """What was committed to a table after one version, up to another."""

    path: Path
    after: int
    upto: int
    moved: bool
    """Whether a row may have changed: a commit of properties, or one that only compacts, changes none."""
    in_place: bool
    """Whether rows were deleted by marks beside their files, which Spark alone can read here."""

    def values(self, session: SparkSession, name: str, most: int, days: bool = False) -> set[Any]:
        """The column's values in the rows that changed, as they were and as they are, None among them; of times with
        ``days`` the days, in UTC.

        Raises NoFeedError where the feed's files can't be read, where there are more than ``most`` values, and for one
        that Python has not.
        """
        found = self._by_spark(session, name, most, days) if self.in_place else self._without_spark(name, most, days)
        if len(found) > most:
            raise NoFeedError(f"changed in more than {most:,} values of '{name}'")
        return found

    def _without_spark(self, name: str, most: int, days: bool) -> set[Any]:
        import pyarrow
        from deltalake.exceptions import DeltaError

        found: set[Any] = set()
        try:
            table = DeltaTable(str(self.path), version=self.upto)
            quoted = [column(name).duckdb]  # it takes SQL: a bare name is another in small letters
            feed = table.load_cdf(starting_version=self.after + 1, ending_version=self.upto, columns=quoted)
            for batch in pyarrow.RecordBatchReader.from_stream(feed):
                values = batch.column(0)
                if days:
                    values = values.cast(pyarrow.timestamp("us")).cast(pyarrow.date32(), safe=False)
                if pyarrow.types.is_string_view(values.type):
                    values = values.cast(pyarrow.large_string())  # of views, unique() gives null as an empty text
                found.update(_in_python(values.unique(), name))
                if len(found) > most:
                    break
        except (DeltaError, pyarrow.ArrowException, OSError) as error:
            raise unreadable(error) from error
        return found

    def _by_spark(self, session: SparkSession, name: str, most: int, days: bool) -> set[Any]:
        from pyspark.errors import PySparkException

        options = {"readChangeFeed": "true", "startingVersion": str(self.after + 1), "endingVersion": str(self.upto)}
        try:
            feed = session.read.format("delta").options(**options).load(str(self.path))
            asked = f"CAST({column(name).spark} AS DATE)" if days else column(name).spark
            rows = feed.selectExpr(asked).distinct().limit(most + 1).toArrow()
        except PySparkException as error:
            raise unreadable(error) from error
        return _in_python(rows.column(0), name)


def read_feed(path: Path, after: int, upto: int) -> Feed:
    """Look through the commits after a version up to another, without a JVM.

    Raises NoFeedError where they don't tell all that changed: their log was cleaned up, the feed was switched off, or
    the columns are others now.
    """
    moved = in_place = False
    metadata: list[dict[str, Any]] = []
    for version in range(after + 1, upto + 1):
        file = path / "_delta_log" / f"{version:020d}.json"
        try:
            found = list(actions(file))
        except OSError as error:
            raise NoFeedError(f"has no log of its version {version} any more") from error
        for action in found:
            (kind, content), *_ = action.items()
            if kind == "metaData":
                metadata.append(content)
            elif kind == "cdc" or (kind in ("add", "remove") and content.get("dataChange")):
                moved = True
                in_place = in_place or bool(content.get("deletionVector"))
    if moved:
        _check(path, after, upto, metadata)
    return Feed(path, after, upto, moved, in_place)


def _check(path: Path, after: int, upto: int, between: list[dict[str, Any]]) -> None:
    """Raise NoFeedError where the feed was off at a time, or the columns became others."""
    from deltalake.exceptions import DeltaError

    try:
        table = DeltaTable(str(path), version=after if between else upto)
    except DeltaError as error:
        raise unreadable(error) from error
    configurations = [table.metadata().configuration, *(content.get("configuration", {}) for content in between)]
    if any(configuration.get(FEED) != "true" for configuration in configurations):
        raise NoFeedError("kept no change feed")
    columns = _columns(table.schema().to_json())
    if any(_columns(content["schemaString"]) != columns for content in between):
        raise NoFeedError("has other columns now")


def _columns(schema: str) -> list[tuple[str, Any]]:
    return [(field["name"], field["type"]) for field in json.loads(schema)["fields"]]


def _in_python(values: Any, name: str) -> set[Any]:
    try:
        return set(values.to_pylist())
    except (ValueError, OverflowError) as error:
        raise NoFeedError(f"has a value of '{name}' that can't be looked for: {error}") from error


def unreadable(error: Exception) -> NoFeedError:
    """What is said of a feed that an error came of."""
    first = next(iter(str(error).splitlines()), type(error).__name__)
    return NoFeedError(f"has a change feed that can't be read: {first[:200]}")
