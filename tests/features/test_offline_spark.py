"""Training rows by Spark: those that are made in process, row for row, and what plain Python says."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from feast import FeatureStore

from lakehouse.errors import ConservationError, DefinitionError, UsageError
from lakehouse.features import spark_rows, spark_settings
from lakehouse.spark.properties import CUT_BY_ROWS
from tests.features.conftest import US
from tests.features.test_offline_cases import FIRST, FORMS, Row, as_table, feature_rows, open_world, oracle, questions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

VIEWS = ("single", "pair", "kept")
REFERENCES = [f"{view}:{name}" for view in VIEWS for name in ("id", "x", "y")]
TOUCHED = [*spark_settings.AS_DATA, *CUT_BY_ROWS]


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


@pytest.mark.parametrize(("form", "created", "most"), [("zone", False, None), ("text", True, 300)])
def test_thousands_of_cases(
    spark: SparkSession,
    world: tuple[FeatureStore, list[Row]],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    created: bool,
    most: int | None,
) -> None:
    """A case is one entity row asked of one view: 5,040 in two calls, a third of them of a key that is split."""
    assert compare(world, monkeypatch, random.Random(form), form, created, most) == 2520


@pytest.mark.torture
@pytest.mark.parametrize("most", [None, 40, 90, 250])
@pytest.mark.parametrize("seed", range(10))
def test_more_cases(
    spark: SparkSession,
    world: tuple[FeatureStore, list[Row]],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    most: int | None,
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(spark_rows, "ROWS_A_BUCKET", rng.choice([300, 1000]))
    compare(world, monkeypatch, rng, rng.choice(FORMS), rng.random() < 0.5, most)


def compare(
    world: tuple[FeatureStore, list[Row]],
    monkeypatch: pytest.MonkeyPatch,
    rng: random.Random,
    form: str,
    created: bool,
    most: int | None,
) -> int:
    """Spark, with keys of more rows than ``most`` split, the process and plain Python say the same of so many cases."""
    store, rows = world
    monkeypatch.setattr(spark_rows, "ROWS_A_KEY", most or spark_rows.ROWS_A_KEY)
    monkeypatch.setattr(spark_rows, "FEWEST", 500)  # two buckets
    asked, frame = questions(rng, form, 840)
    for place in (place for place in range(len(asked)) if place % 3):  # two thirds are of one key
        asked[place] |= {"number": 0, "letter": "a"}
        frame.loc[place, ["number", "letter"]] = 0, "a"
    by_spark, in_process = (ask(store, executor, frame, created) for executor in ("spark", "process"))
    got, expected = by_spark.to_arrow(), in_process.to_arrow()
    assert got.equals(expected)
    assert got.schema.metadata == expected.schema.metadata
    assert ("key(s) split" in "".join(by_spark.notes)) == (most is not None)
    assert all("joined by Spark" in note for note in by_spark.notes)
    assert not in_process.notes
    cases, seen = 0, 0
    for place, (row, found) in enumerate(zip(asked, got.to_pylist(), strict=True)):
        for view in VIEWS:
            answer = tuple(found[f"{view}__{name}"] for name in ("id", "x", "y"))
            assert answer == oracle(row, rows, view, "created" if created else "now", FIRST), (view, place)
            cases += 1
            seen += answer[0] is not None
    assert seen > 600
    return cases


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
    before = [spark.conf.get(name) for name in TOUCHED]
    got = job.to_arrow()
    assert [spark.conf.get(name) for name in TOUCHED] == before
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


def test_a_frame_that_gives_other_times_each_time(spark: SparkSession, world: tuple[FeatureStore, list[Row]]) -> None:
    from pyspark.sql import functions as F

    store, rows = world
    store.config.offline_store.executor = "auto"
    later = F.udf(lambda _: random.SystemRandom().randrange(9 * 900), "int").asNondeterministic()
    given = spark.range(400).select(F.lit(0).alias("number"), F.lit("a").alias("letter"), "id")
    start = F.lit(int(FIRST.timestamp()))
    given = given.withColumn("event_timestamp", F.timestamp_seconds(start + later("id")))
    got = store.get_historical_features(given, REFERENCES[3:6], full_feature_names=True).to_arrow()
    assert got["id"].to_pylist() == list(range(400))
    for row in got.to_pylist():
        asked = {"number": 0, "letter": "a", "time": row["event_timestamp"]}
        answer = tuple(row[f"pair__{name}"] for name in ("id", "x", "y"))
        assert answer == oracle(asked, rows, "pair", "now", FIRST)


def test_a_frame_that_changed_is_no_training_set(
    spark: SparkSession, world: tuple[FeatureStore, list[Row]], tmp_path: Path
) -> None:
    from pyspark.sql import functions as F

    store, _ = world
    store.config.offline_store.executor = "auto"
    hours, many = tmp_path / "hours", tmp_path / "many"
    # As far as Spark knows, it gives the same rows each time.
    told = F.udf(lambda number: int(hours.read_text()) if number < int(many.read_text()) else None, "int")
    given = spark.range(10).select(F.lit(0).alias("number"), F.lit("a").alias("letter"), told("id").alias("hours"))
    given = given.where(F.col("hours").isNotNull())
    moment = F.lit(FIRST) + F.make_dt_interval(hours=F.col("hours"))
    given = given.select("number", "letter", moment.alias("event_timestamp"))
    hours.write_text("1")
    many.write_text("5")
    job = store.get_historical_features(given, REFERENCES[:1], full_feature_names=True)
    assert job.to_arrow().num_rows == 5
    many.write_text("4")
    with pytest.raises(ConservationError, match="4 of 5 entity rows(?s:.)*localCheckpoint"):
        job.to_arrow()
    many.write_text("5")
    hours.write_text("2")
    with pytest.raises(ConservationError, match="other ones than when the features were asked for"):
        job.to_arrow()
    assert job.metadata.max_event_timestamp == FIRST + timedelta(hours=1)


@pytest.mark.torture
def test_a_million_rows_are_equal(spark: SparkSession, tmp_path: Path) -> None:
    rng, many = np.random.default_rng(3), 1_000_000

    def times(most: int) -> pa.Array:  # a key has few moments, so that ties are many
        return pa.array(1_790_000_000_000_000 + 60_000_000 * rng.integers(0, most, many)).cast(US)

    columns = {"number": pa.array(rng.integers(0, 100_000, many)), "letter": pa.array(rng.choice(["a", "b"], many))}
    rows = {**columns, "at": times(60), "made": times(3), "known": times(3), "x": pa.array(rng.random(many))}
    rows |= {"y": pa.array(rng.choice(["p", "q"], many)), "id": pa.array(rng.integers(0, 9, many))}
    write_deltalake(tmp_path / "rows", pa.table(rows))
    store = open_world(tmp_path)
    entities = pa.table({**columns, "event_timestamp": times(70)})
    by_spark, in_process = (ask(store, executor, entities).to_arrow() for executor in ("spark", "process"))
    assert by_spark.equals(in_process)
    assert by_spark.num_rows == many > by_spark["pair__x"].null_count > 0
