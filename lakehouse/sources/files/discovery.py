"""Compare the files that are there with those that have landed: what is new, has changed, or is still being written."""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lakehouse.config import FilesSource
from lakehouse.errors import ConfigError, ContractError, LakehouseError, SourceChangedError, SourceUnavailableError
from lakehouse.sources.files.landed import Landed, sha256
from lakehouse.sources.files.listing import Listed, fixed_folder, list_files

SHOWN = 5
"""Files that a sentence names; of the others it says how many there are."""


@dataclass(frozen=True)
class Found:
    """What a source's folder holds now, beside its receipts."""

    new: tuple[Listed, ...]
    changed: tuple[tuple[Listed, Landed], ...]
    """Other bytes than those that landed last: the file, and what its receipt says."""
    ignored: tuple[tuple[Listed, Landed], ...]
    """Changed, and to be passed over; no receipt says so yet."""
    left: tuple[tuple[Listed, str], ...]
    """Not still yet, and why: a later batch takes them."""
    known: tuple[Listed, ...]
    """Changed, passed over, and a receipt says so."""
    same: tuple[Listed, ...]
    """As they landed."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing for a batch."""
        return not (self.new or self.changed or self.ignored)


def discover(
    name: str,
    source: FilesSource,
    folder: Path,
    landed: Iterable[Landed],
    ignored: Iterable[Landed],
    now: Callable[[], datetime],
    *,
    refuse: bool = True,
) -> Found:
    """What is there now; a file's bytes are read only where its size or its time differ from its receipt's.

    ``folder`` is the project's. Of a path that landed more than once the newest entry counts. Raises
    SourceUnavailableError when the source's folder is not there or a file can't be read, ConfigError when its path
    names a folder, and SourceChangedError when a file changed after it landed and the source takes that for an error;
    without ``refuse`` it is just found.
    """
    before = {file.path: file for file in landed}
    passed = {file.path: file for file in ignored} if source.changed == "ignore" else {}
    try:
        _require_folder(name, source, folder)
        listed = list_files(source.path, folder)
    except OSError as error:
        raise unreadable(str(error.filename or source.path), error) from error
    if not listed:
        _require_pattern(name, source, folder)
    stillness = _Stillness(source, now)
    new, changed, skipped, left, known, same = [], [], [], [], [], []
    for file in listed:
        if stillness.is_marker(file):
            continue
        was = before.get(file.shown)
        if was is None:
            file = _in_utf8(file)
        elif _same(file, was):
            same.append(file)
            continue
        elif (passed_over := passed.get(file.shown)) is not None and _same(file, passed_over):
            known.append(file)
            continue
        reason = "" if was is not None and source.changed == "error" else stillness.why_not(file)
        if reason:
            left.append((file, reason))
        elif was is None:
            new.append(file)
        elif source.changed == "ignore":
            skipped.append((file, was))
        else:
            changed.append((file, was))
    if refuse and changed and source.changed == "error":
        raise _changed(name, changed)
    return Found(tuple(new), tuple(changed), tuple(skipped), tuple(left), tuple(known), tuple(same))


def _changed(name: str, changed: list[tuple[Listed, Landed]]) -> SourceChangedError:
    """What is said of changed files. Who mended one of which nothing landed must not put its old bytes back."""
    said: list[str] = []
    hints: list[str] = []
    landed = [(file, was) for file, was in changed if was.records or not was.rejects]
    if landed:
        told = [f"{file.shown} (landed with {was.size:,} bytes, now {file.size:,})" for file, was in landed]
        said.append(f"{len(told):,} file(s) changed after they landed: {named(told)}")
        hints.append(
            "A file lands once. Put the old bytes back and send what is new as a file with a new name, or say "
            f"what to do in conf/: sources.{name}.changed: reread, or ignore."
        )
    rejected = [file.shown for file, was in changed if was.rejects and not was.records]
    if rejected:
        said.append(f"{len(rejected):,} file(s) changed of which nothing landed, all was rejected: {named(rejected)}")
        hints.append(
            f"One that was rejected whole: lakehouse quarantine replay bronze.{name} --id ID --with FILE lands what it "
            f"is now; then move it away. Or let all of it land anew, in conf/: sources.{name}.changed: reread."
        )
    return SourceChangedError(f"sources.{name}: {'; '.join(said)}", hint="\n  ".join(hints))


