"""The packed record: what goes in comes out, what is torn says so, and what was written once is read for ever."""

from __future__ import annotations

import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import DefinitionError, StorageError
from lakehouse.kernels.reader import NEVER, Reader
from lakehouse.kernels.record import (
    FIXED,
    HEADER,
    HEAP,
    LISTS,
    UNKNOWN,
    Layout,
    arrow_type,
    encode,
    layout_of,
    tombstone,
    version_of,
)

KINDS = [*FIXED, *HEAP, *LISTS]
EVER = 2**63 - 1
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "time": st.integers(-(2**63), 2**63 - 1),
    "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    "bytes": st.binary(max_size=9),
    "value": st.binary(max_size=9),
}
Row = tuple[int, int, list[Any]]


def values(kind: str) -> st.SearchStrategy[Any]:
    name = kind.removeprefix("list ")
    one = SCALARS[name] if kind == name else st.lists(SCALARS[name], max_size=4)
    return st.none() | one


@st.composite
def keys_with_rows(draw: st.DrawFn) -> tuple[list[str], list[list[Row]]]:
    """Kinds of fields, and for each key its rows by event time."""
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=20))
    moments = st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=4, unique=True).map(sorted)
    row = st.tuples(*(values(kind) for kind in kinds)).map(list)
    made = st.just(UNKNOWN) | st.integers(-(2**62), 2**62)
    keys = [
        [(moment, draw(made), draw(row)) for moment in draw(moments)]
        for _ in range(draw(st.integers(min_value=0, max_value=3)))
    ]
    return kinds, keys


def pack(kinds: list[str], keys: list[list[Row]], version: int = 7) -> tuple[Layout, list[bytes]]:
    layout = Layout(tuple((f"f{spot}", kind) for spot, kind in enumerate(kinds)))
    rows = [row for key in keys for row in key]
    columns = [pa.array([row[2][spot] for row in rows], arrow_type(kind)) for spot, kind in enumerate(kinds)]
    table = pa.table(columns, names=[name for name, _ in layout.fields]) if kinds else pa.table({})
    events, created = (np.array([row[spot] for row in rows], np.int64) for spot in (0, 1))
    return layout, encode(layout, table, events, created, version, np.array([len(key) for key in keys], np.int64))


@settings(deadline=None)
@given(keys_with_rows(), st.integers(-(2**62) - 1, 2**62 + 1))
def test_what_goes_in_comes_out(given_: tuple[list[str], list[list[Row]]], now: int) -> None:
    kinds, keys = given_
    layout, records = pack(kinds, keys)
    reader = Reader(Layout.of_text(layout.text))
    assert len(records) == len(keys)
    for record, rows in zip(records, keys, strict=True):
        for moment in (now, *(row[0] for row in rows), rows[0][0] - 1, EVER):
            due = [row for row in rows if row[0] <= moment]
            got = reader.read(record, moment)
            assert (got and (got[0], got[1], list(got[2]))) == (due[-1] if due else None)
        assert (version_of(record), layout_of(record)) == (7, layout.number)
    singles = [rows[:1] for rows in keys]
    assert pack(kinds, singles)[1] == [
        encode(layout, _table(kinds, rows), np.array([rows[0][0]]), np.array([rows[0][1]]), 7)[0] for rows in singles
    ]


@settings(deadline=None)
@given(keys_with_rows(), st.data())
def test_records_that_are_read_together(given_: tuple[list[str], list[list[Row]]], data: st.DataObject) -> None:
    """Column by column what went in, with nulls for a key that has none; nothing where one is to be read by itself."""
    kinds, keys = given_
    singles = [rows[:1] for rows in keys]
    layout, records = pack(kinds, singles)
    reader = Reader(layout)
    shuffled = data.draw(st.permutations([*zip(records, singles, strict=True), (reader.nothing, [])]))
    expected = [row for _, rows in shuffled for row in rows or [(NEVER, UNKNOWN, [None] * len(kinds))]]
    whole = [record for record, _ in shuffled]
    got = reader.read_together(whole, EVER)
    assert got is not None
    assert list(got[0]) == [row[0] for row in expected]
    assert [list(column) for column in got[1]] == [[row[2][spot] for row in expected] for spot in range(len(kinds))]
    assert reader.read_together(whole, max(row[0] for row in expected) - 1) is None
    at = data.draw(st.integers(0, len(whole) - 1))
    other = encode(Layout((("other", "int64"),)), pa.table({"other": [1]}), np.array([0]), np.array([0]), 7)[0]
    two = pack(kinds, [[(0, 0, [None] * len(kinds)), (1, 0, [None] * len(kinds))]])[1][0]
    cut = whole[at][: data.draw(st.integers(0, len(whole[at]) - 1))]
    for one in (other, two, tombstone(layout, 3), cut, whole[at] + b"\0", bytes([2]) + whole[at][1:]):
        assert reader.read_together([*whole[:at], one, *whole[at + 1 :]], EVER) is None


def _table(kinds: list[str], rows: list[Row]) -> pa.Table:
    columns = [pa.array([row[2][spot] for row in rows], arrow_type(kind)) for spot, kind in enumerate(kinds)]
    return pa.table(columns, names=[f"f{spot}" for spot in range(len(kinds))])


