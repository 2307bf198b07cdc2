"""Files: csv, json (lines), parquet, text and binary. Each lands once, or again where it changed and that is wanted."""

from lakehouse.sources.files.planning import Files, clock

__all__ = ["Files", "clock"]
