"""Commits of few rows, made by deltalake in this process: one of Spark's takes a second or more, whatever it holds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import DeltaError

from lakehouse.delta.reading import is_plain
from lakehouse.quality.literals import column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.delta.commit import Commit

MOST, MOST_THERE = 50_000, 200_000
"""Rows that are written so, and rows of a table that is merged into: deltalake does not keep a larger one clustered."""
CHECKPOINT = 10
"""Versions from one checkpoint of the log to the next."""
UNWRITABLE = set("[]^|")
FEATURES = {"appendOnly", "changeDataFeed", "invariants", "timestampNtz"}
"""What a writer may have to know of a table that is written so."""
EQUAL = (pa.types.is_integer, pa.types.is_string, pa.types.is_date, pa.types.is_timestamp, pa.types.is_boolean)
"""Types of keys: of all others the two writers may take different values for equal."""
SUMMED = (pa.types.is_integer, pa.types.is_string, pa.types.is_boolean)
"""Types of columns whose least and greatest value are kept for each file, beside times that Python knows. Those of
doubles leave NaN out, which is above all for Spark, and those of decimals are wrong beyond 64 bits."""
CALENDAR = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
TEXT = 64
"""Characters that are kept of a text's least and greatest value."""
WHATS = ("inserted", "updated", "deleted")


def write_few(
    changes: DataFrame, path: Path, key: Sequence[str], counts: dict[str, int], change: str, commit: Commit
) -> dict[str, int] | None:
    """Write rows that say in the column ``change`` what becomes of them, in one commit; ``counts`` are how many of each
    there are. Returns how many of each were written; None as :func:`write_rows`."""
    table = DeltaTable(str(path))
    if not takes_few(table, path, sum(counts.values())):
        return None
    rows = _collected(changes)
    return None if rows is None else write_rows(changes.sparkSession, table, rows, key, counts, change, commit)


def takes_few(table: DeltaTable, path: Path, rows: int) -> bool:
    """Whether so many rows may be written so, as far as can be told without them."""
    known = set(table.protocol().writer_features or []) <= FEATURES and not table.metadata().partition_columns
    return rows <= MOST and known and is_plain(table) and is_writable(path)


def write_rows(
    session: SparkSession,
    table: DeltaTable,
    rows: pa.Table,
    key: Sequence[str],
    counts: dict[str, int],
    change: str,
    commit: Commit,
) -> dict[str, int] | None:
    """As :func:`write_few`, of rows in this process and a table that takes them.

    None where that is left to Spark, and where deltalake failed: Spark passes over a commit that was made
    nevertheless, and tells what is wrong.
    """
    if commit.is_made(table):
        return counts
    there = pa.schema(table.schema().to_arrow())
    merged = not set(counts) <= {"inserted"}
    if merged and not (_rows(table) <= MOST_THERE and all(_any_of(EQUAL, there.field(name).type) for name in key)):
        return None
    if _types(rows.schema) - {(change, "string")} != _types(there):
        return None
    written = rows.select(there.names)
    how: dict[str, Any] = {"writer_properties": _properties(there, None if merged else written)}
    try:
        with_lock(session)
        if merged:
            return _merged(table, rows, key, change, counts, how | once(commit))
        write_deltalake(table, written, mode="append", **how, **once(commit))
    except (DeltaError, OSError):
        return None
    return {"inserted": written.num_rows}


def once(commit: Commit) -> dict[str, Any]:
    """What a write of deltalake's is given to be this commit."""
    return {
        "commit_properties": CommitProperties(
            custom_metadata={"userMetadata": commit.message},
            app_transactions=[Transaction(commit.application, commit.version)],
        ),
        "post_commithook_properties": PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False),
    }


def with_lock(session: SparkSession) -> None:
    """Raise where the JVM is gone: it holds the table's lock, and another run may have it by now."""
    session.conf.get("spark.app.id")


def sum_up(session: SparkSession, path: Path) -> None:
    """Write a checkpoint of the log at every tenth version, where that can be done: without one just more is read.

    Spark takes seconds for it: see :func:`lakehouse.delta.commit.table_properties`.
    """
    from py4j.protocol import Py4JJavaError

    with suppress(DeltaError, OSError, Py4JJavaError):
        table = DeltaTable(str(path))
        if not table.version() or table.version() % CHECKPOINT:
            return
        if not is_writable(path):
            jvm: Any = session._jvm
            log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(session._jsparkSession, str(path))
            log.createCheckpointAtVersion(table.version())
            return
        # The sum of what Spark wrote there last would not be that of what deltalake writes.
        (path / "_delta_log" / "._last_checkpoint.crc").unlink(missing_ok=True)
        table.create_checkpoint()


def is_writable(path: Path) -> bool:
    """Whether deltalake can write in the folder: of some characters it panics, which is no exception of Python's."""
    return not UNWRITABLE & set(str(path))


def _rows(table: DeltaTable) -> int:
    counts = table.get_add_actions(flatten=True).column("num_records").to_pylist()
    return sum(MOST_THERE + 1 if count is None else count for count in counts)


def _any_of(kinds: Sequence[Any], kind: pa.DataType) -> bool:
    return any(one(kind) for one in kinds)


def _collected(changes: DataFrame) -> pa.Table | None:
    """The rows in this process, where they fit and their texts are texts."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        rows = changes.toArrow()
        rows.validate(full=True)
    except (PySparkException, Py4JError, pa.ArrowException):
        return None
    return rows


def _types(schema: pa.Schema) -> set[tuple[str, str]]:
    """Each column and its type; which may be null, and what the items of a list are called, is no difference."""
    return {(field.name, str(_plain(field.type))) for field in schema}


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(pa.field("item", _plain(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    return kind


def _properties(schema: pa.Schema, rows: pa.Table | None) -> WriterProperties:
    """Snappy, as Spark; ``rows`` are all that a file will hold, where that is known."""
    summed = [field.name for field in schema if _any_of(SUMMED, field.type)]
    if rows is not None:
        summed += [name for name in schema.names if _in_calendar(rows[name])]
    return WriterProperties(
        compression="SNAPPY",
        statistics_truncate_length=TEXT,
        default_column_properties=ColumnProperties(statistics_enabled="NONE"),
        column_properties={name: ColumnProperties(statistics_enabled="CHUNK") for name in summed},
    )


def _in_calendar(values: Any) -> bool:
    if not (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
        return False
    micros = values.cast(pa.timestamp("us"), safe=False) if pa.types.is_date(values.type) else values
    ends = pc.min_max(micros.cast(pa.int64()))
    least, most = (ends[side].as_py() for side in ("min", "max"))
    first, last = (int(end.timestamp()) * 1_000_000 for end in CALENDAR)
    return least is None or (first <= least and most <= last)


def _merged(
    table: DeltaTable, rows: pa.Table, key: Sequence[str], change: str, counts: dict[str, int], how: dict[str, Any]
) -> dict[str, int]:
    names = [column(name).duckdb for name in rows.column_names if name != change]
    values = {name: f"s.{name}" for name in names}
    match = " AND ".join(f"t.{name} = s.{name}" for name in (column(name).duckdb for name in key))
    doing = table.merge(rows, match, source_alias="s", target_alias="t", **how)
    if counts.get("deleted"):
        doing = doing.when_matched_delete(f"s.{change} = 'deleted'")
    if counts.get("updated"):
        doing = doing.when_matched_update(values)
    if counts.get("inserted"):
        doing = doing.when_not_matched_insert(values)
    done = doing.execute()
    return {what: done[f"num_target_rows_{what}"] for what in WHATS}
