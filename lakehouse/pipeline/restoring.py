"""Bring one table back to an older version, and say what follows of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from lakehouse.config import Project
from lakehouse.delta import locked, read_state
from lakehouse.delta.restoring import restore_version, version_of
from lakehouse.errors import NotBuiltError, UsageError
from lakehouse.pipeline.planning import Plan, plan_in
from lakehouse.pipeline.wording import in_words
from lakehouse.pipeline.workspace import Workspace
from lakehouse.spark import open_session


@dataclass(frozen=True)
class Restored:
    """One table after it: it was at version ``before``, and its rows are those of version ``to`` again."""

    address: str
    before: int
    to: int
    after: Plan
    """What the next run does with it and with all that reads it."""


def restore(project: Project, address: str, to: str, *, wait: float = 0.0) -> Restored:
    """Restore a table to a version (a number) or a moment (ISO, UTC where it names no zone), in a new epoch.

    The next run makes silver and gold anew from what they read; what landed in bronze since lands again. Raises
    UsageError for a table or version that never was, NotBuiltError, StorageError for a version that is gone, and
    LockedError when another run writes the table.
    """
    workspace = Workspace(project)
    (found,) = workspace.graph.select([_one(workspace, address)])
    path, wanted = project.path(found), _moment_or_version(to)
    with in_words(workspace, found):
        _restorable(found, workspace, wanted)  # before Spark's seconds
        spark = open_session(project)
        with locked(spark, {found: project.lock(found)}, wait=wait):
            before, version = _restorable(found, workspace, wanted)
            restore_version(spark, path, version)
    return Restored(found, before, version, plan_in(Workspace(project), [f"{found}+"]))


def _restorable(address: str, workspace: Workspace, wanted: int | datetime) -> tuple[int, int]:
    path = workspace.project.path(address)
    state = read_state(path)
    if state is None:
        raise NotBuiltError(f"{address} is not there yet", hint="Run 'lakehouse run' first.")
    version = version_of(path, wanted)
    if version == state.version:
        hint = "Name an older one: lakehouse show runs"
        if not address.startswith("bronze."):
            hint = f"To make it anew: lakehouse rebuild {address}"
        raise UsageError(f"{address} is at version {version} already", hint=hint)
    return state.version, version


def _one(workspace: Workspace, address: str) -> str:
    found = workspace.graph.select([address])
    if len(found) != 1:
        raise UsageError(f"'{address}' names {len(found)} tables: restore one", hint=f"One of: {', '.join(found)}")
    return found[0]


def _moment_or_version(text: str) -> int | datetime:
    if re.fullmatch(r"\d{1,18}", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--to: '{text}' is neither a version nor a time",
            hint="Such as --to 12, or --to 2026-11-17T06:00:00 (UTC).",
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
