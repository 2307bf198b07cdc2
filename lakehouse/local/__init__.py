"""Read every table of a project with deltalake, Arrow and DuckDB: no JVM. ``open_lake()`` is where to begin."""

from lakehouse.local.lake import Lake, open_lake
from lakehouse.local.snapshot import Snapshot

__all__ = ["Lake", "Snapshot", "open_lake"]
