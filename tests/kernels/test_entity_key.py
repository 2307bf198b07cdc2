"""Entity keys are those of Feast's own serialize_entity_key, so that its tools find what we write."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import DefinitionError
from lakehouse.kernels.entity_key import BYTES, INT32, INT64, TEXT, TIME, EntityKeys

KINDS: dict[int, tuple[str, pa.DataType, st.SearchStrategy[Any]]] = {
    BYTES: ("bytes_val", pa.binary(), st.binary(max_size=9)),
    TEXT: ("string_val", pa.string(), st.text(st.characters(exclude_categories=["Cs"]), max_size=9)),
    INT32: ("int32_val", pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    INT64: ("int64_val", pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    TIME: ("unix_timestamp_val", pa.timestamp("s", "UTC"), st.integers(-(2**50), 2**50)),
}


@settings(deadline=None)
@given(st.data(), st.lists(st.sampled_from(list(KINDS)), max_size=4))
def test_keys_are_those_of_feast(data: st.DataObject, kinds: list[int]) -> None:
    names = data.draw(st.lists(st.text(max_size=4), min_size=len(kinds), max_size=len(kinds), unique=True))
    values = st.tuples(*(KINDS[kind][2] for kind in kinds))
    rows = data.draw(st.lists(values, max_size=5))
    keys = EntityKeys(names, kinds)
    expected = [
        serialize_entity_key(
            EntityKey(
                join_keys=names,
                entity_values=[Value(**{KINDS[kind][0]: one}) for kind, one in zip(kinds, row, strict=True)],
            ),
            3,
        )
        for row in rows
    ]
    assert not kinds or keys.of_rows([[row[spot] for row in rows] for spot in range(len(kinds))]) == expected
    columns = [pa.array([row[spot] for row in rows], KINDS[kind][1]) for spot, kind in enumerate(kinds)]
    assert keys.of_columns(columns, len(rows)).to_pylist() == expected
    chunks = [pa.chunked_array([one.slice(0, 2), one.slice(2)]) for one in columns]
    assert keys.of_columns(chunks, len(rows)).to_pylist() == expected


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_key_with_a_null_is_none(kind: int) -> None:
    column = pa.array([None, 0 if kind in (INT32, INT64, TIME) else b"", None], pa.int64() if kind == TIME else None)
    column = column.cast(KINDS[kind][1])
    other = pa.array([1, 1, None], pa.int64())
    got = EntityKeys(["a", "b"], [kind, INT64]).of_columns([column, other], 3)
    assert [one is None for one in got.to_pylist()] == [True, False, True]
    value = "" if kind == TEXT else b"" if kind == BYTES else 0
    assert EntityKeys(["a", "b"], [kind, INT64]).of_rows([[None, value, None], [1, 1, None]])[::2] == [None, None]
    assert [one is None for one in EntityKeys(["a"], [kind]).of_rows([[None, value]])] == [True, False]


def test_types_that_can_not_be_keys() -> None:
    with pytest.raises(DefinitionError, match="'a' is of a type that Feast can't look up"):
        EntityKeys(["a"], [5])
    half = pa.array([datetime(2026, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    with pytest.raises(DefinitionError, match="a time within a second"):
        EntityKeys(["a"], [TIME]).of_columns([half], 1)
    with pytest.raises(DefinitionError, match="not of its entity's type"):
        EntityKeys(["a"], [INT32]).of_columns([pa.array([2**40])], 1)
