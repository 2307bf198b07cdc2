"""Remove what no kept version needs: files that none of them lists, and entries of the log before all of them.

A version is kept while it is younger than the retention, since somebody may be reading it, and as long as it is pinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

from deltalake import DeltaTable

from lakehouse.delta.log import actions, checkpoints, commits, version_at
from lakehouse.delta.pins import Pin
from lakehouse.delta.state import TableState

CHANGES = "_change_data"


@dataclass(frozen=True)
class Litter:
    """What can go, and how much it is."""

    files: tuple[Path, ...] = ()
    bytes: int = 0
    entries: tuple[Path, ...] = ()
    """Of the log."""
    notes: tuple[str, ...] = field(default=())


def find_litter(state: TableState, before: datetime, pins: Iterable[Pin] = ()) -> Litter:
    """What of the table's folder nobody needs who began to read after a moment (UTC), or has pinned a version.

    Call it with nobody else writing the table and nobody pinning: see :func:`lakehouse.delta.pins.holding`.
    """
    path = state.path
    own = [_moved(pin, state) for pin in pins if pin.table_id == state.id and pin.version <= state.version]
    since = version_at(path, before)
    known = [version for version, _ in commits(path)]
    oldest = since if since is not None else min(known, default=state.version)
    oldest = min([oldest, *(pin.version for pin in own if pin.onward)])
    notes: list[str] = []
    kept = _listed_from(path, oldest, state.version)
    if kept is None:
        return Litter(notes=(f"version {oldest} can't be read: nothing is removed",))
    for pin in own:
        files = _snapshot(path, pin.version)
        if files is None:
            notes.append(f"version {pin.version}, pinned by {pin.by}, can't be read any more")
        kept |= files or set()
    there = dict(_data_files(path))
    if not (_snapshot(path, state.version) or set()) <= there.keys():
        # Whatever the reason, what is not seen where the log says it is could be taken for something else.
        return Litter(notes=(f"files of version {state.version} are not where its log says: nothing is removed",))
    old = [(file, stat) for file, stat in there.items() if file not in kept and stat[0] < before.timestamp()]
    # The commit that last changed something is kept too: by it whoever follows the table knows that nothing is new.
    entries = _entries(path, min([oldest, state.changed_at, *(pin.version for pin in own)]))
    return Litter(tuple(file for file, _ in old), sum(size for _, (_, size) in old), tuple(entries), tuple(notes))


def remove(litter: Litter) -> None:
    """Oldest entries of the log first, so that what is left of it always begins with a checkpoint."""
    for file in (*litter.entries, *litter.files):
        file.unlink(missing_ok=True)
        file.with_name(f".{file.name}.crc").unlink(missing_ok=True)
    for folder in {file.parent for file in litter.files}:
        if "=" in folder.name:
            with suppress(OSError):  # what else is there stays
                folder.rmdir()


def _moved(pin: Pin, state: TableState) -> Pin:
    """Whoever needs just what changed since a version needs nothing of the past where nothing did."""
    return replace(pin, version=state.version) if pin.onward and pin.version >= state.changed_at else pin


def _listed_from(path: Path, version: int, newest: int) -> set[Path] | None:
    """Every file that one of these versions lists, or the feed of changes since; None where one can't be read."""
    found = _snapshot(path, version)
    last = _snapshot(path, newest)
    if found is None or last is None:
        return None
    for number, file in commits(path):
        if version < number <= newest:
            for action in actions(file):
                one = action.get("add") or action.get("cdc")
                if one is not None:
                    found.add(path / unquote(one["path"]))
    return found | last


def _snapshot(path: Path, version: int) -> set[Path] | None:
    try:
        files = DeltaTable(str(path), version=version).get_add_actions().column("path").to_pylist()
    except Exception:  # deltalake says it in many ways
        return None
    return {path / unquote(file) for file in files}


def _data_files(path: Path) -> Iterator[tuple[Path, tuple[float, int]]]:
    """The Parquet files below the table's folder, each with its time and size. What else lies there is not ours."""
    for file in path.rglob("*.parquet"):
        first = file.relative_to(path).parts[0]
        hidden = first.startswith((".", "_")) and "=" not in first and first != CHANGES
        if not hidden and not file.name.startswith("."):
            with suppress(FileNotFoundError):
                stat = file.stat()
                yield file, (stat.st_mtime, stat.st_size)


def _entries(path: Path, version: int) -> list[Path]:
    """Entries of the log that no version from this one on needs: what is before the newest checkpoint up to it."""
    upto = [one for one in checkpoints(path) if one <= version]
    if not upto:
        return []
    log = path / "_delta_log"
    numbered = ((file.name.partition(".")[0], file) for file in log.glob("[0-9]*"))
    old = [(int(number), file) for number, file in numbered if number.isdigit() and int(number) < upto[-1]]
    return [file for _, file in sorted(old)]
