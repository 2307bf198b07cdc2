"""Times as whole microseconds, and (key, time) as one number that sorts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.errors import DefinitionError
from lakehouse.kernels.keys import Column, Ints

UTC_TIME = pa.timestamp("us", "UTC")
"""How times stand everywhere here."""
LEAST = np.iinfo(np.int64).min
_ROOM = 2**62


def ticks(times: Column) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Microseconds since 1970 in UTC, rounded down and rounded up, and which are known; naive times are UTC."""
    kind = times.type
    if pa.types.is_dictionary(kind):
        return ticks(times.cast(kind.value_type))
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
    numbers = whole.cast(pa.int64())
    if numbers.null_count:
        numbers = pc.fill_null(numbers, 0)
    found = np.asarray(numbers.to_numpy(zero_copy_only=False), np.int64)
    if not fine:
        return found, found, known
    down = found // 1000
    return down, down + (down * 1000 != found), known


class Scale:
    """Keys and times as one number: it sorts by key, then by time."""

    def __init__(self, moments: Ints, codes: int) -> None:
        """``moments`` are all times that must be told apart, ``codes`` how many keys there are."""
        least, most = (int(moments.min()), int(moments.max())) if len(moments) else (0, -1)
        self._least, self._most = least, most
        self._moments: Ints | None = None
        self.width = most - least + 2
        if codes * self.width >= _ROOM:  # too long a time for so many keys: count just the moments that occur
            moments = np.sort(moments)
            self._moments = moments[np.append(True, moments[1:] != moments[:-1])]
            self.width = len(self._moments) + 1

    def places(self, codes: Ints, times: Ints) -> Ints:
        """The number of each (key, time); of a time in between, that of the last moment not after it."""
        if self._moments is None:
            # Clipped first, so that no time is too far away to be subtracted.
            passed = np.clip(times, self._least - 1, self._most)
            passed -= self._least - 1
        else:
            passed = search(self._moments, times)
        passed += codes * np.int64(self.width)
        return passed


def search(places: Ints, wanted: Ints) -> Ints:
    """How many of the sorted ``places`` are not above each; asked in order, which is several times faster."""
    order = np.argsort(wanted)
    spots = np.empty(len(wanted), np.int64)
    spots[order] = np.searchsorted(places, wanted[order], side="right")
    return spots
