"""Build a silver table: new rows of bronze are judged, deduplicated and merged by key."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta import Commit, create, has_columns_of, held, overwrite, read_table, set_properties, upsert
from lakehouse.delta.commit import quoted, same_key, table_properties
from lakehouse.delta.reading import EXACT
from lakehouse.errors import ConservationError, GateError
from lakehouse.quality.gate import Tally, check_columns, judge_table, table_rules
from lakehouse.quality.spark import failed_rules, failed_unique
from lakehouse.silver.planning import Work
from lakehouse.silver.quarantine import places_frame, record_blocking
from lakehouse.silver.rowwise import ORIGIN, with_origin
from lakehouse.silver.state import Counts, record
from lakehouse.tables import Table
from lakehouse.tables.quarantine import Place

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

BATCH, FILE, ROW = ORIGIN
REASONS, WAIVED = "lakehouse_reasons", "lakehouse_waived"


def build_silver(
    session: SparkSession,
    table: Table,
    work: Work,
    bronze: DataFrame,
    rows_in: int,
    path: Path,
    memory: Path,
    waived: Collection[Place] = (),
) -> Counts:
    """Pass the records through the table's function and merge what it returns. ``bronze`` holds just new records.

    ``waived`` are places of records that somebody discarded: a rule with on_fail="fail" quarantines their rows.

    Writes the quarantined rows and the receipt to ``memory`` first, then the table, each in one commit that is made
    at most once. Raises GateError when an expectation with on_fail="fail" does not hold, and DefinitionError when
    the function or the key does not fit; the table is as it was then.
    """
    given = _with_place(bronze)
    returned = table(given)
    columns = [column for column in returned.columns if column not in ORIGIN]
    needed = [*table.key, *([table.sequence_by] if table.sequence_by else [])]
    check_columns(table.address, needed, table.expect, columns)
    waived = [place for place in waived if work.after < place.batch <= work.upto]
    rows = _judged(table, _with_waived(session, with_origin(table.address, given, returned), waived))
    if (
        work.state is not None
        and work.action == "merge"
        and not has_columns_of(rows.select(*map(quoted, columns)), path)
    ):
        raise ColumnsChangedError(table.address)
    with held(rows) as rows:
        good = rows.where(f"size({REASONS}) = 0")
        try:
            counts, doubled = _count(table, rows, work, rows_in)
        except GateError as error:
            record_blocking(session, memory, work, _blocking(table, rows, columns), waived)
            raise GateError(error.message, hint=_what_next(table.address)) from error
        placed = (_newest(table, good, columns) if doubled else good).select(*map(quoted, columns), *ORIGIN)
        winners = placed.select(*map(quoted, columns))
        outdated = None
        if work.action == "merge" and table.sequence_by:
            outdated = _outdated(session, table, winners, path)
            older = outdated.count()
            counts = replace(counts, merged=counts.merged - older, superseded=counts.superseded + older)
        if not counts.adds_up:
            raise ConservationError(f"{table.address}: {counts} does not add up; nothing was written")
        if rules := table_rules(table.expect, table.key):
            future = _future(session, table, work, placed, outdated, path)
            try:
                counts = replace(counts, warned=counts.warned | judge_table(table.address, future, rules))
            except GateError as error:
                stopping = future.withColumn(REASONS, failed_unique(rules)).where(f"{BATCH} IS NOT NULL")
                record_blocking(session, memory, work, _rejects(stopping, columns), waived)
                raise GateError(error.message, hint=_what_next(table.address)) from error
        record(session, memory, work.origin, counts, _rejects(rows, columns) if counts.quarantined else None)
        Commit(work.origin, work.upto, f"batches {work.after + 1} to {work.upto}: {counts.merged} merged").apply(
            session
        )
        _write(session, table, work, winners, path, counts)
        return counts


class ColumnsChangedError(Exception):
    """The function's result has other columns than the table: bronze has new ones. The table is rebuilt."""


def _write(session: SparkSession, table: Table, work: Work, winners: DataFrame, path: Path, counts: Counts) -> None:
    if work.action == "new":
        create(winners, path, properties=table_properties(work.epoch, work.fingerprint))
    elif work.action == "rebuild":
        assert work.state is not None
        if work.state.epoch != work.epoch or work.state.fingerprint != work.fingerprint:
            # The new epoch begins before its first rows: whoever is killed between finds it without a cursor.
            set_properties(session, path, table_properties(work.epoch, work.fingerprint))
        overwrite(winners, path)
    else:
        done = upsert(winners, path, table.key, rows=counts.merged, newer=_newer(table, winners.columns))
        written = done["inserted"] + done["updated"]
        if written not in (counts.merged, 0):  # 0: a run that was killed had committed it
            raise ConservationError(f"{table.address}: {counts.merged} rows were to be merged and {written} were")


