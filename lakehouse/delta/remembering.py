"""What a table remembers beside it, in a table of its own: rows of several kinds, appended and never changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deltalake import write_deltalake
from deltalake.exceptions import DeltaError

from lakehouse.delta.commit import Commit, append, create, make_room, table_properties
from lakehouse.delta.few import is_writable, once, sum_up, with_lock
from lakehouse.delta.state import read_state
from lakehouse.errors import StorageError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession


def remember(rows: DataFrame, path: Path) -> None:
    """Append to what a table remembers beside it, making that with the first rows; each row has a ``_kind``."""
    if read_state(path) is None:
        create(rows, path, properties=table_properties(0, "", feed=False), partition_by=["_kind"])
    else:
        append(rows, path)
    sum_up(rows.sparkSession, path)


def remember_notes(session: SparkSession, commit: Commit, notes: pa.Table, path: Path) -> None:
    """The same for few rows, once for one ``commit`` and without a Spark job, of which a commit takes a second.

    Raises StorageError where they can't be written.
    """
    state = read_state(path)
    if state is not None and commit.is_made(state.table):
        return
    if not is_writable(path):
        commit.apply(session)
        remember(session.createDataFrame(notes), path)
        return
    make_room(path)
    with_lock(session)
    try:
        write_deltalake(str(path), notes, mode="append", partition_by=["_kind"], schema_mode="merge", **once(commit))
    except (OSError, DeltaError) as error:
        raise StorageError(
            f"{path}: can't be written: {error}", hint="Make room, or the folder writable, then run again."
        ) from error
    sum_up(session, path)


def remember_stop(commit: Commit, rows: DataFrame, notes: pa.Table, path: Path) -> None:
    """Remember the rows that stop a table, once for one ``commit``, and what its rules found, every time."""
    session, state = rows.sparkSession, read_state(path)
    if state is None or not commit.is_made(state.table):
        commit.apply(session)
        remember(rows.unionByName(session.createDataFrame(notes), allowMissingColumns=True), path)
    elif notes.num_rows:
        again = f"{commit.application}:again"
        times = state.cursor(again)
        remember_notes(session, Commit(again, 0 if times is None else times + 1, commit.note), notes, path)
