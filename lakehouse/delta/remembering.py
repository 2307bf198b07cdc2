"""What a table remembers beside it, in a table of its own: rows of several kinds, appended and never changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deltalake import CommitProperties, PostCommitHookProperties, Transaction, write_deltalake
from deltalake.exceptions import DeltaError

from lakehouse.delta.commit import Commit, append, create, make_room, table_properties
from lakehouse.delta.state import TableState, read_state
from lakehouse.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

CHECKPOINT = 10
"""Every tenth commit is Spark's, which then writes a checkpoint of the log, as it does for its own commits."""
UNWRITABLE = set("[]^|")
"""Characters of a path where deltalake reads and does not write: it panics, which is no exception of Python's."""


def remember(rows: DataFrame, path: Path) -> None:
    """Append to what a table remembers beside it, making that with the first rows; each row has a ``_kind``."""
    if read_state(path) is None:
        create(rows, path, properties=table_properties(0, "", feed=False), partition_by=["_kind"])
    else:
        append(rows, path)


def remember_notes(session: SparkSession, commit: Commit, notes: pa.Table, path: Path) -> None:
    """The same for few rows, once for one ``commit`` and without a Spark job, of which a commit takes a second.

    Raises StorageError where they can't be written.
    """
    state = read_state(path)
    if _is_made(commit, state):
        return
    tenth = state is not None and (state.version + 1) % CHECKPOINT == 0
    if tenth or UNWRITABLE & set(str(path)):
        commit.apply(session)
        remember(session.createDataFrame(notes), path)
        return
    make_room(path)
    session.conf.get("spark.app.id")  # the JVM holds the table's lock: where it is gone, another run may have it
    try:
        write_deltalake(
            str(path),
            notes,
            mode="append",
            partition_by=["_kind"],
            schema_mode="merge",
            commit_properties=CommitProperties(
                custom_metadata={"userMetadata": commit.message},
                app_transactions=[Transaction(commit.application, commit.version)],
            ),
            post_commithook_properties=PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False),
        )
    except (OSError, DeltaError) as error:
        raise StorageError(
            f"{path}: can't be written: {error}", hint="Make room, or the folder writable, then run again."
        ) from error


def remember_stop(commit: Commit, rows: DataFrame, notes: pa.Table, path: Path) -> None:
    """Remember the rows that stop a table, once for one ``commit``, and what its rules found, every time."""
    session, state = rows.sparkSession, read_state(path)
    if state is None or not _is_made(commit, state):
        commit.apply(session)
        remember(rows.unionByName(session.createDataFrame(notes), allowMissingColumns=True), path)
    elif notes.num_rows:
        again = f"{commit.application}:again"
        times = state.cursor(again)
        remember_notes(session, Commit(again, 0 if times is None else times + 1, commit.note), notes, path)


def _is_made(commit: Commit, state: TableState | None) -> bool:
    done = state.cursor(commit.application) if state is not None else None
    return done is not None and done >= commit.version
