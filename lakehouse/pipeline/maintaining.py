"""Keep tables cheap: few files, neighbouring keys together, and nothing on disk that nobody needs.

No row changes, so nothing that reads a table takes maintenance for a change of it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.config import Project
from lakehouse.delta import TableState, locked, read_state, set_properties
from lakehouse.delta.cleaning import Litter, find_litter, remove
from lakehouse.delta.compacting import Compaction, Extent, can_cluster, compact, extent, plan_compaction
from lakehouse.delta.log import commits, committed_at
from lakehouse.delta.pins import Pin, holding, pins
from lakehouse.errors import DefinitionError, LakehouseError, did_you_mean
from lakehouse.features.manifest import pins_folder, trained
from lakehouse.features.pins import published
from lakehouse.pipeline.report import Event, Listener, Report, Result
from lakehouse.pipeline.wording import in_words
from lakehouse.pipeline.workspace import Workspace, clock
from lakehouse.spark import open_session
from lakehouse.tables.beside import ORIGIN
from lakehouse.tables.definition import MOST_CLUSTERED

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RETENTION = timedelta(days=7)
"""What became unneeded since stays: somebody may still be reading it."""
OWN_CLEANUP = "delta.enableExpiredLogCleanup"
"""Whether Delta itself removes log entries, after 30 days and whatever is pinned."""


@dataclass(frozen=True)
class Upkeep:
    """One Delta table, before and after. ``part`` says which: the table, or what it remembers beside it."""

    address: str
    part: str
    before: Extent
    after: Extent
    why: str = ""
    """Why its files were rewritten; nothing where they were not."""
    removed: int = 0
    removed_bytes: int = 0
    entries: int = 0
    """Of its log that were removed."""
    notes: tuple[str, ...] = ()

    @property
    def idle(self) -> bool:
        return not (self.why or self.removed or self.entries)


@dataclass(frozen=True)
class Maintained(Report):
    """A result for each address, and all that was done to its tables."""

    upkeep: tuple[Upkeep, ...] = ()


def maintain(
    project: Project,
    *,
    select: Iterable[str] = (),
    older_than: timedelta = RETENTION,
    dry_run: bool = False,
    wait: float = 0.0,
    listen: Listener | None = None,
    now: datetime | None = None,
) -> Maintained:
    """Compact, cluster and clean the selected tables and what they remember beside them, each under its lock.

    ``older_than``: what became unneeded since is spared, and so is every pinned version. ``dry_run`` writes nothing,
    takes no lock and says what would be done. Where there is nothing to do, no Spark is started. Raises UsageError and
    DefinitionError; what goes wrong with one table is in its result.
    """
    started = time.monotonic()
    workspace, before = Workspace(project), (now or clock()) - older_than
    results: list[Result] = []
    done: list[Upkeep] = []
    for address in workspace.graph.select(tuple(select)):
        paths = tables_of(project, address)
        if not paths:
            continue
        if listen is not None:
            listen(Event(address, "maintain", "started"))
        begun = time.monotonic()
        try:
            with in_words(workspace, address):
                kept = _address(workspace, address, paths, before, dry_run=dry_run, wait=wait)
            done += kept
            result = Result(address, "maintain", "unchanged" if all(one.idle for one in kept) else "done")
            result = replace(result, note=_said(kept))
        except LakehouseError as error:
            result = Result(address, "maintain", "failed", note=error.message, error=error)
        results.append(replace(result, seconds=time.monotonic() - begun))
        if listen is not None:
            listen(Event(address, "maintain", "finished", results[-1]))
    return Maintained(tuple(results), time.monotonic() - started, tuple(done))


def tables_of(project: Project, address: str) -> dict[str, Path]:
    """The Delta tables of an address that are there: itself, and what it remembers, ``state/silver/x`` and ``x.…``."""
    memory = project.state(address)
    beside = sorted(memory.parent.glob(f"{memory.name}.*")) if memory.parent.is_dir() else []
    paths = {"table": project.path(address), "memory": memory}
    paths |= {f"memory ({path.name.partition('.')[2]})": path for path in beside}
    return {part: path for part, path in paths.items() if (path / "_delta_log").is_dir()}


def _address(
    workspace: Workspace, address: str, paths: dict[str, Path], before: datetime, *, dry_run: bool, wait: float
) -> list[Upkeep]:
    project = workspace.project
    if dry_run or all(_looked(workspace, address, part, path, before).idle for part, path in paths.items()):
        return [_looked(workspace, address, part, path, before) for part, path in paths.items()]
    spark = open_session(project)
    with locked(spark, {address: project.lock(address)}, wait=wait):
        return [_kept(spark, workspace, address, part, path, before) for part, path in paths.items()]


def _given_up(workspace: Workspace, address: str, state: TableState, before: datetime) -> bool:
    """Whether it is what a table kept beside it under an origin that is not its own, and was not written since."""
    origin, table = state.properties.get(ORIGIN), read_state(workspace.project.path(address))
    if origin is None or table is None or origin.endswith(table.made_under):
        return False
    if any(pin.table_id == state.id for pin in _pins(workspace.project)):
        return False
    _, newest = commits(state.path)[-1]
    return committed_at(newest) < before


def _gone(address: str, part: str, state: TableState) -> Upkeep:
    was = extent(state)
    return Upkeep(address, part, was, Extent(0, 0), removed=was.files, removed_bytes=was.bytes)


def _looked(workspace: Workspace, address: str, part: str, path: Path, before: datetime) -> Upkeep:
    """What is to be done, found without a JVM."""
    state = _there(path)
    if _given_up(workspace, address, state, before):
        return _gone(address, part, state)
    work = _compaction(workspace, address, part, state)
    litter = find_litter(state, before, _pins(workspace.project))
    return _upkeep(address, part, state, state, work, litter)


def _kept(spark: SparkSession, workspace: Workspace, address: str, part: str, path: Path, before: datetime) -> Upkeep:
    project, first = workspace.project, _there(path)
    if _given_up(workspace, address, first, before):
        shutil.rmtree(path)
        return _gone(address, part, first)
    _spare_log(spark, first, [*pins(pins_folder(project)), *trained(project)])
    work = _compaction(workspace, address, part, first)
    if work.why:
        compact(spark, path, work)
    state = _there(path)
    with holding(pins_folder(project)):
        litter = find_litter(state, before, _pins(project))
        remove(litter)
    return _upkeep(address, part, first, state, work, litter)


def _spare_log(spark: SparkSession, state: TableState, pinned: Iterable[Pin]) -> None:
    """Delta's own clean-up of the log knows no pins: it is off while there are any."""
    wanted = "false" if any(pin.table_id == state.id for pin in pinned) else "true"
    if state.properties.get(OWN_CLEANUP, "true") != wanted:
        set_properties(spark.newSession(), state.path, {OWN_CLEANUP: wanted})


