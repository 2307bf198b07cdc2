"""Where a silver table keeps what stands beside its rows, each a Delta table of its own."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lakehouse.tables.definition import Beside

ORIGIN = "lakehouse.origin"
"""The property that holds the transaction id under which the table was made."""


def beside(state: Path, what: Beside, origin: str) -> Path:
    """``fold``: what must be remembered of deletes. ``versions``: rows that were replaced or deleted, and when.

    ``state`` is the folder of the table's receipts, ROOT/state/silver/NAME. Each origin has a table of its own, such as
    ROOT/state/silver/NAME.fold.1f0c9a5b: a rebuild that is given up leaves what was there before.
    """
    return state.with_name(f"{state.name}.{what}.{hashlib.sha256(origin.encode()).hexdigest()[:8]}")
