"""What the rules of one build are judged by: the clock, and the tables that they compare with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lakehouse.delta import read_state, read_table
from lakehouse.errors import NotBuiltError
from lakehouse.pipeline.workspace import Workspace
from lakehouse.quality.gate import Gate, Other

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def gate_of(
    session: SparkSession,
    workspace: Workspace,
    address: str,
    made_of: Mapping[str, Any],
    inputs: Mapping[str, Callable[[], Other]],
) -> Gate:
    """The gate of a build that reads these inputs, which are opened if a rule compares with them; other tables are
    read at their newest version.

    Raises NotBuiltError where a rule compares with a table that is not there yet.
    """
    table, others = workspace.graph.table(address), {}
    for rule in table.expect:
        if not rule.reads or rule.reads in others:
            continue
        given = inputs.get(rule.reads)
        others[rule.reads] = given() if given else _newest(session, workspace, address, rule.name, rule.reads)
    return Gate(address, table.key, table.expect, workspace.now(), made_of, others)


def _newest(session: SparkSession, workspace: Workspace, address: str, rule: str, other: str) -> Other:
    path = workspace.project.path(other)
    state = read_state(path)
    if state is None:
        raise NotBuiltError(
            f"{address}: {rule} compares with {other}, which is not built yet",
            hint=f"Run: lakehouse run --select +{address}",
        )
    return Other(read_table(session, path, state.version), state.version)
