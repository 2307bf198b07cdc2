"""Which disk is full: what the system says of it names neither a file nor a disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from lakehouse.config import Project


def fullest(project: Project, address: str) -> Path:
    """The mount with the least free space among those that a step on the table writes to."""
    local = os.environ.get("SPARK_LOCAL_DIRS") or project.config.spark.properties.get("spark.local.dir")
    folders = [project.path(address), project.state(address), project.folder / ".cache"]
    folders += [Path(folder) for folder in (local or tempfile.gettempdir()).split(",")]
    return min({_mount(folder) for folder in folders}, key=lambda mount: shutil.disk_usage(mount).free)


def _mount(folder: Path) -> Path:
    """The mount that the folder is on, or would be."""
    folder = folder.resolve()
    return next(place for place in (folder, *folder.parents) if place.is_mount())
