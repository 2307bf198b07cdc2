"""The commits that the engine makes. Each happens in a session of its own and is made at most once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.delta.reading import held, read_table
from lakehouse.delta.state import EPOCH, FINGERPRINT, MARK, REBUILD, read_state
from lakehouse.errors import ConservationError, StorageError
from lakehouse.quality.literals import column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

MADE, KEPT, CHANGE = "lakehouse_made", "lakehouse_kept", "lakehouse_change"
"""Columns of a difference: the row is in the result, it is in the table, and what has to be done."""
TOLERANCE = 1e-9
"""Doubles that differ by no more, relative to the larger, are equal: a rebuild may add in another order."""

FEW = 200_000
"""Rows that fit into memory as often as there are cores."""
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


def replace_by_difference(
    frame: DataFrame, path: Path, key: Sequence[str], *, within: str = "", exact: bool = False
) -> dict[str, int]:
    """Make the table's rows those of ``frame`` by writing only what differs. Columns must be those of the table.

    ``within`` is a condition on ``t``, a row of the table, never null; rows for which it is false are neither read nor
    changed, and none of them may have a key of the frame. ``exact``: doubles that are close are not taken for equal,
    nor are the two zeros within a list. The commit is made even where nothing differs, since it moves the cursor.
    Returns how many rows were inserted, updated and deleted.
    """
    from pyspark.sql import functions as F

    columns = frame.columns
    made = frame.withColumn(MADE, F.lit(True)).alias("s")
    kept = read_table(frame.sparkSession, path).alias("t").where(within or "TRUE").withColumn(KEPT, F.lit(True))
    both = made.join(kept.alias("t"), same_key(key), "full_outer")
    differs = " OR ".join(_differs(field.name, field.dataType.simpleString(), exact) for field in frame.schema.fields)
    what = (
        F.when(F.col(f"t.{KEPT}").isNull(), "inserted")
        .when(F.col(f"s.{MADE}").isNull(), "deleted")
        .when(F.expr(differs), "updated")
    )
    # A deleted row has just its key: the rest is not looked at.
    values = [
        (F.coalesce(F.col(f"s.{quoted(c)}"), F.col(f"t.{quoted(c)}")) if c in key else F.col(f"s.{quoted(c)}")).alias(c)
        for c in columns
    ]
    with held(both.select(*values, what.alias(CHANGE)).where(f"{CHANGE} IS NOT NULL")) as changes:
        counts = {row[CHANGE]: row["count"] for row in changes.groupBy(CHANGE).count().collect()}
        apply_changes(changes, path, key, counts, within=within)
    return {what: counts.get(what, 0) for what in ("inserted", "updated", "deleted")}


def apply_changes(
    changes: DataFrame, path: Path, key: Sequence[str], counts: dict[str, int], *, within: str = ""
) -> None:
    """Write rows that say in CHANGE what becomes of them; ``counts`` are how many of each there are. ``within`` is a
    condition on the table ``t`` that every row with one of their keys fulfils.

    The commit is made even where there is none, since it moves the cursor.
    """
    columns = [column for column in changes.columns if column != CHANGE]
    if set(counts) <= {"inserted"}:
        append(changes.drop(CHANGE), path)  # no row of the table need be looked at again
        return
    assigned = ", ".join(f"t.{quoted(c)} = s.{quoted(c)}" for c in columns)
    names, new = (", ".join(f"{side}{quoted(c)}" for c in columns) for side in ("", "s."))
    clauses = {
        "deleted": f"WHEN MATCHED AND s.{CHANGE} = 'deleted' THEN DELETE",
        "updated": f"WHEN MATCHED THEN UPDATE SET {assigned}",
        "inserted": f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({new})",
    }
    from pyspark.sql import functions as F

    # Sent to every reader of the table, so that the table is not sorted to meet them.
    sent = F.broadcast(changes) if sum(counts.values()) <= FEW else changes
    done = _merge(sent, path, key, " ".join(clause for what, clause in clauses.items() if counts.get(what)), within)
    written = {what: done[f"num_{what}_rows"] for what in clauses} if done else counts
    if any(written[what] != counts.get(what, 0) for what in written):
        why = f"{counts} rows were to be merged and {written} were: is a key there twice?"
        ask_for_rebuild(changes.sparkSession.newSession(), path, why)
        raise ConservationError(f"{path}: {why}", hint="Run again: the table is rebuilt.")


def table_properties(epoch: int, fingerprint: str, *, feed: bool = True) -> dict[str, str]:
    """The properties that every table of ours carries."""
    return {EPOCH: str(epoch), FINGERPRINT: fingerprint} | ({"delta.enableChangeDataFeed": "true"} if feed else {})


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


def _merge(frame: DataFrame, path: Path, key: Sequence[str], clauses: str, within: str) -> dict[str, int]:
    """How many rows were written; nothing for a commit that was made before."""
    frame.createOrReplaceTempView("lakehouse_new")
    match = " AND ".join(f"t.{quoted(name)} <=> s.{quoted(name)}" for name in key)
    match += f" AND ({within})" if within else ""
    session = frame.sparkSession
    # Delta would compute it once more to be sure that it stays the same; it is held already.
    session.conf.set("spark.databricks.delta.merge.materializeSource", "none")
    done = session.sql(f"MERGE INTO {named(path)} t USING lakehouse_new s ON {match} {clauses}").collect()
    session.catalog.dropTempView("lakehouse_new")
    return done[0].asDict() if done else {}


def _differs(name: str, kind: str, exact: bool) -> str:
    new, old = f"s.{quoted(name)}", f"t.{quoted(name)}"
    different = f"NOT ({new} <=> {old})"
    if exact:
        return f"NOT (CAST({new} AS STRING) <=> CAST({old} AS STRING))" if kind == "array<double>" else different
    if kind not in ("double", "float"):
        return different
    finite = f"abs({new}) < double('infinity') AND abs({old}) < double('infinity')"
    close = f"{finite} AND abs({new} - {old}) <= {TOLERANCE} * greatest(abs({new}), abs({old}))"
    return f"({different} AND NOT coalesce({close}, false))"