def _compaction(workspace: Workspace, address: str, part: str, state: TableState) -> Compaction:
    if part == "table" and not address.startswith("bronze."):
        table = workspace.graph.table(address)
        for column in table.cluster_by:
            if not can_cluster(state, column):
                what = "whose type has no order in Delta" if column in state.columns else "which it does not have"
                raise DefinitionError(
                    f"{address}: cluster_by has '{column}', {what}",
                    hint="" if column in state.columns else did_you_mean(column, state.columns),
                )
        key = [column for column in table.key if can_cluster(state, column)]
        return plan_compaction(state, key[:MOST_CLUSTERED], table.cluster_by)
    return plan_compaction(state, appended=part == "table")


def _upkeep(address: str, part: str, first: TableState, state: TableState, work: Compaction, litter: Litter) -> Upkeep:
    return Upkeep(
        *(address, part, extent(first), extent(state), work.why),
        *(len(litter.files), litter.bytes, len(litter.entries), litter.notes),
    )


def _pins(project: Project) -> list[Pin]:
    return [*pins(pins_folder(project)), *trained(project), *published(project)]


def _there(path: Path) -> TableState:
    state = read_state(path)
    assert state is not None, path
    return state


def _said(kept: list[Upkeep]) -> str:
    said = [f"{one.part}: {one.why}" for one in kept if one.why]
    removed, entries = sum(one.removed for one in kept), sum(one.entries for one in kept)
    said += [f"{removed:,} files removed"] * bool(removed) + [f"{entries:,} log entries removed"] * bool(entries)
    return "; ".join([*said, *(note for one in kept for note in one.notes)])
