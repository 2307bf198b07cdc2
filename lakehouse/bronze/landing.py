"""Land a batch: its records, its rejects and its receipt in one Delta commit, or nothing at all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from deltalake import DeltaTable

from lakehouse.bronze.contract import changed_types, check_columns, check_types, fitted, in_words, types_of
from lakehouse.bronze.quarantine import rejected_in, resolution_rows
from lakehouse.bronze.receipts import Receipts
from lakehouse.config import Source
from lakehouse.delta import Draft, read_table, set_properties
from lakehouse.delta.commit import table_properties
from lakehouse.delta.few import sum_up
from lakehouse.errors import ConservationError, ContractError
from lakehouse.tables.batch import ENGINE_COLUMNS, Batch, Part, frames_of
from lakehouse.tables.quarantine import Resolution

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ENGINE_TYPES = {
    "_kind": "string",
    "_file": "string",
    "_row": "bigint",
    "_raw": "binary",
    "_offset": "bigint",
    "_line": "bigint",
    "_reason": "string",
    "_receipt": "string",
}
NTZ = "timestampNtz"
"""What Delta calls times without a zone, which a table must be told to take."""
REASON = "_reason"
"""Where a frame has this column, it says which of its rows are rejects."""
MOST_MISFITS = 1_000_000
"""Records of one batch of files."""
HIDDEN = ("_kind", "_raw", "_offset", "_line", "_reason", "_receipt")
"""What a reader of records does not see."""


@dataclass(frozen=True)
class Landing:
    """Law 1 for one batch: read = landed + quarantined."""

    batch: int
    read: int
    landed: int
    quarantined: int
    note: str = ""
    then: Callable[[], Batch | None] = lambda: None
    """The next part of what there was, where the batch was a part."""


def land(
    session: SparkSession,
    name: str,
    source: Source,
    path: Path,
    receipts: Receipts,
    batch: Batch,
    now: datetime,
    *,
    replays: Resolution | None = None,
) -> Landing:
    """Append the batch to the bronze table in ``path``, making the table with the first one.

    A batch's number is the table version that it is planned for: it grows with each, also across a restore, which
    makes a version of its own. ``replays`` says which rejects the batch is made of; it is in the same commit, so that
    none of them lands twice. Raises ContractError where the columns break the source's contract,
    SourceUnavailableError where a file changes meanwhile, and ConservationError where Spark reads another number of
    records than the bytes hold; nothing is written then.
    """
    version = receipts.table.version if receipts.table is not None else -1
    number = version + 1
    with _source_first(batch):
        read = batch.read(session)
    parts = batch.parts or tuple(
        Part(name, tuple(column for column in frame.columns if column not in ENGINE_COLUMNS))
        for frame in frames_of(read)
    )
    agreed = check_columns(name, source, receipts, parts)
    fit = partial(fitted, source, receipts, agreed, raw=batch.raw)
    frame = fit(read)
    changes = agreed.changes | changed_types(source, receipts, read)
    check_types(name, source, receipts, frame)
    if receipts.table is not None:
        known = receipts.table.table.protocol().writer_features or []
        if "timestamp_ntz" in frame.schema.simpleString() and NTZ not in known:
            set_properties(session, path, {f"delta.feature.{NTZ}": "supported"})  # a commit that changes no row
            version += 1

    def written(batch: Batch, rows: DataFrame) -> tuple[Draft, Counter[str]]:
        return _written(session, path, version, batch, _marked(_judged(rows, receipts), number, now))

    draft, counts = written(batch, frame)
    try:
        if batch.doubted is not None and (telling := batch.doubted(draft.files())) is not None:
            draft.discard()
            batch = telling
            with _source_first(batch):
                told = fit(batch.read(session))
            draft, counts = written(batch, told)
        if counts["reject"] and batch.apart is not None:
            draft.discard()
            _require_few(name, counts)
            with _source_first(batch):
                batch = batch.apart(session, fit)
                sound = fit(batch.read(session)).where(f"{REASON} IS NULL")
            draft, counts = written(batch, sound)
        more: dict[str, Any] = {
            "rejected_in": rejected_in(((part.name, part.columns) for part in parts), batch.rejects)
        }
        if receipts.table is None or changes:
            more |= {"changes": changes, "types": types_of(frame)}
        if replays is not None:
            more["replayed"] = len(replays.places)
        columns = list(dict.fromkeys(column for part in parts for column in part.columns))
        said = _check_counts(name, batch, counts, draft.files())
        landed, quarantined = counts["record"], counts["reject"] + len(batch.rejects)
        note = "; ".join(filter(None, [batch.note, in_words(changes), said]))
        done = Landing(number, landed + quarantined, landed, quarantined, note, batch.then)
        beside = draft.add(_marked(_beside(session, batch, columns, done, more, replays), number, now))
        if (beside["reject"], beside["receipt"]) != (len(batch.rejects), 1):
            raise ConservationError(f"bronze.{name}: {done} and {dict(beside)} were written; nothing landed")
        if quarantined:
            _require_places(name, draft.files())
    except BaseException:
        draft.discard()
        raise
    draft.commit()
    sum_up(session, path)
    return done


def _require_places(name: str, files: list[Path]) -> None:
    """By its place a reject is decided about, so no two of a batch have one."""
    import pyarrow.parquet as pq

    rejects = [file for file in files if file.parent.name == "_kind=reject"]
    places = pq.read_table(rejects, columns=["_file", "_offset"], partitioning=None)
    counted = places.group_by(["_file", "_offset"]).aggregate([([], "count_all")])
    if counted.num_rows < places.num_rows:
        twice = next(row for row in counted.to_pylist() if row["count_all"] > 1)
        raise ContractError(
            f"sources.{name}: {twice['count_all']} rejects have one place: {twice['_file']}, {twice['_offset']}; "
            "nothing landed",
            hint="Its _file and _row must name each record of a batch once.",
        )


def _check_counts(name: str, batch: Batch, written: Counter[str], files: list[Path]) -> str:
    """Both sides of law 1, before the commit; returns what the source's witness says beside it."""
    batch.require_unchanged()
    counted, said = batch.records, ""
    if batch.witness is not None:
        counted, said = batch.witness(files)
    if counted is not None and counted != written.total():
        raise ConservationError(
            f"bronze.{name}: {batch.took} hold {counted:,} records and Spark reads {written.total():,}; nothing landed",
            hint="This is a defect of the engine: please report it with what causes it.",
        )
    return said


