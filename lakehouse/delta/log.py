"""The files of a table's log, read without a JVM: what each commit did, and when."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

QUIET = ("SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "CLUSTER BY")
"""Operations that change the table's metadata, and none of its rows or columns."""


def commits(path: Path) -> list[tuple[int, Path]]:
    """The commits that the table's log still has, oldest first: the version and the file of each."""
    files = (file for file in (path / "_delta_log").glob("*.json") if file.stem.isdigit())
    return sorted((int(file.stem), file) for file in files)


def checkpoints(path: Path) -> list[int]:
    """The versions that a checkpoint holds whole, oldest first."""
    found = (file.name.partition(".")[0] for file in (path / "_delta_log").glob("*.checkpoint*.parquet"))
    return sorted({int(version) for version in found if version.isdigit()})


def actions(file: Path) -> Iterator[dict[str, Any]]:
    """What one commit says, action by action."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def committed_at(file: Path) -> datetime:
    """When a commit was made (UTC): as it says itself, else as its file does."""
    for action in actions(file):
        if "timestamp" in action.get("commitInfo", {}):
            return datetime.fromtimestamp(action["commitInfo"]["timestamp"] / 1000, UTC)
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def described(path: Path, version: int) -> tuple[str | None, str]:
    """The operation and the note of one commit; None and nothing where the log does not have it any more."""
    file = path / "_delta_log" / f"{version:020}.json"
    try:
        found: dict[str, Any] = next((one["commitInfo"] for one in actions(file) if "commitInfo" in one), {})
    except FileNotFoundError:
        return None, ""
    return str(found.get("operation", "")), str(found.get("userMetadata") or "")


def fingerprint(path: Path, version: int) -> str:
    """Tells one commit from any other that has its number, in another history; nothing where the log hasn't it."""
    try:
        return hashlib.sha256((path / "_delta_log" / f"{version:020}.json").read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def version_at(path: Path, moment: datetime) -> int | None:
    """The last version that was committed up to a moment (UTC), as far as the log still goes back; else None."""
    for version, file in reversed(commits(path)):
        if committed_at(file) <= moment:
            return version
    return None


def changed_at(path: Path, version: int) -> int:
    """The last version up to this one that changed rows or columns: compaction, properties, empty commits do not.

    Where the log does not go back that far, the oldest that can't be told: it never becomes smaller.
    """
    while version > 0:
        file = path / "_delta_log" / f"{version:020}.json"
        if not file.is_file() or _changes(file):
            return version
        version -= 1
    return version


def _changes(file: Path) -> bool:
    operation = ""
    metadata = False
    for action in actions(file):
        operation = action.get("commitInfo", {}).get("operation", operation)
        metadata = metadata or "metaData" in action
        one = action.get("add") or action.get("remove")
        if one is not None and one.get("dataChange", True):
            return True
    return metadata and operation not in QUIET
