"""Run what a plan says: tables that do not need each other at once, each in a session of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from lakehouse.config import Project
from lakehouse.delta import ask_for_rebuild, locked
from lakehouse.errors import LakehouseError, UsageError
from lakehouse.features.cursor import Published
from lakehouse.features.publishing import publish as publish_views
from lakehouse.features.repository import apply, preload
from lakehouse.pipeline.knowledge import remember_cost
from lakehouse.pipeline.planning import Plan, Step, plan_in, selected
from lakehouse.pipeline.report import Event, Listener, Report, Result
from lakehouse.pipeline.steps import do_step
from lakehouse.pipeline.wording import in_words
from lakehouse.pipeline.workspace import Workspace
from lakehouse.spark import open_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


ASKED = "somebody asked for it"
"""Why a table is rebuilt by hand."""


def ingest(
    project: Project, *, select: Iterable[str] = (), wait: float = 0.0, listen: Listener | None = None
) -> Report:
    """Land what each selected source has since its last receipt. ``wait``: seconds to wait for another run's lock.

    Raises LockedError when another run writes one of the tables, ConfigError, DefinitionError and UsageError. What
    goes wrong with one table is in its result.
    """
    return _run(Workspace(project), ("bronze",), select, wait, listen)


def build(project: Project, *, select: Iterable[str] = (), wait: float = 0.0, listen: Listener | None = None) -> Report:
    """Build the selected silver and gold tables whose inputs or definitions changed. Raises as :func:`ingest`."""
    return _run(Workspace(project), ("silver", "gold"), select, wait, listen)


def rebuild(project: Project, *, select: Iterable[str], wait: float = 0.0, listen: Listener | None = None) -> Report:
    """Make the selected silver and gold tables anew from what they read, and build what reads them.

    Each table keeps its id and folder. That a table is to be rebuilt is committed in it first: whoever is killed after
    that need not ask again, any later build goes on. Raises as :func:`ingest`, and UsageError for bronze.
    """
    workspace, words = Workspace(project), tuple(select)
    if not words:
        raise UsageError("rebuild which tables?", hint="lakehouse rebuild silver.orders")
    chosen = workspace.graph.select(words)
    raw = [address for address in chosen if address.startswith("bronze.")]
    if raw:
        raise UsageError(
            f"{', '.join(raw)} can't be rebuilt: bronze is the raw data, and all else is made from it",
            hint="Name silver or gold tables; to go back to an older version of bronze: lakehouse restore",
        )
    downstream = [f"{address}+" for address in chosen]
    return _run(workspace, ("silver", "gold"), downstream, wait, listen, again=chosen)


def publish(project: Project, *, select: Iterable[str] = (), listen: Listener | None = None) -> Report:
    """Publish the feature views of the selected gold tables to the online store, where the table has a new version."""
    started = time.monotonic()
    workspace = Workspace(project)
    select = tuple(select)
    tables = selected(workspace, select, ("silver", "gold")) if select else None
    return Report(tuple(_publish(workspace, tables, listen or _silent)), time.monotonic() - started)


def run(project: Project, *, select: Iterable[str] = (), wait: float = 0.0, listen: Listener | None = None) -> Report:
    """Ingest, build and publish. A view is published when nothing that it is made of failed."""
    started = time.monotonic()
    select, workspace = tuple(select), Workspace(project)
    report = _run(workspace, ("bronze", "silver", "gold"), select, wait, listen, then_publish=True)
    whole = not select and all(result.error is None for result in report.results)
    healthy = tuple(result.address for result in report.results if result.status in ("done", "unchanged"))
    published: list[Result] = []
    if workspace.project.features.is_dir() and any(address.startswith("gold.") for address in healthy):
        published = _publish(workspace, None if whole else healthy, listen or _silent)
    return Report((*report.results, *published), time.monotonic() - started)


def _run(
    workspace: Workspace,
    layers: tuple[str, ...],
    select: Iterable[str],
    patience: float,
    listen: Listener | None,
    *,
    then_publish: bool = False,
    again: tuple[str, ...] = (),
) -> Report:
    """``again`` are tables whose next build is a rebuild, whatever their cursors say."""
    started = time.monotonic()
    tell = listen or _silent
    plan = plan_in(workspace, tuple(select), layers)
    if not again and not any(step.action not in ("unchanged", "blocked") for step in plan.steps):
        results = _without_spark(workspace, plan, tell)
        return Report(results, time.monotonic() - started)
    if then_publish and workspace.project.features.is_dir():
        preload()  # Feast takes seconds to import: beside the JVM's start, which waits for the disk and its compiler
    spark = open_session(workspace.project)
    locks = {step.address: workspace.project.lock(step.address) for step in plan.steps}
    with locked(spark, locks, wait=patience):
        for address in again:
            with in_words(workspace, address):
                ask_for_rebuild(spark, workspace.project.path(address), ASKED)
        results = _in_order(plan, lambda step: _tried(spark, workspace, step, tell), tell)
    return Report(results, time.monotonic() - started)


def _in_order(plan: Plan, work: Callable[[Step], Result], tell: Listener) -> tuple[Result, ...]:
    """Start each step when all that it reads is done; a failure stops what depends on it and nothing else."""
    waiting = {step.address: step for step in plan.steps}
    planned = set(waiting)
    results: dict[str, Result] = {}
    running: set[Future[Result]] = set()
    # More than cores: while some tables plan or commit, which is the driver's work, others keep the cores busy.
    with ThreadPoolExecutor(max_workers=(os.cpu_count() or 2) + 3, thread_name_prefix="lakehouse") as pool:
        while waiting or running:
            for step in list(waiting.values()):
                needed = planned.intersection(step.inputs)
                if not needed <= results.keys():
                    continue
                del waiting[step.address]
                bad = [name for name in step.inputs if name in needed and results[name].status in ("failed", "stopped")]
                if bad:
                    results[step.address] = _finish(_stopped(step, bad), tell)
                else:
                    running.add(pool.submit(work, step))
            if running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                results |= {future.result().address: future.result() for future in done}
    return tuple(results[step.address] for step in plan.steps)


def _tried(spark: SparkSession, workspace: Workspace, step: Step, tell: Listener) -> Result:
    tell(Event(step.address, step.step, "started"))
    started = time.monotonic()
    try:
        result = do_step(spark, workspace, step.address)
        if result.status == "done":
            remember_cost(workspace, step.address, step.action, result.seconds, result.read)
    except LakehouseError as error:
        seconds = time.monotonic() - started
        result = Result(step.address, step.step, "failed", seconds=seconds, note=error.message, error=error)
    return _finish(result, tell)


def _without_spark(workspace: Workspace, plan: Plan, tell: Listener) -> tuple[Result, ...]:
    """The results of a plan that changes nothing: what is blocked says why."""

    def told(step: Step) -> Result:
        if step.action == "unchanged":
            return _finish(Result(step.address, step.step, "unchanged", note=step.why), tell)
        error = step.error or LakehouseError(step.why)
        return _finish(Result(step.address, step.step, "failed", note=error.message, error=error), tell)

    return _in_order(plan, told, tell)


def _stopped(step: Step, bad: list[str]) -> Result:
    return Result(step.address, step.step, "stopped", note=f"not run: {', '.join(bad)} did not finish")


def _finish(result: Result, tell: Listener) -> Result:
    tell(Event(result.address, result.step, "finished", result))
    return result


def _silent(event: Event) -> None:
    """Tell nobody."""


def _publish(workspace: Workspace, tables: tuple[str, ...] | None, tell: Listener) -> list[Result]:
    """Apply the feature definitions and publish the views of the tables (None: all). Errors are a result's."""
    done: list[Result] = []

    def heard(view: str, one: Published | LakehouseError | None) -> None:
        if one is None:
            tell(Event(view, "publish", "started"))
            return
        if isinstance(one, LakehouseError):
            done.append(_finish(Result(view, "publish", "failed", note=one.message, error=one), tell))
            return
        note = f"{one.table} v{one.version}"
        done.append(
            _finish(Result(view, "publish", one.status, one.rows, one.rows, seconds=one.seconds, note=note), tell)
        )

    try:
        apply(workspace.project)
        publish_views(workspace.project, now=workspace.now(), tables=tables, listen=heard)
    except LakehouseError as error:
        if all(result.error is not error for result in done):
            done.append(_finish(Result("features", "publish", "failed", note=error.message, error=error), tell))
    return done