@settings(deadline=None)
@given(keys_with_rows(), st.data())
def test_torn_bytes_say_so(given_: tuple[list[str], list[list[Row]]], data: st.DataObject) -> None:
    kinds, keys = given_
    layout, records = pack(kinds, keys)
    reader = Reader(layout)
    for record in [*records, tombstone(layout, 3)]:
        cut = data.draw(st.integers(0, len(record) - 1))
        for torn in (record[:cut], record + b"\0"):
            if len(record) > HEADER.size or cut:
                with pytest.raises(StorageError):
                    assert reader.read(torn, EVER) is not None


@settings(deadline=None)
@given(keys_with_rows(), st.data())
def test_any_bytes_are_read_or_refused(given_: tuple[list[str], list[list[Row]]], data: st.DataObject) -> None:
    kinds, keys = given_
    layout, records = pack(kinds, keys)
    reader = Reader(layout)
    for record in records:
        bad = bytearray(record)
        for _ in range(data.draw(st.integers(1, 4))):
            bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
        alone: Any = None
        with suppress(StorageError):
            alone = reader.read(bytes(bad), EVER)
        together = reader.read_together([bytes(bad)], EVER)
        if together is not None:  # what is refused by itself is not taken among others
            assert repr((together[0][0], [column[0] for column in together[1]])) == repr((alone[0], list(alone[2])))


def test_a_tombstone_has_a_version_and_no_row() -> None:
    layout = Layout((("a", "int64"),))
    record = tombstone(layout, 9)
    assert (Reader(layout).read(record, EVER), version_of(record)) == (None, 9)


def test_a_record_of_another_layout_or_encoding_is_refused() -> None:
    layout, (record,) = pack(["int64"], [[(1, 1, [5])]])
    with pytest.raises(StorageError, match="no whole record"):
        Reader(Layout((("a", "double"),))).read(record, EVER)
    newer = bytes([2]) + record[1:]
    for read in (lambda one: Reader(layout).read(one, EVER), layout_of, version_of):
        with pytest.raises(StorageError, match="has the encoding 2, and this release reads 1"):
            read(newer)
    for read in (layout_of, version_of):
        with pytest.raises(StorageError, match="no whole record"):
            read(record[:5])


def test_what_a_record_can_not_hold() -> None:
    layout = Layout((("a", "list int64"),))
    column = pa.array([[1, None]], pa.large_list(pa.int64()))
    one = np.array([0], np.int64)
    with pytest.raises(DefinitionError, match="'a' has a list with a null"):
        encode(layout, pa.table({"a": column}), one, one, 0)
    empty = Layout(())
    many = np.zeros(2**16, np.int64)
    with pytest.raises(DefinitionError, match="65,536 rows"):
        encode(empty, pa.table({}), many, many, 0, np.array([2**16]))


def test_records_of_slices_and_of_many_chunks() -> None:
    layout = Layout((("a", "int64"), ("b", "text"), ("c", "list double"), ("d", "bool")))
    rows = [[1, "x", [1.5], True], [None, None, None, None], [3, "ü" * 300, [], False], [4, "", [2.5, -0.0], None]]
    kinds = [kind for _, kind in layout.fields]
    whole = pa.table(
        [pa.array([row[spot] for row in rows], arrow_type(kind)) for spot, kind in enumerate(kinds)],
        names=["a", "b", "c", "d"],
    )
    times = np.arange(4)
    expected = encode(layout, whole, times, times, 1)
    pieces = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 2), whole.slice(3)])
    assert encode(layout, pieces, times, times, 1) == expected
    assert encode(layout, whole.slice(2), times[2:], times[2:], 1) == expected[2:]
    assert [list(Reader(layout).read(one, EVER)[2]) for one in expected] == rows  # type: ignore[index]


MOMENT = (datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
    microseconds=1
)
KEPT: dict[str, Any] = {
    "int32": -3, "int64": 2**40, "float": 0.5, "double": -0.25, "bool": True, "time": MOMENT, "text": "grün",
    "bytes": b"\0\xff", "value": b"\x12\x01a", "list int32": [1, -2], "list int64": [3], "list float": [0.5],
    "list double": [], "list bool": [True, False], "list time": [MOMENT, 0],
}  # fmt: skip
ENCODING_1 = (
    "010002005e85c0c7290000000000000095636f8be349060096636f8be3490600770000000000fdffffff0000000000010000"
    "0000003f000000000000d0bf0195636f8be349060005000000070000000a000000120000001a0000001e0000001e00000020"
    "000000300000006772c3bc6e00ff12016101000000feffffff03000000000000000000003f010095636f8be3490600000000"
    "000000000097636f8be3490600000000000000008047000000ff7f0000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
)


def test_a_record_of_encoding_1_is_read_for_ever() -> None:
    """Never change these bytes: stores out there hold such."""
    layout = Layout(tuple((kind, kind) for kind in KEPT))
    record = bytes.fromhex(ENCODING_1)
    reader = Reader(layout)
    assert (record[0], layout_of(record), version_of(record)) == (1, 0xC7C0855E, 41)
    assert reader.read(record, MOMENT - 1) is None
    assert reader.read(record, MOMENT) == (MOMENT, MOMENT + 1, list(KEPT.values()))
    assert reader.read(record, EVER) == (MOMENT + 2, UNKNOWN, [None] * len(KEPT))
    rows: list[Row] = [(MOMENT, MOMENT + 1, list(KEPT.values())), (MOMENT + 2, UNKNOWN, [None] * len(KEPT))]
    columns = _table(list(KEPT), rows)
    times = [np.array([row[spot] for row in rows]) for spot in (0, 1)]
    assert encode(layout, columns, times[0], times[1], 41, np.array([2])) == [record]
    assert struct.calcsize("<BBHIQ") == HEADER.size
