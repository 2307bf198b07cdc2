"""``lakehouse show``: what there is: tables, one table, runs, what rules found, one source."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.options import Debug, Env, Json
from lakehouse.cli.output import Grid, Line, Page
from lakehouse.cli.projects import opened
from lakehouse.cli.quality import quality_page
from lakehouse.cli.runs import command, next_lines
from lakehouse.errors import DefinitionError, NotBuiltError, UsageError, did_you_mean

if TYPE_CHECKING:
    from lakehouse.config import Project
    from lakehouse.local import Lake
    from lakehouse.tables import Table

SAMPLE = 5


def show(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="tables|TABLE|runs|quality|source", help="What to show, such as gold.routes.")
    ],
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="The source or the table, after the words source and quality."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, metavar="COUNT", help="runs, source: how many batches or files.")
    ] = 20,
    schema: Annotated[
        bool, typer.Option("--schema", help="source: its columns, and when and how they changed.")
    ] = False,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what there is: all tables, one table with a sample, the runs and their counts, what the rules of tables
    found, or one source.

    It reads only, and starts no JVM.
    """
    from lakehouse.local import Lake

    lake = Lake(opened(context.obj, env))
    if schema and what != "source":
        raise UsageError("--schema is for a source", hint="lakehouse show source NAME --schema")
    if what not in ("source", "quality") and name is not None:
        raise UsageError(f"show {what} takes no name", hint=f"lakehouse show {name}, or lakehouse show source {name}")
    if what == "tables":
        page = _tables(lake, env)
    elif what == "runs":
        page = _runs(lake, env, limit)
    elif what == "quality":
        page = quality_page(lake, name, env)
    elif what == "source":
        page = _source(lake, name, env, schema, limit)
    else:
        page = _table(lake, what)
    context.obj.show(page)


def declared(project: Project) -> dict[str, Table]:
    """The tables that the project declares, by address; none where its modules can't be imported here."""
    from lakehouse.tables import tables_in
    from lakehouse.tables.expecting import with_rules

    try:
        tables, _ = with_rules(tables_in(project.config.tables, project.folder), project.config.expect)
        return {table.address: table for table in tables}
    except DefinitionError:
        return {}


def _tables(lake: Lake, env: str | None) -> Page:
    built = {snapshot.address: snapshot for snapshot in lake.tables()}
    known = [*(f"bronze.{source}" for source in lake.project.config.sources), *declared(lake.project)]
    data: list[dict[str, Any]] = []
    rows: list[list[Any]] = []
    for address in [*known, *(address for address in built if address not in known)]:
        snapshot = built.get(address)
        if snapshot is None:
            data.append({"address": address, "built": False})
            rows.append([address, "", "", "", "", "not built"])
            continue
        facts = {
            "rows": snapshot.rows,
            "version": snapshot.version,
            "bytes": snapshot.bytes,
            "changed": snapshot.changed,
        }
        data.append({"address": address, "built": True, **facts, "columns": snapshot.columns})
        changed = f"{snapshot.changed:%Y-%m-%d %H:%M}"
        size = _size(snapshot.bytes)
        rows.append([address, f"{snapshot.rows:,}", len(snapshot.columns), snapshot.version, size, changed])
    parts: list[Any] = [Grid(["table", "rows", "columns", "version", "size", "changed (UTC)"], rows)]
    if not rows:
        parts.append(Line("There are no tables and no sources yet: conf/base.yaml declares sources, jobs/ tables."))
    missing = any(not entry["built"] for entry in data)
    first = next((entry["address"] for entry in reversed(data) if entry["built"]), None)
    following = command("run", env) if missing or first is None else command(f"show {first}", env)
    return Page({"tables": data}, [*parts, *next_lines(following)])


