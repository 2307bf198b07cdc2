"""Build a gold table: its function over whole inputs at pinned versions, written as the difference by key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta import (
    Commit,
    create,
    has_columns_of,
    held,
    overwrite,
    replace_by_difference,
    set_properties,
)
from lakehouse.delta.commit import quoted, table_properties
from lakehouse.errors import DefinitionError, GateError
from lakehouse.gold.planning import Work
from lakehouse.gold.quarantine import record_blocking, record_results
from lakehouse.quality.gate import Gate
from lakehouse.tables import Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Built:
    """The rows of the result, and how many of them were written."""

    rows: int
    inserted: int
    updated: int
    deleted: int
    warned: dict[str, int]


def build_gold(
    session: SparkSession, table: Table, work: Work, inputs: list[DataFrame], path: Path, memory: Path, gate: Gate
) -> Built:
    """Run the function and make the table's rows its result, in one commit that is made at most once.

    Raises GateError when a key is null or doubled, or when an expectation with on_fail="fail" does not hold, and
    DefinitionError when the result lacks a column of the key; the table is as it was then, and ``memory`` has the rows
    that stop it. What the rules of ``gate`` found is kept there either way.
    """
    from pyspark.sql import functions as F

    result = table(*inputs)
    needed = [*table.key, *([table.at] if table.at else [])]
    gate.check(needed, result.columns)
    _refuse_maps(table, result)
    with held(result) as result:
        tally = gate.tally()
        by_key = result.groupBy(*map(quoted, table.key)).agg(F.count("*").alias("rows"), *tally.columns())
        null = " OR ".join(f"{quoted(name)} IS NULL" for name in needed if name in table.key)
        row = by_key.agg(
            F.coalesce(F.sum("rows"), F.lit(0)).alias("rows"),
            F.count_if(F.col("rows") > 1).alias("doubled"),
            F.count_if(F.expr(null)).alias("null"),
            *tally.sums(),
        ).collect()[0]
        try:
            warned = tally.judge(row, result, table.key)
            _check_key(table, row["doubled"], row["null"], by_key)
            warned |= gate.judge(result)
        except GateError as error:
            record_blocking(session, memory, table, work, result, gate)
            hint = f"{error.hint}\nIts rows: lakehouse quarantine show {table.address}"
            raise GateError(error.message, hint=hint) from error
        record_results(session, memory, work, gate)
        Commit(work.origin, work.cursor, f"made of {_shown(work.versions)}").apply(session)
        done = _write(session, table, work, result, path, row["rows"])
    return Built(rows=row["rows"], warned=warned, **done)


def _write(session: SparkSession, table: Table, work: Work, result: DataFrame, path: Path, rows: int) -> dict[str, int]:
    if work.state is None:
        create(result, path, properties=table_properties(work.epoch, work.fingerprint))
        return {"inserted": rows, "updated": 0, "deleted": 0}
    if (work.state.epoch, work.state.fingerprint) != (work.epoch, work.fingerprint):
        # The new epoch begins before its first rows: whoever is killed between finds its cursor missing, and rebuilds.
        set_properties(session, path, table_properties(work.epoch, work.fingerprint))
    if has_columns_of(result, path):
        return replace_by_difference(result, path, table.key)
    overwrite(result, path)
    return {"inserted": rows, "updated": 0, "deleted": 0}


def _refuse_maps(table: Table, result: DataFrame) -> None:
    maps = [field.name for field in result.schema if "map<" in field.dataType.simpleString()]
    if maps:
        raise DefinitionError(
            f"{table.address}: {', '.join(maps)} holds a map, and two maps can't be compared",
            hint="Use an array of structs: map_entries(column).",
        )


def _check_key(table: Table, doubled: int, null: int, by_key: DataFrame) -> None:
    if not doubled and not null:
        return
    any_null = " OR ".join(f"{quoted(name)} IS NULL" for name in table.key)
    bad = by_key.where(f"rows > 1 OR {any_null}").drop("rows").limit(3).collect()
    sample = "; ".join(", ".join(f"{name}={row[name]}" for name in table.key) for row in bad)
    what = [f"{doubled:,} keys are there more than once"] * bool(doubled) + [f"{null:,} keys are null"] * bool(null)
    raise GateError(
        f"{table.address}: {' and '.join(what)} ({sample})",
        hint=f"Its function must return one row for each ({', '.join(table.key)}). The table keeps its last version.",
    )


def _shown(versions: dict[str, int]) -> str:
    return ", ".join(f"{name} v{version}" for name, version in versions.items())
