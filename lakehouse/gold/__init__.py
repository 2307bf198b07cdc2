"""Gold: tables derived from silver, written as the difference by key. The door: ``table``, ``by``, ``windows``."""

from lakehouse.gold.aggregates import count, first, last, last_n, max, mean, min, rate, sum, variance
from lakehouse.gold.declaration import by, table
from lakehouse.gold.windows import windows

__all__ = [
    "by",
    "count",
    "first",
    "last",
    "last_n",
    "max",
    "mean",
    "min",
    "rate",
    "sum",
    "table",
    "variance",
    "windows",
]
