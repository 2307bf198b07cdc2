"""The files behind a source's pattern, and which of them have landed; read without a JVM."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.config import FilesSource

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
    source = project.config.sources[name]
    assert isinstance(source, FilesSource)
    path = source.path
    return path if Path(path).is_absolute() else f"{project.folder}/{path}"
