"""Build a silver table: new rows of bronze are judged, folded by key, and what that changes is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse.delta import (
    Commit,
    apply_changes,
    create,
    doubles,
    has_columns_of,
    held,
    in_ranges,
    overwrite,
    read_table,
    set_properties,
)
from lakehouse.delta.commit import quoted, table_properties
from lakehouse.delta.difference import CHANGE
from lakehouse.errors import ConservationError, DefinitionError, GateError
from lakehouse.quality.gate import Gate, table_rules
from lakehouse.silver.changes import Changes, changes_of
from lakehouse.silver.judging import BATCH, REASONS, blocking, count, judged, rejects, with_place, without_late
from lakehouse.silver.memory import remember_fold
from lakehouse.silver.planning import Work
from lakehouse.silver.quarantine import record_blocking
from lakehouse.silver.rowwise import ORIGIN, with_origin
from lakehouse.silver.state import Counts, has_receipt, mark_of, record
from lakehouse.silver.versions import FROM, UNTIL, remember_versions
from lakehouse.tables import Table
from lakehouse.tables.quarantine import Place

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

MOST = 0.5
"""Of its rows: where a rebuild changes more of them, the table is written whole."""

OLD_ROWS = (
    "The table keeps its last good version. No new row is to blame: rows that the table has fail it now.\n"
    "Mend the rule, or what it compares with, then run again."
)


def build_silver(
    session: SparkSession,
    table: Table,
    work: Work,
    bronze: DataFrame,
    rows_in: int,
    path: Path,
    memory: Path,
    gate: Gate,
    waived: Collection[Place] = (),
    landed: Mapping[int, datetime] | None = None,
) -> Counts:
    """Pass the records through the table's function and fold what it returns into the table. ``bronze`` holds just new
    records.

    ``gate`` judges the table's rules, and what they found is recorded with the receipt or with the rows that stop it.
    ``waived`` are places of records that somebody discarded: a rule with on_fail="fail" quarantines their rows.
    ``landed`` says when each batch landed, for a table that keeps versions.

    Writes the quarantined rows and the receipt to ``memory`` first, then what the fold must remember, then the table,
    each in one commit that is made at most once. Raises GateError when an expectation with on_fail="fail" does not
    hold, and DefinitionError when the function or the key does not fit; the table is as it was then.
    """
    given = with_place(bronze)
    returned = table(given)
    events = [column for column in returned.columns if column not in ORIGIN]
    _check_columns(table, events, gate)
    columns = [column for column in events if column not in table.capture.except_column_list]
    waived = [place for place in waived if work.after < place.batch <= work.upto]
    rows = judged(session, table, with_origin(table.address, given, returned), waived)
    shape = rows.select(*map(quoted, columns), *_knowledge(table, columns))
    if work.action == "merge" and not has_columns_of(shape, path):
        raise ColumnsChangedError(table.address)
    mark = mark_of(memory, work.origin, work.after) if table.capture.late_by is not None else None
    with held(rows) as rows:
        rows = without_late(table, rows, mark)
        try:
            found = count(table, rows, mark, gate)
        except GateError as error:
            record_blocking(memory, work, blocking(table, rows, events), waived, gate)
            raise GateError(error.message, hint=_what_next(table.address)) from error
        good = rows.where(f"size({REASONS}) = 0")
        with changes_of(session, table, work, good, columns, found, (path, memory), landed or {}) as changes:
            counts = found.counts(work, rows_in, changes.merged)
            if not counts.adds_up:
                raise ConservationError(f"{table.address}: {counts} does not add up; nothing was written")
            if table_rules(table.expect, table.key):
                future = _future(session, table, work, changes, path)
                try:
                    counts.warned.update(gate.judge(future))
                except GateError as error:
                    # What has a receipt was let through once: a run that was killed is finished, whatever else changed.
                    if not has_receipt(memory, work):
                        stopping = gate.with_blame(future, REASONS).where(f"{BATCH} IS NOT NULL")
                        record_blocking(memory, work, rejects(stopping, columns), waived, gate)
                        hint = OLD_ROWS if stopping.isEmpty() else _what_next(table.address)
                        raise GateError(error.message, hint=hint) from error
            record(session, memory, work.origin, counts, rejects(rows, events) if counts.quarantined else None, gate)
            if changes.versions is not None:
                remember_versions(session, work, memory, changes.fold, changes.versions)
            if changes.to_remember:
                remember_fold(session, work, memory, changes.fold, changes.frame, changes.cut)
            note = f"batches {work.after + 1} to {work.upto}: {counts.merged} merged"
            Commit(work.origin, work.upto, note).apply(session)
            _write(session, table, work, changes, path)
        return counts


class ColumnsChangedError(Exception):
    """The function's result has other columns than the table: bronze has new ones. The table is rebuilt."""


