"""The files behind a source's pattern, and which of them have landed; read without a JVM."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.cli.output import Grid, Line, Page, printable
from lakehouse.cli.runs import command, next_lines

if TYPE_CHECKING:
    from lakehouse.config import FilesSource, Project
    from lakehouse.local import Lake
    from lakehouse.sources.files.listing import Listed


def files_of(lake: Lake, name: str) -> list[dict[str, Any]]:
    """Each file: path (as in receipts), size in bytes, state (landed, new, changed since it landed, left, gone)."""
    from lakehouse.bronze import read_receipts
    from lakehouse.sources import require_kind
    from lakehouse.sources.files.discovery import discover
    from lakehouse.sources.files.landed import ignored_changes, landed_files

    project = lake.project
    source = _settings(project, name)
    cursors = read_receipts(project.path(f"bronze.{name}")).cursors
    require_kind(project, name, cursors)
    landed = {file.path: file for file in landed_files(cursors)}
    states: list[tuple[Listed, str]] = []
    if missing_folder(project, name) is None:
        ignored = ignored_changes(cursors)
        found = discover(
            name, source, project.folder, landed.values(), ignored, lambda: datetime.now(UTC), refuse=False
        )
        next_time = "changed since it landed" if source.changed == "error" else "changed since it landed, lands again"
        for files, state in (
            (found.same, "landed"),
            (found.new, "new"),
            ([file for file, _ in found.changed], next_time),
            ([*found.known, *(file for file, _ in found.ignored)], "changed since it landed, passed over"),
        ):
            states += [(file, state) for file in files]
        states += found.left
    files_there = [{"path": file.shown, "bytes": file.size, "state": state} for file, state in states]
    gone = landed.keys() - {file.shown for file, _ in states}
    files_gone = [{"path": path, "bytes": landed[path].size, "state": "landed, now gone"} for path in gone]
    return sorted([*files_there, *files_gone], key=lambda file: str(file["path"]))


def schema_page(lake: Lake, name: str, env: str | None) -> Page:
    """The columns that bronze has now, and what changed with which batch, as the receipts say."""
    from lakehouse.tables.batch import ENGINE_COLUMNS, RESCUED

    address = f"bronze.{name}"
    receipts = lake.receipts(address)
    if not receipts:
        begin = next_lines(command(f"ingest --select {address}", env))
        return Page({"name": name, "columns": {}, "history": []}, [Line("Nothing has landed yet.", "quiet"), *begin])
    columns = {
        column: kind
        for column, kind in lake.snapshot(address).columns.items()
        if column not in ENGINE_COLUMNS - {RESCUED}
    }
    history = []
    for place, receipt in enumerate(receipts):
        changes = dict(receipt.get("changes", {}))
        if place == 0:
            changes = {"first columns": list(receipt.get("types", receipt["columns"])), **changes}
        if changes:
            history.append(
                {"batch": receipt["batch"], "at": receipt["at"], "took": receipt["took"], "changes": changes}
            )
    rows = [
        [entry["batch"], f"{entry['at']:%Y-%m-%d %H:%M}", entry["took"], what, printable(", ".join(changed))]
        for entry in history
        for what, changed in entry["changes"].items()
    ]
    parts = [
        Line(f"{address}: {len(columns)} columns, {len(receipts)} batches", "title"),
        Grid(["column", "type"], [[printable(column), kind] for column, kind in columns.items()]),
        Grid(["batch", "at (UTC)", "took", "what", "columns"], rows, title="What changed"),
    ]
    return Page(
        {"name": name, "columns": columns, "history": history}, [*parts, *next_lines(command("show runs", env))]
    )


def matching(project: Project, name: str) -> list[Path]:
    """The files that a source's path matches now, sorted."""
    from lakehouse.sources.files.listing import list_files

    source = _settings(project, name)
    return [Path(file.path) for file in list_files(source.path, project.folder)]


def missing_folder(project: Project, name: str) -> Path | None:
    """The folder that a source's path begins with, when it is not there."""
    from lakehouse.sources.files.listing import fixed_folder

    source = _settings(project, name)
    fixed = fixed_folder(source.path, project.folder)
    return None if fixed.is_dir() else fixed


def _settings(project: Project, name: str) -> FilesSource:
    from lakehouse.config import FilesSource

    source = project.config.sources[name]
    assert isinstance(source, FilesSource)
    return source
