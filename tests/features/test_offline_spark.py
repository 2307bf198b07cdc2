"""Training rows by Spark: those that are made in process, row for row, and what plain Python says."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from feast import FeatureStore

from lakehouse.errors import DefinitionError, UsageError
from lakehouse.features import spark_rows
from lakehouse.features.knowledge import known_by
from tests.features.conftest import US
from tests.features.test_offline_cases import FIRST, Row, as_table, feature_rows, open_world, oracle, questions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

REFERENCES = [f"{view}:{name}" for view in ("single", "pair", "kept") for name in ("id", "x", "y")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[FeatureStore, list[Row]]:
    folder = tmp_path_factory.mktemp("spark_cases")
    rows = feature_rows(random.Random(11))
    rows += [{**row, "number": 0} for row in rows if row["number"] is not None]  # a key with very many
    for part in range(3):
        write_deltalake(folder / "rows", as_table(rows[part::3]), mode="append")
    return open_world(folder), rows


def ask(store: FeatureStore, executor: str, entities: Any, created: bool = False) -> Any:
    store.config.offline_store.executor = executor
    return store.get_historical_features(
        entities, REFERENCES, full_feature_names=True, filter_by_created_timestamp=created
    )


@pytest.mark.parametrize(
    ("form", "created", "most"),
    [("zone", False, None), ("text", True, None), ("naive", False, 150), ("zone", True, 150)],
)
def test_it_is_what_the_process_and_plain_python_say(
    spark: SparkSession,
    world: tuple[FeatureStore, list[Row]],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    created: bool,
    most: int | None,
) -> None:
    store, rows = world
    monkeypatch.setattr(spark_rows, "ROWS_A_BUCKET", most or spark_rows.ROWS_A_BUCKET)
    asked, frame = questions(random.Random(form), form)
    for place in (place for place in range(len(asked)) if place % 3):  # two thirds are of one key
        asked[place] |= {"number": 0, "letter": "a"}
        frame.loc[place, ["number", "letter"]] = 0, "a"
    by_spark, in_process = (ask(store, executor, frame, created) for executor in ("spark", "process"))
    got = by_spark.to_arrow()
    assert got.equals(in_process.to_arrow())
    assert got.schema.metadata == in_process.to_arrow().schema.metadata
    pd.testing.assert_frame_equal(by_spark.to_df(), in_process.to_df())
    assert ("key(s) split" in "".join(by_spark.notes)) == (most is not None)
    assert all("joined by Spark" in note for note in by_spark.notes)
    assert not in_process.notes
    seen = 0
    for place, (row, found) in enumerate(zip(asked, got.to_pylist(), strict=True)):
        for view in ("single", "pair", "kept"):
            answer = tuple(found[f"{view}__{name}"] for name in ("id", "x", "y"))
            assert answer == oracle(row, rows, view, "created" if created else "now", FIRST), (view, place)
            seen += answer[0] is not None
    assert seen > 150


def test_a_spark_frame_keeps_its_rows_columns_and_order(
    spark: SparkSession, world: tuple[FeatureStore, list[Row]]
) -> None:
    store, _ = world
    _, frame = questions(random.Random(5), "zone")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.set_column(3, "event_timestamp", table.column(3).cast(US))
    extra = pa.array([[{"a": place}] for place in range(table.num_rows)])
    table = table.append_column("a.b `c`", extra).append_column("row", pa.array(["x"] * table.num_rows))
    given = spark.createDataFrame(table)
    job = ask(store, "auto", given)
    expected = ask(store, "process", table).to_arrow()
    got = job.to_arrow()
    assert got.column_names == expected.column_names
    assert got.to_pylist() == expected.to_pylist()
    rows = job.to_spark_df()
    assert rows.columns == expected.column_names
    assert sorted(row["label"] for row in rows.select("label").collect()) == list(range(table.num_rows))
    assert job.metadata.min_event_timestamp == ask(store, "process", table).metadata.min_event_timestamp


def test_what_spark_can_not_do_is_refused(spark: SparkSession, world: tuple[FeatureStore, list[Row]]) -> None:
    store, _ = world
    frame = pd.DataFrame({"number": [1], "letter": ["a"], "event_timestamp": [FIRST]})
    given = spark.createDataFrame(frame)
    store.config.offline_store.executor = "auto"
    with known_by(), pytest.raises(UsageError, match="in process"):
        store.get_historical_features(given, ["kept:id"])
    with pytest.raises(UsageError, match="in memory"):
        ask(store, "spark", frame).to_spark_df()
    with pytest.raises(UsageError, match="executor: process"):
        ask(store, "process", given)
    with pytest.raises(DefinitionError, match="never equal"):
        ask(store, "spark", frame.assign(number="1")).to_arrow()
    with pytest.raises(DefinitionError, match="never equal"):
        ask(store, "auto", given.withColumn("number", given.letter)).to_arrow()
    with pytest.raises(DefinitionError, match="is string, not a timestamp"):
        ask(store, "auto", given.withColumn("event_timestamp", given.letter))
    with pytest.raises(DefinitionError, match=r"no column 'number'"):
        ask(store, "auto", given.withColumnRenamed("number", "numbr"))
