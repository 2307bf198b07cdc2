"""The gate: a rule with on_fail="fail" that does not hold stops its table, which keeps its last good version.

What each rule found is kept for every build, also for one that is stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

from lakehouse.errors import DefinitionError, GateError, did_you_mean
from lakehouse.quality.columns import missing_columns
from lakehouse.quality.expectation import Expectation
from lakehouse.quality.literals import MOMENT, column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

HINT = "The table keeps its last good version. Mend the source or the rule, then run again."
SAMPLES = 3
LONGEST = 200
"""Characters of a text in a sample."""
_AS_JSON = {"timestampFormat": MOMENT, "ignoreNullFields": "false"}
Outcome = Literal["passed", "warned", "quarantined", "failed", "skipped"]


@dataclass(frozen=True)
class Other:
    """A table that a rule reads, at the version at which it is read."""

    rows: DataFrame
    version: int


@dataclass(frozen=True)
class Found:
    """What one rule found in one build."""

    looked: int
    """Rows that it was asked about; one with a null is not compared by ``unique`` and ``references``."""
    failures: int
    samples: tuple[str, ...] = ()
    """Up to three rows or values that fail it, as JSON: just the table's key and the rule's columns."""


@dataclass(frozen=True)
class Gate:
    """The rules of one build of one table. It is asked while the table is built, and remembers what they found."""

    address: str
    key: tuple[str, ...]
    rules: tuple[Expectation, ...]
    now: datetime
    """The run's clock, in UTC."""
    made_of: Mapping[str, Any]
    """Which batches, or which versions of the inputs, the build reads."""
    others: Mapping[str, Other] = field(default_factory=dict)
    """The tables that rules read, by address."""
    found: dict[Expectation, Found] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """Says at which versions the rules read other tables; empty where they read none."""
        seen = sorted((address, other.version) for address, other in self.others.items())
        return hashlib.sha256(repr(seen).encode()).hexdigest()[:8] if seen else ""

    def check(self, needed: Sequence[str], columns: Sequence[str], conditions: Iterable[Expectation] = ()) -> None:
        """Raise DefinitionError when the key, the order, a condition or a rule names a column that is not there."""
        problems = [f"{name!r}: {did_you_mean(name, columns)}" for name in needed if name not in columns]
        problems += missing_columns([*self.rules, *conditions], columns)
        if problems:
            raise DefinitionError(
                f"{self.address}: its function does not return what its key, order or rules name: "
                f"{'; '.join(problems)}",
                hint=f"It returns: {', '.join(columns)}.",
            )
        for rule in self.rules:
            there = self.others[rule.reads].rows.columns if rule.reads else ()
            for name in rule.read_columns:
                if name not in there:
                    raise DefinitionError(
                        f"{self.address}: {rule.name}: {rule.reads} has no column '{name}'",
                        hint=did_you_mean(name, there),
                    )

    def tally(self, excused: str = "", only: tuple[str, str] | None = None) -> Tally:
        """The rules on rows, to be counted in whatever pass counts the rows anyway."""
        return Tally(self, tuple(rule for rule in self.rules if rule.on_rows), excused, only)

    def judge(self, rows: DataFrame) -> dict[str, int]:
        """Ask the rules over the table, in one Spark job where they hold; the counts of those that warn.

        Raises GateError for those that stop it.
        """
        from pyspark.sql import DataFrame
        from pyspark.sql import functions as F

        from lakehouse.quality.spark_tables import findings, summary

        rules = table_rules(self.rules, self.key)
        if not rules:
            return {}
        if missing := missing_columns(rules, rows.columns):
            raise DefinitionError(
                f"{self.address}: rules over the table name columns that it does not have: {'; '.join(missing)}",
                hint=f"It has: {', '.join(rows.columns)}.",
            )
        asked = [(rule, rows, self._other(rule), self.now) for rule in rules]
        try:
            lines = [summary(*one).select(F.lit(place).alias("rule"), "*") for place, one in enumerate(asked)]
        except DefinitionError as error:
            raise DefinitionError(f"{self.address}: {error.message}", hint=error.hint) from None
        failed: dict[Expectation, str] = {}
        for line in reduce(DataFrame.unionByName, lines).collect():
            rule = rules[line["rule"]]
            samples: list[Any] = []
            if line["failures"]:
                what = findings(*asked[line["rule"]]).limit(SAMPLES)
                samples = what.select(_json(what, what.columns).alias("json"), "*").collect()
                failed[rule] = "; ".join(_short(row.asDict(), hidden="json") for row in samples)
            self.found[rule] = Found(line["looked"], line["failures"], tuple(row["json"] for row in samples))
        stopping = [rule for rule in failed if rule.on_fail == "fail"]
        if stopping:
            said = "; ".join(f"{rule.name} fails ({failed[rule]})" for rule in stopping)
            raise GateError(f"{self.address}: {said}", hint=HINT)
        return {rule.name: self.found[rule].failures for rule in failed}

    def with_blame(self, rows: DataFrame, name: str) -> DataFrame:
        """The rows, and in a column ``name`` the rules over the table that stop it because of the row."""
        from pyspark.sql import functions as F

        from lakehouse.quality.spark import failed_unique
        from lakehouse.quality.spark_tables import MISSING, with_missing

        rules = blaming(self.rules, self.key)
        found = rows.withColumn(name, failed_unique(rules))
        for rule in rules:
            if rule.kind == "references":
                named = F.when(F.col(MISSING), F.array(F.lit(rule.name))).otherwise(F.array().cast("array<string>"))
                marked = with_missing(rule, found, self._other(rule))
                found = marked.withColumn(name, F.concat(name, named)).drop(MISSING)
        return found

    def results(self) -> list[dict[str, Any]]:
        """What each rule found, in the order of their declaration; ``skipped`` where another one stopped first."""
        return [{**self._result(rule, self.found.get(rule)), "place": i} for i, rule in enumerate(self.rules)]

    def rows(self, batch: int) -> list[dict[str, Any]]:
        """:meth:`results` as rows that a table remembers beside it."""
        return [{"_kind": "quality", "_batch": batch, "_record": json.dumps(result)} for result in self.results()]

    def _result(self, rule: Expectation, found: Found | None) -> dict[str, Any]:
        outcome: Outcome = "skipped"
        if found is not None:
            failing: dict[str, Outcome] = {"warn": "warned", "quarantine": "quarantined", "fail": "failed"}
            outcome = failing[rule.on_fail] if found.failures else "passed"
        elif rule.kind == "unique" and set(rule.columns) == set(self.key):
            outcome = "passed"  # the key is unique by construction
        return {
            "rule": rule.name,
            "on_fail": rule.on_fail,
            "verdict": outcome,
            "looked": found.looked if found else None,
            "failures": found.failures if found else 0 if outcome == "passed" else None,
            "samples": [json.loads(sample) for sample in found.samples] if found else [],
            "at": self.now.astimezone(UTC).isoformat(),
            **self.made_of,
            **({"compared_with": {rule.reads: self.others[rule.reads].version}} if rule.reads else {}),
        }

    def _other(self, rule: Expectation) -> DataFrame | None:
        return self.others[rule.reads].rows if rule.reads else None


