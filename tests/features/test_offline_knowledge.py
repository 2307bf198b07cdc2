"""known_by() on what a silver table with keep_versions=True leaves, against plain Python; and what it refuses."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import CommitProperties, Transaction, write_deltalake
from feast import Entity, FeatureStore, FeatureView, Field, ValueType
from feast.types import Int64

from lakehouse.config import Project
from lakehouse.errors import DefinitionError, UsageError
from lakehouse.features import spark_rows
from lakehouse.features.knowledge import known_by
from lakehouse.features.repository import apply, open_store
from lakehouse.features.source import DeltaSource
from tests.features.conftest import DAY, START, US, day
from tests.online.stores import applied, feast_store, keys_of, online_store, view_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ORIGIN = "silver.orders:of:0:"
"""As silver names what a table was made under: it ends with the epoch and the fingerprint."""
HOUR = timedelta(hours=1)
Row = dict[str, Any]
COLUMNS = {"order": pa.int64(), "shop": pa.string(), "at": US, "total": pa.int64(), "_known_from": US}


def batches(rng: random.Random) -> list[Row]:
    """What each batch says of each order, in the order in which they land: a value, or nothing once it is deleted."""
    said = []
    for batch in range(6):
        for order in rng.sample(range(12), 6):
            row = {"batch": batch, "order": order, "landed": START + batch * DAY, "gone": rng.random() < 0.25}
            row |= {"shop": rng.choice("ab"), "at": START + rng.randint(-4, 5) * DAY, "total": rng.randint(0, 9)}
            said.append(row)
    return said


def versions(said: list[Row]) -> list[Row]:
    """Each row that there was, with when it was known."""
    found = []
    for order in range(12):
        own = [row for row in said if row["order"] == order]
        for row, after in zip(own, [*own[1:], None], strict=True):
            if not row["gone"]:
                until = after and after["landed"]
                found.append(
                    {**row, "_known_from": row["landed"], "_known_until": until, "_upto": after and after["batch"]}
                )
    return found


def build(project: Project, rows: list[Row], upto: int = 5) -> None:
    now = [row for row in rows if row["_known_until"] is None]
    ended = [row for row in rows if row["_known_until"] is not None]
    table = {name: pa.array([row[name] for row in now], kind) for name, kind in COLUMNS.items()}
    marked = CommitProperties(app_transactions=[Transaction(ORIGIN, upto)])
    write_deltalake(project.path("silver.orders"), pa.table(table), mode="overwrite", commit_properties=marked)
    kinds = {**COLUMNS, "_known_until": US, "_upto": pa.int64()}
    table = {name: pa.array([row[name] for row in ended], kind) for name, kind in kinds.items()}
    beside = project.state("silver.orders").with_name("orders.versions.0123abcd")
    # A version that ends in a batch that the table has not seen is of a commit that was not made.
    extra = {name: [ended[0][name]] for name in kinds} | {"_upto": [99], "total": [99]}
    for one in (table, extra):
        arrays = {name: pa.array(one[name], kind) for name, kind in kinds.items()}
        write_deltalake(beside, pa.table(arrays), mode="append")
    # delta-rs writes no properties but Delta's own.
    first = beside / "_delta_log" / "00000000000000000000.json"
    empty, filled = '"configuration":{}', f'"configuration":{{"lakehouse.origin":"{ORIGIN}"}}'
    assert empty in first.read_text()
    first.write_text(first.read_text().replace(empty, filled))


@pytest.fixture(scope="module")
def world(project: Project) -> tuple[FeatureStore, list[Row]]:
    rows = versions(batches(random.Random(3)))
    build(project, rows)
    apply(project)
    store = open_store(project)
    shop = Entity(name="shop", value_type=ValueType.STRING)
    source = DeltaSource(name="orders", table="silver.orders", timestamp_field="at")
    view = FeatureView(
        name="orders", entities=[shop], ttl=3 * DAY, source=source, schema=[Field(name="total", dtype=Int64)]
    )
    store.apply([shop, view])
    return store, rows


def oracle(shop: str, asked: datetime, rows: list[Row], by: datetime | None) -> int | None:
    """The first load (batch 0) counts as known at its event time."""
    best: tuple[Any, ...] | None = None
    moment = by or asked
    for row in rows:
        since = row["at"] if row["batch"] == 0 else row["_known_from"]
        there = since <= moment and (row["_known_until"] is None or moment < row["_known_until"])
        if there and row["shop"] == shop and asked - 3 * DAY <= row["at"] <= asked:
            best = max(best or (row["at"], row["total"]), (row["at"], row["total"]))
    return best and best[1]


MOMENTS = [None, START + 2 * DAY, START + 3 * DAY - HOUR]


def questions() -> tuple[list[tuple[str, datetime]], pa.Table]:
    times = [START + hours * HOUR for hours in range(-96, 200, 8)]
    asked = [(shop, time) for shop in ("a", "b", "c") for time in times]
    return asked, pa.table(
        {"shop": [one for one, _ in asked], "event_timestamp": pa.array([at for _, at in asked], US)}
    )


@pytest.mark.parametrize("by", MOMENTS)
def test_a_row_is_seen_as_it_was_known(world: tuple[FeatureStore, list[Row]], by: datetime | None) -> None:
    store, rows = world
    asked, frame = questions()
    with known_by(by):
        job = store.get_historical_features(frame, ["orders:total"])
    got = job.to_arrow()["total"].to_pylist()
    assert got == [oracle(shop, time, rows, by) for shop, time in asked]
    first = sum(row["batch"] == 0 and -4 <= (row["at"] - START) / DAY <= 8 for row in rows)
    assert job.notes == (f"'orders': {first} row(s) of a first load or backfill count as known at their event time",)
    now = store.get_historical_features(frame, ["orders:total"]).to_arrow()["total"].to_pylist()
    assert now != got  # what is in the table now is another answer


@pytest.mark.parametrize("most", [1_000, 3])
@pytest.mark.parametrize("by", MOMENTS)
def test_spark_knows_the_same(
    spark: SparkSession,
    world: tuple[FeatureStore, list[Row]],
    by: datetime | None,
    most: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, rows = world
    asked, frame = questions()
    monkeypatch.setattr(spark_rows, "ROWS_A_KEY", most)
    monkeypatch.setattr(store.config.offline_store, "executor", "spark")
    with known_by(by):
        sent = store.get_historical_features(frame, ["orders:total"])
        own = store.get_historical_features(spark.createDataFrame(frame), ["orders:total"])
    expected = [oracle(shop, time, rows, by) for shop, time in asked]
    for job in (sent, own):
        assert job.to_arrow()["total"].to_pylist() == expected
        assert "of a first load or backfill" in job.notes[0]
        assert ("split" in job.notes[1]) == (most == 3)


@pytest.mark.parametrize("kind", [US, pa.timestamp("us"), pa.date32()])
def test_spark_says_the_same_of_a_source_that_knows(
    spark: SparkSession, world: tuple[FeatureStore, list[Row]], project: Project, kind: pa.DataType
) -> None:
    store, _ = world
    known = pa.array([day(10), day(11), day(20), day(12)], US).cast(kind)
    rows = pa.table({"shop": ["a"] * 4, "at": pa.array([day(1), day(2), day(3), day(2)], US), "total": [1, 2, 3, 4]})
    place = f"kinds_{kind}".replace("[", "").replace("]", "").replace(", ", "_")
    write_deltalake(project.folder / place, rows.append_column("seen", known))
    view = store.get_feature_view("orders")
    before = view.batch_source
    view.batch_source = DeltaSource(
        name=place, path=f"../{place}", timestamp_field="at", known_at="seen", backfilled_until=day(11)
    )
    store.apply([view])
    try:
        asked = pa.table({"shop": ["a"] * 20, "event_timestamp": pa.array([day(1 + n) for n in range(20)], US)})
        got = {}
        for executor in ("process", "spark"):
            store.config.offline_store.executor = executor
            for by in (None, day(9), day(11), day(12)):
                with known_by(by):
                    job = store.get_historical_features(asked, ["orders:total"])
                got[executor, by] = job.to_arrow()["total"].to_pylist(), job.notes[0]
        for (executor, by), one in got.items():
            assert one == got["process", by], (executor, by)
        assert len({str(one) for one in got.values()}) > 1
        write_deltalake(project.folder / place, rows.append_column("seen", pa.nulls(4, kind)).slice(2), mode="append")
        with known_by():
            job = store.get_historical_features(asked, ["orders:total"])
        with pytest.raises(DefinitionError, match=r"2 row.* have no 'seen'"):
            job.to_arrow()
    finally:
        store.config.offline_store.executor = "auto"
        view.batch_source = before
        store.apply([view])


def test_a_declared_backfill_and_a_missing_time(project: Project, world: tuple[FeatureStore, list[Row]]) -> None:
    store, _ = world
    rows = pa.table(
        {
            "shop": ["a", "a", "a"],
            "at": pa.array([day(1), day(2), day(3)], US),
            "total": [1, 2, 3],
            "seen": pa.array([day(10), day(11), day(20)], US),
        }
    )
    write_deltalake(project.folder / "told", rows)
    view = store.get_feature_view("orders")
    view.batch_source = DeltaSource(
        name="told", path="../told", timestamp_field="at", known_at="seen", backfilled_until=day(11)
    )
    store.apply([view])
    asked = pa.table({"shop": ["a"] * 3, "event_timestamp": pa.array([day(1), day(4), day(5)], US)})
    with known_by():
        job = store.get_historical_features(asked, ["orders:total"])
    assert job.to_arrow()["total"].to_pylist() == [1, 2, 2]
    assert len(job.notes) == 1
    write_deltalake(project.folder / "told", rows.set_column(3, "seen", pa.nulls(3, US)).slice(2), mode="append")
    with known_by(day(9)):
        job = store.get_historical_features(asked, ["orders:total"])
    with pytest.raises(DefinitionError, match=r"1 row.* have no 'seen'"):
        job.to_arrow()


def test_what_is_not_exact_is_refused(world: tuple[FeatureStore, list[Row]]) -> None:
    store, _ = world
    asked = pa.table({"carrier": ["AA"], "event_timestamp": pa.array([day(3)], US)})
    with known_by(), pytest.raises(UsageError, match=r"gold.carrier_delay doesn't say when(?s:.)*keep_versions=True"):
        store.get_historical_features(asked, ["carrier_delay:mean"])
    with pytest.raises(DefinitionError, match="gold.x replaces rows(?s:.)*keep_versions=True"):
        DeltaSource(name="one", table="gold.x", timestamp_field="at", known_at="seen")


def test_what_was_created_and_known_by_then_both_count(tmp_path: Path) -> None:
    moments = [None, *(START + hour * HOUR for hour in range(4))]
    rows = [{"made": made, "known": known} for made in moments for known in moments[1:]]
    table = {"id": pa.array(range(len(rows)), pa.int64()), "at": pa.array([START] * len(rows), US)}
    table |= {name: pa.array([row[name] for row in rows], US) for name in ("made", "known")}
    write_deltalake(tmp_path / "t", pa.table(table).append_column("v", table["id"]))
    store = feast_store(tmp_path, online_store("sqlite", tmp_path))
    source = {"created_timestamp_column": "made", "known_at": "known"}
    fields = [Field(name="v", dtype=Int64)]
    applied(store, [keys_of(), view_of(tmp_path, "t", fields, [keys_of()], source=source, ttl=None)])
    asked = [(number, START + hour * HOUR) for number in range(len(rows)) for hour in range(4)]
    frame = pd.DataFrame({"id": [one[0] for one in asked], "event_timestamp": [one[1] for one in asked]})
    with known_by():
        job = store.get_historical_features(frame, ["t:v"], filter_by_created_timestamp=True)
        got = job.to_arrow()["v"].to_pylist()
    expected = []
    for number, time in asked:
        told = [rows[number]["made"], rows[number]["known"]]
        expected.append(number if all(one is not None and one <= time for one in told) else None)
    assert got == expected
