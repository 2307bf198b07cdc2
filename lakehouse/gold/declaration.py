"""``@gold.table``: how a project says what a gold table is."""

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
    at: str | None = None,
    expect: Sequence[Expectation] = (),
    tags: Sequence[str] = (),
) -> Callable[[Callable[..., DataFrame]], Table]:
    """Declare a gold table: the function receives whole silver or gold tables and returns one row per ``key``.

    ``at`` names the column that holds each row's event time: the moment, in UTC, from which its values were known.
    A feature view needs it. A key that is null or doubled in the result fails the table; nothing is written then.
    """

    def decorate(function: Callable[..., DataFrame]) -> Table:
        keys = [key] if isinstance(key, str) else key
        return declare("gold", function, key=keys, at=at, expect=expect, tags=tags)

    return decorate
