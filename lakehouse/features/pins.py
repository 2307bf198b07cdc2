"""Which versions of tables the online store answers from: maintenance spares what changed since them."""

from __future__ import annotations

from lakehouse.config import Project
from lakehouse.delta.pins import Pin
from lakehouse.features.cursor import Cursor
from lakehouse.features.settings import read_settings


def published(project: Project) -> list[Pin]:
    """A pin for each view that was published; none where nothing was, or where there are no features.

    Raises OnlineStoreError where the online store can't be read.
    """
    if not project.features.is_dir():
        return []
    cursors = [Cursor.of(text) for text in read_settings(project).cursors().values()]
    return [Pin(one.table_id, 0, one.version, f"view {one.view}", onward=True) for one in cursors if one is not None]