def _with_place(bronze: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    places = zip(("_batch", "_file", "_row"), ORIGIN, strict=True)
    return bronze.select("*", *(F.col(column).alias(name) for column, name in places))


def _with_waived(session: SparkSession, rows: DataFrame, waived: Collection[Place]) -> DataFrame:
    from pyspark.sql import functions as F

    if not waived:
        return rows.withColumn(WAIVED, F.lit(False))
    places = places_frame(session, waived, ORIGIN).withColumn(WAIVED, F.lit(True))
    return rows.join(F.broadcast(places), list(ORIGIN), "left").withColumn(WAIVED, F.coalesce(WAIVED, F.lit(False)))


def _judged(table: Table, rows: DataFrame) -> DataFrame:
    """The rows with the reasons for which each is quarantined; none for a good one."""
    from pyspark.sql import functions as F

    null_keys = [F.when(F.col(quoted(name)).isNull(), F.lit(f"key {name} is null")) for name in table.key]
    reasons = F.concat(F.array_compact(F.array(*null_keys)), failed_rules(table.expect, "quarantine"))
    seen = F.when(F.col(WAIVED), failed_rules(table.expect, "fail")).otherwise(F.array().cast("array<string>"))
    rows = rows.withColumn(REASONS, F.concat(reasons, seen))
    unique = [F.lit(rule.name) for rule in table_rules(table.expect, table.key) if rule.on_fail == "fail"]
    if unique:
        # Whether such a rule holds is no question of the row alone: who discarded it decided once and for all, so that
        # a rebuild leaves out the same rows.
        out = F.col(WAIVED) & (F.size(REASONS) == 0)
        rows = rows.withColumn(REASONS, F.when(out, F.array(*unique)).otherwise(F.col(REASONS)))
    return rows


def _count(table: Table, rows: DataFrame, work: Work, rows_in: int) -> tuple[Counts, bool]:
    """Law 1's counts, and whether a key is there twice. Raises GateError when a rule that must hold does not."""
    from pyspark.sql import functions as F

    tally = Tally.of(table.expect, WAIVED)
    good = F.count_if(F.size(REASONS) == 0).alias("good")
    by_key = rows.groupBy(*map(quoted, table.key)).agg(F.count("*").alias("rows"), good, *tally.columns())
    row = by_key.agg(
        F.coalesce(F.sum("rows"), F.lit(0)).alias("rows"),
        F.coalesce(F.sum("good"), F.lit(0)).alias("good"),
        F.count_if(F.col("good") > 0).alias("keys"),
        *tally.sums(),
    ).collect()[0]
    counts = Counts(
        after=work.after,
        upto=work.upto,
        rows_in=rows_in,
        rows_out=row["rows"],
        merged=row["keys"],
        quarantined=row["rows"] - row["good"],
        superseded=row["good"] - row["keys"],
        warned=tally.judge(table.address, row, rows, [*table.key, FILE, ROW]),
    )
    return counts, row["good"] > row["keys"]


def _newest(table: Table, good: DataFrame, columns: list[str]) -> DataFrame:
    """One row per key: the highest in ``sequence_by``, equal ones by content; without it, the last that landed."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    content = F.to_json(F.struct(*map(quoted, columns)), EXACT).desc()
    order: list[Column]
    if table.sequence_by:
        order = [F.col(quoted(table.sequence_by)).desc_nulls_last(), content]
    else:
        order = [F.col(BATCH).desc(), F.col(FILE).desc(), F.col(ROW).desc(), content]
    ranked = Window.partitionBy(*map(quoted, table.key)).orderBy(*order)
    return good.withColumn("lakehouse_rank", F.row_number().over(ranked)).where("lakehouse_rank = 1")


def _newer(table: Table, columns: list[str]) -> str:
    """When the new row ``s`` replaces the old one ``t``; the same order as within a batch."""
    if not table.sequence_by:
        return ""
    new, old = (f"{side}.{quoted(table.sequence_by)}" for side in "st")
    options = ", ".join(f"'{name}', \"{value}\"" for name, value in EXACT.items())
    rows = (", ".join(f"{side}.{quoted(column)} AS {quoted(column)}" for column in columns) for side in "st")
    contents = (f"to_json(struct({row}), map({options}))" for row in rows)
    return f"({old} IS NULL AND {new} IS NOT NULL) OR {new} > {old} OR ({new} <=> {old} AND {' >= '.join(contents)})"


def _outdated(session: SparkSession, table: Table, winners: DataFrame, path: Path) -> DataFrame:
    """The keys of the new rows that are not newer than the row that the table has."""
    from pyspark.sql import functions as F

    both = winners.alias("s").join(read_table(session, path).alias("t"), same_key(table.key), "inner")
    newer = F.coalesce(F.expr(_newer(table, winners.columns)), F.lit(False))
    return both.where(~newer).select(*(f"s.{quoted(name)}" for name in table.key))


def _future(
    session: SparkSession, table: Table, work: Work, placed: DataFrame, outdated: DataFrame | None, path: Path
) -> DataFrame:
    """The rows that the table is about to hold; those that it has have no place."""
    rows = placed
    if outdated is not None:
        rows = placed.join(outdated, list(table.key), "left_anti").select(*placed.columns)
    if work.action == "merge":
        old = read_table(session, path).join(rows, list(table.key), "left_anti")
        rows = rows.unionByName(old, allowMissingColumns=True)
    return rows


def _blocking(table: Table, rows: DataFrame, columns: list[str]) -> DataFrame:
    """The rows for which a rule with on_fail="fail" does not hold, with the names of these rules."""
    failed = rows.withColumn(REASONS, failed_rules(table.expect, "fail"))
    return _rejects(failed.where(f"NOT {WAIVED}"), columns)


def _what_next(address: str) -> str:
    return (
        "The table keeps its last good version. Mend the source or the rule and run again, or leave rows out:\n"
        f"lakehouse quarantine show {address}\n"
        f"lakehouse quarantine discard {address} --id ID --because TEXT"
    )


def _rejects(rows: DataFrame, columns: list[str]) -> DataFrame:
    from pyspark.sql import functions as F

    return rows.where(f"size({REASONS}) > 0").select(
        F.col(BATCH).alias("_batch"),
        F.col(FILE).alias("_file"),
        F.col(ROW).alias("_row"),
        F.col(REASONS).alias("_reasons"),
        F.to_json(F.struct(*map(quoted, columns)), EXACT).alias("_record"),
    )
