"""Files that land once each: csv, json (lines) and parquet."""

from lakehouse.sources.files.planning import plan_batch, waiting_files

__all__ = ["plan_batch", "waiting_files"]
