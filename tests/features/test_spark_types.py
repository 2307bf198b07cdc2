"""Training rows by Spark of every type of value and of everything that can be asked, as they are in process; what goes
through the network for it, and when Spark is taken.
"""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore

from lakehouse.config import Project
from lakehouse.features import executing
from lakehouse.features.repository import apply, open_store
from tests.features.conftest import US, day
from tests.features.every_type import VALUES, ask, open_types

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return open_types(tmp_path_factory.mktemp("types"))


def rows(store: FeatureStore, executor: str, *asked: Any, **named: Any) -> tuple[pa.Table, str]:
    """The training rows, and what is said of how they were made."""
    store.config.offline_store.executor = executor
    job = store.get_historical_features(*asked, **named)
    table = job.to_arrow()
    return table, "\n".join(job.notes)


def both(store: FeatureStore, *asked: Any, **named: Any) -> pa.Table:
    """The rows that Spark makes and those of the process: equal in values, types, order and metadata."""
    (got, notes), (expected, _) = (rows(store, executor, *asked, **named) for executor in ("spark", "process"))
    assert "joined by Spark" in notes
    assert got.schema.equals(expected.schema, check_metadata=True)
    assert got.equals(expected)
    return got


def test_every_type(spark: SparkSession, store: FeatureStore) -> None:
    """Lists, maps and structs go through Spark's own rows and come back as they were, nulls within them too."""
    asked = ask([2, 9, 1, 1], [2, 2, 2, 4])
    got = both(store, asked, [f"every:{name}" for name in VALUES])
    for name, (_, _, wanted) in VALUES.items():
        assert got[name].to_pylist() == [wanted, None, wanted, None], name
    given = spark.createDataFrame(asked)
    table, notes = rows(store, "auto", given, [f"every:{name}" for name in VALUES])
    assert "joined by Spark" in notes
    assert table.select(list(VALUES)).to_pylist() == got.select(list(VALUES)).to_pylist()


def test_renamed_columns_the_whole_world_ranges_and_sql(spark: SparkSession, store: FeatureStore) -> None:
    got = both(store, ask([20, 21, 40], [60, 61, 119], "person"), ["renamed:number"])
    assert got["number"].to_pylist() == [2, 0, None]
    got = both(store, ask([5, 5], [29, 95]), ["world:n"], full_feature_names=True)
    assert got["world__n"].to_pylist() == [None, 3]
    got = both(store, None, ["monthly:n"], start_date=day(60), end_date=day(90))
    assert got["user"].to_pylist() == [20, 21, 30, 31]
    sql = 'select "user", max("at") + interval 1 day as event_timestamp from monthly group by 1 order by 1'
    assert both(store, sql, ["monthly:n"])["n"].to_pylist() == [1, 0, 2, 0, 3, 0, 4, 0]


def test_rows_in_other_types_than_the_table_s(spark: SparkSession, store: FeatureStore) -> None:
    """Keys of another width or as doubles, categories, times in nanoseconds, dates and text; no rows at all."""
    times = pd.Series([day(2), None, day(4)], dtype="datetime64[ns, Asia/Tokyo]")
    frame = pd.DataFrame({"user": pd.array([1, 2, None], dtype="Int8"), "event_timestamp": times, "kind": ["b"] * 3})
    frame["kind"] = frame["kind"].astype("category")
    assert both(store, frame, ["every:f64"])["f64"].to_pylist() == [0.1, None, None]
    assert both(store, frame.assign(user=[1.0, 1.5, None]), ["every:i8"])["i8"].to_pylist() == [-8, None, None]
    texts = frame.assign(event_timestamp=["2026-01-02", None, "2026-01-03T05:00:00+05:00"], user=[1, 1, 2])
    assert both(store, texts, ["every:text"])["text"].to_pylist() == ["ä\0", None, "ä\0"]
    assert both(store, ask([], []).cast(ask([1], [1]).schema), ["every:i8", "monthly:n"]).num_rows == 0


def test_services_and_on_demand_views(spark: SparkSession, project: Project) -> None:
    apply(project)
    shop = open_store(project)
    times = pa.array([day(3), day(5), None, day(2.5)], US)
    asked = pa.table({"carrier": ["AA", "11", "AA", "AA"], "event_timestamp": times, "origin": [1, 1, 11, 1]})
    asked = asked.append_column("minutes", pa.array([40.0, 1.0, None, 15.0]))
    references = ["carrier_delay:mean", "carrier_delay:count", "route_load:flights", "over_mean:over"]
    got = both(shop, asked, references, full_feature_names=True)
    assert got["carrier_delay__mean"].to_pylist() == [31.0, None, None, 10.0]
    assert got["over_mean__over"].to_pandas().tolist()[::3] == [9.0, 5.0]
    assert both(shop, asked, shop.get_feature_service("everything"))["flights"].to_pylist() == [5, 111, None, 5]


def _plan(frame: DataFrame) -> str:
    with redirect_stdout(StringIO()) as said:
        frame.explain("formatted")
    return said.getvalue().partition("\n\n\n")[0]


@pytest.mark.parametrize(
    ("references", "exchanges"),
    [(["monthly:n"], 1), (["monthly:n", "every:f64"], 1), (["monthly:n", "every:f64", "renamed:number"], 2)],
)
def test_one_shuffle_an_input(spark: SparkSession, store: FeatureStore, references: list[str], exchanges: int) -> None:
    """Entity rows and the rows of all views with the same keys are exchanged together, once, and nothing is sorted or
    joined by Spark.
    """
    store.config.offline_store.executor = "auto"
    asked = ask([10, 20, 30], [31, 61, 91])
    given = spark.createDataFrame(asked.append_column("person", asked["user"]))
    job = store.get_historical_features(given, references)
    tree = _plan(job.to_spark_df())
    assert len(re.findall(r"\bExchange\b", tree)) == exchanges, tree
    assert len(re.findall(r"\bScan parquet\b", tree)) == len(references), tree
    assert not re.findall(r"Join|Sort|Window|Aggregate|BroadcastExchange", tree), tree


def test_the_choice_is_by_the_tables_rows(
    spark: SparkSession, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask([10, 20], [31, 61])
    references = ["monthly:n", "every:f64"]  # of 8 and 3 rows
    monkeypatch.setattr(executing, "MANY", 11)
    by_spark, notes = rows(store, "auto", asked, references)
    assert "monthly, every: joined by Spark" in notes
    monkeypatch.setattr(executing, "MANY", 12)
    in_process, notes = rows(store, "auto", asked, references)
    assert not notes
    assert by_spark.equals(in_process)
    assert in_process["n"].to_pylist() == [1, 2]
