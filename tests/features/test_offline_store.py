"""The offline store through Feast's own API, against an oracle that looks at every row."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from feast import FeatureStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.config import Project
from lakehouse.errors import DefinitionError, NotBuiltError, UsageError
from lakehouse.features.repository import apply, open_store
from lakehouse.features.source import DeltaSource
from tests.features.conftest import DAY, DELAYS, LOADS, START, US, day, delays, loads, write

DELAY = ["carrier_delay:mean", "carrier_delay:count"]


@pytest.fixture(scope="module")
def store(project: Project) -> FeatureStore:
    apply(project)
    return open_store(project)


@pytest.fixture(autouse=True)
def _tables(project: Project, store: FeatureStore) -> None:
    write(project, "gold.carrier_delay", DELAYS)
    write(project, "gold.route_load", LOADS)


def ask(carrier: list[Any], days: list[float | None]) -> pd.DataFrame:
    times = pd.to_datetime(pd.Series([day(number) for number in days], dtype=object), utc=True)
    return pd.DataFrame({"label": range(len(carrier)), "carrier": carrier, "event_timestamp": times})


def values(frame: pd.DataFrame, *names: str) -> list[Any]:
    picked = frame[list(names)].itertuples(index=False)
    rows = [tuple(None if pd.isna(value) else value for value in row) for row in picked]
    return [row[0] for row in rows] if len(names) == 1 else rows


carriers = st.sampled_from(["AA", "A", "UA", None])
days = st.one_of(st.none(), st.integers(0, 6))
rows = st.tuples(carriers, days, days, st.sampled_from([1.0, 2.0, None]), st.sampled_from([1, 2, None]))


def oracle(carrier: str | None, asked: float | None, table: list[tuple[Any, ...]]) -> tuple[Any, Any]:
    fits = [
        row
        for row in table
        if None not in (carrier, asked, row[0], row[1]) and row[0] == carrier and asked - 2 <= row[1] <= asked
    ]

    def rank(row: tuple[Any, ...]) -> list[tuple[bool, Any]]:
        # Event time, created, then the features in the order of their names: count, mean.
        return [(value is not None, value or 0) for value in (row[1], row[2], row[4], row[3])]

    best = max(fits, key=rank, default=None)
    return (None, None) if best is None else (best[3], best[4])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(rows, min_size=1, max_size=12), st.lists(st.tuples(carriers, days), min_size=1, max_size=8), st.randoms()
)
def test_training_rows_are_what_the_oracle_says(
    project: Project,
    store: FeatureStore,
    table: list[tuple[Any, ...]],
    asked: list[tuple[Any, Any]],
    shuffle: random.Random,
) -> None:
    wanted = [oracle(carrier, at, table) for carrier, at in asked]
    shuffle.shuffle(table)
    write(project, "gold.carrier_delay", delays(table))
    frame = ask([carrier for carrier, _ in asked], [at for _, at in asked])
    before = frame.copy(deep=True)
    both = store.get_historical_features(frame, DELAY).to_df()
    assert values(both, "mean", "count") == wanted
    # A tie is broken by the whole row, so asking for one feature alone gives the same value.
    alone = store.get_historical_features(frame, DELAY[:1]).to_df()
    assert values(alone, "mean") == [mean for mean, _ in wanted]
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(both[frame.columns.tolist()], frame)


def test_two_views_full_names_and_an_on_demand_view(store: FeatureStore) -> None:
    frame = ask(["AA", "11", "1", "AA"], [3, 5, 5, 2.5]).assign(origin=[1, 1, 11, 1], minutes=[40.0, 1.0, 1.0, 15.0])
    features = [*DELAY, "route_load:flights", "over_mean:over"]
    got = store.get_historical_features(frame, features, full_feature_names=True).to_df()
    assert values(got, "carrier_delay__mean") == [31.0, None, None, 10.0]
    assert values(got, "route_load__flights") == [5, 111, 1111, 5]
    assert values(got, "over_mean__over") == [9.0, None, None, 5.0]
    service = store.get_feature_service("everything")
    assert values(store.get_historical_features(frame, service).to_df(), "flights") == [5, 111, 1111, 5]


def test_times_keep_their_microseconds_and_naive_ones_are_utc(project: Project, store: FeatureStore) -> None:
    micro = timedelta(microseconds=1) / DAY
    write(project, "gold.carrier_delay", delays([("AA", 1 + micro, 1, 1.0, 1)]))
    edges = [1, 1 + micro, 3 + micro, 3 + 2 * micro]
    assert values(store.get_historical_features(ask(["AA"] * 4, edges), DELAY).to_df(), "count") == [None, 1, 1, None]
    naive = pd.DataFrame({"carrier": ["AA"], "event_timestamp": [datetime(2026, 1, 3)]})
    assert values(store.get_historical_features(naive, DELAY).to_df(), "count") == [1]


def test_the_callers_types_and_columns_stay(store: FeatureStore) -> None:
    frame = ask(["AA", None, "UA"], [3, 3, 3]).assign(
        carrier=lambda one: one["carrier"].astype("category"),
        small=pd.array([1, 2, None], dtype="Int8"),
        text=pd.array(["x", None, "y"], dtype="string"),
    )
    frame.index = pd.Index([7, 7, 9])
    got = store.get_historical_features(frame, DELAY).to_df()
    assert got[frame.columns.tolist()].dtypes.tolist() == frame.dtypes.tolist()
    assert values(got, "mean") == [31.0, None, 20.5]


def test_keys_of_another_number_type_still_match(store: FeatureStore) -> None:
    frame = ask(["AA", "AA", "1"], [3, 3, 3]).assign(origin=[1.0, None, 11.0])
    assert values(store.get_historical_features(frame, ["route_load:flights"]).to_df(), "flights") == [5, None, 1111]


def test_deleted_rows_are_not_seen_and_a_version_can_be_pinned(project: Project, store: FeatureStore) -> None:
    table = DeltaTable(project.path("gold.carrier_delay"))
    pinned = table.version()
    table.delete("made_at = '2026-01-05T00:00:00Z'")
    assert values(store.get_historical_features(ask(["AA"], [4]), DELAY).to_df(), "mean") == [30.0]
    view = store.get_feature_view("carrier_delay")
    assert isinstance(view.batch_source, DeltaSource)
    old = DeltaSource(name="old", table="gold.carrier_delay", timestamp_field="known_at", version=pinned)
    assert old.open(store.config).read(["mean"]).num_rows == DELAYS.num_rows
    assert view.batch_source.open(store.config).read(["mean"]).num_rows == DELAYS.num_rows - 1


def test_entity_rows_as_arrow_and_as_sql(store: FeatureStore) -> None:
    frame = ask(["UA", "AA"], [3, 3])
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    got = store.get_historical_features(arrow, DELAY).to_arrow()
    assert got.select(frame.columns.tolist()).equals(arrow.select(frame.columns.tolist()))
    assert got["mean"].to_pylist() == [20.5, 31.0]
    sql = "select carrier, known_at + interval 1 day as event_timestamp from gold.carrier_delay where count = 1"
    assert store.get_historical_features(sql, DELAY).to_arrow()["mean"].to_pylist() == [10.0]


def test_a_range_of_time_gives_each_key_at_each_event(store: FeatureStore) -> None:
    job = store.get_historical_features(None, DELAY, start_date=START, end_date=START + 3 * DAY)
    got = job.to_df()
    assert got.columns.tolist() == ["carrier", "event_timestamp", "mean", "count"]
    assert values(got, "carrier", "mean") == [("AA", 10.0), ("UA", 20.5), ("AA", 31.0)]


def test_no_rows(project: Project, store: FeatureStore) -> None:
    assert len(store.get_historical_features(ask([], []), DELAY).to_df()) == 0
    write(project, "gold.route_load", loads([]))
    frame = ask(["AA"], [1]).assign(origin=[1])
    assert values(store.get_historical_features(frame, ["route_load:flights"]).to_df(), "flights") == [None]


@pytest.mark.parametrize(
    ("frame", "features", "message"),
    [
        (ask(["AA"], [1]).rename(columns={"carrier": "carier"}), DELAY, "no column 'carrier'.*\n.*'carier'"),
        (ask(["AA"], [1]).assign(carrier=[1]), DELAY, "int64 on one side and large_string"),
        (ask(["AA"], [1]).assign(mean=[1]), DELAY, "'mean' would stand twice"),
        (ask(["AA"], [1]).drop(columns="event_timestamp"), DELAY, "no column 'event_timestamp' and no timestamp"),
        (ask(["AA", "BB"], [1, 1]).assign(carrier=["AA", 1]), DELAY, "mix types"),
    ],
)
def test_mistakes_are_errors_in_words(
    store: FeatureStore, frame: pd.DataFrame, features: list[str], message: str
) -> None:
    with pytest.raises(DefinitionError, match=message):
        store.get_historical_features(frame, features).to_df()


def test_mistakes_in_sql(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match="'nothing' is not a table"):
        store.get_historical_features("select * from nothing", DELAY)
    with pytest.raises(NotBuiltError, match=r"gold.nothing is not built(?s:.)*lakehouse run --select \+gold.nothing"):
        store.get_historical_features("select * from gold.nothing", DELAY)
    with pytest.raises(UsageError, match="entity SQL"):
        store.get_historical_features("select wrong from gold.carrier_delay", DELAY)


def test_a_time_with_its_own_name(store: FeatureStore) -> None:
    frame = pa.table({"carrier": ["AA"], "scheduled_at": pa.array([day(3)], US)})
    assert store.get_historical_features(frame, DELAY).to_arrow()["count"].to_pylist() == [None]
    assert store.get_historical_features(frame, DELAY).to_arrow()["mean"].to_pylist() == [31.0]
