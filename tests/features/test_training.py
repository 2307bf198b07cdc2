"""Training sets: what is in them, and how a label is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.config import Project
from lakehouse.errors import DefinitionError, UsageError
from lakehouse.features.manifest import names
from lakehouse.features.repository import apply
from lakehouse.features.training import training_set
from tests.features.conftest import DAY, START, day, delays, write
from tests.features.sets import FEATURES, ask, begin_again


@pytest.fixture(scope="module", autouse=True)
def _applied(project: Project) -> None:
    apply(project)


@pytest.fixture(autouse=True)
def _tables(project: Project) -> None:
    begin_again(project)


def test_the_rows_are_what_feast_gives_and_the_frame_stays(project: Project) -> None:
    frame = ask([3, None, 1]).astype({"carrier": "category"})
    before = frame.copy(deep=True)
    made = training_set(frame, [*FEATURES, "over_mean:over"], project=project)
    pd.testing.assert_frame_equal(frame, before)
    got = made.to_pandas()
    pd.testing.assert_frame_equal(got[frame.columns.tolist()], frame)
    assert [None if pd.isna(value) else value for value in got["mean"]] == [31.0, None, 10.0]
    assert [None if pd.isna(value) else value for value in got["over"]] == [-30.0, None, -9.0]
    assert (made.manifest.asked, made.manifest.rows, made.manifest.left_out) == (3, 3, {})
    assert names(project) == []


def test_whole_numbers_with_gaps_are_not_rounded(project: Project) -> None:
    wide = pd.Series([2**53 + 1, None], dtype=object)
    frame = ask([3, None]).assign(mine=wide, late=wide.astype("Int64"))
    got = training_set(frame, FEATURES, project=project).to_pandas()
    assert got["mine"][0] == got["late"][0] == 2**53 + 1


def test_a_service_is_asked_for_by_its_name(project: Project) -> None:
    made = training_set(ask([3]), "everything", project=project, full_feature_names=True)
    assert made.rows.column_names[-3:] == ["carrier_delay__mean", "carrier_delay__count", "route_load__flights"]
    assert made.rows.column("route_load__flights").to_pylist() == [5]
    assert made.manifest.features == ("everything",)


def test_a_label_of_the_entity_rows_is_known_when_its_horizon_has_passed(project: Project) -> None:
    frame = ask([1, 2, 2 + 1 / 86_400_000_000, 3, None])
    made = training_set(frame, FEATURES, label="late", horizon=2 * DAY, now=day(4), project=project)
    assert made.rows.column("late").to_pylist() == [0, 1]
    assert made.manifest.left_out == {"label not known yet": 2, "no time": 1}
    assert (made.manifest.asked, made.manifest.rows) == (5, 2)
    assert made.manifest.label is not None
    assert made.manifest.label.known_because == "the clock"
    at_once = training_set(frame, FEATURES, label="late", horizon=timedelta(0), now=day(2), project=project)
    assert at_once.rows.column("late").to_pylist() == [0, 1]


carriers = st.sampled_from(["AA", "UA", None])
rows = st.tuples(carriers, st.one_of(st.none(), st.integers(0, 8)), st.sampled_from([1.0, 2.0, None]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(rows, min_size=1, max_size=10),
    st.lists(st.tuples(carriers, st.integers(0, 8)), min_size=1, max_size=8),
    st.integers(0, 3),
    st.integers(0, 9),
)
def test_a_label_of_a_table_is_its_newest_value_at_the_horizon(
    project: Project, table: list[Any], asked: list[Any], horizon: int, now: int
) -> None:
    write(project, "gold.carrier_delay", delays([(key, at, at, mean, 1) for key, at, mean in table]))
    frame = pa.table(
        {
            "carrier": pa.array([key for key, _ in asked], pa.string()),
            "origin": pa.array([1] * len(asked), pa.int64()),
            "event_timestamp": pa.array([day(at) for _, at in asked], pa.timestamp("us", "UTC")),
        }
    )
    label = "gold.carrier_delay.mean"
    made = training_set(
        frame, ["route_load:flights"], label=label, horizon=horizon * DAY, now=day(now), project=project
    )
    newest = max((at for _, at, _ in table if at is not None), default=-999)
    known = [(key, at + horizon) for key, at in asked if at + horizon <= min(now, newest)]

    def seen(key: str | None, end: int) -> float | None:
        fits = [row for row in table if None not in (key, row[1]) and row[0] == key and row[1] <= end]
        best = max(fits, key=lambda row: (row[1], row[2] is not None, row[2] or 0), default=None)
        return None if best is None else best[2]

    assert made.rows.column("mean").to_pylist() == [seen(*one) for one in known]
    assert sum(made.manifest.left_out.values()) == len(asked) - len(known)
    assert made.manifest.label is not None
    assert made.manifest.label.missing == sum(seen(*one) is None for one in known)


def test_a_table_that_moves_while_it_is_read_does_not_matter(project: Project) -> None:
    wanted = training_set(ask([3, 1]), FEATURES, project=project).rows
    versions = []

    def move(stage: str) -> None:
        write(project, "gold.carrier_delay", delays([]))
        versions.append(DeltaTable(str(project.path("gold.carrier_delay"))).version())

    made = training_set(ask([3, 1]), FEATURES, project=project, listen=move)
    assert made.rows.equals(wanted)
    assert {table.version for table in made.manifest.tables if table.table == "gold.carrier_delay"} == {versions[0] - 1}


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"features": "carier_delay"}, UsageError, "no view or service 'carier_delay'\n.*'carrier_delay'"),
        ({"features": ["carrier_delay:maen"]}, UsageError, "'carrier_delay' has no feature 'maen'\n.*'mean'"),
        ({"features": []}, UsageError, "no features were asked for"),
        ({"label": "late"}, UsageError, "a label needs a horizon"),
        ({"horizon": DAY}, UsageError, "a label needs a horizon"),
        ({"label": "laet", "horizon": DAY}, UsageError, "'laet' is no column.*\n.*'late'"),
        ({"label": "late", "horizon": -DAY}, UsageError, "can't be known before"),
        ({"label": "late", "horizon": 3600}, UsageError, "horizon=3600 is no span of time\n.*timedelta"),
        ({"label": "late", "horizon": timedelta.max}, UsageError, "is beyond 36,500 days"),
        ({"entities": "rows.parquet"}, UsageError, "entity SQL(?s:.)*A file is read first"),
        ({"label": "gold.carier_delay.mean", "horizon": DAY}, UsageError, "no table 'gold.carier_delay'"),
        ({"label": "gold.carrier_delay.men", "horizon": DAY}, DefinitionError, "no column 'men'.*\n.*'mean'"),
        ({"label": "late", "horizon": DAY, "label_at": "x"}, UsageError, "so it has no 'x'"),
        ({"entities": None}, UsageError, "a start is needed"),
        ({"label_at": "known_at"}, UsageError, "says nothing without a label"),
        ({"end": START}, UsageError, "can't both be given"),
        ({"start": START}, UsageError, "can't both be given"),
        ({"entities": 3}, DefinitionError, "can't be of type int"),
        ({"features": "over_mean", "entities": ask([3]).drop(columns="minutes")}, UsageError, "can't be computed"),
    ],
)
def test_mistakes_are_errors_in_words(
    project: Project, words: dict[str, Any], error: type[Exception], message: str
) -> None:
    asked: dict[str, Any] = {"entities": ask([3]), "features": FEATURES, **words}
    with pytest.raises(error, match=message):
        training_set(asked.pop("entities"), asked.pop("features"), **asked, project=project)
