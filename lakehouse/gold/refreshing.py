"""Which part of a gold table is computed again, and what of its inputs and of its own rows that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.delta import has_columns_of, read_table
from lakehouse.delta.commit import quoted
from lakehouse.delta.feed import NoFeedError, read_feed
from lakehouse.errors import DefinitionError
from lakehouse.gold.part import Part
from lakehouse.gold.planning import KINDS, Work, check_lookback
from lakehouse.tables import By, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FEW, MANY = 10, 1_000
"""So many values are always computed alone, and more than that never: the queries would name too many."""
SHARE = 1 / 3
"""Of the values in the table: where more of them changed, computing all of it costs less."""


@dataclass(frozen=True)
class Refresh:
    """What of a table is computed: a part, or all of it and why."""

    result: DataFrame
    part: Part | None = None
    why: str = ""


def computed(session: SparkSession, table: Table, work: Work, inputs: Mapping[str, Path], path: Path) -> Refresh:
    """Call the table's function on what it needs of its inputs, at the pinned versions."""
    frames = {name: read_table(session, inputs[name], version) for name, version in work.versions.items()}
    found = _changed(session, table, work, inputs, path) if work.since is not None else ""
    if isinstance(found, str):
        return Refresh(table(*frames.values()), None, found)
    needed = [rows.where(found.inputs()) if name in work.split else rows for name, rows in frames.items()]
    result = table(*needed)
    if not has_columns_of(result, path):
        return Refresh(table(*frames.values()), None, "the whole table, for it has other columns now")
    return Refresh(result.where(found.results()), found, _said(found))


def check_column(table: Table, result: DataFrame) -> None:
    """Raise DefinitionError where the table can't be refreshed by its column, which it has."""
    if not isinstance(table.refresh, By):
        return
    name = table.refresh.column
    kind = {"bigint": "long", "int": "integer", "smallint": "short", "tinyint": "byte"}
    shown = result.select(quoted(name)).schema.fields[0].dataType.simpleString()
    if kind.get(shown, shown) not in KINDS:
        raise DefinitionError(
            f"{table.address}: refresh=by('{name}') is for dates, times, text and integers, and '{name}' is {shown}",
            hint="Cast it in the function, or write refresh='all'.",
        )
    check_lookback(table, f"its '{name}' is {shown}", kind.get(shown, shown))


def elsewhere(session: SparkSession, path: Path, part: Part) -> DataFrame:
    """The rows of the table that stay as they are."""
    return read_table(session, path).where(f"NOT {part.results()}")


def _changed(session: SparkSession, table: Table, work: Work, inputs: Mapping[str, Path], path: Path) -> Part | str:
    """The part of the table that the changes of its inputs touch, or why that can't be told or is too much."""
    assert isinstance(table.refresh, By) and work.since is not None
    by, values = table.refresh, set[Any]()
    column = by.asked
    for name in work.split:
        try:
            feed = read_feed(inputs[name], work.since[name], work.versions[name])
            if feed.moved:
                values |= feed.values(session, column, MANY, days=bool(by.days_of))
        except NoFeedError as error:
            return f"the whole table, for {name} {error}"
    if len(values) > MANY:
        return f"the whole table, for more than {MANY:,} values of '{column}' changed"
    part = Part(by.column, frozenset(values), table.lookback, by.days_of)
    try:
        part.results()
    except DefinitionError as error:
        return f"the whole table, for a value of '{column}' can't be looked for: {error.message}"
    if len(values) > FEW:
        from pyspark.sql import functions as F

        one = F.col(quoted(by.column))
        one = F.to_date(one) if by.days_of else one
        counts = read_table(session, path).agg(
            F.count_distinct(one).alias("all"),
            F.count_distinct(F.when(F.expr(part.results()), one)).alias("changed"),
        )
        row = counts.collect()[0]
        if row["changed"] > SHARE * row["all"]:
            return f"the whole table, for {row['changed']:,} of its {row['all']:,} values of '{column}' changed"
    return part


def _said(part: Part) -> str:
    count = len(part.values)
    what = ("day", "days") if part.days_of else ("value", "values")
    return f"{count:,} {what[count != 1]} of '{part.days_of or part.column}'"
