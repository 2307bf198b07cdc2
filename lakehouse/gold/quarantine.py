"""The rows that stop a gold table: found in the result that was not written, read without a JVM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta import Commit, read_state, remember_stop
from lakehouse.delta.commit import quoted
from lakehouse.delta.reading import EXACT
from lakehouse.gold.planning import Work
from lakehouse.quality.gate import Gate
from lakehouse.tables import Table
from lakehouse.tables.notes import noted
from lakehouse.tables.quarantine import Quarantined, kept_out

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


BLAME = "lakehouse_blame"


def blocked(address: str, work: Work, memory: Path) -> list[Quarantined]:
    """What stops the work that the table has to do; nothing where its inputs or definition changed since."""
    state = read_state(memory)
    if state is None or work.action == "unchanged":
        return []
    return kept_out(state, address, "blocking", work.origin, work.cursor - 1)


def record_blocking(memory: Path, table: Table, work: Work, result: DataFrame, gate: Gate) -> None:
    """Keep what the rules found and the rows that stop the table, in one commit; a second time for the same inputs
    just the first.

    A row's place is its key, and its number among the rows that have it.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from lakehouse.quality.spark import failed_rules

    same = F.count(F.lit(1)).over(Window.partitionBy(*map(quoted, table.key)))
    key = [F.when(F.col(quoted(name)).isNull(), F.lit(f"key {name} is null")) for name in table.key]
    key.append(F.when(same > 1, F.concat(F.lit("its key is there "), same, F.lit(" times"))))
    record = F.to_json(F.struct(*map(quoted, result.columns)), EXACT)
    number = F.row_number().over(Window.partitionBy(*map(quoted, table.key)).orderBy(record)) - 1
    rows = (
        gate.with_blame(result, BLAME)
        .select(
            F.lit("blocking").alias("_kind"),
            F.lit(work.cursor).cast("bigint").alias("_batch"),
            F.to_json(F.struct(*map(quoted, table.key)), EXACT).alias("_file"),
            number.cast("bigint").alias("_row"),
            F.concat(F.array_compact(F.array(*key)), failed_rules(table.expect, "fail"), F.col(BLAME)).alias(
                "_reasons"
            ),
            record.alias("_record"),
            F.lit(work.origin).alias("_origin"),
        )
        .where("size(_reasons) > 0")
    )
    commit = Commit(f"{work.origin}:blocking{gate.mark}", work.cursor, "what stops the table")
    remember_stop(commit, rows, noted(gate.rows(work.cursor), work.origin), memory)
