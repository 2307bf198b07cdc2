"""What a silver table has to do, found without a JVM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lakehouse.delta import TableState, read_state
from lakehouse.errors import NotBuiltError
from lakehouse.silver.state import receipts

Action = Literal["new", "rebuild", "merge", "unchanged"]


@dataclass(frozen=True)
class Work:
    """The batches ``after`` < batch ≤ ``upto`` of bronze pass through the table's function, and why."""

    action: Action
    why: str
    after: int
    upto: int
    epoch: int
    origin: str
    """The transaction id: the table, its input's id, its epoch and its definition."""
    state: TableState | None


def plan_silver(
    address: str, path: Path, memory: Path, fingerprint: str, bronze: TableState | None, batches: list[int]
) -> Work:
    """Compare a silver table with its bronze input. ``batches`` are the numbers of those that have landed, ascending.

    Raises NotBuiltError when nothing has landed in bronze yet.
    """
    if bronze is None or not batches:
        raise NotBuiltError(f"{address}: its bronze table has no data yet", hint="Run 'lakehouse ingest' first.")
    state, last = read_state(path), batches[-1]
    epoch = state.epoch if state is not None else 0
    origin = f"{address}:{bronze.id}:{epoch}:{fingerprint[:16]}"
    cursor = state.cursor(origin) if state is not None else None
    judged = max((counts.upto for counts in receipts(memory, origin)), default=-1)
    if state is None:
        return Work("new", "it is not there yet", -1, judged if judged in batches else last, epoch, origin, None)
    why = _why_rebuild(state, fingerprint, cursor, batches)
    if why:
        if cursor is None and state.fingerprint == fingerprint and not state.restored and judged in batches:
            # A rebuild was killed after its epoch began: what it judged is recorded, and is finished as it was.
            return Work("rebuild", "a rebuild did not finish", -1, judged, epoch, origin, state)
        return rebuild(Work("rebuild", why, -1, last, epoch, origin, state), memory, why)
    assert cursor is not None
    if cursor == last:
        return Work("unchanged", "no new batches", cursor, last, epoch, origin, state)
    upto = judged if judged in batches and judged > cursor else last
    new = sum(batch > cursor for batch in batches)
    return Work("merge", f"{new} new batch{'es' if new > 1 else ''}", cursor, upto, epoch, origin, state)


def rebuild(work: Work, memory: Path, why: str) -> Work:
    """The same work from the first batch on, in a new epoch.

    An epoch is the table version that it begins at: a number that no RESTORE can bring back, since restoring makes a
    version of its own. What was judged under the epoch before a kill is finished as it was.
    """
    assert work.state is not None
    epoch = work.state.version + 1
    parts = work.origin.split(":")
    origin = ":".join([*parts[:-2], str(epoch), parts[-1]])
    judged = max((counts.upto for counts in receipts(memory, origin)), default=work.upto)
    return Work("rebuild", why, -1, judged, epoch, origin, work.state)


def _why_rebuild(state: TableState, fingerprint: str, cursor: int | None, batches: list[int]) -> str:
    if state.fingerprint != fingerprint:
        return "its function, rules or settings changed"
    if state.restored:
        return "it was restored to an older version"
    if cursor is None:
        return "its bronze table is another one"
    if cursor not in batches:
        return "its bronze table was restored to an older version"
    return ""