def _require_few(name: str, written: Counter[str]) -> None:
    """Misfits of files are held in memory, and so many mean that a type is wrong, not a record."""
    if written["reject"] > MOST_MISFITS:
        raise ContractError(
            f"sources.{name}: {written['reject']:,} of {written.total():,} records do not fit the declared types; "
            "nothing landed",
            hint=f"Mend sources.{name}.columns in conf/, or keep such values as text: changed_types: rescue",
        )


def _written(
    session: SparkSession, path: Path, version: int, batch: Batch, rows: DataFrame
) -> tuple[Draft, Counter[str]]:
    """The rows in files that no commit knows yet, and how many there are of each kind."""
    session.conf.set("spark.sql.maxConcurrentOutputFileWriters", "4")  # four kinds: no sort needed to keep them apart
    # The least and largest of every column would cost a tenth of the time; silver asks for batches.
    properties = table_properties(0, "", feed=False) | {"delta.dataSkippingStatsColumns": "_batch,_row"}
    draft = Draft(session, path, version=version, partition_by="_kind", properties=properties)
    with _source_first(batch):
        return draft, draft.write(rows)


@contextmanager
def _source_first(batch: Batch) -> Iterator[None]:
    """Where something fails and the source is the cause, it says so."""
    try:
        yield
    except Exception:
        batch.require_unchanged()
        raise


def _marked(rows: DataFrame, number: int, now: datetime) -> DataFrame:
    from pyspark.sql import functions as F

    return rows.withColumns({"_batch": F.lit(number).cast("long"), "_ingested_at": F.lit(now).cast("timestamp")})


def _judged(frame: DataFrame, receipts: Receipts) -> DataFrame:
    """The rows with their kind, and with those of bronze's own columns that the table does not have yet."""
    from pyspark.sql import functions as F

    kind = F.when(F.col(REASON).isNull(), "record").otherwise("reject") if REASON in frame.columns else F.lit("record")
    known = {*frame.columns, *(receipts.table.columns if receipts.table is not None else ())}
    lacking = {name: F.lit(None).cast(type_) for name, type_ in ENGINE_TYPES.items() if name not in known}
    return frame.withColumns(lacking | {"_kind": kind})


def records(session: SparkSession, path: Path, *, version: int, after: int, upto: int) -> DataFrame:
    """The records of a bronze table at a version that landed in the batches ``after`` < batch ≤ ``upto``."""
    frame = read_table(session, path, version, _files_with(path, version, after, upto))
    return frame.where(f"_kind = 'record' AND _batch > {after} AND _batch <= {upto}").drop(*HIDDEN)


def _files_with(path: Path, version: int, after: int, upto: int) -> list[Path]:
    """The files that may hold records of these batches: by the log, which Spark would replay for it in four jobs."""
    added = DeltaTable(str(path), version=version).get_add_actions(flatten=True)
    names = ("path", "partition._kind", "min._batch", "max._batch")
    told = zip(*(added.column(name).to_pylist() for name in names), strict=True)
    records = ((file, least, most) for file, kind, least, most in told if kind == "record")
    return [
        path / unquote(file)
        for file, least, most in records
        if least is None or most is None or (least <= upto and most > after)
    ]


def _beside(
    session: SparkSession,
    batch: Batch,
    columns: list[str],
    done: Landing,
    more: dict[str, Any],
    replays: Resolution | None,
) -> DataFrame:
    """All rows of the batch that are not of its frame."""
    rows = _receipt(session, batch, columns, done, more)
    if replays is not None:
        rows = rows.unionByName(resolution_rows(session, [replays]), allowMissingColumns=True)
    if batch.rejects:
        rows = rows.unionByName(_rejects(session, batch), allowMissingColumns=True)
    return rows


def _receipt(
    session: SparkSession, batch: Batch, columns: list[str], counts: Landing, more: dict[str, Any]
) -> DataFrame:
    from pyspark.sql import functions as F

    receipt = {
        "cursor": batch.cursor,
        "took": batch.took,
        "columns": columns,
        "read": counts.read,
        "landed": counts.landed,
        "quarantined": counts.quarantined,
        "note": counts.note,
    } | {name: value for name, value in more.items() if value}
    row = {name: F.lit(None).cast(kind).alias(name) for name, kind in ENGINE_TYPES.items()}
    row |= {"_kind": F.lit("receipt").alias("_kind"), "_receipt": F.lit(json.dumps(receipt)).alias("_receipt")}
    return session.range(1, numPartitions=1).select(*row.values())


def _rejects(session: SparkSession, batch: Batch) -> DataFrame:
    rows = [("reject", r.file, bytearray(r.raw), r.offset, r.line, r.reason) for r in batch.rejects]
    schema = "_kind string, _file string, _raw binary, _offset bigint, _line bigint, _reason string"
    return session.createDataFrame(rows, schema).coalesce(1)
