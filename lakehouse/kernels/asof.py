"""The point-in-time join: for each entity row the newest feature row of its key that was known by then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import DefinitionError
from lakehouse.kernels.keys import Column, Ints, key_codes

Content: TypeAlias = Callable[[Ints], pa.Table]
"""The rows at the positions given, with the columns that tell tied rows apart. Called only when rows are tied."""

_LEAST = np.iinfo(np.int64).min


def asof_join(
    keys: Sequence[Column],
    times: Column,
    feature_keys: Sequence[Column],
    feature_times: Column,
    *,
    created: Column | None = None,
    content: Content | None = None,
    ttl: timedelta | None = None,
) -> Ints:
    """For each entity row, in order, the position of the feature row that it sees; -1 where there is none.

    Guaranteed, for an entity row with key K and time T:

    - the row has exactly the key K, part by part; a null (or NaN) in a key, and a null time, match nothing;
    - its time t is not after T, and with a ``ttl`` not before T - ttl (an equal time is in, at both ends);
    - of those it has the greatest t; of rows with equal t the greatest ``created`` (null is least); of rows that
      are equal there too the greatest ``content``, column by column. So the answer's content doesn't depend on the
      order of the rows. Without ``content``, the last of the tied rows.

    Times are timestamps of any unit, naive ones in UTC; feature times are compared at microseconds (a finer one is
    rounded up, so that a value is never seen before its time). Takes O((n + m) log m): one sort, one search.
    Raises DefinitionError for times that are no timestamps and keys that can't be compared.

    >>> import pyarrow as pa
    >>> day = lambda *days: pa.array([86_400_000_000 * d for d in days], pa.timestamp("us", "UTC"))
    >>> asof_join([pa.array(["a", "a", "b", None])], day(1, 5, 5, 5), [pa.array(["a", "a", "b"])], day(2, 4, 1))
    array([-1,  1,  2, -1])
    """
    if ttl is not None and ttl < timedelta(0):
        raise DefinitionError(f"ttl={ttl} is negative")
    codes, feature_codes = key_codes(keys, feature_keys, (len(times), len(feature_times)))
    now, now_up, known = _ticks(times)
    _, at, feature_known = _ticks(feature_times)
    codes = np.where(known, codes, -1)

    rows = np.flatnonzero((feature_codes >= 0) & feature_known)
    moments = np.unique(at[rows])
    # (key, time) as one number: a key's slot is wide enough for every moment, and for "before the first" (0).
    width = len(moments) + 1
    place = feature_codes[rows] * width + np.searchsorted(moments, at[rows]) + 1
    rows, place = _in_order(rows, place, created, content)

    seen = codes * width + np.searchsorted(moments, now, side="right")
    spot = _search(place, seen) - 1
    found = (codes >= 0) & (spot >= 0)
    spot = np.where(found, spot, 0)
    if len(rows):
        found &= place[spot] // width == codes
        if ttl is not None:
            span = min(ttl // timedelta(microseconds=1), 2**62)
            oldest = np.where(now_up < _LEAST + span, _LEAST, now_up - np.int64(span))
            found &= at[rows[spot]] >= oldest
        return np.where(found, rows[spot], -1)
    return np.full(len(times), -1, np.int64)


def latest(
    keys: Sequence[Column], times: Column, *, created: Column | None = None, content: Content | None = None
) -> Ints:
    """The position of each key's newest row, ordered by the key's first appearance; ties as in :func:`asof_join`.

    It is what an entity row at the end of time would see: serving and training pick the same row.

    >>> import pyarrow as pa
    >>> latest([pa.array(["a", "b", "a", None])], pa.array([3, 1, 2, 9], pa.timestamp("us")))
    array([0, 1])
    """
    codes, _ = key_codes(keys, keys, (len(times), len(times)))
    _, at, known = _ticks(times)
    rows = np.flatnonzero((codes >= 0) & known)
    moments = np.unique(at[rows])
    width = len(moments) + 1
    place = codes[rows] * width + np.searchsorted(moments, at[rows]) + 1
    rows, place = _in_order(rows, place, created, content)
    key = place // width
    last = np.flatnonzero(np.append(key[1:] != key[:-1], True)) if len(key) else key
    return rows[last]


def _in_order(rows: Ints, place: Ints, created: Column | None, content: Content | None) -> tuple[Ints, Ints]:
    """The rows by place, and tied ones by created and content, so that the last of a place is the one to see."""
    made = np.zeros(len(rows), np.int64)
    if created is not None:
        ticks, _, known = _ticks(created)
        made = np.where(known, ticks, _LEAST)[rows]
        order = np.lexsort((made, place))
    else:
        order = np.argsort(place, kind="stable")
    rows, place, made = rows[order], place[order], made[order]
    same = (place[1:] == place[:-1]) & (made[1:] == made[:-1])
    if content is None or not same.any():
        return rows, place
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    ranks = _ranks(content(rows[tied]))
    again = np.lexsort((*reversed(ranks), made[tied], place[tied]))
    rows[tied] = rows[tied][again]
    return rows, place


def _ranks(table: pa.Table) -> list[Ints]:
    """For each column the rank of each value, null least; equal values have equal ranks."""
    return [_rank(table.column(name)) for name in sorted(table.column_names)]


def _rank(column: pa.ChunkedArray) -> Ints:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _rank(column.cast(kind.value_type))
    if pa.types.is_nested(kind) or pa.types.is_null(kind):
        # Arrow can't order these; their text can be, and tied rows are few.
        column = pa.chunked_array([pa.array([None if value is None else repr(value) for value in column.to_pylist()])])
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    if pa.types.is_null(column.type):
        return np.zeros(len(column), np.int64)
    ranks: Any = pc.rank(column, sort_keys="ascending", tiebreaker="dense")
    null = pc.is_null(column).to_numpy(zero_copy_only=False)
    return np.where(null, 0, ranks.to_numpy(zero_copy_only=False)).astype(np.int64)


def _ticks(times: Column) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Microseconds since 1970 in UTC, rounded down and rounded up, and which are known."""
    kind = times.type
    if pa.types.is_dictionary(kind):
        return _ticks(times.cast(kind.value_type))
    if pa.types.is_null(kind):
        nothing = np.zeros(len(times), np.int64)
        return nothing, nothing, np.zeros(len(times), np.bool_)
    if pa.types.is_date(kind):
        times = times.cast(pa.timestamp("us"))
    elif not pa.types.is_timestamp(kind):
        raise DefinitionError(f"a time is {kind}, not a timestamp", hint="Convert it: pandas.to_datetime(…, utc=True)")
    known = np.asarray(pc.is_valid(times).to_numpy(zero_copy_only=False), np.bool_)
    fine = pa.types.is_timestamp(kind) and kind.unit == "ns"
    whole = times if fine else times.cast(pa.timestamp("us"))
    ticks = np.asarray(pc.fill_null(whole.cast(pa.int64()), 0).to_numpy(zero_copy_only=False), np.int64)
    if not fine:
        return ticks, ticks, known
    down = ticks // 1000
    return down, np.where(down * 1000 == ticks, down, down + 1), known


def _search(place: Ints, wanted: Ints) -> Ints:
    """searchsorted(side="right"), with the questions asked in order: several times faster on large inputs."""
    order = np.argsort(wanted, kind="stable")
    spots = np.empty(len(wanted), np.int64)
    spots[order] = np.searchsorted(place, wanted[order], side="right")
    return spots
