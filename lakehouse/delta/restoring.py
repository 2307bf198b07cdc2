"""Bring a table back to an older version, and say so in it for good."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from deltalake import DeltaTable

from lakehouse.delta.commit import begin_epoch, named
from lakehouse.delta.log import commits, committed_at, version_at
from lakehouse.errors import StorageError, UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def version_of(path: Path, to: int | datetime) -> int:
    """The version that is meant: itself, or the last one that was committed up to a moment (UTC).

    Raises UsageError for one that never was, and StorageError for one whose log or files are gone.
    """
    newest = DeltaTable(str(path)).version()
    if isinstance(to, datetime):
        version = _at(path, to)
    elif to > newest:
        raise UsageError(f"{path} has no version {to}", hint=f"Its newest is {newest}.")
    else:
        version = to
    try:
        table = DeltaTable(str(path), version=version)
    except Exception as error:  # deltalake says it in many ways
        raise StorageError(
            f"{path}: version {version} can't be read any more: its log was cleaned up",
            hint=f"The oldest that can be: {_oldest(path, newest)}.",
        ) from error
    lost = [file for file in table.get_add_actions().column("path").to_pylist() if not (path / unquote(file)).exists()]
    if lost:
        raise StorageError(
            f"{path}: {len(lost)} files of version {version} are gone: a vacuum has removed them",
            hint="Name a newer version; 'lakehouse maintain' spares what is younger than its --older-than.",
        )
    return version


def restore_version(session: SparkSession, path: Path, version: int) -> None:
    """Make the table's rows those of an older version, in a commit of its own, and begin an epoch in another.

    Whoever is killed between leaves a RESTORE in the history, which the next build finds.
    """
    session.newSession().sql(f"RESTORE TABLE {named(path)} TO VERSION AS OF {version}").collect()
    begin_epoch(session, path, f"it was restored to version {version}")


def _at(path: Path, moment: datetime) -> int:
    version = version_at(path, moment)
    if version is None:
        known = commits(path)
        since = f"{committed_at(known[0][1]):%Y-%m-%dT%H:%M:%S}Z" if known else "never"
        raise UsageError(
            f"{path} has no version of {moment:%Y-%m-%dT%H:%M:%S}Z that is still known",
            hint=f"Its log goes back to {since}.",
        )
    return version


def _oldest(path: Path, newest: int) -> int:
    """The oldest version that can be read; versions from it on can be too."""
    low, high = 0, newest
    while low < high:
        middle = (low + high) // 2
        try:
            DeltaTable(str(path), version=middle)
            high = middle
        except Exception:  # deltalake says it in many ways
            low = middle + 1
    return low