def _check_columns(table: Table, columns: list[str], gate: Gate) -> None:
    capture = table.capture
    needed = [*table.key, *([table.sequence_by] if table.sequence_by else []), *capture.except_column_list]
    gate.check(needed, columns, capture.conditions)


def _knowledge(table: Table, columns: list[str]) -> list[Column]:
    """The column that says since when a row is known, where the table has it."""
    if not table.capture.keep_versions:
        return []
    if FROM in columns or UNTIL in columns:
        raise DefinitionError(
            f"{table.address}: keep_versions adds {FROM}, and its function returns {FROM} or {UNTIL} already",
            hint="Give the column another name.",
        )
    return [F.lit(None).cast("timestamp").alias(FROM)]


def _write(session: SparkSession, table: Table, work: Work, changes: Changes, path: Path) -> None:
    rows = in_ranges(changes.written, table.key, changes.counts.get("inserted", 0))
    if work.action == "new":
        create(rows, path, properties=table_properties(work.epoch, work.fingerprint))
    elif work.action == "rebuild":
        assert work.state is not None
        if work.state.epoch != work.epoch or work.state.fingerprint != work.fingerprint:
            # The new epoch begins before its first rows: whoever is killed between finds it without a cursor.
            set_properties(session, path, table_properties(work.epoch, work.fingerprint))
        if not _little(table, changes, path):
            overwrite(rows, path)
    else:
        told = changes.frame.where(f"{CHANGE} IS NOT NULL").select(*changes.columns, CHANGE)
        apply_changes(told, path, table.key, changes.counts, within=changes.within)


def _little(table: Table, changes: Changes, path: Path) -> bool:
    """Write just what a rebuild changes, where that is not most of the table: who follows it has as little to do."""
    if not has_columns_of(changes.written, path):
        return False
    old = read_table(changes.frame.sparkSession, path)
    if doubles(old, table.key):
        return False
    with held(changes.differing_from(old)) as told:
        counts = {row[CHANGE]: row["count"] for row in told.groupBy(CHANGE).count().collect()}
        if sum(counts.values()) > MOST * changes.counts.get("inserted", 0):
            return False
        apply_changes(told, path, table.key, counts)
    return True


def _future(session: SparkSession, table: Table, work: Work, changes: Changes, path: Path) -> DataFrame:
    """The rows that the table is about to hold; those that it has have no place."""
    rows = changes.placed
    if work.action == "merge":
        touched = changes.frame.where(f"{CHANGE} IS NOT NULL").select(*map(quoted, table.key))
        old = read_table(session, path).join(touched, list(table.key), "left_anti")
        rows = rows.unionByName(old, allowMissingColumns=True)
    return rows


def _what_next(address: str) -> str:
    return (
        "The table keeps its last good version. Mend the source or the rule and run again, or leave rows out:\n"
        f"lakehouse quarantine show {address}\n"
        f"lakehouse quarantine discard {address} --id ID --because TEXT"
    )
