"""Keys whose records the change feed alone can tell: what a publish costs is in proportion to the change then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from lakehouse.errors import StorageError
from lakehouse.features.changed import Changes
from lakehouse.features.records import Batch, ViewRows
from lakehouse.kernels.reader import Reader
from lakehouse.kernels.record import EVER, UNKNOWN
from lakehouse.online.kinds import ticks

Held = Callable[[Sequence[bytes]], Sequence[bytes | None]]
Times = tuple[int, int]
"""Of a row its event and its created time."""
FIRST: Times = (UNKNOWN, UNKNOWN)


def newer(rows: ViewRows, changes: Changes, held: Held) -> Iterator[Batch]:
    """The records of those keys whose newest row came since, is due, and is later than all else that they ever had.

    That is: later, by event and created time, than every row of the record that the store has of the key (``held``),
    and than every row that went since. Whatever else the table has of such a key is in that record, went or came too,
    so that nobody needs to look there. Records must be those of the version at which the changes begin. Of the other
    keys nothing is said.
    """
    reader, now = Reader(rows.layout), ticks(rows.now)
    gone: dict[bytes, Times] = {}
    went = changes.went()
    for key, *times in zip(rows.encoded(went).to_pylist(), *(one.tolist() for one in rows.times(went)), strict=True):
        gone[key] = max(gone.get(key, FIRST), (times[0], times[1]))
    for keys, records in rows.batches(changes.came()):
        told: Batch = ([], [])
        for key, record, before in zip(keys, records, held(keys), strict=True):
            row, last = _last(reader, record), None if before is None else _last(reader, before)
            if row is not None and last is not None and row[0] <= now and row > max(last, gone.get(key, FIRST)):
                told[0].append(key)
                told[1].append(record)
        yield told


def _last(reader: Reader, record: bytes) -> Times | None:
    """The times of a record's last row, due or not; FIRST for a tombstone, None for what can't be read."""
    try:
        row = reader.read(record, EVER)
    except StorageError:
        return None
    return FIRST if row is None else (row[0], row[1])
