"""``lakehouse maintain``: keep tables cheap to read and to write."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lakehouse.cli.options import Debug, Env, Json, Select, Wait, span
from lakehouse.cli.output import Grid, Line, Page, described
from lakehouse.cli.progress import listen_on
from lakehouse.cli.projects import opened, ready
from lakehouse.cli.runs import command, named, next_lines, spark_log


def maintain(
    context: typer.Context,
    select: Select = None,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Spare what became unneeded since: 7d, 12h, 30m.")
    ] = "7d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    wait: Wait = 0,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compact small files, cluster by key, and remove files and log entries that no kept version needs.

    No row changes. Versions younger than --older-than, and those that are pinned, stay readable.
    """
    from lakehouse.pipeline.maintaining import maintain as keep

    project = opened(context.obj, env)
    age = span("--older-than", older_than, "age")
    with listen_on(context.obj, []) as listener, spark_log(project):
        done = keep(project, select=select or (), older_than=age, dry_run=dry_run, wait=wait, listen=listener)
    for result in done.results:
        ready(context.obj, result.error)
    data = {
        "dry_run": dry_run,
        "tables": [
            {
                "address": one.address,
                "part": one.part,
                "files": {"before": one.before.files, "after": one.after.files},
                "bytes": {"before": one.before.bytes, "after": one.after.bytes},
                "rewritten": one.why,
                "removed": {"files": one.removed, "bytes": one.removed_bytes, "log_entries": one.entries},
                "notes": list(one.notes),
            }
            for one in done.upkeep
        ],
        "errors": [{"address": one.address, **described(one.error)} for one in done.results if one.error],
        "seconds": done.seconds,
        "exit_code": done.exit_code,
    }
    columns = ("table", "part", "files", "MB", "rewritten", "removed", "MB", "log")
    rows = [
        [
            *(one.address, one.part, _change(one.before.files, one.after.files)),
            _change(_mb(one.before.bytes), _mb(one.after.bytes)),
            *(one.why, f"{one.removed:,}", _mb(one.removed_bytes), f"{one.entries:,}"),
        ]
        for one in done.upkeep
        if not one.idle
    ]
    parts: list[Any] = [Grid(columns, rows)] if rows else []
    parts += [Line(f"{one.address}: {note}", "warning") for one in done.upkeep for note in one.notes]
    for result in done.results:
        if result.error:
            parts.append(Line(named(result.address, result.error.message), "bad"))
            parts += [Line(f"  {line}", "command") for line in result.error.hint.splitlines()]
    idle = sum(one.idle for one in done.upkeep)
    would = "need" if dry_run else "needed"
    parts.append(Line(f"{idle} of {len(done.upkeep)} Delta tables {would} nothing, in {done.seconds:.1f} s."))
    following = "maintain" if dry_run and rows else "show tables"
    context.obj.show(Page(data, [*parts, *next_lines(command(following, env))]))
    raise typer.Exit(done.exit_code)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f}"


def _change(before: Any, after: Any) -> str:
    return f"{before}" if before == after else f"{before} → {after}"
