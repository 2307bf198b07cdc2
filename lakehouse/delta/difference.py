"""Make a table's rows other ones by writing only what differs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta.commit import Commit, append, ask_for_rebuild, named, quoted, same_key
from lakehouse.delta.few import WHATS, sum_up, write_few
from lakehouse.delta.reading import held, read_table
from lakehouse.errors import ConservationError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MADE, KEPT, CHANGE = "lakehouse_made", "lakehouse_kept", "lakehouse_change"
"""Columns of a difference: the row is in the result, it is in the table, and what has to be done."""
TOLERANCE = 1e-9
"""Doubles that differ by no more, relative to the larger, are equal: a rebuild may add in another order."""

FEW = 200_000
"""Rows that fit into memory as often as there are cores."""


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
    return {what: counts.get(what, 0) for what in WHATS}


def apply_changes(
    changes: DataFrame, path: Path, key: Sequence[str], counts: dict[str, int], *, within: str = ""
) -> None:
    """Write rows that say in CHANGE what becomes of them; ``counts`` are how many of each there are. ``within`` is a
    condition on the table ``t`` that every row with one of their keys fulfils.

    The commit is made even where there is none, since it moves the cursor.
    """
    written = write_few(changes, path, key, counts, CHANGE, Commit.of(changes.sparkSession))
    if written is None:
        written = _by_spark(changes, path, key, counts, within)
    require_written(changes.sparkSession, path, counts, written)
    sum_up(changes.sparkSession, path)


def require_written(session: SparkSession, path: Path, counts: dict[str, int], written: dict[str, int]) -> None:
    """Raise ConservationError, and have the table rebuilt, where other rows were written than there were to be."""
    if any(written.get(what, 0) != counts.get(what, 0) for what in WHATS):
        why = f"{counts} rows were to be merged and {written} were: is a key there twice?"
        ask_for_rebuild(session.newSession(), path, why)
        raise ConservationError(f"{path}: {why}", hint="Run again: the table is rebuilt.")


def _by_spark(
    changes: DataFrame, path: Path, key: Sequence[str], counts: dict[str, int], within: str
) -> dict[str, int]:
    """How many of each were written, which are all where the commit was made before."""
    columns = [column for column in changes.columns if column != CHANGE]
    if set(counts) <= {"inserted"}:
        append(changes.drop(CHANGE), path)  # no row of the table need be looked at again
        return counts
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
    return {what: done[f"num_{what}_rows"] for what in clauses} if done else counts


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
