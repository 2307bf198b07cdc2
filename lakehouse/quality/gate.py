"""The gate: a rule with on_fail="fail" that does not hold stops its table, which keeps its last good version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakehouse.errors import DefinitionError, GateError, did_you_mean
from lakehouse.quality.expectation import Expectation
from lakehouse.quality.literals import column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

HINT = "The table keeps its last good version. Mend the source or the rule, then run again."


@dataclass(frozen=True)
class Tally:
    """How many rows fail each rule that warns or stops, counted in whatever pass counts the rows anyway."""

    rules: tuple[Expectation, ...]
    excused: str = ""
    """A boolean column: its rows don't count for a rule that stops; somebody has seen and discarded them."""
    only: tuple[str, str] | None = None
    """A column, and its value in the rows that the rules speak of."""

    @classmethod
    def of(cls, expect: Iterable[Expectation], excused: str = "", only: tuple[str, str] | None = None) -> Tally:
        return cls(tuple(rule for rule in expect if rule.on_rows and rule.on_fail != "quarantine"), excused, only)

    def columns(self) -> list[Column]:
        """One aggregate for each rule."""
        from pyspark.sql import functions as F

        return [F.count_if(self._fails(rule)).alias(f"rule{i}") for i, rule in enumerate(self.rules)]

    def sums(self) -> list[Column]:
        """The aggregates of :meth:`columns` added up."""
        from pyspark.sql import functions as F

        return [F.coalesce(F.sum(f"rule{i}"), F.lit(0)).alias(f"rule{i}") for i in range(len(self.rules))]

    def judge(self, address: str, counted: Any, rows: DataFrame, shown: Sequence[str]) -> dict[str, int]:
        """The counts of the rules that warn. Raises GateError for the others, with columns of three failing rows."""
        failed = {rule: counted[f"rule{i}"] for i, rule in enumerate(self.rules) if counted[f"rule{i}"]}
        stopping = [rule for rule in failed if rule.on_fail == "fail"]
        if stopping:
            sample = (
                rows.where(self._fails(stopping[0])).select(*(column(name).spark for name in shown)).limit(3).collect()
            )
            raise GateError(
                f"{address}: {', '.join(f'{rule.name} fails for {failed[rule]:,} rows' for rule in stopping)}"
                f" ({'; '.join(_short(row.asDict()) for row in sample)})",
                hint=HINT,
            )
        return {rule.name: count for rule, count in failed.items()}

    def _fails(self, rule: Expectation) -> Column:
        from pyspark.sql import functions as F

        from lakehouse.quality.spark import passes

        fails = ~passes(rule)
        if self.only is not None:
            name, value = self.only
            fails = fails & (F.col(name) == value)
        return fails & ~F.col(self.excused) if self.excused and rule.on_fail == "fail" else fails


def table_rules(expect: Iterable[Expectation], key: Sequence[str]) -> list[Expectation]:
    """The rules over the table that its key does not fulfil by itself: that is unique by construction."""
    return [rule for rule in expect if not rule.on_rows and set(rule.columns) != set(key)]


def judge_table(address: str, rows: DataFrame, rules: Iterable[Expectation]) -> dict[str, int]:
    """How many values each ``unique`` rule that warns finds doubled. Raises GateError for one that stops."""
    warned: dict[str, int] = {}
    for rule in rules:
        warned |= _judge_duplicates(address, rows, rule)
    return warned


def _judge_duplicates(address: str, rows: DataFrame, rule: Expectation) -> dict[str, int]:
    from lakehouse.quality.spark import duplicates

    found = duplicates(rows, rule)
    if rule.on_fail == "warn":
        count = found.count()
        return {rule.name: count} if count else {}
    sample = found.limit(3).collect()
    if sample:
        raise GateError(
            f"{address}: {rule.name} fails ({'; '.join(_short(row.asDict()) for row in sample)})", hint=HINT
        )
    return {}


def check_columns(address: str, needed: Sequence[str], expect: Iterable[Expectation], columns: Sequence[str]) -> None:
    """Raise DefinitionError when the key, the order or a rule names a column that the function does not return."""
    from lakehouse.quality.columns import missing_columns

    problems = [f"{name!r}: {did_you_mean(name, columns)}" for name in needed if name not in columns]
    problems += missing_columns(expect, columns)
    if problems:
        raise DefinitionError(
            f"{address}: its function does not return what its key, order or rules name: {'; '.join(problems)}",
            hint=f"It returns: {', '.join(columns)}.",
        )


def _short(values: dict[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())[:200]
