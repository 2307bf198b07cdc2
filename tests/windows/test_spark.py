"""Training rows with window features by Spark: those made in process, bit for bit, and what plain Python says."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from feast import FeatureStore, FeatureView, Field
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, String

from lakehouse import gold
from lakehouse.config import load_project
from lakehouse.errors import DefinitionError
from lakehouse.features import executing, spark_rows, windowed
from lakehouse.features.source import DeltaSource
from tests.windows.oracle import EPOCH
from tests.windows.streams import (
    EVENTS,
    KEYS,
    TICK,
    J,
    K,
    alike,
    key,
    moment,
    one_event,
    store_of,
    streams,
    view_of,
    wanted,
)
from tests.windows.world import HOUR, START, US

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NS = pa.timestamp("ns", "UTC")
NEVER, ALWAYS = 10**9, 0
"""Of tiles, as so many times fewer of them than of events."""


@pytest.mark.parametrize(
    ("seed", "many", "tiled", "most"),
    [
        (1, 4, False, None),
        (2, 2, True, 5),
        *(
            pytest.param(seed, 12, bool(seed & 1), 5 if seed & 2 else None, marks=pytest.mark.torture)
            for seed in range(3, 20)
        ),
    ],
)
def test_generated_streams(
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    many: int,
    tiled: bool,
    most: int | None,
) -> None:
    """So many definitions on tables of 20 streams, asked at the edges of windows; keys with more than ``most`` entity
    rows are split. Every other time entity rows have nanoseconds."""
    draw = random.Random(seed)
    store, given = streams(tmp_path, seed, many)
    rows = [{"k": draw.choice([*[key(draw)] * 9, "new"]), "j": draw.choice([1, 1, 2, None])} for _ in range(150)]
    times = [None if draw.random() < 0.05 else moment(draw) for _ in rows]
    # A nanosecond more: what is before the next microsecond is seen. Not where a hop begins then: windows begin by now.
    odd = [seed % 2 == 0 and at is not None and at.microsecond != 999_999 and draw.random() < 0.3 for at in times]
    finer = [at and (at - EPOCH) // TICK * 1000 + more for at, more in zip(times, odd, strict=True)]
    asked = pa.table(
        {
            "j": pa.array([row["j"] for row in rows], pa.int64()),
            "event_timestamp": pa.array(finer, NS) if seed % 2 == 0 else pa.array(times, US),
            "k": pa.array([row["k"] for row in rows], pa.string()),
            "place": pa.array(range(len(rows))),
        }
    )
    references = [f"{one.view.name}:{feature.name}" for one in given for feature in reversed(one.told.features)]

    def ask(executor: str, fewer: int) -> tuple[pa.Table, tuple[str, ...]]:
        monkeypatch.setattr(windowed, "FEWER", fewer)
        store.config.offline_store.executor = executor
        job: Any = store.get_historical_features(asked, references, full_feature_names=True)
        return job.to_arrow(), job.notes

    in_process, _ = ask("process", NEVER)
    monkeypatch.setattr(spark_rows, "ROWS_A_KEY", most or spark_rows.ROWS_A_KEY)
    monkeypatch.setattr(spark_rows, "FEWEST", 100)
    by_spark, notes = ask("spark", ALWAYS if tiled else NEVER)
    assert by_spark.schema == in_process.schema
    for name in by_spark.column_names:  # as text: no NaN equals another, and zeros of both signs are equal
        assert repr(by_spark[name].to_pylist()) == repr(in_process[name].to_pylist()), name
    assert ["key(s) split" in note for note in notes] == [most is not None] * 2
    assert ["1 bucket(s)" in note for note in notes] == [False] * 2
    something = 0
    for one in given:
        features = [f"{one.view.name}__{feature.name}" for feature in one.told.features]
        found = [_values(by_spark[name], bool(one.told.bucket)) for name in features]
        for place, (row, at, more) in enumerate(zip(rows, times, odd, strict=True)):
            answer = wanted(one, row, at + TICK if at and more else at)
            for feature, values in zip(one.told.features, found, strict=True):
                got, worth = values[place], answer[feature.name]
                assert alike(got, worth), (one.view.name, feature, row, at, got, worth)
                something += worth not in (None, 0, [], {})
    assert something > len(KEYS) * many


def _values(column: pa.ChunkedArray, maps: bool) -> list[Any]:
    return [one.as_py(maps_as_pydicts="strict") for one in column] if maps else column.to_pylist()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Windows, with a condition on the hour and with buckets, and a view of the newest row."""
    folder = tmp_path_factory.mktemp("mixed")
    conf = folder / "conf" / "base.yaml"
    conf.parent.mkdir()
    conf.write_text("name: mixed\nroot: lake\ntables: jobs.mixed\nsources: {}\n")
    draw = random.Random(3)
    rows = [one_event(draw, number) for number in range(400)]
    events = pa.Table.from_pylist(rows, schema=EVENTS)
    huge = pa.array([2**62] * len(rows))
    write_deltalake(str(folder / "lake" / "silver" / "events"), events.append_column("huge", huge))
    tables = [
        gold.windows(
            name="nights",
            of="silver.events",
            entity="k",
            at="t",
            where="hour(t) >= 6",
            features=[
                gold.rate("hour(t) < 9 AND t < TIMESTAMP '2026-03-05 00:00:00'", over="3d", name="early"),
                gold.count(over="1d"),
                gold.sum("v", over="3d"),
            ],
        ),
        gold.windows(
            name="by_shop",
            of="silver.events",
            entity="k",
            at="t",
            bucket="shop",
            features=[gold.last_n("s", 2, over="3d"), gold.max("v", over="3d")],
        ),
        gold.windows(
            name="beyond", of="silver.events", entity="k", at="t", features=[gold.sum("huge", over="3d", name="sum")]
        ),
    ]
    views: list[Any] = [view_of(load_project(folder), table) for table in tables]
    newest = DeltaSource(name="newest", path=folder / "lake" / "silver" / "events", timestamp_field="t")
    schema = [Field(name="v", dtype=Float64), Field(name="s", dtype=String)]
    views.append(FeatureView(name="newest", entities=[K, J], schema=schema, source=newest, ttl=3 * HOUR))

    @on_demand_feature_view(sources=[views[0], views[-1]], schema=[Field(name="twice", dtype=Float64)])
    def doubled(inputs: pd.DataFrame) -> pd.DataFrame:
        return (inputs[["v_sum_3d"]] * 2).rename(columns={"v_sum_3d": "twice"})

    with pytest.warns(RuntimeWarning, match="experimental"):
        return store_of(folder, [*views, doubled])


