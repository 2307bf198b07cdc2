"""The gate before publishing: whether a table's newest build was refused, or its rows are older than they may be.

Both stand beside the table, where its builds left them; no code of the project is imported to ask, and no JVM.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.config import Project
from lakehouse.delta.state import TableState, read_state
from lakehouse.errors import GateError
from lakehouse.quality.over_tables import freshness_in, span
from lakehouse.tables.definition import LAYERS

if TYPE_CHECKING:
    from lakehouse.features.reading import OpenTable

PINNED = "To publish a version in spite of it, pin the view to it: version=…"


def check_gate(project: Project, address: str, opened: OpenTable, now: datetime) -> None:
    """Raise GateError for a table whose newest build was refused, and for one that is past its freshness now.

    Refused is a build that a rule with on_fail="fail", or a null or doubled key, stopped after the one that made the
    table's rows. Freshness is what ``fresh_within(…, on_fail="fail")`` asked in the newest build, asked again at
    ``now``. A table without rules that were ever asked has no gate. Of one that was never refused nothing but the few
    rows beside it is read, and of a fresh one its newest times.
    """
    layer = address.partition(".")[0]
    beside = read_state(project.state(address)) if layer in LAYERS[1:] else None
    if beside is None or not {"_batch", "_origin", "_record"} <= beside.columns.keys():
        return
    newest = _newest(beside)
    failed = [one["rule"] for one in newest if one["verdict"] == "failed"]
    if failed and not _built_since(opened, newest[0]["_origin"], newest[0]["_batch"]):
        raise _refused(address, f"{', '.join(failed)} did not hold in its newest build")
    if _blocked(beside, opened):
        raise _refused(address, "rows stopped its newest build")
    for one in newest:
        asked = freshness_in(one["rule"]) if one["on_fail"] == "fail" else None
        if asked is not None:
            _check_fresh(address, opened, one["rule"], *asked, now)


def _newest(beside: TableState) -> list[dict[str, Any]]:
    """What each rule found in the newest build that was judged."""
    rows = beside.rows("SELECT _origin, _batch, _record FROM t WHERE _kind = 'quality'")
    found = [{**json.loads(row["_record"]), "_origin": row["_origin"], "_batch": row["_batch"]} for row in rows]
    last = max((datetime.fromisoformat(one["at"]) for one in found), default=None)
    return [one for one in found if datetime.fromisoformat(one["at"]) == last]


def _blocked(beside: TableState, opened: OpenTable) -> bool:
    """Whether rows stopped a build of the definition that the table is made by, and none has succeeded since."""
    stopped = beside.rows("SELECT _origin, max(_batch) AS last FROM t WHERE _kind = 'blocking' GROUP BY _origin")
    made = [(opened.delta.transaction_version(row["_origin"]), row["last"]) for row in stopped]
    return any(cursor is not None and cursor < last for cursor, last in made)


def _built_since(opened: OpenTable, origin: str, batch: int) -> bool:
    cursor = opened.delta.transaction_version(origin)
    return cursor is not None and cursor >= batch


def _check_fresh(address: str, opened: OpenTable, rule: str, column: str, within: str, now: datetime) -> None:
    opened.require([column], f"asked for by {rule}")
    oldest = now - span(within)
    times = pa.types.is_timestamp(pa.schema(opened.delta.schema().to_arrow()).field(column).type)
    if times and opened.read([column], time=column, start=oldest).num_rows:
        return
    newest = pc.max(opened.read([column]).column(column)).as_py()
    if newest is None or newest < oldest:
        seen = "it has none" if newest is None else f"its newest is {newest.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        raise GateError(
            f"{address} is not published: {rule} does not hold now, {seen}",
            hint=f"Build it from newer data: lakehouse run --select +{address}\n{PINNED}",
        )


def _refused(address: str, why: str) -> GateError:
    return GateError(
        f"{address} is not published: {why}",
        hint=f"See: lakehouse show {address}. Mend the source or the rule and run again.\n{PINNED}",
    )
