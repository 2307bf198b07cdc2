"""List the files behind a pattern: each folder is scanned once, each file asked once for its size and times."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

ANY_DEPTH = "**"


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the folder has it now."""

    path: str
    """Where it is, absolute."""
    shown: str
    """Below the project's folder where it is there: what receipts and ``_file`` say."""
    size: int
    mtime_ns: int


def list_files(pattern: str, folder: Path) -> list[Listed]:
    """The regular files behind a source's pattern, by their path; what ``glob.glob`` finds, so ``*`` hides ``.x``.

    Links are followed, but not back into a folder that is being listed. What is taken away meanwhile is passed over.
    Raises OSError, with its file name, where a folder or a file can't be read.
    """
    absolute = pattern.startswith("/")
    parts = [part for part in pattern.split("/") if part]
    below = f"{folder}/"
    if {".", ".."} & set(parts):
        found = dict(_by_glob(pattern if absolute else f"{glob.escape(str(folder))}/{pattern}"))
    else:
        found = dict(_walk("/" if absolute else below, parts, ())) if parts else {}
    return [
        Listed(path, path.removeprefix(below), status.st_size, status.st_mtime_ns)
        for path, status in sorted(found.items())
    ]


def fixed_folder(pattern: str, folder: Path) -> Path:
    """The folder that a pattern begins with, up to its first part that stands for several names."""
    above = Path(pattern).parts[:-1]
    return folder.joinpath(*takewhile(lambda part: not glob.has_magic(part), above))


def _walk(folder: str, parts: list[str], above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, os.stat_result]]:
    """What is below ``folder``, which ends in a slash, and matches ``parts``; ``above`` are the folders we came by."""
    first, rest = parts[0], parts[1:]
    if not glob.has_magic(first):
        name = f"{folder}{first}"
        if rest:
            yield from _walk(f"{name}/", rest, above)
        elif (status := _status(name)) is not None and stat.S_ISREG(status.st_mode):
            yield name, status
        return
    if first == ANY_DEPTH and rest:
        yield from _walk(folder, rest, above)
    matches = re.compile(fnmatch.translate("*" if first == ANY_DEPTH else first)).match
    hidden = first.startswith(".")
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            name = entry.name
            if (name.startswith(".") and not hidden) or not matches(name):
                continue
            if rest or first == ANY_DEPTH:
                if not _is_folder(entry):
                    if not rest:
                        yield from _file(entry, folder)
                elif first == ANY_DEPTH:
                    yield from _deeper(f"{folder}{name}/", parts, above)
                else:
                    yield from _walk(f"{folder}{name}/", rest, above)
            else:
                yield from _file(entry, folder)


def _deeper(folder: str, parts: list[str], above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, os.stat_result]]:
    status = _status(folder)
    if status is not None and (status.st_dev, status.st_ino) not in above:
        yield from _walk(folder, parts, (*above, (status.st_dev, status.st_ino)))


def _file(entry: os.DirEntry[str], folder: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        status = entry.stat()
    except FileNotFoundError:
        return  # a link to nothing, or taken away just now
    if stat.S_ISREG(status.st_mode):  # not a folder, nor a pipe that would never end
        yield f"{folder}{entry.name}", status


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except FileNotFoundError:
        return False


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return None


def _by_glob(pattern: str) -> Iterator[tuple[str, os.stat_result]]:
    for found in glob.glob(pattern, recursive=True):  # noqa: PTH207
        path = os.path.normpath(found)
        if (status := _status(path)) is not None and stat.S_ISREG(status.st_mode):
            yield path, status
