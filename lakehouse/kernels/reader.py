"""Reading packed records, one by one or many together: see :mod:`lakehouse.kernels.record`."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from lakehouse.kernels.record import ENCODING, FIXED, HEADER, HEAP, LISTS, ROW, UNKNOWN, Layout, layout_of, torn

NEVER = -(2**63)
"""The event time of a row that is not there: earlier than any can be."""


class Reader:
    """Reads the records of one layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.names = [name for name, _ in layout.fields]
        self._number = layout.number
        self._row = struct.Struct(f"<qqI{layout.bitmap}s{layout.codes}")
        self._no_nulls = bytes(layout.bitmap)
        self._whole = struct.Struct(f"<BBHIQqqI{layout.bitmap}s{layout.codes}")
        start = (ENCODING, 0, 1, self._number, 0, NEVER, UNKNOWN, self._row.size - ROW.size, b"\xff" * layout.bitmap)
        self.nothing = self._whole.pack(*start, *[0] * len(layout.fields))
        """Stands for the record of a key that has none, where records are read together: nulls, at no time."""
        self._heap = [(spot, _opener(kind)) for spot, (_, kind) in enumerate(layout.fields) if kind not in FIXED]

    def read(self, record: bytes, now: int) -> tuple[int, int, Sequence[Any]] | None:
        """The row that is due at ``now`` (microseconds since 1970): its event and created time, and its values.

        None for a tombstone and where every row is dated later. Times and ``value`` fields are given as they are
        packed: microseconds and bytes. Raises StorageError for bytes that are no record of this layout.
        """
        try:
            encoding, _, rows, number, _ = HEADER.unpack_from(record)
            if encoding != ENCODING or number != self._number:
                raise ValueError(f"it is of the layout {layout_of(record)}, and not of {self._number}")
            return self._due(record, rows, now)
        except (struct.error, ValueError) as error:
            raise torn(record) from error

    def read_together(self, records: Sequence[bytes], now: int) -> tuple[Sequence[int], list[Sequence[Any]]] | None:
        """The event times of many records, and a column of values for each field: what :meth:`read` gives of each.

        None where one of them is not a whole record of this layout with one row that is due: read each by itself then.
        """
        try:
            unpacked = zip(*map(self._whole.unpack_from, records), strict=True)
            encodings, _, counts, numbers, _, events, _, lengths, nulls, *values = unpacked
            if not ({*encodings} == {ENCODING} and {*counts} == {1} and {*numbers} == {self._number}):
                return None
            sizes = [HEADER.size + ROW.size + length for length in lengths]
            if max(events) > now or sizes != list(map(len, records)):
                return None
            columns: list[Any] = values
            ends = [self._whole.size] * len(records)
            for spot, open_bytes in self._heap:
                begins, ends = ends, [self._whole.size + end for end in values[spot]]
                places = list(zip(records, begins, ends, strict=True))
                if any(begin > end for _, begin, end in places):
                    return None
                columns[spot] = [open_bytes(record[begin:end]) for record, begin, end in places]
        except (struct.error, ValueError):
            return None
        if ends != sizes:
            return None
        if {*nulls} != {self._no_nulls}:
            columns = [list(column) for column in columns]
            for row, bits in enumerate(nulls):
                number = int.from_bytes(bits, "little")
                for spot in range(len(columns)) if number else ():
                    if number >> spot & 1:
                        columns[spot][row] = None
        return events, columns

    def moments(self, record: bytes) -> list[int]:
        """The event times of a record's rows, in order. Raises StorageError for bytes that are no record."""
        return [event for event, _ in _times(record)]

    def _due(self, record: bytes, rows: int, now: int) -> tuple[int, int, Sequence[Any]] | None:
        at = HEADER.size
        size = len(record)
        found = None
        for _ in range(rows):
            row = self._row.unpack_from(record, at)
            end = at + ROW.size + row[2]
            if end > size:
                raise ValueError("it ends within a row")
            if row[0] > now:
                break
            found, start, at = row, at, end
        else:
            if at != size:
                raise ValueError("it has more bytes than rows")
        if found is None:
            return None
        values: Sequence[Any] = found[4:]
        if self._heap:
            values = self._with_heap(record, start + self._row.size, at, values)
        elif start + self._row.size != at:
            raise ValueError("a row is not as long as it says")
        if found[3] != self._no_nulls:
            nulls = int.from_bytes(found[3], "little")
            values = [None if nulls >> spot & 1 else value for spot, value in enumerate(values)]
        return found[0], found[1], values

    def _with_heap(self, record: bytes, start: int, stop: int, values: Sequence[Any]) -> list[Any]:
        opened = list(values)
        begin = start
        for spot, open_bytes in self._heap:
            end = start + values[spot]
            if not begin <= end <= stop:
                raise ValueError("a value ends before it begins, or after its row")
            opened[spot] = open_bytes(record[begin:end])
            begin = end
        if begin != stop:
            raise ValueError("a row is not as long as it says")
        return opened


def supersedes(record: bytes, pushed: bytes, now: int) -> bool:
    """Whether what was pushed for a key counts no more beside its record: the record has each row of it, or one that is
    later and due at ``now`` (microseconds since 1970). Raises StorageError for bytes that are no record."""
    rows = _times(record)
    return all(any(row >= one and (row[0] == one[0] or row[0] <= now) for row in rows) for one in _times(pushed))


def _times(record: bytes) -> list[tuple[int, int]]:
    """The event and the created time of each row."""
    found, at = [], HEADER.size
    try:
        while at < len(record):
            event, created, length = ROW.unpack_from(record, at)
            found.append((event, created))
            at += ROW.size + length
    except struct.error as error:
        raise torn(record) from error
    return found


def _opener(kind: str) -> Any:
    if kind == "text":
        return bytes.decode
    if kind in HEAP:
        return bytes
    code = LISTS[kind][0]
    size = struct.calcsize(code)
    return lambda packed: list(struct.unpack(f"<{len(packed) // size}{code}", packed))
