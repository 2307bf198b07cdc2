"""What each row is that a silver table's function returned: an event of some kind, good or quarantined, and when."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pyspark.sql import Window
from pyspark.sql import functions as F

from lakehouse.delta.commit import quoted
from lakehouse.delta.reach import comparable
from lakehouse.delta.reading import EXACT
from lakehouse.errors import DefinitionError
from lakehouse.quality.condition import parse
from lakehouse.quality.gate import Gate, blaming
from lakehouse.quality.spark import failed_rules
from lakehouse.silver.fold import DELETE, KIND, TRUNCATE, UPSERT
from lakehouse.silver.planning import Work
from lakehouse.silver.quarantine import places_frame
from lakehouse.silver.rowwise import ORIGIN
from lakehouse.silver.state import Counts
from lakehouse.tables import Table
from lakehouse.tables.quarantine import Place

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

BATCH, FILE, ROW = ORIGIN
REASONS, WAIVED = "lakehouse_reasons", "lakehouse_waived"
TIMES, NUMBERS = ("date", "timestamp", "timestamp_ntz"), ("tinyint", "smallint", "int", "bigint", "float", "double")


@dataclass(frozen=True)
class Judged:
    """Law 1 for the rows that a function returned, before they meet the table."""

    rows: int
    good: int
    keys: int
    """Different ones among the good upserts and deletes."""
    truncates: int
    mark: str | None
    """The greatest sequence among the good ones and those of the batches before, as text, where lateness is judged."""
    warned: dict[str, int]
    ends: tuple[Any, Any] = (None, None)
    """The least and the greatest of the keys, as :func:`lakehouse.delta.reach.comparable` has them."""

    @property
    def single(self) -> bool:
        """Whether no key is there twice."""
        return self.keys + self.truncates == self.good

    def counts(self, work: Work, rows_in: int, merged: int) -> Counts:
        """With what was merged all others are superseded."""
        quarantined, superseded = self.rows - self.good, self.good - merged
        numbers = (work.after, work.upto, rows_in, self.rows, merged, quarantined, superseded)
        return Counts(*numbers, warned=self.warned, mark=self.mark)


def with_place(bronze: DataFrame) -> DataFrame:
    places = zip(("_batch", "_file", "_row"), ORIGIN, strict=True)
    return bronze.select("*", *(F.col(column).alias(name) for column, name in places))


def judged(session: SparkSession, table: Table, rows: DataFrame, waived: Collection[Place]) -> DataFrame:
    """The rows with their KIND and the REASONS for which each is quarantined; none for a good one.

    Rules speak of what an upsert says: a delete has just its key, and a truncate not even that.
    """
    rows = _with_waived(session, rows, waived).withColumn(KIND, _kind(table))
    upsert, keyed = F.col(KIND) == UPSERT, F.col(KIND) != TRUNCATE
    nothing = F.array().cast("array<string>")
    null_keys = [F.when(F.col(quoted(name)).isNull() & keyed, F.lit(f"key {name} is null")) for name in table.key]
    reasons = [F.array_compact(F.array(*null_keys)), F.when(upsert, failed_rules(table.expect, "quarantine"))]
    seen = F.when(F.col(WAIVED) & upsert, failed_rules(table.expect, "fail"))
    rows = rows.withColumn(REASONS, F.concat(*(F.coalesce(found, nothing) for found in (*reasons, seen))))
    names = [F.lit(rule.name) for rule in blaming(table.expect, table.key)]
    if names:
        # Whether such a rule holds is no question of the row alone: who discarded it decided once and for all, so that
        # a rebuild leaves out the same rows.
        out = F.col(WAIVED) & (F.size(REASONS) == 0)
        rows = rows.withColumn(REASONS, F.when(out, F.array(*names)).otherwise(F.col(REASONS)))
    return rows


def without_late(table: Table, rows: DataFrame, mark: str | None) -> DataFrame:
    """The same with a reason for each good row that is too late: a question of its batch and of those before it alone,
    so that a table that is rebuilt keeps out the same rows. ``mark`` is the newest sequence of the ranges before."""
    late_by, name = table.capture.late_by, table.sequence_by
    if late_by is None or name is None:
        return rows
    column = F.col(quoted(name))
    kind = rows.schema[name].dataType.simpleString()
    marks = rows.where(f"size({REASONS}) = 0").groupBy(BATCH).agg(F.max(column).alias("mark"))
    before = Window.orderBy(BATCH).rowsBetween(Window.unboundedPreceding, -1)
    newest = F.max("mark").over(before)
    if mark is not None:
        newest = F.greatest(newest, F.lit(mark).cast(kind))
    marks = marks.select(BATCH, newest.alias("lakehouse_mark"))
    late = column < _back(table, F.col("lakehouse_mark"), late_by, kind)
    reason = F.concat(F.lit(f"too late: {name} is more than {late_by} behind "), F.col("lakehouse_mark").cast("string"))
    more = F.when((F.size(REASONS) == 0) & late, F.array(reason)).otherwise(F.array().cast("array<string>"))
    found = rows.join(F.broadcast(marks), BATCH, "left").withColumn(REASONS, F.concat(F.col(REASONS), more))
    return found.select(*rows.columns)


def _back(table: Table, mark: Column, late_by: timedelta | float, kind: str) -> Column:
    """The mark less how late an event may be."""
    if isinstance(late_by, timedelta) == (kind in TIMES) and (kind in (*TIMES, *NUMBERS) or kind.startswith("decimal")):
        if not isinstance(late_by, timedelta):
            return mark - F.lit(late_by)
        seconds = F.lit(f"{late_by.seconds}.{late_by.microseconds:06}").cast("decimal(18,6)")
        time = mark.cast("timestamp_ntz") if kind == "date" else mark
        return time - F.make_dt_interval(days=F.lit(late_by.days), secs=seconds)
    raise DefinitionError(
        f"{table.address}: late_by={late_by!r} does not go with {table.sequence_by}, which is {kind}",
        hint="Of a time or a date it is a timedelta, of a number a number.",
    )


def count(table: Table, rows: DataFrame, mark: str | None, gate: Gate) -> Judged:
    """Law 1's counts. Raises GateError when a rule that must hold does not."""
    tally = gate.tally(WAIVED, (KIND, UPSERT))
    keyed, whole = F.col(KIND) != TRUNCATE, F.size(REASONS) == 0
    counted = {"rows": F.count("*"), "good": F.count_if(whole & keyed), "truncates": F.count_if(whole & ~keyed)}
    parts = [count.alias(f"lakehouse_{name}") for name, count in counted.items()]
    newest = F.lit(None)
    if table.capture.late_by is not None and table.sequence_by:
        parts.append(F.max(F.when(whole, F.col(quoted(table.sequence_by)))).alias("lakehouse_mark"))
        newest = F.max("lakehouse_mark")
        if mark is not None:
            newest = F.greatest(newest, F.lit(mark).cast(rows.schema[table.sequence_by].dataType))
    by_key = rows.groupBy(*map(quoted, table.key)).agg(*parts, *tally.columns())
    first = comparable(table.key[0], rows.schema[table.key[0]].dataType.simpleString())
    ends = F.lit(None) if first is None else F.expr(first)
    row = by_key.agg(
        *(F.coalesce(F.sum(f"lakehouse_{name}"), F.lit(0)).alias(name) for name in counted),
        F.count_if(F.col("lakehouse_good") > 0).alias("keys"),
        newest.cast("string").alias("mark"),
        F.min(ends).alias("least"),
        F.max(ends).alias("greatest"),
        *tally.sums(),
    ).collect()[0]
    warned = tally.judge(row, rows, [*table.key, FILE, ROW])
    good_rows = row["good"] + row["truncates"]
    found = (row["least"], row["greatest"])
    return Judged(row["rows"], good_rows, row["keys"], row["truncates"], row["mark"], warned, found)


