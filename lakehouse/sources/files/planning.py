"""Find what a files source has since the last receipts, and look at it once."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.config import FilesSource
from lakehouse.errors import ContractError, SourceChangedError, SourceUnavailableError
from lakehouse.sources.files.csv import inspect_csv
from lakehouse.sources.files.inspection import Inspection, bronze_name
from lakehouse.sources.files.jsonl import inspect_jsonl
from lakehouse.sources.files.parquet import inspect_parquet
from lakehouse.tables.batch import Batch, Part
from lakehouse.tables.quarantine import Again, Parsed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Landed:
    """A file that a batch took: what a later run compares with the folder."""

    path: str
    size: int
    mtime_ns: int
    sha256: str
    records: int
    rejects: int

    def as_json(self) -> dict[str, Any]:
        return dict(self.__dict__)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Landed:
        return cls(**{name: value[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Files:
    """Files of one format, found by a pattern; each lands once. A cursor lists the files that its batch took."""

    name: str
    source: FilesSource
    folder: Path
    """The project's."""

    def waiting(self, cursors: Sequence[dict[str, Any]]) -> str:
        count = len(waiting_files(self.name, self.source, self.folder, landed_files(cursors)))
        return _files(count, "new file") if count else ""

    def plan(self, session: SparkSession, cursors: Sequence[dict[str, Any]]) -> Batch | None:
        return plan_batch(self.name, self.source, self.folder, landed_files(cursors))

    def again(self, rejects: Sequence[Again], scratch: Path) -> Parsed:
        from lakehouse.sources.files.again import parse_again

        return parse_again(self.source, self.folder, rejects, scratch)


def landed_files(cursors: Iterable[dict[str, Any]]) -> list[Landed]:
    """Every file that has landed, as its receipt has it."""
    return [Landed.from_json(file) for cursor in cursors for file in cursor["files"]]


def plan_batch(name: str, source: FilesSource, folder: Path, landed: Iterable[Landed]) -> Batch | None:
    """The files that have not landed yet as one batch, or None when there are none. Reads bytes, writes nothing.

    ``folder`` is the project's. Raises SourceUnavailableError when the source's folder is not there or a file can't
    be read, and SourceChangedError when a file changed after it landed: it names each, with what to do.
    """
    new = _new_files(name, source, folder, landed)
    if not new:
        return None
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        looked = list(pool.map(partial(look, source, folder), new))
    files = tuple(file for file, _ in looked)
    return Batch(
        cursor={"files": [file.as_json() for file in files]},
        took=_files(len(files), "file"),
        parts=tuple(Part(file.path, tuple(map(bronze_name, inspection.columns))) for file, inspection in looked),
        records=sum(inspection.records for _, inspection in looked),
        rejects=tuple(reject for _, inspection in looked for reject in inspection.rejects),
        read=partial(_read, source, folder, [(file.path, inspection) for file, inspection in looked]),
        require_unchanged=partial(_require_unchanged, folder, files),
    )


def waiting_files(name: str, source: FilesSource, folder: Path, landed: Iterable[Landed]) -> list[str]:
    """The files that the next batch would take, without reading those that are new. Raises as plan_batch does."""
    return [shown for _, shown, _ in _new_files(name, source, folder, landed)]


def _new_files(
    name: str, source: FilesSource, folder: Path, landed: Iterable[Landed]
) -> list[tuple[Path, str, os.stat_result]]:
    _require_folder(name, source, folder)
    pattern = source.path if Path(source.path).is_absolute() else f"{glob.escape(str(folder))}/{source.path}"
    seen = {file.path: file for file in landed}
    new, changed = [], []
    for found in sorted({os.path.normpath(path) for path in glob.glob(pattern, recursive=True)}):  # noqa: PTH207
        path = Path(found)
        shown = str(path.relative_to(folder)) if path.is_relative_to(folder) else found
        try:
            status, before = path.stat(), seen.get(shown)
            if not stat.S_ISREG(status.st_mode):
                continue  # a folder, or a pipe that would never end
            if before is None:
                new.append((path, _in_utf8(shown), status))
            elif (status.st_size, status.st_mtime_ns) != (before.size, before.mtime_ns) and (
                status.st_size != before.size or _sha256(path) != before.sha256
            ):
                changed.append(f"{shown} (landed with {before.size:,} bytes, now {status.st_size:,})")
        except FileNotFoundError:
            continue  # a link to nothing, or taken away just now
        except OSError as error:
            raise _unreadable(shown, error) from error
    if changed:
        raise SourceChangedError(
            f"sources.{name}: {len(changed)} file(s) changed after they landed: {', '.join(changed)}",
            hint="A file lands once. Put the old bytes back, and send what is new as a file with a new name.",
        )
    return new


def _require_folder(name: str, source: FilesSource, folder: Path) -> None:
    above = Path(source.path).parts[:-1]
    fixed = folder.joinpath(*takewhile(lambda part: not glob.has_magic(part), above))
    if not fixed.is_dir():
        raise SourceUnavailableError(
            f"sources.{name}: the folder {fixed} is not there",
            hint=f"Create or mount it, or correct sources.{name}.path in conf/.",
        )


def _in_utf8(shown: str) -> str:
    try:
        shown.encode()
    except UnicodeEncodeError as error:
        raise ContractError(
            f"{shown!a}: the file's name is not UTF-8", hint="Rename it: no table can hold such a name."
        ) from error
    return shown


def look(source: FilesSource, folder: Path, found: tuple[Path, str, os.stat_result]) -> tuple[Landed, Inspection]:
    """Inspect one file by its format. Raises SourceUnavailableError where it can't be read or changes meanwhile."""
    path, shown, before = found
    try:
        sha256 = _sha256(path)
        if source.format == "csv":
            inspection = inspect_csv(path, shown, source.delimiter)
        elif source.format == "json":
            inspection = inspect_jsonl(path, shown)
        else:
            inspection = inspect_parquet(path, shown)
    except OSError as error:
        raise _unreadable(shown, error) from error
    counts = (inspection.records, len(inspection.rejects))
    file = Landed(shown, before.st_size, before.st_mtime_ns, sha256, *counts)
    _require_unchanged(folder, (file,))
    return file, inspection


def _require_unchanged(folder: Path, files: Iterable[Landed]) -> None:
    for file in files:
        try:
            status = (folder / file.path).stat()
        except OSError as error:
            raise _unreadable(file.path, error) from error
        if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
            raise SourceUnavailableError(
                f"{file.path}: it changed while it was read", hint="Run again when whatever writes it is done."
            )


def _unreadable(shown: str, error: OSError) -> SourceUnavailableError:
    return SourceUnavailableError(
        f"{shown}: can't be read: {error.strerror or error}", hint="Mend its permissions or its disk, then run again."
    )


def _files(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' if count > 1 else ''}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(source: FilesSource, folder: Path, files: list[tuple[str, Inspection]], session: SparkSession) -> DataFrame:
    from lakehouse.sources.files.reading import read_files

    return read_files(session, source, folder, files)
