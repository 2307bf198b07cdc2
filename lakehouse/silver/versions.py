"""Rows that were replaced or deleted, with when they were known: what the table said after each batch, batch by batch.

Something became known when its batch landed, which bronze keeps: a rebuild finds the same versions. Within a batch just
its outcome counts. Versions that ended stand in a Delta table beside the silver table, to which each range appends; the
row that holds now is in the silver table itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse.delta.commit import quoted
from lakehouse.delta.difference import CHANGE
from lakehouse.silver.fold import (
    CUT,
    DELETED,
    FIELDS,
    GONE_AT,
    KIND,
    LIVE,
    MEMORY,
    OLD,
    ORDER,
    ORDERS,
    ROW,
    TOUCHED,
    TRUNCATE,
    Fold,
    folded,
    living,
    state_of,
)
from lakehouse.silver.memory import keep
from lakehouse.silver.planning import Work
from lakehouse.silver.rowwise import ORIGIN
from lakehouse.tables.beside import beside

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession, WindowSpec

FROM, UNTIL = "_known_from", "_known_until"
BATCH, HELD = "lakehouse_at_batch", "lakehouse_held"
BEFORE = -1
"""Stands for all batches before the range."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def knowledge(landed: Mapping[int, datetime]) -> dict[int, int]:
    """When each batch became known, in microseconds since 1970, UTC; never before an earlier one."""
    known, latest = {}, 0
    for batch, at in sorted(landed.items()):
        latest = max(latest, (at - EPOCH) // timedelta(microseconds=1))
        known[batch] = latest
    return known


def timeline(
    session: SparkSession,
    fold: Fold,
    events: DataFrame,
    old: DataFrame,
    remembered: DataFrame | None,
    cuts: DataFrame | None,
    known: Mapping[int, int],
) -> DataFrame:
    """What each key's row was after each batch that changed it: the table's columns, FROM, UNTIL (null: it holds now),
    OLD (the row before the range, or null) and HELD (whether it is that row).

    ``events`` are the range's, ``old`` the rows before of the keys that may change, with FROM; ``cuts`` are truncates:
    their batch (BEFORE for those before the range) and sequence, CUT.
    """
    keys = [quoted(name) for name in fold.key]
    whole = F.struct(*(F.col(quoted(name)) for name in fold.types))
    before = old.select(*keys, whole.alias(OLD), F.col(FROM))
    if remembered is not None:
        before = before.join(remembered, list(fold.key), "full")
    parts = state_of(fold, remembered is not None)
    parts[GONE_AT] = F.col(f"{MEMORY}.d") if remembered is not None else F.lit(None)
    before = before.select(
        *keys, F.lit(BEFORE).alias(BATCH), *(part.alias(name) for name, part in parts.items()), OLD, FROM
    )
    states = folded(fold, events.where(F.col(KIND) != TRUNCATE).withColumn(BATCH, F.col(ORIGIN[0])), by=[BATCH])
    states = states.unionByName(before, allowMissingColumns=True)
    if cuts is not None:
        moments = cuts.select(BATCH).where(f"{BATCH} <> {BEFORE}").distinct()
        states = states.unionByName(
            states.select(*keys).distinct().crossJoin(F.broadcast(moments)), allowMissingColumns=True
        )
    order = Window.partitionBy(*keys).orderBy(BATCH)
    so_far = order.rangeBetween(Window.unboundedPreceding, 0)
    running = {
        ORDER: F.max(ORDER).over(so_far),
        ROW: F.max_by(ROW, ORDER).over(so_far),
        GONE_AT: F.max(GONE_AT).over(so_far),
        OLD: F.first(OLD, ignorenulls=True).over(so_far),
        FROM: F.first(FROM, ignorenulls=True).over(so_far),
    }
    if fold.merged:
        running[FIELDS] = F.struct(*(_greatest(name, so_far).alias(name) for name in fold.merged))
    states = states.select(*keys, BATCH, *(part.alias(name) for name, part in running.items()))
    if cuts is not None:
        states = states.dropDuplicates([*fold.key, BATCH])
        all_cuts = cuts.agg(F.collect_list(F.struct(BATCH, CUT)).alias("lakehouse_cuts"))
        latest = F.expr(f"array_max(transform(filter(lakehouse_cuts, c -> c.{BATCH} <= {BATCH}), c -> c.{CUT}))")
        states = states.crossJoin(F.broadcast(all_cuts)).withColumn(GONE_AT, F.greatest(GONE_AT, latest))
    rows = living(fold, states, also=[FROM])
    said = F.when(F.col(LIVE), fold.content())
    differs = ~said.eqNullSafe(F.lag(said).over(order))
    rows = rows.withColumn("lakehouse_differs", F.when(F.col(BATCH) == BEFORE, True).otherwise(differs))
    rows = rows.where("lakehouse_differs").withColumn("lakehouse_next", F.lead(BATCH).over(order)).where(LIVE)
    times = session.createDataFrame(list(known.items()) or [(BEFORE, 0)], "lakehouse_b bigint, lakehouse_t bigint")
    for batch, when in ((BATCH, "lakehouse_since"), ("lakehouse_next", "lakehouse_until")):
        named = times.select(F.col("lakehouse_b").alias(batch), F.timestamp_micros("lakehouse_t").alias(when))
        rows = rows.join(F.broadcast(named), batch, "left")
    return rows.select(
        *map(quoted, (*fold.types, *fold.carried)),
        F.when(F.col(BATCH) == BEFORE, F.col(FROM)).otherwise(F.col("lakehouse_since")).alias(FROM),
        F.col("lakehouse_until").alias(UNTIL),
        OLD,
        (F.col(BATCH) == BEFORE).alias(HELD),
    )


def with_knowledge(fold: Fold, changes: DataFrame, rows: DataFrame) -> DataFrame:
    """The changes with FROM; a row that went and came back as it was holds from when it came back."""
    now = rows.where(f"{UNTIL} IS NULL AND NOT {HELD}")
    change = F.when(F.col(OLD).isNull(), "inserted").otherwise("updated")
    now = now.select(*map(quoted, (*fold.types, *fold.carried)), FROM, change.alias(CHANGE))
    told = changes.select(*map(quoted, fold.key), DELETED, ORDERS, TOUCHED)
    now = now.join(told, list(fold.key), "left").withColumn(TOUCHED, F.coalesce(TOUCHED, F.lit(True)))
    others = changes.join(now.select(*map(quoted, fold.key)), list(fold.key), "left_anti")
    return now.unionByName(others, allowMissingColumns=True)


def remember_versions(session: SparkSession, work: Work, state: Path, fold: Fold, rows: DataFrame) -> None:
    """Append the versions that ended."""
    ended = rows.where(f"{UNTIL} IS NOT NULL").select(*map(quoted, fold.types), FROM, UNTIL)
    note = f"what ended in batches {work.after + 1} to {work.upto}"
    keep(session, work, ended, beside(state, "versions", work.origin), note)


def _greatest(name: str, so_far: WindowSpec) -> Column:
    order = F.col(f"{FIELDS}.{quoted(name)}.o")
    return F.struct(
        F.max(order).over(so_far).alias("o"),
        F.max_by(F.col(f"{FIELDS}.{quoted(name)}.v"), order).over(so_far).alias("v"),
    )
