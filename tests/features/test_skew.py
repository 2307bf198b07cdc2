"""Keys with more rows than a bucket should hold are found by a sample of the rows, and counted in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from lakehouse.features.bucket import KEY
from lakehouse.features.skew import Hot, hot_keys

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MOST = 10_000


def rows(spark: SparkSession, counts: Mapping[int, int]) -> DataFrame:
    """So many rows of each key, in any order, between 20,000 keys of one row."""
    keys = np.concatenate([*(np.full(count, key) for key, count in counts.items()), np.arange(1_000, 21_000)])
    return spark.createDataFrame(pa.table({KEY: np.random.default_rng(0).permutation(keys)}))


@pytest.mark.parametrize("together", [False, True])
def test_the_hot_are_found_and_the_suspects_let_go(spark: SparkSession, together: bool) -> None:
    """5 is as large as a key may be, which the sample can't tell from 6; both are counted."""
    entities = rows(spark, {1: 25_000, 2: 10, 5: MOST, 6: MOST + 1})
    view = rows(spark, {1: 10, 2: 30_001, 5: MOST, 6: 20})
    other = rows(spark, {2: 7})
    found = hot_keys(entities, [view, other], MOST, together=together)
    one, six = Hot(1, 3, 1, 2 * 10), Hot(6, 2, 1, 20)
    assert found == ([one, six] if together else [one, Hot(2, 1, 4, 3 * 10), six])


def test_none_is_hot(spark: SparkSession) -> None:
    assert hot_keys(rows(spark, {5: MOST}), [rows(spark, {})], MOST) == []
