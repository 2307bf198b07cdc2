"""Run what a plan says: tables that do not need each other at once, each in a session of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from lakehouse.config import Project
from lakehouse.delta import locked
from lakehouse.errors import LakehouseError
from lakehouse.pipeline.planning import Plan, Step, plan_in
from lakehouse.pipeline.report import Event, Listener, Report, Result
from lakehouse.pipeline.steps import do_step
from lakehouse.pipeline.workspace import Workspace
from lakehouse.spark import open_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


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


def publish(project: Project, *, select: Iterable[str] = (), listen: Listener | None = None) -> Report:
    """Publish the feature views of the selected gold tables to the online store, where the table has a new version."""
    started = time.monotonic()
    workspace = Workspace(project)
    tables = workspace.graph.select(select) if select else ()
    return Report(tuple(_publish(workspace, tables, listen)), time.monotonic() - started)


def run(project: Project, *, select: Iterable[str] = (), wait: float = 0.0, listen: Listener | None = None) -> Report:
    """Ingest, build and publish. A view is published when nothing that it is made of failed."""
    started = time.monotonic()
    select, workspace = tuple(select), Workspace(project)
    report = _run(workspace, ("bronze", "silver", "gold"), select, wait, listen)
    healthy = [r.address for r in report.results if r.status in ("done", "unchanged") and r.address.startswith("gold.")]
    published = _publish(workspace, tuple(healthy), listen) if healthy else []
    return Report((*report.results, *published), time.monotonic() - started)


def _run(
    workspace: Workspace, layers: tuple[str, ...], select: Iterable[str], patience: float, listen: Listener | None
) -> Report:
    started = time.monotonic()
    tell = listen or (lambda event: None)
    plan = plan_in(workspace, tuple(select), layers)
    if not any(step.action not in ("unchanged", "blocked") for step in plan.steps):
        results = _without_spark(workspace, plan, tell)
        return Report(results, time.monotonic() - started)
    spark = open_session(workspace.project)
    locks = {step.address: workspace.project.lock(step.address) for step in plan.steps}
    with locked(spark, locks, wait=patience):
        results = _in_order(plan, lambda step: _tried(spark, workspace, step, tell), tell)
    return Report(results, time.monotonic() - started)


def _in_order(plan: Plan, work: Callable[[Step], Result], tell: Listener) -> tuple[Result, ...]:
    """Start each step when all that it reads is done; a failure stops what depends on it and nothing else."""
    waiting = {step.address: step for step in plan.steps}
    results: dict[str, Result] = {}
    running: dict[Future[Result], Step] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2, thread_name_prefix="lakehouse") as pool:
        while waiting or running:
            for step in [step for step in waiting.values() if not any(name in waiting for name in step.inputs)]:
                if any(name in (other.address for other in running.values()) for name in step.inputs):
                    continue
                del waiting[step.address]
                bad = [name for name in step.inputs if name in results and results[name].status in ("failed", "stopped")]
                if bad:
                    results[step.address] = _finish(_stopped(step, bad), tell)
                else:
                    running[pool.submit(work, step)] = step
            if running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    step = running.pop(future)
                    results[step.address] = future.result()
    return tuple(results[step.address] for step in plan.steps)


def _tried(spark: SparkSession, workspace: Workspace, step: Step, tell: Listener) -> Result:
    tell(Event(step.address, step.step, "started"))
    started = time.monotonic()
    try:
        result = do_step(spark, workspace, step.address)
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


def _publish(workspace: Workspace, tables: tuple[str, ...], listen: Listener | None) -> list[Result]:
    raise NotImplementedError
