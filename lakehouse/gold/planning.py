"""What a gold table has to do, found without a JVM."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lakehouse.delta import TableState, read_state
from lakehouse.errors import NotBuiltError


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
    """The inputs' versions, added up. Versions only grow, so no two sets of them have one sum under one origin."""
    versions: dict[str, int]
    """Each input's version, which the build reads whatever is committed meanwhile."""
    state: TableState | None


def plan_gold(address: str, path: Path, fingerprint: str, inputs: dict[str, TableState | None]) -> Work:
    """Compare a gold table with its inputs' newest versions. Raises NotBuiltError when an input is not there yet."""
    there = {name: state for name, state in inputs.items() if state is not None}
    absent = [name for name in inputs if name not in there]
    if absent:
        raise NotBuiltError(f"{address}: {', '.join(absent)} is not built yet", hint="Run 'lakehouse build' first.")
    versions = {name: state.version for name, state in there.items()}
    made_of = ",".join(f"{name}={state.id}" for name, state in sorted(there.items()))
    mark = hashlib.sha256(made_of.encode()).hexdigest()[:16]
    state = read_state(path)
    epoch = state.epoch if state is not None else 0
    work = Work("new", "it is not there yet", epoch, fingerprint, "", sum(versions.values()), versions, state)
    if state is not None and state.fingerprint != fingerprint:
        work = replace(work, action="rebuild", why="its function, rules or settings changed", epoch=state.version + 1)
    elif state is not None and state.restored:
        work = replace(work, action="rebuild", why="it was restored to an older version", epoch=state.version + 1)
    work = replace(work, origin=f"{address}:{mark}:{work.epoch}:{fingerprint}")
    if state is None or work.action == "rebuild":
        return work
    if state.cursor(work.origin) == work.cursor:
        return replace(work, action="unchanged", why="its inputs are as they were")
    return replace(work, action="update", why="its inputs changed")
