"""Which versions of tables the online store answers from: maintenance spares what changed since them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

from lakehouse.config import Project
from lakehouse.delta.pins import Pin
from lakehouse.errors import StorageError
from lakehouse.features.settings import read_settings


def published(project: Project) -> list[Pin]:
    """A pin for each view that was published; none where nothing was, or where there are no features.

    Raises StorageError where the online store's file can't be read.
    """
    if not project.features.is_dir():
        return []
    settings = read_settings(project)
    file = settings.online_file
    if file is None or not file.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=30)) as database:
            known = "SELECT 1 FROM sqlite_master WHERE name = 'lakehouse_published'"
            rows = (
                database.execute("SELECT view, mark FROM lakehouse_published").fetchall()
                if (database.execute(known).fetchone())
                else []
            )
    except sqlite3.Error as error:
        raise StorageError(
            f"the online store {file} can't be read: {error}", hint="Free it, then run again."
        ) from error
    marks = [(view, json.loads(mark)) for view, mark in rows]
    return [Pin(mark["table_id"], 0, mark["version"], f"view {view}", onward=True) for view, mark in marks]
