"""What a range of batches changes in a silver table: the fold of its events against the rows and the memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from lakehouse.delta import held, read_table
from lakehouse.delta.commit import quoted
from lakehouse.delta.difference import CHANGE
from lakehouse.delta.reach import reach
from lakehouse.silver.fold import CUT, DELETED, KIND, OLD, ORDERS, SEQUENCE, TOUCHED, TRUNCATE, Fold, folded, outcomes
from lakehouse.silver.judging import Judged
from lakehouse.silver.memory import cut_of, of_keys, recalled
from lakehouse.silver.planning import Work
from lakehouse.silver.rowwise import ORIGIN
from lakehouse.silver.versions import BATCH, BEFORE, FROM, knowledge, timeline, with_knowledge
from lakehouse.tables import Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NEW = "lakehouse_new"
FEW = 500_000
"""So many keys are sent to every reader of the table, so that it is not sorted to find them."""


@dataclass(frozen=True)
class Changes:
    """One row for each key that changes, or of which something has to be remembered."""

    fold: Fold
    frame: DataFrame
    """The table's columns and ORIGIN (null in a row that the table had), CHANGE, DELETED and ORDERS."""
    cut: DataFrame | None
    """The truncate of the range, as one row with CUT, where it is above all before."""
    counts: dict[str, int]
    merged: int
    """Events that did something: keys, and a truncate."""
    versions: DataFrame | None
    """What each key's row was and is, where versions are kept."""
    within: str
    """SQL over the table ``t`` that is true of every row that changes."""
    to_remember: bool
    """Whether DELETED, ORDERS or the truncate is there."""

    @property
    def columns(self) -> list[str]:
        more = [FROM] if self.versions is not None else []
        return [quoted(name) for name in (*self.fold.types, *more)]

    @property
    def placed(self) -> DataFrame:
        """The rows that are written, with the places of their records."""
        return self.frame.where(f"{CHANGE} IN ('inserted', 'updated')").select(*self.columns, *ORIGIN)

    @property
    def written(self) -> DataFrame:
        return self.placed.select(*self.columns)

    def differing_from(self, table: DataFrame) -> DataFrame:
        """Where the rows that are written, all that the table will have, differ from those that it has: with CHANGE."""
        fold, keys = self.fold, list(self.fold.key)
        whole = F.struct(*(F.col(name) for name in self.columns))
        new = self.written.select(*map(quoted, keys), whole.alias(NEW))
        both = new.join(table.select(*map(quoted, keys), whole.alias(OLD)), keys, "full")
        same = fold.content(f"{NEW}.").eqNullSafe(fold.content(f"{OLD}."))
        if self.versions is not None:
            same = same & F.col(f"{NEW}.{FROM}").eqNullSafe(F.col(f"{OLD}.{FROM}"))
        change = F.when(F.col(OLD).isNull(), "inserted").when(F.col(NEW).isNull(), "deleted").when(~same, "updated")
        values = [name for name in self.columns if name not in map(quoted, keys)]
        told = both.withColumn(CHANGE, change).where(f"{CHANGE} IS NOT NULL")
        return told.select(*map(quoted, keys), *(F.col(f"{NEW}.{name}") for name in values), CHANGE)