def named(files: Sequence[str]) -> str:
    """Some files by name, and how many more there are."""
    more = len(files) - SHOWN
    return ", ".join(files[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def unreadable(shown: str, error: OSError) -> LakehouseError:
    hint = "Mend its permissions or its disk, then run again."
    if error.errno == errno.ENAMETOOLONG:
        hint = "Shorten the name, or correct the source's path in conf/."
    return SourceUnavailableError(f"{shown}: can't be read: {error.strerror or error}", hint=hint)


class _Stillness:
    """Whether a file is whole, as far as its age and its marker tell."""

    def __init__(self, source: FilesSource, now: Callable[[], datetime]) -> None:
        self._marker = source.marker or ""
        self._settle_ns = source.settle_s * 10**9
        self._said = source.settle
        self._now_ns = int(now().timestamp() * 1e6) * 1000 if self._settle_ns else 0
        self._markers: dict[str, int | None] = {}
        first, _, last = self._marker.partition("{name}")
        named = "{name}" in self._marker
        self._is_marker = re.compile(f"{re.escape(first)}.+{re.escape(last)}" if named else re.escape(first), re.DOTALL)

    def is_marker(self, file: Listed) -> bool:
        return bool(self._marker) and self._is_marker.fullmatch(file.path.rpartition("/")[2]) is not None

    def why_not(self, file: Listed) -> str:
        """Why the file is left for now, or nothing."""
        age_ns = self._now_ns - file.mtime_ns
        if self._settle_ns and age_ns < self._settle_ns:
            when = f"{age_ns // 10**9} s ago" if age_ns >= 0 else "in the future"
            return f"modified {when}, left until it is still for {self._said}"
        if not self._marker:
            return ""
        above, _, name = file.path.rpartition("/")
        marker = self._marker.replace("{name}", name)
        written_ns = self._written_ns(f"{above}/{marker}")
        if written_ns is None:
            return f"left until {marker} stands beside it"
        # A marker that came first says nothing about the bytes that came after it.
        return f"left until {marker} is as new as it" if written_ns < file.mtime_ns else ""

    def _written_ns(self, marker: str) -> int | None:
        """When the marker was written; one for a whole folder is asked once."""
        if marker not in self._markers:
            try:
                self._markers[marker] = os.stat(marker).st_mtime_ns  # noqa: PTH116
            except (FileNotFoundError, NotADirectoryError):
                self._markers[marker] = None
            except OSError as error:
                raise unreadable(marker, error) from error
        return self._markers[marker]


def _same(file: Listed, before: Landed) -> bool:
    if file.size != before.size:
        return False
    if file.mtime_ns == before.mtime_ns:
        return True
    try:
        return sha256(Path(file.path)) == before.sha256
    except FileNotFoundError:
        return True  # taken away just now: what has landed stays
    except OSError as error:
        raise unreadable(file.shown, error) from error


def _require_folder(name: str, source: FilesSource, folder: Path) -> None:
    fixed = fixed_folder(source.path, folder)
    if not fixed.is_dir():
        raise SourceUnavailableError(
            f"sources.{name}: the folder {fixed} is not there",
            hint=f"Create or mount it, or correct sources.{name}.path in conf/.",
        )


def _require_pattern(name: str, source: FilesSource, folder: Path) -> None:
    """A path that ends in the name of a folder finds no file, ever."""
    last = Path(source.path).name
    found = () if glob.has_magic(last) else glob.iglob(source.path, root_dir=folder, recursive=True)  # noqa: PTH207
    if any((folder / path).is_dir() for path in found):
        path = source.path.rstrip("/")
        raise ConfigError(
            f"sources.{name}.path: {source.path} is a folder",
            hint=f"Write {path}/* for the files in it, or {path}/**/* for those below it too.",
        )


def _in_utf8(file: Listed) -> Listed:
    try:
        file.shown.encode()
    except UnicodeEncodeError as error:
        raise ContractError(
            f"{file.shown!a}: the file's name is not UTF-8", hint="Rename it: no table can hold such a name."
        ) from error
    return file
