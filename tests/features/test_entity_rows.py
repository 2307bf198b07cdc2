"""Entity rows of odd forms: keys that no column holds, doubled columns, names that are no text."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from feast import FeatureStore, Field
from feast.types import Int64

from lakehouse.errors import DefinitionError
from tests.features.conftest import US, day
from tests.online.stores import applied, feast_store, keys_of, online_store, view_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Of a table of two files, whose keys are 64 bits wide."""
    folder: Path = tmp_path_factory.mktemp("rows")
    for key in (1, 2):
        at = pa.array([day(1)], US)
        write_deltalake(folder / "t", pa.table({"id": [key], "at": at, "n": [key * 10]}), mode="append")
    view = view_of(folder, "t", [Field(name="n", dtype=Int64)], [keys_of()])
    return applied(feast_store(folder, online_store("sqlite", folder)), [keys_of(), view])


@pytest.mark.parametrize("others", [[], [2]])
def test_a_key_beyond_64_bits_with_a_sign_matches_nothing(store: FeatureStore, others: list[int]) -> None:
    keys = [2**63, 2**64 - 1, *others]
    rows = pa.table({"id": pa.array(keys, pa.uint64()), "event_timestamp": pa.array([day(2)] * len(keys), US)})
    got = store.get_historical_features(rows, ["t:n"]).to_arrow()
    assert got["n"].to_pylist() == [None, None, *(one * 10 for one in others)]
    assert got["id"].to_pylist() == keys


def test_sql_with_a_doubled_column(store: FeatureStore) -> None:
    with pytest.raises(DefinitionError, match="more than one column called id"):
        store.get_historical_features('select id, n as id, "at" as event_timestamp from t', ["t:n"])


def test_columns_named_by_numbers(store: FeatureStore) -> None:
    """They have their own names again, and their own types."""
    frame = pd.DataFrame({"id": [1], 0: pd.Categorical(["a"]), 1: [True], "event_timestamp": [day(2)]})
    got = store.get_historical_features(frame, ["t:n"]).to_df()
    assert got.columns.tolist() == [*frame.columns, "n"]
    pd.testing.assert_series_equal(got[0], frame[0])
    assert got["n"].tolist() == [10]
    assert frame.columns.tolist() == ["id", 0, 1, "event_timestamp"]
    with pytest.raises(DefinitionError, match="more than one column called 0"):
        store.get_historical_features(frame.assign(**{"0": [1]}), ["t:n"])
