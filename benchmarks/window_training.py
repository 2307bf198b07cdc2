"""One training set of window features, measured within its process, after a small one.

``python -m benchmarks.window_training FOLDER SIDE``: in process delta (the engine, by Feast's API), numpy (the bare
kernel: one sort, searchsorted, reduceat, on the same Delta table) or duckdb (its windows, on a Parquet file of the same
rows); in Spark ours or sql (Spark's windows). Prints JSON: the CPU and wall seconds, and what tells whether the answers
are equal.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import timed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DAYS = (1, 7, 28)
FEATURES = [f"{name}_{days}d" for days in DAYS for name in ("count", "v_sum", "v_max")]
SPAN_DAYS, EVENTS_A_KEY = 365, 30
DAY = 86_400_000_000
"""In microseconds."""
WINDOWS = ", ".join(
    f"w{days} AS (PARTITION BY k ORDER BY event_timestamp "
    f"RANGE BETWEEN INTERVAL '{days * 86_400}' SECOND PRECEDING AND INTERVAL '1' SECOND PRECEDING)"
    for days in DAYS
)
CALLS = ", ".join(
    f"{call}(v) OVER w{days} AS {name}_{days}d"
    for days in DAYS
    for call, name in (("count", "count"), ("sum", "v_sum"), ("max", "v_max"))
)
SQL = f"""
SELECT * FROM (
    SELECT place, {CALLS} FROM (
        SELECT k, t AS event_timestamp, v, CAST(NULL AS BIGINT) AS place FROM events
        UNION ALL SELECT k, event_timestamp, CAST(NULL AS DOUBLE), place FROM points
    ) WINDOW {WINDOWS}
) WHERE place IS NOT NULL
"""
"""The same answers by windows of SQL, as DuckDB and Spark both know them; times are whole seconds, and so are hops."""


def main(folder: str, side: str) -> None:
    warnings.simplefilter("ignore")
    place = Path(folder)
    if side in ("ours", "sql"):
        work = _in_spark(place, side)
    else:
        work = {"delta": _delta, "numpy": _numpy, "duckdb": _duckdb}[side](place)
    work(10)
    answers: list[Any] = []
    cost = timed(lambda: answers.append(work(None)))
    print(json.dumps({"cpu_s": cost.cpu_s, "wall_s": cost.wall_s, "told": answers[0]()}))


Work = Callable[[int | None], Callable[[], list[Any]]]
"""Makes the training set of so many points (None: of all); what it gives tells what is in it."""


def write(place: Path, events: int, points: int) -> None:
    """The events as a Delta table and as Parquet, their tiles, and who asks."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import write_deltalake

    from lakehouse.kernels.tiles import tiles_of

    rng = np.random.default_rng(7)
    keys = max(events // EVENTS_A_KEY, 1)

    def rows(number: int, time: str) -> dict[str, pa.Array]:
        seconds = 1_767_225_600 + rng.integers(0, SPAN_DAYS * 86_400, number)
        times = pa.array(seconds * 1_000_000).cast(pa.timestamp("us", "UTC"))
        return {"k": pa.array(rng.integers(0, keys, number)), time: times}

    (place / "conf").mkdir(parents=True)
    (place / "conf" / "base.yaml").write_text("name: bench\nroot: lake\ntables: jobs.bench\nsources: {}\n")
    table = pa.table(rows(events, "t") | {"v": pa.array(np.round(rng.normal(10, 30, events), 1))})
    write_deltalake(place / "lake" / "silver" / "events", table)
    pq.write_table(table, place / "events.parquet")
    told = _declared().windows
    assert told is not None
    write_deltalake(place / "lake" / "gold" / "load", tiles_of(table, told))
    asked = rows(points, "event_timestamp") | {"place": pa.array(np.arange(points))}
    pq.write_table(pa.table(asked), place / "points.parquet")


def _declared() -> Any:
    from lakehouse import gold

    over = [f"{days}d" for days in DAYS]
    features = [gold.count(over=over), gold.sum("v", over=over), gold.max("v", over=over)]
    return gold.windows(name="load", of="silver.events", entity="k", at="t", hop="1s", features=features)


def _store(place: Path, executor: str) -> Any:
    from feast import Entity, FeatureStore, RepoConfig, ValueType

    from lakehouse.features.source import view_source
    from lakehouse.features.view import feature_view

    here = place / f"repository-{executor}"
    here.mkdir(exist_ok=True)
    kind = "lakehouse.features.offline_store.DeltaOfflineStore"
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(here / "registry.db"),
        offline_store={"type": kind, "project": str(place), "executor": executor},
        online_store={"type": "sqlite", "path": str(here / "online.db")},
        entity_key_serialization_version=3,
    )
    config.repo_path = here
    store = FeatureStore(config=config)
    entity = Entity(name="k", join_keys=["k"], value_type=ValueType.INT64)
    view = feature_view(_declared(), entity=entity, ttl=None)
    view_source(view, view.name).events_version = 0  # no run is there to say it
    store.apply([entity, view])
    return store


