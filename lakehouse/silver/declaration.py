"""``@silver.table``: how a project says what a silver table is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lakehouse.quality import Expectation
from lakehouse.tables import Table, declare

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def table(
    *,
    key: str | Sequence[str],
    sequence_by: str | None = None,
    expect: Sequence[Expectation] = (),
    tags: Sequence[str] = (),
) -> Callable[[Callable[..., DataFrame]], Table]:
    """Declare a silver table: one row per ``key``, the newest of those that landed.

    The function receives just the new rows of its one bronze table and must be row-wise: select, filter, explode.
    ``sequence_by`` names a column of its result that orders the rows of a key; without it the later landed wins.

    >>> from lakehouse import silver
    >>> from lakehouse.quality import not_null
    >>> @silver.table(key="faa", expect=[not_null("name")])
    ... def airports(bronze_airports):
    ...     return bronze_airports.select("faa", "name")
    >>> airports.address, airports.inputs
    ('silver.airports', ('bronze.airports',))
    """

    def decorate(function: Callable[..., DataFrame]) -> Table:
        keys = [key] if isinstance(key, str) else key
        return declare("silver", function, key=keys, expect=expect, sequence_by=sequence_by, tags=tags)

    return decorate
