"""Gold: tables derived from silver, written as the difference by key. The door: ``@gold.table``."""

from lakehouse.gold.declaration import table

__all__ = ["table"]
