"""Find what a table has since the last receipt: Postgres by its own snapshots, other databases by reading again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.config import JdbcSource
from lakehouse.sources.jdbc.connection import Login, connect, in_words
from lakehouse.tables.batch import Batch, Waiting

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Jdbc:
    """One table of a database. A cursor says what its batch saw, so that the next one begins there."""

    name: str
    source: JdbcSource
    bronze: Path
    """The folder of its bronze table: what landed is compared where a database can't tell what is new."""

    def waiting(self, cursors: Sequence[dict[str, Any]]) -> Waiting:
        what = f"what is new in {self.source.table}" if self.source.cursor and cursors else self.source.table
        ahead = cursors[-1].get("ahead", "") if self.source.cursor and cursors else ""
        return Waiting(f"{what} at {self.source.address.place}", ahead)

    def plan(self, session: SparkSession, cursors: Sequence[dict[str, Any]]) -> Batch | None:
        from lakehouse.sources.jdbc.anywhere import plan_anywhere
        from lakehouse.sources.jdbc.exported import plan_postgres

        login = Login(self.name, self.source)
        planned = plan_postgres if self.source.address.kind == "postgresql" else plan_anywhere
        last = cursors[-1] if cursors else None
        with in_words(login), ExitStack() as kept:
            connection = connect(session, login)
            kept.callback(connection.close)
            batch = planned(session, connection, last, self.bronze, kept)
            return replace(batch, close=partial(_end, kept.pop_all())) if batch is not None else None


def _end(kept: ExitStack) -> None:
    from py4j.protocol import Py4JError

    with suppress(Py4JError, OSError):  # a JVM that is gone holds nothing
        kept.close()
