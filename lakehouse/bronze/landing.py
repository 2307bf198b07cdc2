"""Land a batch: its records, its rejects and its receipt in one Delta commit, or nothing at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.bronze.receipts import Receipts
from lakehouse.config import Source
from lakehouse.delta import Draft, append, create, read_table, set_properties
from lakehouse.delta.commit import table_properties
from lakehouse.errors import ConservationError, ContractError
from lakehouse.tables.batch import ENGINE_COLUMNS, Batch, Part

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
"""Where a batch's frame has this column, it says which of its rows are rejects."""
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


def land(
    session: SparkSession, name: str, source: Source, path: Path, receipts: Receipts, batch: Batch, now: datetime
) -> Landing:
    """Append the batch to the bronze table in ``path``, making the table with the first one.

    A batch's number is the table version that it is planned for: it grows with each, also across a restore, which
    makes a version of its own. Raises ContractError where the columns break the source's contract,
    SourceUnavailableError where a file changes meanwhile, and ConservationError where Spark reads another number of
    records than the bytes hold; nothing is written then.
    """
    from pyspark.sql import functions as F

    number = receipts.table.version + 1 if receipts.table is not None else 0
    frame = batch.read(session)
    parts = batch.parts or (Part(name, tuple(column for column in frame.columns if column not in ENGINE_COLUMNS)),)
    note = _check_contract(name, source, receipts, parts)
    _check_types(name, receipts, frame)
    columns = list(dict.fromkeys(column for part in parts for column in part.columns))
    session.conf.set("spark.sql.maxConcurrentOutputFileWriters", "4")  # three kinds: no sort needed to keep them apart

    def marked(rows: DataFrame) -> DataFrame:
        return rows.withColumn("_batch", F.lit(number).cast("long")).withColumn(
            "_ingested_at", F.lit(now).cast("timestamp")
        )

    properties = table_properties(0, "", feed=False)
    if batch.once:  # the least and largest of every column would cost a tenth of the time; silver asks for batches
        properties |= {"delta.dataSkippingStatsColumns": "_batch,_row"}
    draft = Draft(session, path, partition_by="_kind", properties=properties) if batch.once else None
    try:
        landed, rejected = _count(frame) if draft is None else _written(draft, marked(_judged(frame)))
    except Exception:
        batch.require_unchanged()  # where the source is the cause, it says so
        raise
    batch.require_unchanged()
    if batch.records is not None and landed != batch.records:
        raise ConservationError(
            f"bronze.{name}: {batch.took} hold {batch.records:,} records and Spark reads {landed:,}; nothing landed",
            hint="This is a defect of the engine: please report it with what causes it.",
        )
    rejected += len(batch.rejects)
    counts = Landing(number, landed + rejected, landed, rejected, note)
    rest = _receipt(session, batch, columns, counts)
    if batch.rejects:
        rest = rest.unionByName(_rejects(session, batch), allowMissingColumns=True)
    if draft is not None:
        draft.add(marked(rest))
        draft.commit()
        return counts
    rows = marked(_judged(frame).unionByName(rest, allowMissingColumns=True))
    if receipts.table is None:
        create(rows, path, properties=properties, partition_by=["_kind"])
    else:
        known = receipts.table.table.protocol().writer_features or []
        if "timestamp_ntz" in frame.schema.simpleString() and NTZ not in known:
            set_properties(session, path, {f"delta.feature.{NTZ}": "supported"})  # a commit that changes no row
        append(rows, path)
    return counts


def records(session: SparkSession, path: Path, *, version: int, after: int, upto: int) -> DataFrame:
    """The records of a bronze table at a version that landed in the batches ``after`` < batch ≤ ``upto``."""
    frame = read_table(session, path, version)
    return frame.where(f"_kind = 'record' AND _batch > {after} AND _batch <= {upto}").drop(*HIDDEN)


def _judged(frame: DataFrame) -> DataFrame:
    """The rows with their kind, and with bronze's own columns, which a table is made with."""
    from pyspark.sql import functions as F

    kind = F.when(F.col(REASON).isNull(), "record").otherwise("reject") if REASON in frame.columns else F.lit("record")
    lacking = {name: F.lit(None).cast(type_) for name, type_ in ENGINE_TYPES.items() if name not in frame.columns}
    return frame.withColumns(lacking | {"_kind": kind})


