"""What a silver table has to do, found without a JVM."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lakehouse.delta import Look, TableState, read_state
from lakehouse.errors import NotBuiltError
from lakehouse.silver.state import receipts
from lakehouse.tables.beside import beside
from lakehouse.tables.definition import Beside

Action = Literal["new", "rebuild", "merge", "unchanged"]


@dataclass(frozen=True)
class Work:
    """The batches ``after`` < batch ≤ ``upto`` of bronze pass through the table's function, and why."""

    action: Action
    why: str
    after: int
    upto: int
    address: str
    input_id: str
    """The id of the bronze table, and its epoch after a restore: one that was made anew has another."""
    epoch: int
    fingerprint: str
    state: TableState | None

    @property
    def origin(self) -> str:
        """The transaction id: a cursor counts under one table, input, epoch and definition."""
        return f"{self.address}:{self.input_id}:{self.epoch}:{self.fingerprint}"


def plan_silver(
    address: str,
    path: Path,
    memory: Path,
    fingerprint: str,
    bronze: TableState | None,
    batches: list[int],
    kept: Iterable[Beside] = (),
    look: Look = read_state,
) -> Work:
    """Compare a silver table with its bronze input. ``batches`` are the numbers of those that have landed, ascending;
    ``kept`` is what must stand beside the table.

    Raises NotBuiltError when nothing has landed in bronze yet.
    """
    if bronze is None or not batches:
        raise NotBuiltError(f"{address}: its bronze table has no data yet", hint="Run 'lakehouse ingest' first.")
    state, last = look(path), batches[-1]
    epoch = state.epoch if state is not None else 0
    # After a restore of bronze by hand nothing that was merged before counts: decisions may have gone with it.
    input_id = f"{bronze.id}.{bronze.epoch}" if bronze.epoch else bronze.id
    work = Work("new", "it is not there yet", -1, last, address, input_id, epoch, fingerprint, state)
    if state is None:
        return _up_to_what_was_judged(work, memory, batches)
    cursor = state.cursor(work.origin)
    why = _why_rebuild(state, fingerprint, cursor, batches, bronze) or _why_lost(work, cursor, memory, kept)
    if why:
        judged = _judged(work, memory)
        if cursor is None and state.fingerprint == fingerprint and not state.restored and judged in batches:
            # A rebuild was killed after its epoch began: what it judged is recorded, and is finished as it was.
            return replace(work, action="rebuild", why="a rebuild did not finish", upto=judged)
        return rebuild(work, memory, why)
    assert cursor is not None
    if cursor == last:
        return replace(work, action="unchanged", why="no new batches", after=cursor)
    new = sum(batch > cursor for batch in batches)
    work = replace(work, action="merge", why=f"{new} new batch{'es' if new > 1 else ''}", after=cursor)
    return _up_to_what_was_judged(work, memory, batches)


def rebuild(work: Work, memory: Path, why: str) -> Work:
    """The same work from the first batch on, in a new epoch.

    An epoch is the table version that it begins at: a number that no RESTORE can bring back, since restoring makes a
    version of its own. What was judged under the epoch before a kill is finished as it was.
    """
    assert work.state is not None
    fresh = replace(work, action="rebuild", why=why, after=-1, epoch=work.state.version + 1)
    judged = _judged(fresh, memory)
    return fresh if judged is None else replace(fresh, upto=judged)


def _judged(work: Work, memory: Path) -> int | None:
    """The last batch that was judged under the work's origin, recorded before the table was written."""
    return max((counts.upto for counts in receipts(memory, work.origin)), default=None)


def _up_to_what_was_judged(work: Work, memory: Path, batches: list[int]) -> Work:
    """A run that was killed may have judged a range that the table lacks: it is finished as it was."""
    judged = _judged(work, memory)
    return replace(work, upto=judged) if judged in batches and judged > work.after else work


def _why_lost(work: Work, cursor: int | None, memory: Path, kept: Iterable[Beside]) -> str:
    """Why the table can't go on: what a later range needs of those before is gone."""
    for what in kept:
        if what == "receipts":
            there = any(counts.upto == cursor for counts in receipts(memory, work.origin))
        else:
            there = read_state(beside(memory, what, work.origin)) is not None
        if not there:
            return f"what is kept beside it ({what}) is not there any more"
    return ""


def _why_rebuild(
    state: TableState, fingerprint: str, cursor: int | None, batches: list[int], bronze: TableState
) -> str:
    if state.fingerprint != fingerprint:
        return "its function, rules or settings changed"
    if state.restored:
        return "it was restored to an older version"
    if state.rebuild:
        return state.rebuild
    if cursor is None and not bronze.epoch:
        return "its bronze table is another one"
    if cursor not in batches:
        return "its bronze table was restored to an older version"
    return ""
