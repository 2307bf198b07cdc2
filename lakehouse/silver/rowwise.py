"""A silver function is row-wise: we look at its plan to know, and carry each row's origin through the same plan.

Merging by key needs the place in bronze of each row that a function returns, which the function knows nothing of. Its
plan is nothing but projections, filters and generators, and Spark's columns keep their identity through these: the
origin's columns are added to each projection, below the user's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lakehouse.errors import DefinitionError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ORIGIN = ("lakehouse_batch", "lakehouse_file", "lakehouse_row")
"""The columns that :func:`with_origin` adds: where a row came from, and the order in which rows landed."""

_THROUGH = {"Filter", "Generate", "SubqueryAlias", "View", "ResolvedHint"}
_WHY = {
    "Join": "a later change of the other side would be missed; join in gold",
    "Aggregate": "it sees just the new rows; aggregate in gold",
    "Window": "it sees just the new rows; use a window in gold",
    "Distinct": "it sees just the new rows; 'key' keeps one row of each",
    "Deduplicate": "it sees just the new rows; 'key' keeps one row of each",
    "Sort": "a table has no order; order rows of a key with 'sequence_by'",
    "Union": "it reads its bronze table twice; emit several rows with explode",
}
_MOVING = ("CurrentTimestamp", "CurrentDate", "Now", "LocalTimestamp", "CurrentTimestampLike", "CurrentTime")


def with_origin(address: str, bronze: DataFrame, returned: DataFrame) -> DataFrame:
    """The function's rows with the origin columns added. ``bronze`` is the frame that the function was given.

    ``bronze`` must hold the ORIGIN columns. Raises DefinitionError naming the node that is not row-wise.
    """
    source = {
        attribute.name(): attribute
        for attribute in _each(bronze._jdf.queryExecution().analyzed().output())
        if attribute.name() in ORIGIN
    }
    plan = returned._jdf.queryExecution().analyzed()
    carried = _carry(address, plan, [source[name] for name in ORIGIN], returned)
    spark: Any = returned.sparkSession
    dataset = spark._jvm.org.apache.spark.sql.classic.Dataset.ofRows(spark._jsparkSession, carried)
    from pyspark.sql import DataFrame

    return DataFrame(dataset, spark)


def _carry(address: str, plan: Any, origin: list[Any], frame: DataFrame) -> Any:
    """The same plan with the origin's attributes in the output of each projection."""
    name = plan.nodeName()
    children = list(_each(plan.children()))
    if _makes(plan, children, origin):
        return plan  # the frame that the function was given; what stands below it is ours
    if not children:
        raise DefinitionError(
            f"{address}: its function reads something else than the table that it was given ({name})",
            hint="A silver table has one input. Read the other one in a gold table.",
        )
    if name != "Project" and name not in _THROUGH:
        node = name.removeprefix("Global").removeprefix("Local")
        why = next((reason for word, reason in _WHY.items() if word in node), "it is not row-wise")
        raise DefinitionError(
            f"{address}: its function has a {node} in its plan: {why}",
            hint="A silver function may select, filter and explode; everything else belongs in gold.",
        )
    if not plan.deterministic() or plan.subqueries().nonEmpty():
        what = "a subquery" if plan.subqueries().nonEmpty() else "an expression that is not deterministic"
        raise DefinitionError(
            f"{address}: its function uses {what}: {_short(plan)}",
            hint="The same row must give the same result in every run, or a rebuilt table would differ.",
        )
    moving = next((word for word in _MOVING for e in _each(plan.expressions()) if _contains(e, word)), None)
    if moving:
        raise DefinitionError(
            f"{address}: its function uses the time of the run ({moving})",
            hint="Use _ingested_at, the time at which the record landed, which stays the same in a rebuild.",
        )
    below = [_carry(address, child, origin, frame) for child in children]
    if name != "Project":
        return plan.withNewChildren(_sequence(frame, below))
    child = below[0]
    missing = [attribute for attribute in origin if not _holds(plan, attribute)]
    jvm: Any = frame.sparkSession._jvm
    fields = plan.projectList().appendedAll(_sequence(frame, missing))
    return jvm.org.apache.spark.sql.catalyst.plans.logical.Project(fields, child)


def _makes(plan: Any, children: list[Any], origin: list[Any]) -> bool:
    """Whether the origin's columns come into being at this node."""
    return all(_holds(plan, one) for one in origin) and not any(_holds(child, origin[0]) for child in children)


def _holds(plan: Any, attribute: Any) -> bool:
    return bool(plan.outputSet().contains(attribute))


def _contains(expression: Any, word: str) -> bool:
    if expression.nodeName() == word or expression.getClass().getSimpleName() == word:
        return True
    return any(_contains(child, word) for child in _each(expression.children()))


def _each(sequence: Any) -> Iterator[Any]:
    return (sequence.apply(i) for i in range(sequence.length()))


def _sequence(frame: DataFrame, items: list[Any]) -> Any:
    jvm: Any = frame.sparkSession._jvm
    listed = jvm.java.util.ArrayList()
    for item in items:
        listed.add(item)
    return jvm.org.apache.spark.api.python.PythonUtils.toSeq(listed)


def _short(plan: Any) -> str:
    return str(plan.simpleString(5)).splitlines()[0][:200]
