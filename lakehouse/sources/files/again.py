"""Parse rejects once more, each alone and by the inspection that every file passes: settings or the engine changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.config import FilesSource
from lakehouse.errors import LakehouseError
from lakehouse.sources.files.inspection import MARK, Inspection, bronze_name
from lakehouse.sources.files.listing import Listed
from lakehouse.sources.files.misfits import tell_apart
from lakehouse.sources.files.packed import Scratch
from lakehouse.sources.files.planning import look
from lakehouse.tables.batch import Batch, Frames, Part
from lakehouse.tables.quarantine import Again, Parsed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def parse_again(source: FilesSource, folder: Path, rejects: Sequence[Again], scratch: Path) -> Parsed:
    """Inspect each reject as a file of its own below ``scratch``: a record behind its file's header, a file as it is.

    A record must be exactly one record now, or it stays a reject. Of a file that was rejected whole all records land,
    and what is none is a reject of the new batch.
    """
    unpacked = Scratch(folder)
    reasons: list[str] = []
    sound: list[tuple[Again, str, Inspection]] = []
    for number, one in enumerate(rejects):
        path = scratch / f"{_before(source, one)}{number}{_suffixes(one.reject.file)}"
        path.write_bytes(_content(source, one))
        shown = str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
        status = path.stat()
        listed = Listed(str(path), shown, status.st_size, status.st_mtime_ns)
        try:
            inspection = look(source, folder, unpacked, {}, listed)[1]
        except LakehouseError as error:
            reasons.append(error.message)
            continue
        reason = _still_rejected(one, inspection)
        reasons.append(reason)
        if not reason:
            sound.append((one, shown, inspection))
    if not sound:
        unpacked.close()
        return Parsed(tuple(reasons), None)
    return Parsed(tuple(reasons), replace(_batch(source, folder, sound), close=unpacked.close))


def _content(source: FilesSource, one: Again) -> bytes:
    if one.whole or source.format == "parquet":
        return one.reject.raw
    header = b""
    if source.format == "csv":
        names = ('"' + name.replace('"', '""') + '"' for name in one.columns)
        header = source.delimiter.join(names).encode() + b"\n"
    # The first line of a file may have its mark still; where any other begins with one, that is a part of it.
    return MARK + header + (one.reject.raw if one.reject.offset else one.reject.raw.removeprefix(MARK))


def _before(source: FilesSource, one: Again) -> str:
    """What the name of a record's file begins with: Spark passes over such a name, so that we split it ourselves."""
    return "" if one.whole or source.format == "parquet" else "_"


def _still_rejected(one: Again, inspection: Inspection) -> str:
    if inspection.rejects and (not one.whole or not inspection.records):
        return inspection.rejects[0].reason
    if not one.whole and inspection.records != 1:
        return f"it is {inspection.records:,} records, not one"
    return ""


def _batch(source: FilesSource, folder: Path, sound: list[tuple[Again, str, Inspection]]) -> Batch:
    rejects = tuple(
        replace(found, file=one.reject.file) for one, _, inspection in sound for found in inspection.rejects
    )
    batch = Batch(
        cursor={},
        took=f"{len(sound):,} reject{'s' if len(sound) > 1 else ''} again",
        parts=tuple(Part(one.reject.file, _columns(one, inspection)) for one, _, inspection in sound),
        records=sum(inspection.records for _, _, inspection in sound),
        rejects=rejects,
        read=partial(_read, source, folder, sound),
    )
    return replace(batch, apart=partial(_apart, source, folder, sound, batch))


def _apart(
    source: FilesSource,
    folder: Path,
    sound: list[tuple[Again, str, Inspection]],
    batch: Batch,
    session: SparkSession,
    judge: Callable[[Frames], DataFrame],
) -> Batch:
    """The batch without the misfits among the records of whole files."""
    files = [(path, inspection) for _, path, inspection in sound]
    split, misfits = tell_apart(session, source, folder, files, judge)
    names = {path: one.reject.file for one, path, _ in sound}
    found = [replace(reject, file=names[path]) for path, rejects in misfits.items() for reject in rejects]
    assert batch.records is not None
    again = [(one, path, inspection) for (one, *_), (path, inspection) in zip(sound, split, strict=True)]
    return replace(
        batch,
        records=batch.records - len(found),
        rejects=(*batch.rejects, *found),
        read=partial(_read, source, folder, again),
    )


def _columns(one: Again, inspection: Inspection) -> tuple[str, ...]:
    """Those of its file and its own: a JSON object need not have all keys of its neighbours."""
    return tuple(dict.fromkeys((*one.columns, *map(bronze_name, inspection.columns))))


def _read(
    source: FilesSource, folder: Path, sound: list[tuple[Again, str, Inspection]], session: SparkSession
) -> Frames:
    """The records under the file and at the place where they were rejected."""
    from pyspark.sql import functions as F

    from lakehouse.sources.files.reading import read_files

    read = read_files(session, source, folder, [(path, inspection) for _, path, inspection in sound])
    rows: list[tuple[Any, ...]] = [
        (path, one.reject.file, None if one.whole else one.reject.offset) for one, path, _ in sound
    ]
    places = session.createDataFrame(rows, "_file string, replayed_file string, replayed_row bigint")

    def placed(frame: DataFrame) -> DataFrame:
        return (
            frame.join(F.broadcast(places), "_file")
            .withColumns({"_file": F.col("replayed_file"), "_row": F.coalesce("replayed_row", "_row")})
            .drop("replayed_file", "replayed_row")
        )

    return list(map(placed, read)) if isinstance(read, list) else placed(read)


def _suffixes(file: str) -> str:
    """What a file's name says of its format and packing, without what else it may hold."""
    return "".join(suffix for suffix in Path(file).suffixes[-2:] if suffix[1:].isalnum())
