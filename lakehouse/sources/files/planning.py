"""Plan a batch of files: those that are new or changed, each looked at once before Spark sees it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.config import FilesSource
from lakehouse.errors import ContractError, SourceUnavailableError
from lakehouse.sources.files.binary import inspect_binary
from lakehouse.sources.files.csv import inspect_csv
from lakehouse.sources.files.discovery import Found, discover, named, unreadable
from lakehouse.sources.files.inspection import LARGEST_REJECT, Inspection, bronze_name, whole_file
from lakehouse.sources.files.joining import SMALL
from lakehouse.sources.files.jsonl import inspect_jsonl
from lakehouse.sources.files.landed import Landed, ignored_changes, landed_files, sha256
from lakehouse.sources.files.listing import Listed
from lakehouse.sources.files.misfits import tell_apart
from lakehouse.sources.files.packed import Scratch, UnpackError, packing, unpack
from lakehouse.sources.files.parquet import inspect_parquet
from lakehouse.sources.files.text import inspect_text
from lakehouse.tables.batch import Batch, Frames, Part, Waiting
from lakehouse.tables.quarantine import Again, Parsed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

UNPACKED = ("csv", "json", "text")
"""Formats whose files may be packed."""


def clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Files:
    """Files of one format, found by a pattern; each lands once. A cursor lists the files that its batch took."""

    name: str
    source: FilesSource
    folder: Path
    """The project's."""
    now: Callable[[], datetime] = clock

    def waiting(self, cursors: Sequence[dict[str, Any]]) -> Waiting:
        found = discover(self.name, self.source, self.folder, landed_files(cursors), ignored_changes(cursors), self.now)
        counted = (
            (len(found.new), "new file"),
            (len(found.changed), "changed file"),
            (len(found.ignored), "change to pass over", "changes to pass over"),
        )
        return Waiting(", ".join(_count(*words) for words in counted if words[0]), _left(found))

    def plan(self, session: SparkSession, cursors: Sequence[dict[str, Any]]) -> Batch | None:
        landed, ignored = landed_files(cursors), ignored_changes(cursors)
        return plan_batch(self.name, self.source, self.folder, landed, ignored, self.now)

    def again(self, session: SparkSession, rejects: Sequence[Again], scratch: Path) -> Parsed:
        from lakehouse.sources.files.again import parse_again

        return parse_again(self.source, self.folder, rejects, scratch)


def plan_batch(
    name: str,
    source: FilesSource,
    folder: Path,
    landed: Iterable[Landed],
    ignored: Iterable[Landed] = (),
    now: Callable[[], datetime] = clock,
) -> Batch | None:
    """The files that have not landed yet as one batch, or None when there are none. Reads bytes, and writes nothing
    but unpacked copies, which ``close`` removes.

    ``folder`` is the project's. Raises SourceUnavailableError when the source's folder is not there or a file can't
    be read, and SourceChangedError when a file changed after it landed: it names each, with what to do.
    """
    found = discover(name, source, folder, landed, ignored, now)
    if found.empty:
        return None
    scratch = Scratch(folder)
    replaced = {file.path: was for file, was in found.changed}
    taken = sorted([*found.new, *(file for file, _ in found.changed)], key=lambda file: file.path)
    try:
        one = partial(look, source, folder, scratch, replaced)
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
            # What a small file takes is Python's own work, of which threads do one thing at a time.
            large = {file.path: pool.submit(one, file) for file in taken if file.size > SMALL}
            looked = [large[file.path].result() if file.path in large else one(file) for file in taken]
    except BaseException:
        scratch.close()
        raise
    files = tuple(file for file, _ in looked)
    cursor: dict[str, Any] = {"files": [file.as_json() for file in files]}
    if found.ignored:
        cursor["ignored"] = [_passed_over(file).as_json() for file, _ in found.ignored]
    inspected = [(file.path, inspection) for file, inspection in looked]
    batch = Batch(
        cursor=cursor,
        took=_count(len(files), "file"),
        parts=tuple(Part(path, tuple(map(bronze_name, inspection.columns))) for path, inspection in inspected),
        records=sum(inspection.records for _, inspection in inspected),
        rejects=tuple(reject for _, inspection in inspected for reject in inspection.rejects),
        read=partial(_read, source, folder, inspected, scratch),
        require_unchanged=partial(_require_unchanged, folder, files),
        note=_note(found),
        close=scratch.close,
    )
    return replace(batch, apart=partial(_apart, source, folder, inspected, scratch, batch))


