"""Say what a run would do, without running anything and without a JVM."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lakehouse.config import Project
from lakehouse.errors import LakehouseError, NotBuiltError, UsageError
from lakehouse.pipeline.report import StepName
from lakehouse.pipeline.wording import in_words
from lakehouse.pipeline.workspace import Workspace
from lakehouse.sources import require_kind
from lakehouse.tables.batch import Waiting


@dataclass(frozen=True)
class Step:
    """What one table has to do. ``action`` is new, rebuild, merge, update, append, unchanged or blocked."""

    address: str
    step: StepName
    inputs: tuple[str, ...]
    """What has to be done before: the tables that it reads, and those that its rules compare it with."""
    action: str
    why: str
    error: LakehouseError | None = None
    """Why it is blocked."""


@dataclass(frozen=True)
class Plan:
    """Every selected table in the order in which it would run."""

    steps: tuple[Step, ...]

    @property
    def changes(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.action != "unchanged")


def plan(project: Project, select: Iterable[str] = ()) -> Plan:
    """What ``run`` would do now. Raises DefinitionError and UsageError; a source's trouble is a blocked step."""
    return plan_in(Workspace(project, still=True), select)


def plan_in(
    workspace: Workspace, select: Iterable[str] = (), layers: Iterable[str] = ("bronze", "silver", "gold")
) -> Plan:
    """The same for a workspace, and just for some layers. Raises UsageError where none of those is selected."""
    steps: dict[str, Step] = {}
    if workspace.still and not (select := tuple(select)):
        workspace.look_ahead()
    for address in selected(workspace, select, layers):
        steps[address] = _step(workspace, address, steps)
    return Plan(tuple(steps.values()))


def selected(workspace: Workspace, select: Iterable[str], layers: Iterable[str]) -> tuple[str, ...]:
    """The addresses in some layers. Raises UsageError for words that select nothing there."""
    words, layers = tuple(select), tuple(layers)
    found = tuple(address for address in workspace.graph.select(words) if address.partition(".")[0] in layers)
    if words and not found:
        raise UsageError(
            f"--select: '{' '.join(words)}' selects no table of {' or '.join(layers)}, which this command takes",
            hint=f"lakehouse run --select '{' '.join(words)}' takes every layer.",
        )
    return found


def _step(workspace: Workspace, address: str, before: dict[str, Step]) -> Step:
    inputs, needs = workspace.graph.inputs(address), workspace.graph.needs(address)
    moving = [before[name] for name in inputs if name in before and before[name].action != "unchanged"]
    try:
        if address.startswith("bronze."):
            with in_words(workspace, address):
                return _source_step(workspace, address)
        action, why = _table_step(workspace, address, moving)
    except LakehouseError as error:
        step: StepName = "ingest" if address.startswith("bronze.") else "build"
        return Step(address, step, needs, "blocked", error.message, error)
    return Step(address, "build", needs, action, why)


def _table_step(workspace: Workspace, address: str, moving: list[Step]) -> tuple[str, str]:
    blocked = [step.address for step in moving if step.action == "blocked"]
    if blocked:
        return "blocked", f"{', '.join(blocked)} is blocked"
    try:
        work = workspace.work(address)
    except NotBuiltError:
        if not moving:
            raise
        return "new", "it is not there yet"
    names = [step.address for step in moving]
    if address.startswith("gold."):
        return "update" if work.action == "unchanged" and moving else work.action, work.why_when(names)
    if work.action == "unchanged" and moving:
        return "merge", f"{', '.join(names)} changes"
    return work.action, work.why


def _source_step(workspace: Workspace, address: str) -> Step:
    receipts = workspace.receipts(address)
    require_kind(workspace.project, address.removeprefix("bronze."), receipts.cursors)
    waits = Waiting.of(workspace.source(address).waiting(receipts.cursors))
    takes = waits.takes or ("nothing new" if receipts.batches else "nothing is there yet")
    action = "unchanged" if not waits.takes else "append" if receipts.table is not None else "new"
    why = workspace.project.redacted("; ".join(filter(None, [takes, waits.leaves])), address)
    return Step(address, "ingest", (), action, why)
