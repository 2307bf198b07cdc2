"""Where a silver table keeps what stands beside its rows, each a Delta table of its own."""

from __future__ import annotations

from pathlib import Path

from lakehouse.tables.definition import Beside


def beside(state: Path, what: Beside) -> Path:
    """``fold``: what must be remembered of deletes. ``versions``: rows that were replaced or deleted, and when.

    ``state`` is the folder of the table's receipts: ROOT/state/silver/NAME gives ROOT/state/silver/NAME.fold.
    """
    return state.with_name(f"{state.name}.{what}")
