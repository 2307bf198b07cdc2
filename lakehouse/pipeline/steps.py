"""One step each: land a source's batch, build a silver table, build a gold table."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lakehouse.bronze import land, records
from lakehouse.bronze.quarantine import resolutions
from lakehouse.delta import read_table
from lakehouse.errors import ConservationError, LakehouseError
from lakehouse.gold.building import build_gold
from lakehouse.pipeline.gating import gate_of
from lakehouse.pipeline.knowledge import analyse
from lakehouse.pipeline.report import Result
from lakehouse.pipeline.tiling import merge_events
from lakehouse.pipeline.wording import in_words
from lakehouse.pipeline.workspace import Workspace
from lakehouse.quality.gate import Other
from lakehouse.silver.planning import Work, rebuild
from lakehouse.sources import require_kind
from lakehouse.tables.batch import Batch, Waiting
from lakehouse.tables.quarantine import decided

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def do_step(spark: SparkSession, workspace: Workspace, address: str) -> Result:
    """Do what one table has to do now, in a session of its own. Raises LakehouseError, and nothing else."""
    layer = address.partition(".")[0]
    started = time.monotonic()
    with in_words(workspace, address):
        session = spark.newSession()
        if layer == "bronze":
            result = _ingest(session, workspace, address)
        elif layer == "silver":
            result = _silver(session, workspace, address)
        else:
            result = _gold(session, workspace, address)
    return replace(result, seconds=time.monotonic() - started)


def _ingest(session: SparkSession, workspace: Workspace, address: str) -> Result:
    name = address.removeprefix("bronze.")
    source = workspace.project.config.sources[name]
    receipts = workspace.receipts(address)
    require_kind(workspace.project, name, receipts.cursors)
    reader = workspace.source(address)
    said = partial(workspace.project.redacted, address=address)
    batch = _said(reader.plan(session, receipts.cursors), said)
    total = Result(address, "ingest", "done")
    if batch is None:
        leaves = Waiting.of(reader.waiting(receipts.cursors)).leaves
        note = "nothing new" if receipts.batches else "nothing is there yet"
        return Result(address, "ingest", "unchanged", note=said("; ".join(filter(None, [note, leaves]))))
    while batch is not None:
        try:
            with in_words(workspace, address), closing(batch):
                done = land(session, name, source, workspace.project.path(address), receipts, batch, workspace.now())
                now = Result(address, "ingest", "done", done.read, done.landed, done.quarantined, note=done.note)
                total = _sum(total, now)
                batch = _said(done.then(), said)
        except LakehouseError as error:
            if not total.read:
                raise
            return replace(total, status="failed", note=error.message, error=error)  # what has landed stays
        receipts = workspace.receipts(address) if batch is not None else receipts
    return total


def _said(batch: Batch | None, said: Callable[[str], str]) -> Batch | None:
    """The batch with words that hold no secret: they stay in its receipt."""
    return batch if batch is None else replace(batch, took=said(batch.took), note=said(batch.note))


def _sum(one: Result, other: Result) -> Result:
    """The later result with the counts of both."""
    return replace(
        other,
        read=one.read + other.read,
        landed=one.landed + other.landed,
        quarantined=one.quarantined + other.quarantined,
        superseded=one.superseded + other.superseded,
        note="; ".join(dict.fromkeys(filter(None, [one.note, other.note]))),
    )


def _silver(session: SparkSession, workspace: Workspace, address: str) -> Result:
    total, before = Result(address, "build", "unchanged"), None
    while (work := workspace.silver(address)).action != "unchanged":
        if (work.origin, work.upto) == before:
            raise ConservationError(
                f"{address}: batches up to {work.upto} were merged and the table does not say so",
                hint="This is a defect of the engine: please report it with what causes it.",
            )
        before = work.origin, work.upto
        total = _sum(total, _judge_range(session, workspace, address, work))
    return total


def _judge_range(session: SparkSession, workspace: Workspace, address: str, work: Work) -> Result:
    from lakehouse.silver.merging import ColumnsChangedError, build_silver

    project, (source,) = workspace.project, workspace.graph.inputs(address)
    receipts = workspace.receipts(source)
    assert receipts.table is not None
    frame = records(session, project.path(source), version=receipts.table.version, after=work.after, upto=work.upto)
    table = workspace.graph.table(address)
    analyse(workspace, address, [frame])
    try:
        rows_in = receipts.landed(work.after, work.upto)
        paths = project.path(address), project.state(address)
        waived = decided((one for _, one in resolutions(receipts)), address)
        version, upto = receipts.table.version, work.upto

        def whole() -> Other:
            return Other(records(session, project.path(source), version=version, after=-1, upto=upto), version)

        made_of = {"batches": [work.after + 1, work.upto]}
        gate = gate_of(session, workspace, address, made_of, {source: whole})
        landed = receipts.landed_at if table.capture.keep_versions else None
        counts = build_silver(session, table, work, frame, rows_in, *paths, gate, waived, landed)
    except ColumnsChangedError:
        work = rebuild(work, project.state(address), "bronze has other columns")
        return _judge_range(session, workspace, address, work)
    notes = [work.why] * (work.action == "rebuild") + [f"{n:,} rows warn: {rule}" for rule, n in counts.warned.items()]
    numbers = (counts.rows_in, counts.merged, counts.quarantined, counts.superseded)
    return Result(address, "build", "done", *numbers, note="; ".join(notes))


def _gold(session: SparkSession, workspace: Workspace, address: str) -> Result:
    work = workspace.gold(address)
    if work.action == "unchanged":
        return Result(address, "build", "unchanged")
    project, table = workspace.project, workspace.graph.table(address)
    merged = merge_events(session, project, table, work, workspace.now())
    if merged is not None:
        return Result(address, "build", "done", merged.rows, merged.rows, note=merged.why)
    inputs = {name: project.path(name) for name in work.versions}
    frames = {name: read_table(session, inputs[name], version) for name, version in work.versions.items()}
    read = {name: partial(Other, frame, work.versions[name]) for name, frame in frames.items()}
    analyse(workspace, address, list(frames.values()))
    gate = gate_of(session, workspace, address, {"versions": work.versions}, read)
    paths = project.path(address), project.state(address)
    done = build_gold(session, table, work, inputs, *paths, gate)
    changes = ((done.inserted, "new"), (done.updated, "changed"), (done.deleted, "removed"))
    said = ", ".join(f"{count:,} {what}" for count, what in changes if count) or "no row differs"
    whole = work.by is not None and work.since is None and work.action == "update"
    notes = [work.why] * (work.action == "rebuild" or whole) + [said] * (work.action != "new")
    notes += [done.why] * bool(done.why)
    notes += [f"{count:,} rows warn: {rule}" for rule, count in done.warned.items()]
    written = done.inserted + done.updated + done.deleted
    return Result(address, "build", "done", done.rows, written, note="; ".join(notes))