@dataclass(frozen=True)
class Tally:
    """How many rows fail each rule on rows."""

    gate: Gate
    rules: tuple[Expectation, ...]
    excused: str = ""
    """A boolean column: its rows don't count for a rule that stops; somebody has seen and discarded them."""
    only: tuple[str, str] | None = None
    """A column, and its value in the rows that the rules speak of."""

    def columns(self) -> list[Column]:
        """How many rows are asked about, and one aggregate for each rule."""
        from pyspark.sql import functions as F

        failing = [F.count_if(self._fails(rule)).alias(f"lakehouse_rule{i}") for i, rule in enumerate(self.rules)]
        return [F.count_if(self._asked()).alias("lakehouse_looked"), *failing]

    def sums(self) -> list[Column]:
        """The aggregates of :meth:`columns` added up, without the first part of their names."""
        from pyspark.sql import functions as F

        names = ("looked", *(f"rule{i}" for i in range(len(self.rules))))
        return [F.coalesce(F.sum(f"lakehouse_{name}"), F.lit(0)).alias(name) for name in names]

    def judge(self, counted: Any, rows: DataFrame, shown: Sequence[str]) -> dict[str, int]:
        """The counts of the rules that warn. Raises GateError for those that stop, with three of the failing rows."""
        failed = {rule: counted[f"rule{i}"] for i, rule in enumerate(self.rules) if counted[f"rule{i}"]}
        samples = self._samples(rows, failed)
        for rule in self.rules:
            self.gate.found[rule] = Found(counted["looked"], failed.get(rule, 0), samples.get(rule, ()))
        stopping = [rule for rule in failed if rule.on_fail == "fail"]
        if stopping:
            names = (column(name).spark for name in shown)
            sample = rows.where(self._fails(stopping[0])).select(*names).limit(SAMPLES).collect()
            raise GateError(
                f"{self.gate.address}: "
                f"{', '.join(f'{rule.name} fails for {failed[rule]:,} rows' for rule in stopping)}"
                f" ({'; '.join(_short(row.asDict()) for row in sample)})",
                hint=HINT,
            )
        return {rule.name: count for rule, count in failed.items() if rule.on_fail == "warn"}

    def _samples(self, rows: DataFrame, failed: Iterable[Expectation]) -> dict[Expectation, tuple[str, ...]]:
        """Failing rows of each rule, found in one Spark job."""
        from pyspark.sql import DataFrame
        from pyspark.sql import functions as F

        rules = list(failed)
        picked = [
            rows.where(self._fails(rule))
            .select(F.lit(place).alias("rule"), _json(rows, (*self.gate.key, *rule.columns)).alias("json"))
            .limit(SAMPLES)
            for place, rule in enumerate(rules)
        ]
        found = reduce(DataFrame.unionByName, picked).collect() if picked else []
        return {rule: tuple(row["json"] for row in found if row["rule"] == i) for i, rule in enumerate(rules)}

    def _asked(self) -> Column:
        from pyspark.sql import functions as F

        return F.lit(True) if self.only is None else F.col(self.only[0]) == self.only[1]

    def _fails(self, rule: Expectation) -> Column:
        from pyspark.sql import functions as F

        from lakehouse.quality.spark import passes

        fails = ~passes(rule) & self._asked()
        return fails & ~F.col(self.excused) if self.excused and rule.on_fail == "fail" else fails


def table_rules(expect: Iterable[Expectation], key: Sequence[str]) -> list[Expectation]:
    """The rules over the table that its key does not fulfil by itself: that is unique by construction."""
    return [
        rule for rule in expect if not rule.on_rows and not (rule.kind == "unique" and set(rule.columns) == set(key))
    ]


def blaming(expect: Iterable[Expectation], key: Sequence[str]) -> list[Expectation]:
    """Those of :func:`table_rules` that stop the table and say because of which rows."""
    return [rule for rule in table_rules(expect, key) if rule.on_fail == "fail" and rule.names_rows]


def _json(rows: DataFrame, names: Iterable[str]) -> Column:
    """These columns as JSON, each once, long texts cut."""
    from pyspark.sql import functions as F

    kinds = {name.casefold(): kind for name, kind in rows.dtypes}
    wanted = {name.casefold(): name for name in names}
    values = [
        (F.substring(value, 1, LONGEST) if kinds[folded] == "string" else value).alias(name)
        for folded, name in wanted.items()
        for value in [F.col(column(name).spark)]
    ]
    return F.to_json(F.struct(*values), _AS_JSON)


def _short(values: dict[str, object], hidden: str = "") -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items() if name != hidden)[:LONGEST]