def _table(lake: Lake, address: str) -> Page:
    table = declared(lake.project).get(address)
    try:
        snapshot = lake.snapshot(address)
    except NotBuiltError:
        if table is None:
            raise
        snapshot = None
    data: dict[str, Any] = {"address": address, "built": snapshot is not None}
    parts: list[Any] = [Line(address, "title")]
    if table is not None:
        key, reads, place = list(table.key), list(table.inputs), f"{_relative(lake.project, table)}:{table.line}"
        data |= {
            "doc": table.doc,
            "key": key,
            "inputs": reads,
            "at": table.at,
            **table.ordering,
            "tags": list(table.tags),
            "declared": place,
        }
        data["expectations"] = [
            {"rule": rule.name, "on_fail": rule.on_fail, "declared": rule.place or place} for rule in table.expect
        ]
        parts += [Line(table.doc)] if table.doc else []
        parts.append(Line(f"key {', '.join(key)} · reads {', '.join(reads)} · {place}", "quiet"))
        if table.ordering:
            parts.append(Line(" · ".join(f"{word}: {said}" for word, said in table.ordering.items()), "quiet"))
        for rule in table.expect:
            parts.append(
                Line(f"expects {rule.name}, or else: {rule.on_fail}{rule.place and f' ({rule.place})'}", "quiet")
            )
    if snapshot is None:
        return Page(data, [*parts, Line("not built yet", "warning"), *next_lines(f"lakehouse run --select +{address}")])
    data |= {"rows": snapshot.rows, "version": snapshot.version, "bytes": snapshot.bytes, "changed": snapshot.changed}
    columns = [[name, kind, "key" if table and name in table.key else ""] for name, kind in snapshot.columns.items()]
    layer, _, name = address.partition(".")
    sample = lake.sql(f'SELECT * FROM {layer}."{name}" LIMIT {SAMPLE}')
    rows = sample.fetchall()
    data |= {"columns": snapshot.columns, "sample": [dict(zip(sample.columns, row, strict=True)) for row in rows]}
    changed = snapshot.changed.replace(tzinfo=None, microsecond=0)
    facts = f"{snapshot.rows:,} rows · {_size(snapshot.bytes)} · version {snapshot.version} of {changed} UTC"
    parts += [Line(facts), Grid(["column", "type", ""], columns), Grid(sample.columns, rows, fit=True)]
    return Page(data, parts)


def _runs(lake: Lake, env: str | None, limit: int) -> Page:
    from lakehouse.config.redaction import hidden

    landed, refined = [], []
    for address in lake.addresses():
        if address.startswith("bronze."):
            said = hidden(lake.receipts(address), partial(lake.project.redacted, address=address))
            landed += [{"address": address, **receipt} for receipt in said]
        elif address.startswith("silver."):
            refined += [{"address": address, **receipt} for receipt in lake.receipts(address)]
    data = {"landed": landed, "refined": refined}
    if not landed:
        return Page(data, [Line("Nothing has run yet."), *next_lines(command("ingest", env))])
    landed.sort(key=lambda receipt: (receipt["at"], receipt["address"]))
    first = [
        [receipt["address"], receipt["batch"], f"{receipt['at']:%Y-%m-%d %H:%M}", receipt["took"]]
        + [f"{receipt[count]:,}" for count in ("read", "landed", "quarantined")]
        + [_sides(receipt["read"], receipt["landed"] + receipt["quarantined"])]
        for receipt in landed[-limit:]
    ]
    second = [
        [receipt["address"], _batches(receipt["after"] + 1, receipt["upto"])]
        + [f"{receipt[count]:,}" for count in ("rows_in", "rows_out", "merged", "quarantined", "superseded")]
        + [_sides(receipt["rows_out"], receipt["merged"] + receipt["quarantined"] + receipt["superseded"])]
        for receipt in refined[-limit:]
    ]
    names = ["table", "batch", "at (UTC)", "took", "read", "landed", "quarantined", "both sides"]
    parts: list[Any] = [Grid(names, first, title="Landed: read = landed + quarantined")]
    if second:
        names = ["table", "batches", "in", "out", "merged", "quarantined", "superseded", "both sides"]
        parts.append(Grid(names, second, title="Refined: out = merged + quarantined + superseded"))
    older = max(0, len(landed) - limit) + max(0, len(refined) - limit)
    parts += [Line(f"{older} older batches are not shown: --limit BATCHES", "quiet")] if older else []
    return Page(data, parts)


