"""From which columns of its inputs each column of a result comes, read off the plan that Spark analysed.

Nothing is run. Each input's columns are marked; the marks are followed by expression id through every node of the plan,
for SQL and frames alike. What a node does that is not known here counts as coming from all that it reads: lineage
may name too much, never too little.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from lakehouse.tables import Table

MARK = "lakehouse_column"
_ID = re.compile(r"#\d+L?")
SAME = ("SubqueryAlias", "View", "Sort", "GlobalLimit", "LocalLimit", "Limit", "RepartitionByExpression", "Repartition")
"""Nodes that give the columns that they read."""
ROWS = ("Filter", "Join", "Sort", "Deduplicate", "DeduplicateWithinWatermark", "Aggregate", "LateralJoin", "AsOfJoin")
"""Nodes whose own expressions decide which rows there are, or which of them come first."""


@dataclass(frozen=True)
class Lineage:
    """What a table's result comes from; inputs are named ``silver.orders.amount``."""

    columns: dict[str, list[str]]
    rows: list[str]
    """What decides which rows there are: filters, joins, grouping, order."""
    texts: dict[str, str] = field(default_factory=dict)
    """A hash of how each column is computed; "" is that of the rows."""


def lineage(table: Table, inputs: Sequence[DataFrame]) -> Lineage:
    """Analyse what the table's function makes of its inputs; it is called once more, and nothing is run."""
    marked = [_marked(name, frame) for name, frame in zip(table.inputs, inputs, strict=True)]
    result = table(*marked)
    plan = result._jdf.queryExecution().analyzed()
    found = _Followed()
    found.walk(plan)
    outputs = list(zip(result.columns, _each(plan.output()), strict=True))
    return Lineage(
        {name: sorted(found.sources.get(_id(one), ())) for name, one in outputs},
        sorted(found.rows),
        {name: found.texts.get(_id(one), "") for name, one in outputs} | {"": _hash(found.deciding)},
    )


def _marked(address: str, frame: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    columns = (
        F.col("`" + name.replace("`", "``") + "`").alias(name, metadata={MARK: f"{address}.{name}"})
        for name in frame.columns
    )
    return frame.select(*columns)


class _Followed:
    """By expression id: the inputs' columns that it comes from, and a hash of how it is computed."""

    def __init__(self) -> None:
        self.sources: dict[int, frozenset[str]] = {}
        self.texts: dict[int, str] = {}
        self.rows: set[str] = set()
        self.deciding: list[str] = []
        self._shared: dict[int, Any] = {}

    def walk(self, plan: Any) -> None:
        kind = str(plan.nodeName())
        children = list(_each(plan.children()))
        if kind == "WithCTE":
            for one in _each(plan.cteDefs()):
                self.walk(one)
                self._shared[one.id()] = one.child()
            self.walk(plan.plan())
            return
        if kind == "Project" and self._marks(plan):
            return  # what is below is how the input is read
        for child in children:
            self.walk(child)
        for inner in _each(plan.subqueries()):
            # A query within an expression decides as a whole, whatever it is used for.
            self.walk(inner)
            self._decide("Subquery", list(_each(inner.output())))
        expressions = list(_each(plan.expressions()))
        if kind in ("Union", "Intersect", "Except", "Intersect All", "Except All"):
            self._side_by_side(plan, children)
        elif kind == "CTERelationRef":
            for own, theirs in zip(_each(plan.output()), _each(self._shared[plan.cteId()].output()), strict=True):
                self._copy(own, [theirs])
        named = [one for one in expressions if one.getClass().getSimpleName() == "Alias"]
        for one in named:
            self._define(_id(one), one)
        others = [one for one in expressions if one not in named]
        if children and (kind in ROWS or kind not in (*SAME, "Project", "Window", "Generate", "Expand")):
            self._decide(kind, [one for one in others if _references(one)])
        if kind == "Distinct":
            self._decide(kind, list(_each(plan.output())))
        unknown = [one for one in _each(plan.output()) if _id(one) not in self.sources]
        if unknown and children:
            read = [one for one in expressions if _references(one)] or [
                one for child in children for one in _each(child.output())
            ]
            if kind not in (*SAME, *ROWS, "Project", "Window", "Generate", "Expand"):
                read = [one for child in children for one in _each(child.output())]
            for one in unknown:
                self._copy(one, read, kind)

    def _marks(self, plan: Any) -> bool:
        """Whether the node is one of those that mark an input's columns."""
        marks = {}
        for one in _each(plan.projectList()):
            if one.getClass().getSimpleName() != "Alias" or not one.metadata().contains(MARK):
                return False
            child = one.child()
            if child.getClass().getSimpleName() != "AttributeReference" or child.metadata().contains(MARK):
                return False
            marks[_id(one)] = str(one.metadata().getString(MARK))
        self.sources |= {number: frozenset([mark]) for number, mark in marks.items()}
        self.texts |= {number: _hash([mark]) for number, mark in marks.items()}
        return bool(marks)

    def _define(self, number: int, expression: Any) -> None:
        ids = _references(expression)
        self.sources[number] = frozenset().union(*(self.sources.get(one, frozenset()) for one in ids))
        self.texts[number] = self._text(expression, ids)

    def _text(self, expression: Any, ids: list[int]) -> str:
        # What an expression is called says nothing of how it is computed.
        inner = expression.child() if expression.getClass().getSimpleName() == "Alias" else expression
        return _hash([_ID.sub("", str(inner.toString())), *(self.texts.get(one, "") for one in ids)])

    def _decide(self, kind: str, expressions: list[Any]) -> None:
        for one in expressions:
            ids = _references(one)
            self.rows.update(*(self.sources.get(number, frozenset()) for number in ids))
            self.deciding.append(f"{kind}:{self._text(one, ids)}")

    def _side_by_side(self, plan: Any, children: list[Any]) -> None:
        sides = [list(_each(child.output())) for child in children]
        for place, own in enumerate(_each(plan.output())):
            self._copy(own, [side[place] for side in sides])
        kind = str(plan.nodeName())
        self.deciding.append(kind)
        if kind != "Union":
            self._decide(kind, [one for side in sides for one in side])

    def _copy(self, own: Any, theirs: list[Any], how: str = "") -> None:
        ids = [number for one in theirs for number in _references(one)]
        self.sources[_id(own)] = frozenset().union(*(self.sources.get(one, frozenset()) for one in ids))
        texts = [self.texts.get(one, "") for one in ids]
        self.texts[_id(own)] = texts[0] if len(texts) == 1 and not how else _hash([how, *texts])


def _references(expression: Any) -> list[int]:
    if expression.getClass().getSimpleName() == "AttributeReference":
        return [_id(expression)]
    return sorted({_id(one) for one in _each(expression.references().toSeq())})


def _id(named: Any) -> int:
    return int(named.exprId().id())


def _each(sequence: Any) -> Iterator[Any]:
    return (sequence.apply(place) for place in range(sequence.length()))


def _hash(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
