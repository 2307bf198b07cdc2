"""``@gold.table``: how a project says what a gold table is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from lakehouse.quality import Expectation
from lakehouse.tables import By, Table, declare

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def by(column: str) -> By:
    """Refresh a table by the values of a column that is in it and in its inputs: a date, a time, text or integers."""
    return By(column)


def table(
    *,
    key: str | Sequence[str],
    at: str | None = None,
    expect: Sequence[Expectation] = (),
    refresh: Literal["all"] | By = "all",
    lookback: timedelta | None = None,
    cluster_by: str | Sequence[str] = (),
    tags: Sequence[str] = (),
) -> Callable[[Callable[..., DataFrame]], Table]:
    """Declare a gold table: the function receives whole silver or gold tables and returns one row per ``key``.

    ``at`` names the column that holds each row's event time: the moment, in UTC, from which its values were known.
    A feature view needs it. A key that is null or doubled in the result fails the table; nothing is written then.

    ``refresh`` says what is computed again when an input changed: ``"all"``, or just the values of a column that
    changed, ``by("day")``. That asks that a row depends on rows of its own value only, in all inputs that have the
    column; with ``lookback``, on those of that time before too. Nothing proves it: see docs/gold.md.

    ``cluster_by``: as for a silver table.
    """

    def decorate(function: Callable[..., DataFrame]) -> Table:
        keys = [key] if isinstance(key, str) else key
        return declare(
            *("gold", function),
            key=keys,
            at=at,
            expect=expect,
            refresh=refresh,
            lookback=lookback,
            cluster_by=cluster_by,
            tags=tags,
        )

    return decorate
