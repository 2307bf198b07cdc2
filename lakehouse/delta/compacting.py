"""Few large files instead of many small ones, with neighbouring keys in one file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.delta.commit import named, quoted, set_properties
from lakehouse.delta.log import actions, commits
from lakehouse.delta.state import UPKEEP, TableState

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SMALL_FILES = 16
"""A partition with as many small files is compacted."""
MOST_BYTES, MOST_ROWS, LEAST_BYTES = 64 << 20, 250_000, 1 << 20
"""How large a file is to become. A merge rewrites each file that it changes a row of: few rows are cheap."""
BRONZE_BYTES = 128 << 20
"""Of a table that is only appended to."""
LOOSE = 0.2
"""The share of a clustered table's bytes that may lie unclustered."""
CUBE_BYTES = 1 << 30
"""What was clustered together is left alone from this size on, so that a large table is never rewritten whole."""
CLUSTERED_BY = "lakehouse.clusteredBy"
"""The property that holds by which columns a table was clustered, as a JSON list. Without it: by its key."""
COMPARED = ("string", "byte", "short", "integer", "long", "float", "double", "date", "timestamp", "decimal")
"""The types of which Delta keeps the least and the largest value of each file."""


@dataclass(frozen=True)
class Extent:
    """How much of a folder the newest version is."""

    files: int
    bytes: int


@dataclass(frozen=True)
class Compaction:
    """What is to be done to a table's files; nothing where ``why`` is empty."""

    why: str
    target: int
    """Bytes of a file."""
    cluster_by: tuple[str, ...] = ()
    """The columns to cluster by from now on; none where nothing changes."""
    whole: bool = False
    """What was clustered by other columns is rewritten too."""


def extent(state: TableState) -> Extent:
    sizes = _column(state, "size_bytes")
    return Extent(len(sizes), sum(sizes))


def plan_compaction(
    state: TableState, key: Sequence[str] = (), cluster_by: Sequence[str] = (), *, appended: bool = False
) -> Compaction:
    """Look at the files of the newest version. A large table is clustered by ``cluster_by``, or without it by ``key``;
    each column must be one that :func:`can_cluster`."""
    names, sizes, rows = (_column(state, name) for name in ("path", "size_bytes", "num_records"))
    known = [(size, count) for size, count in zip(sizes, rows, strict=True) if count]
    target = BRONZE_BYTES
    if not appended:
        a_row = sum(size for size, _ in known) / max(sum(count for _, count in known), 1)
        target = int(min(MOST_BYTES, max(LEAST_BYTES, a_row * MOST_ROWS)))
    small = Counter(name.rpartition("/")[0] for name, size in zip(names, sizes, strict=True) if size < target // 2)
    most = max(small.values(), default=0)
    why = f"{sum(small.values())} small files" if most >= SMALL_FILES else ""
    clustered = is_clustered(state)
    wanted = tuple(cluster_by or key)
    before = tuple(json.loads(state.properties.get(CLUSTERED_BY, "null")) or key) if clustered else ()
    if sum(sizes) <= target or state.table.metadata().partition_columns or wanted == before:
        wanted = ()
    if wanted:
        why = "; ".join(filter(None, [why, f"to be clustered by {', '.join(wanted)}"]))
    elif clustered and not why and len(sizes) > 1 and sum(sizes) > target:
        loose = _loose(state)
        if loose > LOOSE * sum(sizes):
            why = f"{loose:,} bytes are not clustered"
    return Compaction(why, target, wanted, whole=clustered and bool(wanted))


def compact(session: SparkSession, path: Path, work: Compaction) -> None:
    """Rewrite small files, in commits that change no row; the rows' files get their statistics anew."""
    own = session.newSession()
    settings = {
        "spark.databricks.delta.commitInfo.userMetadata": f"{UPKEEP}: {work.why}",
        "spark.databricks.delta.optimize.maxFileSize": work.target,
        "spark.databricks.delta.optimize.minFileSize": work.target // 2,
        "spark.databricks.delta.optimize.clustering.mergeStrategy.minCubeSize.threshold": CUBE_BYTES,
        "spark.databricks.delta.stats.collect": "true",
    }
    for name, value in settings.items():
        own.conf.set(name, str(value))
    if work.cluster_by:
        own.sql(f"ALTER TABLE {named(path)} CLUSTER BY ({', '.join(map(quoted, work.cluster_by))})")
    own.sql(f"OPTIMIZE {named(path)}{' FULL' * work.whole}").collect()
    if work.cluster_by:  # at the end: what is killed before is done again
        set_properties(own, path, {CLUSTERED_BY: json.dumps(work.cluster_by)})


def can_cluster(state: TableState, column: str) -> bool:
    """Whether the table has the column, and Delta keeps its least and largest value in each file."""
    place = list(state.columns).index(column) if column in state.columns else 99
    kind = state.columns.get(column, "")
    return place < 32 and any(f'"{one}' in kind for one in COMPARED) and kind.startswith("PrimitiveType")


def is_clustered(state: TableState) -> bool:
    return "clustering" in (state.table.protocol().writer_features or [])


def _column(state: TableState, name: str) -> list[Any]:
    """What the log says of each file of the newest version."""
    return list(state.table.get_add_actions(flatten=True).column(name).to_pylist())


def _loose(state: TableState) -> int:
    """Bytes of live files that no clustering wrote, as far as the log still says."""
    clustered: set[str] = set()
    added: dict[str, Any] = {}
    for _, file in commits(state.path):
        for action in actions(file):
            if "add" in action:
                added[action["add"]["path"]] = action["add"]
                if "ZCUBE_ID" in (action["add"].get("tags") or {}):
                    clustered.add(action["add"]["path"])
    sizes = dict(zip(_column(state, "path"), _column(state, "size_bytes"), strict=True))
    return sum(size for name, size in sizes.items() if name in added and name not in clustered)
