"""``lakehouse rebuild`` and ``restore``: tables made anew, or as they once were."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lakehouse.cli.options import Debug, Env, Json, Wait
from lakehouse.cli.output import Grid, Line, Page
from lakehouse.cli.projects import opened
from lakehouse.cli.runs import command, next_lines, run_verb, spark_log

LAYERS = ("bronze", "silver", "gold")


def rebuild(
    context: typer.Context,
    tables: Annotated[
        list[str], typer.Argument(metavar="silver|gold|TABLES", help="A layer, a table, or words as for --select.")
    ],
    wait: Wait = 0,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make silver or gold tables anew from what they read, inside the same tables, and build what reads them.

    A rebuild that is interrupted goes on with the next run, build or rebuild.
    """
    from lakehouse import pipeline

    select = tuple(f"{word}.*" if word in LAYERS else word for word in tables)
    run_verb(context.obj, pipeline.rebuild, ("build",), env, select=select, wait=wait)


def restore(
    context: typer.Context,
    table: Annotated[str, typer.Argument(metavar="TABLE", help="Such as silver.orders.")],
    to: Annotated[str, typer.Option("--to", metavar="VERSION|TIME", help="A version, or a time in UTC (ISO).")],
    wait: Wait = 0,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Bring one table back to an older version. The next run makes it right again from what it reads.

    What landed in bronze after that version lands again, as far as the source still has it.
    """
    from lakehouse import pipeline

    project = opened(context.obj, env)
    with spark_log(project):
        done = pipeline.restore(project, table, to, wait=wait)
    steps = [[step.address, step.action, project.redacted(step.why)] for step in done.after.steps]
    data = {
        "table": done.address,
        "before": done.before,
        "to": done.to,
        "next": [dict(zip(("address", "action", "why"), step, strict=True)) for step in steps],
    }
    parts: list[Any] = [Line(f"{done.address} was at version {done.before} and is what it was at {done.to}.", "good")]
    parts.append(Grid(("table", "the next run", "why"), steps))
    context.obj.show(Page(data, [*parts, *next_lines(command(f"run --select {done.address}+", env))]))