def _batches(first: int, last: int) -> str:
    return str(last) if first == last else f"{first} to {last}"


def _sides(left: int, right: int) -> str:
    return f"{left:,} = {right:,}" if left == right else f"{left:,} ≠ {right:,}"


def _source(lake: Lake, name: str | None, env: str | None, schema: bool, limit: int) -> Page:
    from lakehouse.cli.sources import files_of, schema_page
    from lakehouse.config import FilesSource
    from lakehouse.config.redaction import hidden

    sources = lake.project.config.sources
    if name is None:
        raise UsageError("which source?", hint=f"lakehouse show source {next(iter(sources), 'NAME')}")
    if name not in sources:
        raise UsageError(f"there is no source '{name}'", hint=did_you_mean(name, sources))
    if schema:
        return schema_page(lake, name, env)
    source = sources[name]
    settings = source.said
    if not isinstance(source, FilesSource):
        return _batches_of(lake, name, settings, env, limit)
    files = hidden(files_of(lake, name), source.redacted)
    data = {"name": name, **settings, "files": files}
    # Those that are not just landed are what somebody looks for.
    files.sort(key=lambda file: file["state"] == "landed")
    rows = [[file["path"], _size(file["bytes"]), file["state"]] for file in files[:limit]]
    waiting = sum(file["state"] == "new" or file["state"].endswith("lands again") for file in files)
    states = ", ".join(f"{count:,} {state}" for state, count in Counter(file["state"] for file in files).items())
    parts: list[Any] = [
        Line(f"{name}: {source.type}, {source.format}, {settings['path']}", "title"),
        Grid(["file", "size", "state"], rows) if rows else Line("No file matches its path.", "warning"),
    ]
    if len(files) > limit:
        parts.append(Line(f"{len(files) - limit:,} more files are not shown: --limit FILES. In all: {states}", "quiet"))
    landed = any(file["state"].startswith("landed") for file in files)
    following = command("check", env)
    if waiting or landed:
        following = command(f"ingest --select bronze.{name}" if waiting else f"show bronze.{name}", env)
    return Page(data, [*parts, *next_lines(following)])


def _batches_of(lake: Lake, name: str, settings: dict[str, Any], env: str | None, limit: int) -> Page:
    """What a source that is no folder has given so far."""
    from lakehouse.config.redaction import hidden

    receipts = hidden(lake.receipts(f"bronze.{name}"), lake.project.config.sources[name].redacted)
    rows = [
        [receipt["batch"], f"{receipt['at']:%Y-%m-%d %H:%M}", receipt["took"], f"{receipt['landed']:,}"]
        for receipt in receipts[-limit:]
    ]
    older = len(receipts) - len(rows)
    shown = Grid(["batch", "at (UTC)", "took", "landed"], rows) if rows else Line("Nothing has landed yet.", "quiet")
    said = ", ".join(f"{key}: {value}" for key, value in settings.items())
    following = command(f"show bronze.{name}" if rows else f"ingest --select bronze.{name}", env)
    data = {"name": name, **settings, "batches": receipts}
    parts: list[Any] = [Line(f"{name}: {said}", "title"), shown]
    parts += [Line(f"{older:,} older batches are not shown: --limit BATCHES", "quiet")] if older else []
    return Page(data, [*parts, *next_lines(following)])


def _relative(project: Project, table: Table) -> str:
    file = table.file
    return str(file.relative_to(project.folder) if file.is_relative_to(project.folder) else file)


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