def blocking(table: Table, rows: DataFrame, columns: list[str]) -> DataFrame:
    """The rows for which a rule with on_fail="fail" does not hold, with the names of these rules."""
    failed = rows.where(F.col(KIND) == UPSERT).withColumn(REASONS, failed_rules(table.expect, "fail"))
    return rejects(failed.where(f"NOT {WAIVED}"), columns)


def rejects(rows: DataFrame, columns: list[str]) -> DataFrame:
    """What is remembered of the rows that have reasons."""
    return rows.where(f"size({REASONS}) > 0").select(
        F.col(BATCH).alias("_batch"),
        F.col(FILE).alias("_file"),
        F.col(ROW).alias("_row"),
        F.col(REASONS).alias("_reasons"),
        F.to_json(F.struct(*map(quoted, columns)), EXACT).alias("_record"),
    )


def _kind(table: Table) -> Column:
    """Null is no, as everywhere in SQL."""
    kind = F.lit(UPSERT)
    capture = table.capture
    for condition, word in ((capture.apply_as_deletes, DELETE), (capture.apply_as_truncates, TRUNCATE)):
        if condition:
            kind = F.when(F.expr(parse(condition).spark), F.lit(word)).otherwise(kind)
    return kind


def _with_waived(session: SparkSession, rows: DataFrame, waived: Collection[Place]) -> DataFrame:
    if not waived:
        return rows.withColumn(WAIVED, F.lit(False))
    places = places_frame(session, waived, ORIGIN).withColumn(WAIVED, F.lit(True))
    return rows.join(F.broadcast(places), list(ORIGIN), "left").withColumn(WAIVED, F.coalesce(WAIVED, F.lit(False)))
