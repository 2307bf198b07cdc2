"""What a gold table has to do, found without a JVM."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

from lakehouse.delta import Look, TableState, read_state
from lakehouse.delta.feed import NoFeedError, read_feed
from lakehouse.errors import DefinitionError, NotBuiltError
from lakehouse.gold.receipts import last_made_of
from lakehouse.tables import By, Table
from lakehouse.tables.notes import made_from

CHANGED = "its inputs changed"
TIMES = {"date", "timestamp", "timestamp_ntz", "timestampNtz"}
KINDS = TIMES | {"string", "byte", "short", "integer", "long"}
"""The types of a column by which a table can be refreshed, in Delta's words."""


@dataclass(frozen=True)
class Work:
    """What a gold table has to do, and why; found without a JVM."""

    action: Literal["new", "rebuild", "update", "unchanged"]
    why: str
    epoch: int
    fingerprint: str
    origin: str
    """The transaction id: the table, its epoch, its definition, and which inputs it was made of."""
    cursor: int
    """The versions that last changed the inputs, added up. They only grow, so no two sets of them have one sum under
    one origin."""
    versions: dict[str, int]
    """Each input's version, which the build reads whatever is committed meanwhile."""
    state: TableState | None
    since: dict[str, int] | None = None
    """The versions of the last build, where just what changed since has to be computed; None: the whole table."""
    split: tuple[str, ...] = ()
    """With ``refresh=by(…)``: the inputs that have the column; a change of another makes the whole table new."""
    by: str | None = None
    """The column of ``refresh=by(…)``."""

    def why_when(self, moving: Sequence[str]) -> str:
        """The same, as it will be when these inputs have changed too."""
        whole = self.whole_for(moving)
        if self.action == "unchanged" and moving:
            return "; ".join(filter(None, [f"{', '.join(moving)} changes", whole]))
        return f"{CHANGED}; {whole}" if whole and self.since is not None else self.why

    def whole_for(self, moving: Iterable[str]) -> str:
        """Why the whole table is computed when these inputs change; nothing where a part of it is."""
        lacking = [name for name in moving if name not in self.split]
        if self.by is None or not lacking:
            return ""
        return f"the whole table, for {', '.join(lacking)} has no '{self.by}' of the table's type"


def plan_gold(
    table: Table, fingerprint: str, path: Path, memory: Path, inputs: dict[str, Path], look: Look = read_state
) -> Work:
    """Compare a gold table with its inputs' newest versions.

    Raises NotBuiltError when an input is not there yet, and DefinitionError when the table can't be refreshed as it
    says.
    """
    address = table.address
    states = {name: look(folder) for name, folder in inputs.items()}
    there = {name: state for name, state in states.items() if state is not None}
    absent = [name for name in states if name not in there]
    if absent:
        raise NotBuiltError(f"{address}: {', '.join(absent)} is not built yet", hint="Run 'lakehouse build' first.")
    versions = {name: state.version for name, state in there.items()}
    ids = {name: state.id for name, state in there.items()}
    state = look(path)
    epoch = state.epoch if state is not None else 0
    work = Work(
        "new",
        "it is not there yet",
        epoch,
        fingerprint,
        "",
        sum(one.changed_at for one in there.values()),
        versions,
        state,
    )
    if isinstance(table.refresh, By):
        work = replace(work, by=table.refresh.column, split=_split(table, table.refresh, state, there))
    if state is not None and state.fingerprint != fingerprint:
        work = replace(work, action="rebuild", why="its function, rules or settings changed", epoch=state.version + 1)
    elif state is not None and state.restored:
        work = replace(work, action="rebuild", why="it was restored to an older version", epoch=state.version + 1)
    elif state is not None and state.rebuild:
        work = replace(work, action="rebuild", why=state.rebuild, epoch=state.version + 1)
    work = replace(work, origin=made_from(address, ids, work.epoch, fingerprint))
    if state is None or work.action == "rebuild":
        return work
    if state.cursor(work.origin) == work.cursor:
        return replace(work, action="unchanged", why="its inputs are as they were")
    work = replace(work, action="update", why=CHANGED)
    return work if work.by is None else _in_part(work, state, memory, inputs)


def _split(table: Table, by: By, state: TableState | None, inputs: dict[str, TableState]) -> tuple[str, ...]:
    """The inputs that have the column, with a type by which a table can be refreshed: the table's, where it is there.

    Raises DefinitionError where a row can't look back in the column.
    """
    name = by.asked
    kinds = {address: _kind(each.columns.get(name, "")) for address, each in inputs.items()}
    if by.days_of:
        return tuple(address for address, kind in kinds.items() if kind in TIMES)
    wanted = KINDS if state is None else {_kind(state.columns.get(name, ""))} & KINDS
    split = tuple(address for address, kind in kinds.items() if kind in wanted)
    for address in split if table.lookback is not None else ():
        check_lookback(table, f"{address} has '{name}' as {kinds[address]}", kinds[address])
    return split


def check_lookback(table: Table, which: str, kind: str) -> None:
    """Raise DefinitionError where rows can't look back in a column of this type."""
    if table.lookback is None:
        return
    if kind not in TIMES:
        raise DefinitionError(f"{table.address}: lookback= is for dates and times, and {which}", hint="Leave it out.")
    if kind == "date" and table.lookback % timedelta(days=1):
        raise DefinitionError(
            f"{table.address}: lookback= is no whole number of days, and {which}", hint="Write timedelta(days=2)."
        )


def _in_part(work: Work, state: TableState, memory: Path, inputs: dict[str, Path]) -> Work:
    """The same work, and which versions it starts from, or why the whole table is computed."""
    known = last_made_of(memory, work.origin, state.cursor(work.origin))
    if known is None or known.keys() != work.versions.keys():
        return replace(work, why=f"{work.why}; the whole table, for nothing tells what it was last made of")
    changed = []
    for name, version in work.versions.items():
        try:
            if read_feed(inputs[name], known[name], version).moved:
                changed.append(name)
        except NoFeedError as error:
            return replace(work, why=f"{work.why}; the whole table, for {name} {error}")
    if whole := work.whole_for(changed):
        return replace(work, why=f"{work.why}; {whole}")
    return replace(work, why=f"{work.why}; just what changed by '{work.by}'", since=known)


def _kind(shown: str) -> str:
    """The name of a primitive type; nothing for another."""
    return shown.removeprefix('PrimitiveType("').removesuffix('")') if shown.startswith("PrimitiveType") else ""
