"""Equal content has one hash, however it lies in memory; any other content has another."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.features.canonical import canonical, digest

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 6, UTC)
KINDS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "whole": (pa.int32(), [1, None, 3, -4]),
    "real": (pa.float64(), [0.5, None, float("nan"), -0.0]),
    "text": (pa.string(), ["a", None, "", "éa"]),
    "bytes": (pa.binary(), [b"a", None, b"", b"\\0"]),
    "flag": (pa.bool_(), [True, None, False, True]),
    "time": (pa.timestamp("us", "UTC"), [MOMENT, None, MOMENT, MOMENT]),
    "money": (pa.decimal128(9, 2), [Decimal("1.50"), None, Decimal("-2.00"), Decimal("0.01")]),
    "list": (pa.list_(pa.int64()), [[1, 2], None, [], [None]]),
    "empty": (pa.null(), [None, None, None, None]),
}


def table() -> pa.Table:
    return pa.table({name: pa.array(values, kind) for name, (kind, values) in KINDS.items()})


def test_slices_chunks_dictionaries_and_files_have_the_hash_of_their_content() -> None:
    rows = table()
    wanted = digest(rows)
    wide = pa.concat_tables([rows.slice(2), rows, rows.slice(0, 1)])
    assert digest(wide.slice(2, 4)) == wanted
    coded = rows.set_column(2, "text", rows.column("text").dictionary_encode())
    assert digest(coded) == wanted
    assert digest(rows.set_column(2, "text", rows.column("text").cast(pa.string_view()))) == wanted
    assert digest(rows.replace_schema_metadata({"pandas": "{}"})) == wanted
    file = io.BytesIO()
    pq.write_table(rows, file)
    assert digest(pq.read_table(file)) == wanted
    assert canonical(rows).column("text").to_pylist() == rows.column("text").to_pylist()


def test_what_lies_beneath_a_null_does_not_count() -> None:
    mask = np.array([False, True, False])
    one, other = (pa.table({"x": pa.array(np.array([1.0, hidden, 3.0]), mask=mask)}) for hidden in (2.0, 7.0))
    assert digest(one) == digest(other)
    data = [pa.array([*"abc"], pa.large_string()).buffers()[1:], pa.array([*"axc"], pa.large_string()).buffers()[1:]]
    bits = pa.py_buffer(bytes([0b11111101]))
    texts = [pa.Array.from_buffers(pa.large_string(), 3, [bits, *buffers]) for buffers in data]
    assert digest(pa.table({"x": texts[0]})) == digest(pa.table({"x": texts[1]}))
    assert digest(pa.table({"x": texts[0]})) == digest(pa.table({"x": pa.array(["a", None, "c"])}))


@pytest.mark.parametrize("name", [name for name in KINDS if name != "empty"])
def test_another_value_type_name_or_order_has_another_hash(name: str) -> None:
    rows = table()
    wanted = digest(rows.select([name]))
    assert digest(rows.select([name]).rename_columns(["other"])) != wanted
    assert digest(rows.select([name]).take([1, 0, 2, 3])) != wanted
    assert digest(rows.select([name]).slice(0, 3)) != wanted
    assert digest(rows.select([name]).take([0, 0, 2, 3])) != wanted
    assert digest(rows.select([name, "empty"])) != wanted
    if name == "whole":
        assert digest(pa.table({name: rows.column(name).cast(pa.int64())})) != wanted


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=9), st.integers(0, 9), st.integers(0, 9))
def test_texts(values: list[str | None], start: int, count: int) -> None:
    part = values[start : start + count]
    sliced = pa.table({"x": pa.array(values, pa.string())}).slice(start, count)
    assert digest(sliced) == digest(pa.table({"x": pa.array(part, pa.large_string())}))
    assert canonical(sliced).column("x").to_pylist() == part
