"""The files behind a source's pattern, and which of them have landed; read without a JVM."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.cli.output import Grid, Line, Page, printable
from lakehouse.cli.runs import command, next_lines

if TYPE_CHECKING:
    from lakehouse.config import Project
    from lakehouse.local import Lake


def files_of(lake: Lake, name: str) -> list[dict[str, Any]]:
    """Each file: path (as receipts have it), size in bytes, state (landed, new, changed since it landed, gone)."""
    cursors = [receipt["cursor"] for receipt in lake.receipts(f"bronze.{name}") if "replayed" not in receipt]
    landed = {file["path"]: file for cursor in cursors for file in cursor["files"]}
    files = []
    for path in matching(lake.project, name):
        folder = lake.project.folder
        shown = str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
        size, before = path.stat().st_size, landed.pop(shown, None)
        state = "new" if before is None else "landed" if before["size"] == size else "changed since it landed"
        files.append({"path": shown, "bytes": size, "state": state})
    files += [{"path": path, "bytes": file["size"], "state": "landed, now gone"} for path, file in landed.items()]
    return sorted(files, key=lambda file: str(file["path"]))


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
    pattern = pattern_of(project, name)
    # Path.glob takes no absolute pattern.
    found = (Path(os.path.normpath(path)) for path in glob.iglob(pattern, recursive=True))  # noqa: PTH207
    return sorted(path for path in found if path.is_file())


def missing_folder(project: Project, name: str) -> Path | None:
    """The folder that a source's path begins with, when it is not there."""
    fixed = Path(pattern_of(project, name)).parent
    while glob.has_magic(str(fixed)):
        fixed = fixed.parent
    return None if fixed.is_dir() else fixed


def pattern_of(project: Project, name: str) -> str:
    from lakehouse.config import FilesSource

    source = project.config.sources[name]
    assert isinstance(source, FilesSource)
    path = source.path
    return path if Path(path).is_absolute() else f"{project.folder}/{path}"
