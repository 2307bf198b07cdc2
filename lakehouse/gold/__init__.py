"""Gold: tables derived from silver, written as the difference by key. The door: ``@gold.table`` and ``by``."""

from lakehouse.gold.declaration import by, table

__all__ = ["by", "table"]
