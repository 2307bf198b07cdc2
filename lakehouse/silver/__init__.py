"""Silver: bronze rows judged, deduplicated and merged by key. The door: ``@silver.table``."""

from lakehouse.silver.declaration import table

__all__ = ["table"]