REFERENCES = [f"load:{name}" for name in FEATURES]


def _delta(place: Path) -> Work:
    import pandas as pd

    store, points = _store(place, "process"), pd.read_parquet(place / "points.parquet")

    def work(rows: int | None) -> Callable[[], list[Any]]:
        asked = points if rows is None else points.head(rows)
        table = store.get_historical_features(asked, REFERENCES).to_arrow()
        return lambda: _told(table)

    return work


def _numpy(place: Path) -> Work:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from deltalake import DeltaTable

    points = pq.read_table(place / "points.parquet")

    def work(rows: int | None) -> Callable[[], list[Any]]:
        asked = points if rows is None else points.slice(0, rows)
        scan = DeltaTable(place / "lake" / "silver" / "events").scan(columns=["k", "t", "v"])
        events = pa.RecordBatchReader.from_stream(scan).read_all()
        own, at, values = (events.column(name).to_numpy() for name in ("k", "t", "v"))
        keys, times = (asked.column(name).to_numpy() for name in ("k", "event_timestamp"))
        width, first = 2 * SPAN_DAYS * DAY, 1_767_225_600_000_000 - max(DAYS) * DAY
        spots = own * width + at.astype(np.int64) - first
        order = np.argsort(spots)
        spots, values = spots[order], np.append(values[order], 0.0)
        ends = keys * width + times.astype(np.int64) - first
        turn = np.argsort(ends)
        ends = ends[turn]
        after = np.searchsorted(spots, ends)
        answer: dict[str, Any] = {}
        back = np.empty_like(turn)
        back[turn] = np.arange(len(turn))
        for days in DAYS:
            start = np.searchsorted(spots, ends - days * DAY)
            count = after - start
            runs, nothing = np.column_stack([start, after]).ravel(), (count == 0)[back]
            answer[f"count_{days}d"] = pa.array(count[back])
            answer[f"v_sum_{days}d"] = pa.array(np.add.reduceat(values, runs)[::2][back], mask=nothing)
            answer[f"v_max_{days}d"] = pa.array(np.maximum.reduceat(values, runs)[::2][back], mask=nothing)
        table = pa.table(answer)
        return lambda: _told(table)

    return work


def _duckdb(place: Path) -> Work:
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"CREATE VIEW events AS SELECT * FROM '{place / 'events.parquet'}'")

    def work(rows: int | None) -> Callable[[], list[Any]]:
        some = "" if rows is None else f"WHERE place < {rows}"
        points = f"CREATE OR REPLACE VIEW points AS SELECT * FROM '{place / 'points.parquet'}' {some}"
        connection.execute(points)
        table = connection.sql(f"{SQL} ORDER BY place").to_arrow_table()
        return lambda: _told(table)

    return work


def _told(table: Any) -> list[Any]:
    import pyarrow.compute as pc

    columns = [table.column(name) for name in FEATURES]
    return [[len(one), one.null_count, round(float(pc.sum(one).as_py() or 0.0), 3)] for one in columns]


def _in_spark(place: Path, side: str) -> Work:
    """Counted and summed in Spark, so that no rows are collected."""
    from pyspark.sql import functions as F

    from lakehouse.config import load_project
    from lakehouse.spark import open_session

    spark = open_session(load_project(place))
    points = spark.read.parquet(str(place / "points.parquet"))
    retrieve = _ours(place) if side == "ours" else _sql(spark, place)

    def work(rows: int | None) -> Callable[[], list[Any]]:
        frame = retrieve(points if rows is None else points.where(F.col("place") < rows))
        each = [one for name in FEATURES for one in (F.count(F.lit(1)), F.count_if(F.isnull(name)), F.sum(name))]
        found = list(frame.agg(*each).first() or ())
        return lambda: [[found[at], found[at + 1], round(float(found[at + 2] or 0), 3)] for at in range(0, 27, 3)]

    return work


def _ours(place: Path) -> Callable[[DataFrame], DataFrame]:
    store = _store(place, "spark")

    def retrieve(points: DataFrame) -> DataFrame:
        frame: DataFrame = store.get_historical_features(points, REFERENCES).to_spark_df()
        return frame

    return retrieve


def _sql(spark: SparkSession, place: Path) -> Callable[[DataFrame], DataFrame]:
    spark.read.format("delta").load(str(place / "lake" / "silver" / "events")).createOrReplaceTempView("events")

    def retrieve(points: DataFrame) -> DataFrame:
        points.createOrReplaceTempView("points")
        return spark.sql(SQL)

    return retrieve


if __name__ == "__main__":
    main(*sys.argv[1:])
