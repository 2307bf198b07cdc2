"""What a planned step will read and cost, and which features stand downstream of it, without a JVM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lakehouse.delta import TableState
from lakehouse.errors import LakehouseError
from lakehouse.features.downstream import View, applied_views
from lakehouse.pipeline.knowledge import expected_cost, known_lineage
from lakehouse.pipeline.lineage import Lineage
from lakehouse.pipeline.planning import Plan, Step
from lakehouse.pipeline.workspace import Workspace

UNKNOWN = "unknown until built"


@dataclass(frozen=True)
class Outlook:
    """One step's. A number that nobody knows before is None."""

    batches: int | None = None
    rows: int | None = None
    """Records of bronze, or rows of all inputs."""
    bytes: int | None = None
    """Of the inputs' files, where they are read whole."""
    more: bool = False
    """Whether steps before it will add to that."""
    seconds: float | None = None
    """By the last runs of this kind."""
    columns: tuple[str, ...] | None = None
    """Which columns change, as far as lineage tells; None: unknown until built, so it may be any."""
    features: tuple[str, ...] | None = ()
    """``view:feature`` that may change; None: features are there and were never applied."""
    by_column: bool = False
    """Whether the features were found column by column; else every feature of each view downstream is there."""


def outlooks(workspace: Workspace, plan: Plan) -> dict[str, Outlook]:
    """For each step that has something to do."""
    moving = {step.address: step for step in plan.steps if step.action not in ("unchanged", "blocked")}
    if not moving:
        return {}
    views = applied_views(workspace.project)
    found = {}
    for address, step in moving.items():
        columns = _changed(workspace, step)
        reached, exact = _reached(workspace, address, columns) if views else ({}, columns is not None)
        features = None if views is None else _features(views, reached)
        seconds = expected_cost(workspace, address, step.action)
        more = any(name in moving for name in step.inputs)
        found[address] = Outlook(
            **_reads(workspace, step), more=more, seconds=seconds, columns=columns, features=features, by_column=exact
        )
    return found


def _reads(workspace: Workspace, step: Step) -> dict[str, Any]:
    try:
        if step.address.startswith("silver."):
            work, receipts = workspace.work(step.address), workspace.receipts(step.inputs[0])
            upto = max(receipts.batches, default=-1)
            after = work.after if work.action != "unchanged" else upto
            batches = sum(after < batch <= upto for batch in receipts.batches)
            return {"batches": batches, "rows": receipts.landed(after, upto)}
        if step.address.startswith("gold."):
            states = [workspace.state(name) for name in step.inputs]
            return _sizes([state for state in states if state is not None])
    except LakehouseError:
        pass  # an input that is not there yet: what it will hold nobody knows
    return {}


def _sizes(states: list[TableState]) -> dict[str, Any]:
    rows, size = 0, 0
    for state in states:
        files = state.table.get_add_actions(flatten=True)
        counted = files.column("num_records").to_pylist()
        if None in counted:
            return {}
        rows += sum(counted)
        size += sum(files.column("size_bytes").to_pylist())
    return {"rows": rows, "bytes": size}


def _changed(workspace: Workspace, step: Step) -> tuple[str, ...] | None:
    """The columns that the step may change: all where rows come; by both lineages where its code changed."""
    address = step.address
    if address.startswith("bronze."):
        state = workspace.state(address)
        return tuple(state.columns) if state is not None else None
    now = known_lineage(workspace, address)
    if now is None:
        return None
    state = workspace.state(address)
    if step.action != "rebuild" or state is None or state.fingerprint == workspace.fingerprint(address):
        return tuple(now.columns)
    before = known_lineage(workspace, address, state.fingerprint)
    if before is None or before.texts[""] != now.texts[""]:
        return tuple(now.columns)
    names = dict.fromkeys([*before.columns, *now.columns])
    return tuple(name for name in names if before.texts.get(name) != now.texts.get(name))


def _reached(
    workspace: Workspace, address: str, columns: tuple[str, ...] | None
) -> tuple[dict[str, set[str] | None], bool]:
    """Of the table and of all downstream the columns that may change with these (None: any), and whether by column."""
    found: dict[str, set[str] | None] = {address: None if columns is None else set(columns)}
    exact = columns is not None
    for reader in workspace.graph.downstream(address):
        inputs = {name: found[name] for name in workspace.graph.inputs(reader) if name in found}
        lineage = known_lineage(workspace, reader)
        if lineage is None or None in inputs.values():
            found[reader], exact = None, False
            continue
        touched = {f"{name}.{column}" for name, those in inputs.items() for column in those or ()}
        found[reader] = _derived(lineage, touched)
    return found, exact


def _derived(lineage: Lineage, touched: set[str]) -> set[str]:
    if touched.intersection(lineage.rows):
        return set(lineage.columns)
    return {name for name, sources in lineage.columns.items() if touched.intersection(sources)}


def _features(views: list[View], reached: dict[str, set[str] | None]) -> tuple[str, ...]:
    found = []
    for view in views:
        if view.source not in reached:
            continue
        columns = reached[view.source]
        whole = columns is None or columns.intersection(view.keys)
        found += [f"{view.name}:{name}" for name, column in view.features.items() if whole or column in (columns or ())]
    return tuple(found)
