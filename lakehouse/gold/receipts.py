"""What a gold table remembers beside it of each build: which versions of its inputs it reads, and what its rules found.

It is written before the table's own commit. The table's cursor says which receipt counts, so one that was written by a
run that was killed before it committed counts for nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta import Commit, read_state, remember_notes
from lakehouse.tables.notes import noted, receipt_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.gold.planning import Work
    from lakehouse.quality.gate import Gate
    from lakehouse.tables import Table


def last_made_of(memory: Path, origin: str, cursor: int | None) -> dict[str, int] | None:
    """The inputs' versions at the build that left this cursor, read without a JVM; None where nothing tells them."""
    state = read_state(memory)
    found = None if state is None or cursor is None else receipt_of(state, origin, cursor)
    return None if found is None else dict(found["versions"])


def record(session: SparkSession, memory: Path, table: Table, work: Work, gate: Gate) -> None:
    """Remember both in one commit, made at most once: the versions where ``refresh=by(…)`` will ask for them, and what
    windows the tiles are for; what the rules found where there are some.
    """
    rows = gate.rows(work.cursor)
    if work.by is not None:
        windows = {"windows": table.windows.text} if table.windows else {}
        told = json.dumps({"versions": work.versions, **windows})
        rows.append({"_kind": "receipt", "_batch": work.cursor, "_receipt": told})
    if rows:
        commit = Commit(f"{work.origin}:receipt", work.cursor, "what the table is about to be made of")
        remember_notes(session, commit, noted(rows, work.origin), memory)
