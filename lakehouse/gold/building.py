"""Build a gold table: its function over its inputs at pinned versions, written as the difference by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.delta import (
    Commit,
    create,
    doubles,
    has_columns_of,
    held,
    in_ranges,
    overwrite,
    read_table,
    replace_by_difference,
    set_properties,
)
from lakehouse.delta.commit import quoted, same_key, table_properties
from lakehouse.errors import DefinitionError, GateError
from lakehouse.gold import receipts
from lakehouse.gold.part import Part
from lakehouse.gold.planning import Work
from lakehouse.gold.quarantine import record_blocking
from lakehouse.gold.refreshing import check_column, computed, elsewhere
from lakehouse.quality.gate import Gate
from lakehouse.tables import Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROWS = "lakehouse_rows"


@dataclass(frozen=True)
class Built:
    """The rows that were computed, and how many of them were written."""

    rows: int
    inserted: int
    updated: int
    deleted: int
    warned: dict[str, int]
    why: str
    """With ``refresh=by(…)``: which part was computed, or why all of it."""


def build_gold(
    session: SparkSession, table: Table, work: Work, inputs: Mapping[str, Path], path: Path, memory: Path, gate: Gate
) -> Built:
    """Run the function and make the table's rows its result, in one commit that is made at most once.

    With ``refresh=by(…)`` just the values that changed in the inputs are computed, where what changed can be told; the
    rules over the table are judged on all that it will hold.

    Raises GateError when a key is null or doubled, or when an expectation with on_fail="fail" does not hold, and
    DefinitionError when the result lacks a column of the key; the table is as it was then, and ``memory`` has the rows
    that stop it. What the rules of ``gate`` found is kept there either way.
    """
    from pyspark.sql import functions as F

    refresh = computed(session, table, work, inputs, path)
    part, result = refresh.part, refresh.result
    needed = [*table.key, *([table.at] if table.at else []), *([work.by] if work.by else [])]
    gate.check(needed, result.columns)
    check_column(table, result)
    _refuse_maps(table, result)
    with held(result) as result:
        others = None if part is None else elsewhere(session, path, part)
        future = result if others is None else others.unionByName(result)
        tally = gate.tally()
        by_key = result.groupBy(*map(quoted, table.key)).agg(F.count("*").alias(ROWS), *tally.columns())
        null = " OR ".join(f"{quoted(name)} IS NULL" for name in needed if name in table.key)
        row = by_key.agg(
            F.coalesce(F.sum(ROWS), F.lit(0)).alias("rows"),
            F.count_if(F.col(ROWS) > 1).alias("doubled"),
            F.count_if(F.expr(null)).alias("null"),
            *tally.sums(),
        ).collect()[0]
        try:
            warned = tally.judge(row, result, table.key)
            _check_key(table, row["doubled"], row["null"], by_key)
            if others is not None and work.by not in table.key:  # else no two of its values have a key in common
                twice = result.alias("s").join(others.alias("t"), same_key(table.key), "left_semi")
                _check_key(table, twice.count(), 0, twice.withColumn(ROWS, F.lit(2)))
            warned |= gate.judge(future)
        except GateError as error:
            record_blocking(memory, table, work, future, gate)
            hint = f"{error.hint}\nIts rows: lakehouse quarantine show {table.address}"
            raise GateError(error.message, hint=hint) from error
        receipts.record(session, memory, table, work, gate)
        Commit(work.origin, work.cursor, f"made of {_shown(work.versions)}").apply(session)
        done = _write(session, table, work, result, path, row["rows"], part)
    return Built(rows=row["rows"], warned=warned, why=refresh.why, **done)


def _write(
    session: SparkSession, table: Table, work: Work, result: DataFrame, path: Path, rows: int, part: Part | None
) -> dict[str, int]:
    ordered = in_ranges(result, list(dict.fromkeys([*([work.by] if work.by else []), *table.key])), rows)
    if work.state is None:
        create(ordered, path, properties=table_properties(work.epoch, work.fingerprint))
        return {"inserted": rows, "updated": 0, "deleted": 0}
    if (work.state.epoch, work.state.fingerprint) != (work.epoch, work.fingerprint):
        # The new epoch begins before its first rows: whoever is killed between finds its cursor missing, and rebuilds.
        set_properties(session, path, table_properties(work.epoch, work.fingerprint))
    sound = work.action != "rebuild" or not doubles(read_table(session, path), table.key)
    if sound and has_columns_of(result, path):
        return replace_by_difference(
            result, path, table.key, within=part.results("t.") if part else "", exact=table.windows is not None
        )
    overwrite(ordered, path)
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
    bad = by_key.where(f"{ROWS} > 1 OR {any_null}").select(*map(quoted, table.key)).limit(3).collect()
    sample = "; ".join(", ".join(f"{name}={row[name]}" for name in table.key) for row in bad)
    what = [f"{doubled:,} keys are there more than once"] * bool(doubled) + [f"{null:,} keys are null"] * bool(null)
    raise GateError(
        f"{table.address}: {' and '.join(what)} ({sample})",
        hint=f"Its function must return one row for each ({', '.join(table.key)}). The table keeps its last version.",
    )


def _shown(versions: dict[str, int]) -> str:
    return ", ".join(f"{name} v{version}" for name, version in versions.items())
