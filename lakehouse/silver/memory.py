"""What the fold must remember beside the rows: deletes, truncates, and sequences of columns that are not their row's.

A Delta table beside the silver table. It is appended to before the table is written and never changed: what is known is
the greatest of all that stands there, so that what a killed run wrote does no harm. A table in the order in which its
events landed needs none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse.delta import Commit, append, create, read_state, read_table
from lakehouse.delta.commit import quoted, table_properties
from lakehouse.delta.few import sum_up
from lakehouse.silver.fold import CUT, DELETED, MEMORY, ORDERS, Fold
from lakehouse.silver.planning import Work
from lakehouse.tables.beside import ORIGIN, beside

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def recalled(session: SparkSession, work: Work, state: Path) -> DataFrame | None:
    """What ranges before this one made the table remember under its origin; None for a table that remembers nothing."""
    path = beside(state, "fold", work.origin)
    known = read_state(path)
    return None if known is None else read_table(session, path, known.version).where(F.col("_upto") <= work.after)


def of_keys(fold: Fold, frame: DataFrame, keys: DataFrame | None) -> DataFrame:
    """MEMORY of each of the keys (None: of all) that is remembered."""
    named = {name: F.col(f"_key.{quoted(name)}").alias(name) for name in fold.key}
    columns = ["_sequence", "_orders"] if fold.merged else ["_sequence"]
    rows = frame.where("_kind = 'key'").select(*named.values(), *columns)
    rows = rows if keys is None else rows.join(keys, list(fold.key), "left_semi")
    best = [F.max("_sequence").alias("d")]
    if fold.merged:
        orders = [F.max(f"_orders.{quoted(name)}").alias(name) for name in fold.merged]
        best.append(F.struct(*orders).alias("f"))
    parts = ["d", "f"] if fold.merged else ["d"]
    found = rows.groupBy(*map(quoted, fold.key)).agg(*best)
    return found.select(*map(quoted, fold.key), F.struct(*parts).alias(MEMORY))


def cut_of(frame: DataFrame) -> DataFrame:
    """The greatest truncate that is remembered, as one row with CUT, which may be null."""
    return frame.where("_kind = 'cut'").agg(F.max("_sequence").alias(CUT))


def remember_fold(
    session: SparkSession, work: Work, state: Path, fold: Fold, changes: DataFrame | None, cut: DataFrame | None
) -> None:
    """Append what the changes say."""
    frames = []
    if changes is not None:
        told = changes.where(f"{DELETED} IS NOT NULL OR {ORDERS} IS NOT NULL")
        key = F.struct(*(F.col(quoted(name)).alias(name) for name in fold.key))
        columns = [F.lit("key").alias("_kind"), key.alias("_key"), F.col(DELETED).alias("_sequence")]
        columns += [F.col(ORDERS).alias("_orders")] * bool(fold.merged)
        frames.append(told.select(*columns))
    if cut is not None:
        frames.append(
            cut.where(f"{CUT} IS NOT NULL").select(F.lit("cut").alias("_kind"), F.col(CUT).alias("_sequence"))
        )
    if not frames:
        return
    rows = frames[0]
    for other in frames[1:]:
        rows = rows.unionByName(other, allowMissingColumns=True)
    note = f"what batches {work.after + 1} to {work.upto} leave to be remembered"
    keep(session, work, rows, beside(state, "fold", work.origin), note)


def keep(session: SparkSession, work: Work, rows: DataFrame, path: Path, note: str) -> None:
    """Append rows, with the last batch of the range, to what the work's origin keeps; the first make the table.

    The commit is made at most once.
    """
    rows = rows.select("*", F.lit(work.upto).cast("bigint").alias("_upto"))
    Commit(work.origin, work.upto, note).apply(session)
    if read_state(path) is None:
        create(rows, path, properties=table_properties(0, "", feed=False) | {ORIGIN: work.origin})
    else:
        append(rows, path)
    sum_up(session, path)
