"""The point-in-time join in knowledge time: of what was known by then, the newest feature row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np

from lakehouse.kernels.asof import Content, _in_order, _search, _ticks
from lakehouse.kernels.keys import Column, Ints, key_codes

_NEVER = np.iinfo(np.int64).max


def known_join(
    keys: Sequence[Column],
    times: Column,
    feature_keys: Sequence[Column],
    feature_times: Column,
    created: Column,
    *,
    content: Content | None = None,
    ttl: timedelta | None = None,
) -> Ints:
    """As :func:`asof_join`, but a feature row is seen only by entity rows whose time is not before its ``created``.

    A null ``created`` is never known. Of the rows that an entity row may see it has the same one as there; a row that
    was not known yet hides none that was.

    >>> import pyarrow as pa
    >>> day = lambda *days: pa.array([86_400_000_000 * d for d in days], pa.timestamp("us", "UTC"))
    >>> known_join([pa.array(["a", "a"])], day(3, 5), [pa.array(["a", "a"])], day(1, 2), day(1, 4))
    array([0, 1])
    """
    codes, feature_codes = key_codes(keys, feature_keys, (len(times), len(feature_times)))
    now, now_up, known = _ticks(times)
    _, at, feature_known = _ticks(feature_times)
    codes = np.where(known, codes, -1)
    rows = np.flatnonzero((feature_codes >= 0) & feature_known)
    moments = np.unique(at[rows])
    width = len(moments) + 1
    rows, place = _in_order(
        rows, feature_codes[rows] * width + np.searchsorted(moments, at[rows]) + 1, created, content
    )
    if not len(rows):
        return np.full(len(times), -1, np.int64)
    _, made, made_known = _ticks(created)
    made = np.where(made_known, made, _NEVER)[rows]

    spot = np.where(codes >= 0, _search(place, codes * width + np.searchsorted(moments, now, side="right")) - 1, -1)
    hidden = _hidden(spot, place // width, codes, made, now)
    if len(hidden):
        before = _smaller_before(made)
        while len(hidden):
            # All between were known even later, so none of them is passed over that this row may see.
            spot[hidden] = before[spot[hidden]]
            hidden = hidden[_hidden(spot[hidden], place // width, codes[hidden], made, now[hidden])]
    found = spot >= 0
    spot = np.where(found, spot, 0)
    found &= place[spot] // width == codes
    if ttl is not None:
        span = min(ttl // timedelta(microseconds=1), 2**62)
        least = np.iinfo(np.int64).min
        found &= at[rows[spot]] >= np.where(now_up < least + span, least, now_up - np.int64(span))
    return np.where(found, rows[spot], -1)


def _hidden(spot: Ints, key: Ints, codes: Ints, made: Ints, now: Ints) -> Ints:
    """Which entity rows stand at a row of their key that was not known by their time."""
    safe = np.where(spot >= 0, spot, 0)
    return np.flatnonzero((spot >= 0) & (key[safe] == codes) & (made[safe] > now))


def _smaller_before(values: Ints) -> Ints:
    """For each place the nearest one before it with a smaller value; -1 where there is none."""
    found = np.full(len(values), -1, np.int64)
    stack: list[int] = []
    for place, value in enumerate(values.tolist()):
        while stack and values[stack[-1]] >= value:
            stack.pop()
        if stack:
            found[place] = stack[-1]
        stack.append(place)
    return found
