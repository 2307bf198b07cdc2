"""Pins: versions of tables that somebody still needs, so that maintenance spares them.

Each is a file of its own in one folder (ROOT/state/pins), named after what it says: pinning twice is pinning once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote

from deltalake import DeltaTable

from lakehouse.errors import StorageError


@dataclass(frozen=True)
class Pin:
    """One version of one table, and who needs it."""

    table_id: str
    epoch: int
    version: int
    by: str
    """Who: such as the name of a training set. It may unpin what it pinned, and nothing else."""
    onward: bool = False
    """Whether all changes since that version are needed too: the change feed from there on."""


def pin(folder: Path, path: Path, wanted: Pin) -> None:
    """Keep a version of the table in ``path`` readable until it is unpinned.

    Raises StorageError where the version is gone already; then nothing is pinned.
    """
    with holding(folder):
        file = folder / _name(wanted)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(asdict(wanted)))
        draft.replace(file)
        if not is_there(path, wanted):
            file.unlink(missing_ok=True)
            raise StorageError(
                f"{path}: version {wanted.version} can't be pinned: it is gone",
                hint="Pin a version while it is young: 'lakehouse maintain' spares what is younger than its "
                "--older-than.",
            )


def is_there(path: Path, wanted: Pin) -> bool:
    """Whether the version of the table in ``path`` can be read whole, and is that table's."""
    try:
        table = DeltaTable(str(path), version=wanted.version)
        files = table.get_add_actions().column("path").to_pylist()
        return str(table.metadata().id) == wanted.table_id and all((path / unquote(file)).exists() for file in files)
    except Exception:  # deltalake says it in many ways
        return False


def unpin(folder: Path, by: str) -> int:
    """Let go of all that somebody pinned; returns how many versions that were."""
    with holding(folder):
        own = [file for file, one in _read(folder) if one.by == by]
        for file in own:
            file.unlink(missing_ok=True)
    return len(own)


def pins(folder: Path) -> tuple[Pin, ...]:
    """Everything that is pinned, oldest version first."""
    return tuple(sorted((one for _, one in _read(folder)), key=lambda one: (one.table_id, one.version, one.by)))


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Nobody pins or unpins meanwhile: whoever removes files holds it from the look at the pins on."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _name(wanted: Pin) -> str:
    text = json.dumps([wanted.table_id, wanted.epoch, wanted.version, wanted.by, wanted.onward])
    return f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _read(folder: Path) -> Iterable[tuple[Path, Pin]]:
    for file in sorted(folder.glob("*.json")):
        try:
            yield file, Pin(**json.loads(file.read_text()))
        except FileNotFoundError:
            continue
        except (ValueError, TypeError) as error:
            # One that can't be read may be any version's: nothing is removed before somebody has looked.
            raise StorageError(f"{file} is no pin", hint="Delete it if nobody needs what it kept.") from error