REFERENCES = ["nights:v_sum_3d", "newest:s", "by_shop:s_last_2_3d", "nights:early", "by_shop:v_max_3d", "newest:v"]


def questions() -> pa.Table:
    draw = random.Random(9)
    return pa.table(
        {
            "a.b `c`": pa.array([[{"a": place}] for place in range(200)]),
            "row": pa.array(range(200)),
            "k": pa.array([key(draw) for _ in range(200)]),
            "event_timestamp": pa.array([START + draw.randrange(150) * HOUR for _ in range(200)], US),
            "j": pa.array([draw.choice([1, 2, None]) for _ in range(200)], pa.int64()),
        }
    )


def test_a_spark_frame_in_a_session_elsewhere(spark: SparkSession, mixed: FeatureStore) -> None:
    """Views of all kinds at once; what a condition says of hours is UTC, wherever the session says that it is."""
    asked = questions()
    mixed.config.offline_store.executor = "process"
    expected = mixed.get_historical_features(asked, REFERENCES).to_arrow()
    elsewhere = spark.newSession()
    elsewhere.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    mixed.config.offline_store.executor = "auto"
    given = elsewhere.createDataFrame(asked)
    job: Any = mixed.get_historical_features(given, REFERENCES)
    got = job.to_arrow()
    assert elsewhere.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
    assert got.column_names == expected.column_names
    for name in got.column_names:
        assert repr(got[name].to_pylist()) == repr(expected[name].to_pylist()), name
    frame = job.to_spark_df()
    assert frame.columns == expected.column_names
    assert sorted(row["row"] for row in frame.select("row").collect()) == list(range(200))
    early = expected["early"].to_pylist()
    assert {0.0, None} < set(early) and max(one for one in early if one is not None) > 0


def test_on_demand_features_of_windows(spark: SparkSession, mixed: FeatureStore) -> None:
    answers = []
    for executor in ("process", "spark"):
        mixed.config.offline_store.executor = executor
        job = mixed.get_historical_features(questions(), [*REFERENCES, "doubled:twice"])
        answers.append(job.to_arrow())
    assert repr(answers[0].to_pylist()) == repr(answers[1].to_pylist())
    assert any(one for one in answers[1]["twice"].to_pylist())


def test_many_events_are_read_by_spark(
    spark: SparkSession, mixed: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events count, of which there are 400, not their tiles."""
    mixed.config.offline_store.executor = "auto"
    notes = []
    for many in (400, 401):
        monkeypatch.setattr(executing, "MANY", many)
        job: Any = mixed.get_historical_features(questions(), ["nights:v_sum_3d"])
        assert job.to_arrow().num_rows == 200
        notes.append(["joined by Spark" in note for note in job.notes])
    assert notes == [[True], []]


def test_what_goes_wrong_in_a_worker_is_said_as_in_process(spark: SparkSession, mixed: FeatureStore) -> None:
    said = []
    for executor in ("process", "spark"):
        mixed.config.offline_store.executor = executor
        with pytest.raises(DefinitionError, match="beyond 64 bits") as raised:
            mixed.get_historical_features(questions(), ["beyond:sum"]).to_arrow()
        said.append(raised.value)
    assert said[0].hint == said[1].hint
    wrong = questions().set_column(2, "k", pa.array(range(200)))
    with pytest.raises(DefinitionError, match="never equal"):
        mixed.get_historical_features(wrong, ["nights:v_sum_3d"]).to_arrow()
