"""``lakehouse plan``: what a run would do, why, what it reads and costs, and which features stand downstream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.options import Debug, Env, Json, Select
from lakehouse.cli.output import Grid, Line, Page
from lakehouse.cli.projects import opened, ready
from lakehouse.cli.runs import command, next_lines
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse.pipeline import Plan, Step
    from lakehouse.pipeline.outlook import Outlook

CHANGES_WAIT = 8
"""The exit code of ``--exit-code`` where a run would do something."""
MOST_UNCHANGED = 100
"""Of a project of more steps those that have nothing to do are counted, not shown."""


def plan(
    context: typer.Context,
    select: Select = None,
    details: Annotated[
        bool, typer.Option("--details", help="What each table reads, its columns and the features downstream.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 8 where a run would do something, with 0 where not.")
    ] = False,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what a run would do and why, what it reads and costs, and which features it changes.

    It runs nothing and starts no JVM. A cost is that of the last runs; columns are known where the table was built
    under this definition before.
    """
    from lakehouse.pipeline.outlook import outlooks
    from lakehouse.pipeline.planning import plan_in
    from lakehouse.pipeline.workspace import Workspace

    project = opened(context.obj, env)
    workspace = Workspace(project, still=True)
    found = plan_in(workspace, select or ())
    known = outlooks(workspace, found)
    for step in found.steps:
        ready(context.obj, step.error)
    why = {step.address: project.redacted(step.why) for step in found.steps}
    data = [
        {
            **{"step": step.step, "address": step.address, "inputs": list(step.inputs)},
            **{"action": step.action, "why": why[step.address], **_as_data(known.get(step.address))},
        }
        for step in found.steps
    ]
    rows = [
        [step.step, step.address, step.action, *_in_short(known.get(step.address)), why[step.address]]
        for step in found.steps
        if step.action != "unchanged" or len(found.steps) <= MOST_UNCHANGED
    ]
    parts: list[Any] = [Grid(("step", "table", "action", "reads", "cost", "features", "why"), rows)]
    for step in found.steps:
        if details and step.address in known:
            parts += _details(step, known[step.address])
        if step.error and step.error.hint:
            parts.append(Line(f"{step.address}: {step.error.hint}", "warning"))
    blocked = sum(step.action == "blocked" for step in found.steps)
    waiting = len(found.changes) - blocked
    if len(rows) < len(found.steps):
        parts.append(Line(f"{len(found.steps) - len(rows)} more steps have nothing to do.", "quiet"))
    said = f"{waiting} of {len(found.steps)} steps have something to do" if waiting else "Nothing has changed"
    parts.append(Line(f"{said}, {blocked} are blocked." if blocked else f"{said}."))
    following = "run" if waiting else "check" if blocked else "show tables"
    context.obj.show(Page({"steps": data}, [*parts, *next_lines(command(following, env))]))
    if exit_code:
        raise typer.Exit(_code(found, waiting))


def _code(found: Plan, waiting: int) -> int:
    """8 where changes wait; where the only thing to say is that steps are blocked, why the first of them is."""
    if waiting:
        return CHANGES_WAIT
    errors = [step.error for step in found.steps if step.error is not None]
    return errors[0].exit_code if errors else LakehouseError.exit_code if found.changes else 0


def _as_data(one: Outlook | None) -> dict[str, Any]:
    if one is None:
        return {"reads": None, "seconds": None, "columns": None, "features": None}
    reads = {"batches": one.batches, "rows": one.rows, "bytes": one.bytes, "and_more": one.more}
    return {
        "reads": reads,
        "seconds": one.seconds,
        "columns": None if one.columns is None else list(one.columns),
        "features": None if one.features is None else list(one.features),
        "by_column": one.by_column,
    }


def _in_short(one: Outlook | None) -> list[str]:
    if one is None:
        return ["", "", ""]
    reads = [f"{one.rows:,} rows"] if one.rows is not None else []
    reads += ["more"] if one.more and (one.rows is None or one.rows) else []
    if one.more and one.rows == 0:
        reads = ["what comes"]
    cost = f"{one.seconds:.1f} s" if one.seconds is not None else "unknown"
    features = "not applied" if one.features is None else str(len(one.features)) if one.features else ""
    return [" + ".join(reads), cost, features]


def _details(step: Step, one: Outlook) -> list[Line]:
    from lakehouse.pipeline.outlook import UNKNOWN

    reads = [f"{one.batches:,} batches"] if one.batches is not None else []
    reads += [f"{one.rows:,} rows"] if one.rows is not None else []
    reads += [f"{one.bytes / 1e6:,.1f} MB"] if one.bytes is not None else []
    reads += ["what the steps before it add"] * one.more
    columns = UNKNOWN if one.columns is None else ", ".join(one.columns) or "none"
    features = "they were never applied: lakehouse publish" if one.features is None else ", ".join(one.features)
    lines = [
        Line(step.address, "title"),
        *([Line(f"  from      {', '.join(step.inputs)}")] if step.inputs else []),
        *([Line(f"  reads     {', '.join(reads)}")] if reads else []),
        Line(f"  columns   {columns}"),
    ]
    if features:
        exact = "" if one.by_column or one.features is None else f" (by column: {UNKNOWN})"
        lines.append(Line(f"  features  {features}{exact}"))
    return lines
