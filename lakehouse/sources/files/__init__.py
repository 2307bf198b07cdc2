"""Files that land once each: csv, json (lines) and parquet."""

from lakehouse.sources.files.planning import Files

__all__ = ["Files"]
