"""Files that land once each: csv, json (lines) and parquet."""

from lakehouse.sources.files.planning import plan_batch

__all__ = ["plan_batch"]