def _written(draft: Draft, rows: DataFrame) -> tuple[int, int]:
    """Write the rows without committing them; records and rejects among them."""
    found = draft.write(rows)
    return found["record"], found["reject"]


def _count(frame: DataFrame) -> tuple[int, int]:
    """Records and rejects among the rows of a frame."""
    if REASON not in frame.columns:
        return frame.count(), 0
    from pyspark.sql import functions as F

    (row,) = frame.agg(F.count(F.lit(1)).alias("all"), F.count(REASON).alias("rejects")).collect()
    return row["all"] - row["rejects"], row["rejects"]


def _check_contract(name: str, source: Source, receipts: Receipts, parts: Sequence[Part]) -> str:
    """What the columns change, in words; nothing when they are bronze's.

    Each part is compared with bronze and the parts before it, so that the outcome is the same for any batching.
    """
    columns = receipts.table.columns if receipts.table is not None else ()
    known = {column.casefold(): column for column in columns if column not in ENGINE_COLUMNS}
    noted: dict[str, dict[str, None]] = {"new columns": {}, "lost columns": {}}
    for part in parts:
        found = part.columns
        if not found:
            continue  # quarantined whole
        cased = [column for column in found if known.get(column.casefold(), column) != column]
        new = [column for column in found if known and column.casefold() not in known]
        lost = [column for column in known.values() if column not in found and column not in cased]
        for odd, allowed, what in (
            (cased, False, "columns that differ from bronze's only in case"),
            (new, source.new_columns == "evolve", "new columns"),
            (lost, source.lost_columns == "null", "lost columns"),
        ):
            if odd and not allowed:
                raise ContractError(
                    f"sources.{name}: {part.name}: {what}: {', '.join(odd)}; nothing landed",
                    hint=f"Mend it, or allow it in conf/: sources.{name}: new_columns: evolve, lost_columns: 'null'",
                )
        noted["new columns"].update(dict.fromkeys(new))
        noted["lost columns"].update(dict.fromkeys(lost))
        known.update({column.casefold(): column for column in found})
    return "; ".join(f"{what}: {', '.join(columns)}" for what, columns in noted.items() if columns)


def _check_types(name: str, receipts: Receipts, frame: DataFrame) -> None:
    if receipts.table is None:
        return
    known = {field.name: field.type for field in receipts.table.table.schema().fields}
    from deltalake import Schema

    for field in frame.schema:
        if field.name not in known:
            continue
        written = Schema.from_json(
            json.dumps({"type": "struct", "fields": [field.jsonValue() | {"nullable": True}]})
        ).fields[0]
        if written.type != known[field.name]:
            raise ContractError(
                f"sources.{name}: the column {field.name!r} is {field.dataType.simpleString()} now and "
                f"{known[field.name]} in bronze; nothing landed",
                hint="Write it with the old type, or send the files to a source of a new name.",
            )


def _receipt(session: SparkSession, batch: Batch, columns: list[str], counts: Landing) -> DataFrame:
    from pyspark.sql import functions as F

    receipt = {
        "cursor": batch.cursor,
        "took": batch.took,
        "columns": columns,
        "read": counts.read,
        "landed": counts.landed,
        "quarantined": counts.quarantined,
        "note": counts.note,
    }
    row = {name: F.lit(None).cast(kind).alias(name) for name, kind in ENGINE_TYPES.items()}
    row |= {"_kind": F.lit("receipt").alias("_kind"), "_receipt": F.lit(json.dumps(receipt)).alias("_receipt")}
    return session.range(1, numPartitions=1).select(*row.values())


def _rejects(session: SparkSession, batch: Batch) -> DataFrame:
    rows = [("reject", r.file, bytearray(r.raw), r.offset, r.line, r.reason) for r in batch.rejects]
    schema = "_kind string, _file string, _raw binary, _offset bigint, _line bigint, _reason string"
    return session.createDataFrame(rows, schema).coalesce(1)
