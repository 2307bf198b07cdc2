"""The point-in-time join: for each entity row the newest feature row of its key that was known by then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from lakehouse.errors import DefinitionError
from lakehouse.kernels.keys import Column, Ints, key_codes
from lakehouse.kernels.ties import Content, in_order
from lakehouse.kernels.times import LEAST, Scale, search, ticks


def asof_join(
    keys: Sequence[Column],
    times: Column,
    feature_keys: Sequence[Column],
    feature_times: Column,
    *,
    created: Column | None = None,
    content: Content | None = None,
    ttl: timedelta | None = None,
    known_from: Column | None = None,
    known_until: Column | None = None,
) -> Ints:
    """For each entity row, in order, the position of the feature row that it sees; -1 where there is none.

    Guaranteed, for an entity row with key K and time T:

    - the row has exactly the key K, part by part; a null (or NaN) in a key, and a null time, match nothing;
    - its time t is not after T, and with a ``ttl`` not before T - ttl (an equal time is in, at both ends);
    - with ``known_from`` and ``known_until`` it was known at T: from <= T < until. A null ``known_from`` is never, a
      null ``known_until`` means that it still is;
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
    codes, feature_codes, distinct = key_codes(keys, feature_keys, (len(times), len(feature_times)))
    now, now_up, asked = ticks(times)
    _, at, usable = ticks(feature_times)
    if not asked.all():
        codes = np.where(asked, codes, -1)
    usable = usable & (feature_codes >= 0)
    since = until = None
    if known_from is not None:
        _, since, told = ticks(known_from)
        usable &= told
    if known_until is not None:
        _, until, ends = ticks(known_until)
        until = np.where(ends, until, np.iinfo(np.int64).max)
    rows = np.flatnonzero(usable)
    if not len(rows):
        return np.full(len(times), -1, np.int64)

    scale = Scale(at[rows], distinct)
    rows, places = in_order(rows, scale.places(feature_codes[rows], at[rows]), created, content)
    if until is not None:
        begins = at if since is None else np.maximum(at, since)
        spots = _last_within(codes, now, feature_codes[rows], begins[rows], until[rows], distinct)
    else:
        best = None
        if since is not None:
            # By when they came to be known; of those so far, the last in the order of event times is the one to see.
            arrived = np.maximum(at, since)[rows]
            scale = Scale(arrived, distinct)
            places = scale.places(feature_codes[rows], arrived)
            turn = np.argsort(places)
            places, best = places[turn], np.maximum.accumulate(turn)
        seen = scale.places(codes, now)
        spots = search(places, seen) - 1
        own = places[np.maximum(spots, 0)] >= codes * np.int64(scale.width)
        spots = np.where(own & (codes >= 0), spots, -1)
        if best is not None:
            spots = np.where(spots >= 0, best[np.maximum(spots, 0)], -1)

    found = np.where(spots >= 0, rows[np.maximum(spots, 0)], -1)
    if ttl is not None:
        span = min(ttl // timedelta(microseconds=1), 2**62)
        oldest = np.where(now_up < LEAST + span, LEAST, now_up - np.int64(span))
        found = np.where(at[np.maximum(found, 0)] >= oldest, found, -1)
    return found


def latest(
    keys: Sequence[Column], times: Column, *, created: Column | None = None, content: Content | None = None
) -> Ints:
    """The position of each key's newest row, in the order of the rows; ties as in :func:`asof_join`.

    It is what an entity row at the end of time would see: serving and training pick the same row.

    >>> import pyarrow as pa
    >>> latest([pa.array(["a", "b", "a", None])], pa.array([3, 1, 2, 9], pa.timestamp("us")))
    array([0, 1])
    """
    codes, _, distinct = key_codes(keys, keys, (len(times), len(times)))
    _, at, known = ticks(times)
    rows = np.flatnonzero((codes >= 0) & known)
    places = Scale(at[rows], distinct).places(codes[rows], at[rows])
    rows, _ = in_order(rows, places, created, content)
    key = codes[rows]
    last = np.flatnonzero(np.append(key[1:] != key[:-1], True)) if len(key) else key
    return np.sort(rows[last])


def _last_within(codes: Ints, now: Ints, of: Ints, begins: Ints, ends: Ints, distinct: int) -> Ints:
    """For each question (its key's code, its time) the last row that has its code and begins <= time < ends; -1: none.

    Rows that end can't be told by one search. Each row answers a run of the questions, in order of key and time, which
    two blocks of a power of two cover; blocks hand their greatest row down to their halves. O((n + m) log n).
    """
    asked = np.flatnonzero(codes >= 0)
    scale = Scale(now[asked], distinct)
    places = scale.places(codes[asked], now[asked])
    asked, places = in_order(asked, places, None, None)
    first = search(places, scale.places(of, begins - 1))
    after = search(places, scale.places(of, ends - 1))
    which = np.flatnonzero(first < after)
    first, after = first[which], after[which]
    level = np.frexp((after - first).astype(np.float64))[1] - 1
    greatest = np.full(len(asked), -1, np.int64)
    for step in range(int(level.max(initial=0)), -1, -1):
        here, size = level == step, 1 << step
        np.maximum.at(greatest, first[here], which[here])
        np.maximum.at(greatest, after[here] - size, which[here])
        if step:
            half = size // 2
            greatest = np.append(greatest[:half], np.maximum(greatest[half:], greatest[:-half]))
    spots = np.full(len(codes), -1, np.int64)
    spots[asked] = greatest
    return spots
