"""What a silver table remembers beside its rows: how far each range of batches was judged, and what was quarantined.

It is written before the table. Both carry the same range: a run that finds it ahead of the table finishes that range.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta import Commit, read_state, remember, remember_notes
from lakehouse.quality.gate import Gate
from lakehouse.tables.notes import noted
from lakehouse.tables.quarantine import of_origin

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.silver.planning import Work


@dataclass(frozen=True)
class Counts:
    """Law 1 for one range of batches: rows out = merged + quarantined + superseded; rows in are counted too."""

    after: int
    upto: int
    rows_in: int
    rows_out: int
    merged: int
    quarantined: int
    superseded: int
    warned: dict[str, int]
    mark: str | None = None
    """The newest sequence up to here, as text, where the table says how late an event may be."""

    @property
    def adds_up(self) -> bool:
        return self.rows_out == self.merged + self.quarantined + self.superseded


def receipts(path: Path, origin: str) -> list[Counts]:
    """What was recorded for a table under one origin (its input, epoch and definition), in order of the batches."""
    state = read_state(path)
    if state is None:
        return []
    found = state.rows(f"SELECT _receipt FROM t WHERE _kind = 'receipt' AND {of_origin(origin)}")
    return sorted((Counts(**json.loads(row["_receipt"])) for row in found), key=lambda counts: counts.upto)


def has_receipt(path: Path, work: Work) -> bool:
    """Whether just this range was judged before, by a run that was killed since."""
    return any((one.after, one.upto) == (work.after, work.upto) for one in receipts(path, work.origin))


def mark_of(path: Path, origin: str, after: int) -> str | None:
    """The newest sequence of the ranges up to a batch, as it was recorded."""
    return next((counts.mark for counts in reversed(receipts(path, origin)) if counts.upto <= after), None)


def record(
    session: SparkSession, path: Path, origin: str, counts: Counts, rejects: DataFrame | None, gate: Gate
) -> None:
    """Append the receipt, the quarantined rows and what the rules found, in one commit that is made at most once."""
    from pyspark.sql import functions as F

    commit = Commit(origin, counts.upto, f"judged batches {counts.after + 1} to {counts.upto}")
    receipt = {"_kind": "receipt", "_receipt": json.dumps(counts.__dict__)}
    notes = noted([receipt, *gate.rows(counts.upto)], origin)
    if rejects is None:
        remember_notes(session, commit, notes, path)
        return
    commit.apply(session)
    rows = rejects.withColumns({"_kind": F.lit("reject"), "_origin": F.lit(origin)})
    remember(session.createDataFrame(notes).unionByName(rows, allowMissingColumns=True), path)
