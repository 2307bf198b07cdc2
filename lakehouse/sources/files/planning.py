"""Find what a files source has since the last receipts, and look at it once."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.config import FilesSource
from lakehouse.errors import SourceChangedError, SourceUnavailableError
from lakehouse.sources.files.csv import inspect_csv
from lakehouse.sources.files.inspection import Inspection, bronze_name
from lakehouse.sources.files.jsonl import inspect_jsonl
from lakehouse.sources.files.parquet import inspect_parquet
from lakehouse.tables.batch import Batch, Landed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def plan_batch(name: str, source: FilesSource, folder: Path, landed: Iterable[Landed]) -> Batch | None:
    """The files that have not landed yet as one batch, or None when there are none. Reads bytes, writes nothing.

    ``folder`` is the project's. Raises SourceUnavailableError when the source's folder is not there, and
    SourceChangedError when a file changed after it landed: it names each, with what to do.
    """
    new = _new_files(name, source, folder, landed)
    if not new:
        return None
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        looked = list(pool.map(partial(_look, source), new))
    columns: dict[str, None] = {}
    for _, inspection in looked:
        columns.update(dict.fromkeys(bronze_name(column) for column in inspection.columns))
    return Batch(
        files=tuple(file for file, _ in looked),
        columns=tuple(columns),
        records=sum(inspection.records for _, inspection in looked),
        rejects=tuple(reject for _, inspection in looked for reject in inspection.rejects),
        read=partial(_read, source, folder, [(file.path, inspection) for file, inspection in looked]),
    )


def waiting_files(name: str, source: FilesSource, folder: Path, landed: Iterable[Landed]) -> list[str]:
    """The files that the next batch would take, without reading those that are new. Raises as plan_batch does."""
    return [shown for _, shown, _ in _new_files(name, source, folder, landed)]


def _new_files(
    name: str, source: FilesSource, folder: Path, landed: Iterable[Landed]
) -> list[tuple[Path, str, os.stat_result]]:
    absolute = Path(source.path).is_absolute()
    pattern = source.path if absolute else f"{glob.escape(str(folder))}/{source.path}"
    _require_folder(name, pattern)
    seen = {file.path: file for file in landed}
    new, changed = [], []
    for found in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - it takes absolute patterns too
        path = Path(os.path.normpath(found))
        if not path.is_file():
            continue
        shown = str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
        status, before = path.stat(), seen.get(shown)
        if before is None:
            new.append((path, shown, status))
        elif (status.st_size, status.st_mtime_ns) != (before.size, before.mtime_ns) and (
            status.st_size != before.size or _sha256(path) != before.sha256
        ):
            changed.append(f"{shown} (landed with {before.size:,} bytes, now {status.st_size:,})")
    if changed:
        raise SourceChangedError(
            f"sources.{name}: {len(changed)} file(s) changed after they landed: {', '.join(changed)}",
            hint="A file lands once. Put the old bytes back, and send what is new as a file with a new name.",
        )
    return new


def _require_folder(name: str, pattern: str) -> None:
    fixed = Path(pattern)
    while glob.has_magic(str(fixed)):
        fixed = fixed.parent
    if not (fixed if str(fixed) != pattern else fixed.parent).is_dir():
        raise SourceUnavailableError(
            f"sources.{name}: the folder of its path {pattern} is not there",
            hint="Create or mount it, or correct sources." + name + ".path in conf/.",
        )


def _look(source: FilesSource, found: tuple[Path, str, os.stat_result]) -> tuple[Landed, Inspection]:
    path, shown, before = found
    try:
        sha256 = _sha256(path)
        if source.format == "csv":
            inspection = inspect_csv(path, shown, source.delimiter)
        elif source.format == "json":
            inspection = inspect_jsonl(path, shown)
        else:
            inspection = inspect_parquet(path, shown)
        after = path.stat()
    except OSError as error:
        raise SourceUnavailableError(
            f"{shown}: can't be read: {error.strerror}", hint="Mend its permissions or its disk, then run again."
        ) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SourceUnavailableError(
            f"{shown}: it changed while it was read", hint="Run again when whatever writes it is done."
        )
    counts = (inspection.records, len(inspection.rejects))
    return Landed(shown, after.st_size, after.st_mtime_ns, sha256, *counts), inspection


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(source: FilesSource, folder: Path, files: list[tuple[str, Inspection]], session: SparkSession) -> DataFrame:
    from lakehouse.sources.files.reading import read_files

    return read_files(session, source, folder, files)
