"""What the receipts say about files: which have landed, with which bytes, and which changes were passed over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Landed:
    """A file that a batch took: what a later run compares with the folder."""

    path: str
    size: int
    mtime_ns: int
    sha256: str
    """Of the file as it is, packed or not."""
    records: int = 0
    rejects: int = 0
    replaces: str = ""
    """The sha256 that the file had when it landed before; nothing the first time. Those records stay in bronze."""

    def as_json(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in found.items() if name != "replaces" or value}


def landed_files(cursors: Iterable[dict[str, Any]]) -> list[Landed]:
    """Every file that has landed, as its receipt has it; one that was read again is there more than once."""
    return [Landed(**file) for cursor in cursors for file in cursor["files"]]


def ignored_changes(cursors: Iterable[dict[str, Any]]) -> list[Landed]:
    """Every change that was passed over after its file had landed, as its receipt has it."""
    return [Landed(**file) for cursor in cursors for file in cursor.get("ignored", ())]


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
