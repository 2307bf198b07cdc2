"""Which versions of its inputs a gold table was made of: a row that it remembers beside it.

It is written before the table's own commit. The table's cursor says which receipt counts, so one that was written by a
run that was killed before it committed counts for nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta import Commit, read_state, remember
from lakehouse.tables.quarantine import KEPT_OUT, of_origin

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def made_of(memory: Path, origin: str, cursor: int | None) -> dict[str, int] | None:
    """The inputs' versions at the build that left this cursor, read without a JVM; None where nothing tells them."""
    state = read_state(memory)
    if state is None or cursor is None or "_receipt" not in state.columns:
        return None
    of_build = f"_kind = 'receipt' AND _batch = {cursor} AND {of_origin(origin)}"
    found = state.rows(f"SELECT _receipt FROM t WHERE {of_build}")
    return dict(json.loads(found[0]["_receipt"])["versions"]) if found else None


def receipt(session: SparkSession, origin: str, cursor: int, versions: dict[str, int]) -> DataFrame:
    """The one row to remember."""
    from pyspark.sql import functions as F

    values = {"_batch": F.lit(cursor)}
    return session.range(1, numPartitions=1).select(
        F.lit("receipt").alias("_kind"),
        F.lit(json.dumps({"versions": versions})).alias("_receipt"),
        *(values.get(name, F.lit(None)).cast(kind).alias(name) for name, kind in KEPT_OUT.items()),
        F.lit(origin).alias("_origin"),
    )


def record(session: SparkSession, memory: Path, origin: str, cursor: int, versions: dict[str, int]) -> None:
    """Remember it, in one commit; a second time it changes nothing."""
    Commit(f"{origin}:receipt", cursor, "what the table is about to be made of").apply(session)
    remember(receipt(session, origin, cursor, versions), memory)
