"""The rows that a silver table keeps out, and those that stop it: rows of its state, read without a JVM."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta import Commit, read_state, remember_stop
from lakehouse.quality.gate import Gate
from lakehouse.silver.planning import Work
from lakehouse.tables.notes import noted
from lakehouse.tables.quarantine import KEPT_OUT, Place, Quarantined, kept_out

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def quarantined(work: Work, memory: Path) -> list[Quarantined]:
    """What is kept out of the table as it stands, and what stops the work that it has to do; in order of the places.

    Rows that earlier definitions kept out are history and not among them.
    """
    state = read_state(memory)
    if state is None:
        return []
    built = work
    if work.state is not None:
        built = replace(work, epoch=work.state.epoch, fingerprint=work.state.fingerprint)
    rows = kept_out(state, work.address, "reject", built.origin, -1)
    if work.action != "unchanged":
        rows += kept_out(state, work.address, "blocking", work.origin, work.after)
    return sorted(rows, key=lambda row: row.place)


def record_blocking(memory: Path, work: Work, rows: DataFrame, waived: Collection[Place], gate: Gate) -> None:
    """Keep what the rules found and the rows that stop the table, in one commit; a second time for the same batches,
    decisions and other tables just the first. Without the rows that were discarded others may stop it."""
    from pyspark.sql import functions as F

    known = hashlib.sha256(repr(sorted(waived)).encode()).hexdigest()[:8] if waived else ""
    batches = f"batches {work.after + 1} to {work.upto} are blocked"
    commit = Commit(f"{work.origin}:blocking{known}{gate.mark}", work.upto, batches)
    frame = rows.select(
        F.lit("blocking").alias("_kind"),
        *KEPT_OUT,
        F.lit(work.origin).alias("_origin"),
    )
    remember_stop(commit, frame, noted(gate.rows(work.upto), work.origin), memory)


def places_frame(session: SparkSession, places: Collection[Place], names: Iterable[str]) -> DataFrame:
    """The places as a frame, under these names for batch, file and row."""
    batch, file, row = names
    values = [(place.batch, place.file, place.row) for place in places]
    return session.createDataFrame(values, f"{batch} bigint, {file} string, {row} bigint")
