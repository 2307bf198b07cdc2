"""``@silver.table``: how a project says what a silver table is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lakehouse.quality import Expectation
from lakehouse.tables import Capture, Table, declare
from lakehouse.tables.definition import Lateness

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def table(
    *,
    key: str | Sequence[str],
    sequence_by: str | None = None,
    apply_as_deletes: str = "",
    apply_as_truncates: str = "",
    ignore_null_updates: bool = False,
    except_column_list: Sequence[str] = (),
    late_by: Lateness | None = None,
    keep_versions: bool = False,
    expect: Sequence[Expectation] = (),
    cluster_by: str | Sequence[str] = (),
    tags: Sequence[str] = (),
) -> Callable[[Callable[..., DataFrame]], Table]:
    """Declare a silver table: one row per ``key``, the newest of those that landed.

    The function receives just the new rows of its one bronze table and must be row-wise: select, filter, explode.
    ``sequence_by`` names a column of its result that orders the rows of a key, in whatever order they land; equal ones
    are decided by content. Without it the later landed wins.

    Where the rows are change events: ``apply_as_deletes`` and ``apply_as_truncates`` are SQL conditions over the
    result, for events that delete the row of their key, or all rows; a delete wins over an upsert of equal sequence.
    With ``ignore_null_updates`` a null leaves the value that was there. The table has no column of
    ``except_column_list``. An event that is more than ``late_by`` (a timedelta, or a number where ``sequence_by`` is
    one) behind the newest of the batches before its own is quarantined, in a rebuild too; the default keeps all.
    With ``keep_versions`` rows that were replaced or deleted are kept beside the table, with when they were known.

    ``cluster_by`` names up to four columns by whose values ``lakehouse maintain`` puts the rows of a large table
    together, such as the event time that window features ask for; by default the key's.

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
        excepted = except_column_list if isinstance(except_column_list, str) else tuple(except_column_list)
        capture = Capture(
            *(apply_as_deletes, apply_as_truncates, ignore_null_updates, excepted, late_by, keep_versions)  # type: ignore[arg-type]
        )
        return declare(
            *("silver", function),
            key=keys,
            expect=expect,
            sequence_by=sequence_by,
            capture=capture,
            cluster_by=cluster_by,
            tags=tags,
        )

    return decorate