@contextmanager
def changes_of(
    session: SparkSession,
    table: Table,
    work: Work,
    good: DataFrame,
    columns: list[str],
    found: Judged,
    paths: tuple[Path, Path],
    landed: Mapping[int, datetime],
) -> Iterator[Changes]:
    """The changes, computed once and held until the context ends; nothing is written.

    ``good`` are the events, which are held too; a table that is made anew is compared with no rows. ``paths`` are the
    table's and that of its state; ``landed`` says when each batch landed.
    """
    path, state = paths
    types = {field.name: field.dataType for field in good.schema.fields}
    fold = Fold(
        key=table.key,
        types={name: types[name] for name in columns},
        sequence_by=table.sequence_by,
        landed=ORIGIN,
        ignore_nulls=table.capture.ignore_null_updates,
        carried=ORIGIN,
    )
    events = good.withColumn(SEQUENCE, fold.sequence())
    keyed = events.where(F.col(KIND) != TRUNCATE)
    merging = work.action == "merge"
    memory = recalled(session, work, state) if merging and fold.sequence_by else None
    cut, fresh = _cut(events, memory, found)
    keys = keyed.select(*map(quoted, fold.key))
    keys = keys if found.single else keys.distinct()
    keys = F.broadcast(keys) if found.keys <= FEW else keys
    near = reach(path, fold.key, keys, found.keys, found.ends) if merging and fresh is None else None
    if near is not None:
        old = near.rows(session).join(keys, list(fold.key), "left_semi")
    else:
        old = read_table(session, path) if merging else _no_rows(good, columns)
    remembered = of_keys(fold, memory, keys if fresh is None else None) if memory is not None else None
    new = folded(fold, keyed, single=found.single)
    with ExitStack() as stack:
        frame = outcomes(fold, new, old, remembered, cut, everywhere=fresh is not None)
        versions = None
        if table.capture.keep_versions:
            cuts = _every_cut(events, cut_of(memory) if memory is not None else None, table)
            known = knowledge(landed)
            versions = stack.enter_context(held(timeline(session, fold, events, old, remembered, cuts, known)))
            frame = with_knowledge(fold, frame, versions)
        if merging or versions is not None or not found.single:  # else each is a row of ``good``, which is held
            frame = stack.enter_context(held(frame))
        told = [F.count_if(F.col(name).isNotNull()).alias(name) for name in (DELETED, ORDERS)]
        rows = frame.groupBy(CHANGE).agg(F.count(F.lit(1)).alias("rows"), F.count_if(TOUCHED).alias("keys"), *told)
        of_each = rows.collect()
        truncated = fresh is not None and fold.sequence_by is not None
        yield Changes(
            fold=fold,
            frame=frame,
            cut=fresh if truncated else None,
            versions=versions,
            counts={row[CHANGE]: row["rows"] for row in of_each if row[CHANGE] is not None},
            merged=sum(row["keys"] for row in of_each) + (fresh is not None),
            within=near.condition if near is not None else "",
            # The first time also where it is nothing: later ranges miss what is not there any more.
            to_remember=(not merging and "fold" in table.beside)
            or truncated
            or any(row[DELETED] or row[ORDERS] for row in of_each),
        )


def _no_rows(good: DataFrame, columns: list[str]) -> DataFrame:
    nothing = good.select(*map(quoted, columns)).where("false")
    return nothing.withColumn(FROM, F.lit(None).cast("timestamp"))


def _cut(events: DataFrame, memory: DataFrame | None, found: Judged) -> tuple[DataFrame | None, DataFrame | None]:
    """The greatest truncate so far, and the range's where it is above all before; each one row with CUT, or None."""
    known = cut_of(memory) if memory is not None else None
    if not found.truncates:
        return known, None
    own = events.where(F.col(KIND) == TRUNCATE).agg(F.max(SEQUENCE).alias(CUT))
    if known is None:
        return own, own
    both = known.unionByName(own).agg(F.max(CUT).alias(CUT))
    is_new = own.crossJoin(known.select(F.col(CUT).alias("known"))).where(f"known IS NULL OR {CUT} > known")
    return both, own if not is_new.isEmpty() else None


def _every_cut(events: DataFrame, known: DataFrame | None, table: Table) -> DataFrame | None:
    """Each truncate's batch and sequence; those before the range have the batch BEFORE."""
    if not table.capture.apply_as_truncates:
        return None
    own = events.where(F.col(KIND) == TRUNCATE).select(F.col(ORIGIN[0]).alias(BATCH), F.col(SEQUENCE).alias(CUT))
    return own if known is None else own.unionByName(known.select(F.lit(BEFORE).alias(BATCH), CUT))