def _apart(
    source: FilesSource,
    folder: Path,
    files: list[tuple[str, Inspection]],
    scratch: Scratch,
    batch: Batch,
    session: SparkSession,
    judge: Callable[[Frames], DataFrame],
) -> Batch:
    """The batch without its misfits, which are rejects; the counts of their files are told anew."""
    split, misfits = tell_apart(session, source, folder, files, judge)
    told = {path: len(rejects) for path, rejects in misfits.items()}
    counted = [
        file
        | {
            "records": file["records"] - told.get(file["path"], 0),
            "rejects": file["rejects"] + told.get(file["path"], 0),
        }
        for file in batch.cursor["files"]
    ]
    assert batch.records is not None
    return replace(
        batch,
        cursor=batch.cursor | {"files": counted},
        records=batch.records - sum(told.values()),
        rejects=(*batch.rejects, *(reject for rejects in misfits.values() for reject in rejects)),
        read=partial(_read, source, folder, split, scratch),
    )


def look(
    source: FilesSource, folder: Path, scratch: Scratch, replaced: dict[str, Landed], listed: Listed
) -> tuple[Landed, Inspection]:
    """Inspect one file by its format. Raises SourceUnavailableError where it can't be read or changes meanwhile."""
    path, shown = Path(listed.path), listed.shown
    try:
        digest = sha256(path)
        kind = packing(path) if source.format in UNPACKED else ""
        if kind:
            inspection = _inspect_packed(source, path, shown, kind, scratch.new_file())
        else:
            inspection = _inspect(source, path, shown)
    except OSError as error:
        raise unreadable(shown, error) from error
    _require_small(inspection)
    before = replaced.get(listed.path)
    counts = (inspection.records, len(inspection.rejects))
    file = Landed(shown, listed.size, listed.mtime_ns, digest, *counts, before.sha256 if before else "")
    _require_unchanged(folder, (file,))
    return file, inspection


def _require_small(inspection: Inspection) -> None:
    for reject in inspection.rejects:
        if len(reject.raw) > LARGEST_REJECT:
            raise ContractError(
                f"{reject.file}: line {reject.line:,}: {reject.reason}",
                hint="It is too large to be kept in quarantine: mend the file, or move it away.",
            )


def _inspect(source: FilesSource, path: Path, shown: str) -> Inspection:
    if source.format == "csv":
        return inspect_csv(path, shown, source.delimiter)
    if source.format == "json":
        return inspect_jsonl(path, shown)
    if source.format == "parquet":
        return inspect_parquet(path, shown)
    return inspect_text(path, shown) if source.format == "text" else inspect_binary(path, shown)


def _inspect_packed(source: FilesSource, path: Path, shown: str, kind: str, copy: Path) -> Inspection:
    """Look at an unpacked copy. A file that is quarantined whole is kept as it is packed."""
    try:
        unpack(path, kind, copy)
    except UnpackError as error:
        copy.unlink(missing_ok=True)
        return whole_file(path, shown, str(error))
    inspection = _inspect(source, copy, shown)
    if not inspection.columns and [reject.line for reject in inspection.rejects] == [0]:
        return whole_file(path, shown, inspection.rejects[0].reason)
    return replace(inspection, copy=copy)


def _passed_over(listed: Listed) -> Landed:
    try:
        return Landed(listed.shown, listed.size, listed.mtime_ns, sha256(Path(listed.path)))
    except OSError as error:
        raise unreadable(listed.shown, error) from error


def _require_unchanged(folder: Path, files: Iterable[Landed]) -> None:
    for file in files:
        try:
            status = os.stat(f"{folder}/{file.path}" if file.path[0] != "/" else file.path)  # noqa: PTH116
        except OSError as error:
            raise unreadable(file.path, error) from error
        if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
            raise SourceUnavailableError(
                f"{file.path}: it changed while it was read", hint="Run again when whatever writes it is done."
            )


def _note(found: Found) -> str:
    said = (
        ("read again: ", [file.shown for file, _ in found.changed]),
        ("changed and passed over: ", [file.shown for file, _ in found.ignored]),
    )
    return "; ".join(filter(None, [*(what + named(files) for what, files in said if files), _left(found)]))


def _left(found: Found) -> str:
    return named([f"{file.shown} ({why})" for file, why in found.left])


def _count(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _read(
    source: FilesSource, folder: Path, files: list[tuple[str, Inspection]], scratch: Scratch, session: SparkSession
) -> Frames:
    from lakehouse.sources.files.reading import read_files

    return read_files(session, source, folder, files, scratch)
