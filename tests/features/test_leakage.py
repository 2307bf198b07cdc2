"""The leakage report counts exactly, against an oracle that looks at every pair of rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lakehouse.config import Project
from lakehouse.features.repository import apply
from lakehouse.features.training import training_set
from tests.features.conftest import LOADS, US, day, delays, write

Row = tuple[Any, ...]
carriers = st.sampled_from(["AA", "UA", None])
days = st.one_of(st.none(), st.integers(0, 6))
rows = st.tuples(carriers, days, days, st.sampled_from([1.0, 2.0, None]), st.sampled_from([1, 2, None]))


@pytest.fixture(scope="module", autouse=True)
def _applied(project: Project) -> None:
    apply(project)
    write(project, "gold.route_load", LOADS)


def newest(rows: list[Row]) -> Row | None:
    """By event time, created, then the features by name: count, mean; a null is least."""
    return max(rows, key=lambda row: [(row[n] is not None, row[n] or 0) for n in (1, 2, 4, 3)], default=None)


def of_key(carrier: str | None, table: list[Row]) -> list[Row]:
    return [row for row in table if None not in (carrier, row[0], row[1]) and row[0] == carrier]


def honest(carrier: str | None, now: int | None, table: list[Row]) -> list[Row]:
    return [row for row in of_key(carrier, table) if now is not None and now - 2 <= row[1] <= now]


def values(row: Row | None) -> tuple[Any, Any]:
    return (None, None) if row is None else (row[3], row[4])


def mean(column: list[Any]) -> float | None:
    known = [value for value in column if value is not None]
    return sum(known) / len(known) if known else None


def compared(right: list[Row | None], wrong: list[Row | None], leaked: int) -> dict[str, Any]:
    pairs = [(values(one), values(other)) for one, other in zip(right, wrong, strict=True)]
    return {
        "leaked": leaked,
        "changed": sum(one != other for one, other in pairs),
        "features": {
            name: {
                "changed": sum(one[place] != other[place] for one, other in pairs),
                "mean": mean([one[place] for one, _ in pairs]),
                "mean_leaked": mean([other[place] for _, other in pairs]),
            }
            for place, name in enumerate(("mean", "count"))
        },
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(rows, min_size=1, max_size=10), st.lists(st.tuples(carriers, days), min_size=1, max_size=8))
@example([("AA", 1, 1, 1.0, 1), ("AA", 2, 4, 2.0, 2), ("AA", 6, 6, None, 3)], [("AA", 3), ("AA", 4), ("AA", None)])
def test_each_row_is_counted_once_and_exactly(project: Project, table: list[Row], asked: list[Row]) -> None:
    write(project, "gold.carrier_delay", delays(table))
    frame = pa.table(
        {
            "carrier": pa.array([key for key, _ in asked], pa.string()),
            "event_timestamp": pa.array([day(now) for _, now in asked], US),
        }
    )
    (found,) = training_set(frame, "carrier_delay", project=project).manifest.leakage
    right = [newest(honest(key, now, table)) for key, now in asked]
    naive = [newest(of_key(key, table)) for key, _ in asked]
    known = [
        newest([row for row in honest(key, now, table) if row[2] is not None and row[2] <= now]) for key, now in asked
    ]
    future = sum(
        row is not None and now is not None and row[1] > now for row, (_, now) in zip(naive, asked, strict=True)
    )
    unknown = sum(
        row is not None and (row[2] is None or row[2] > now) for row, (_, now) in zip(right, asked, strict=True)
    )
    assert found["naive"] == compared(right, naive, future)
    assert found["without_knowledge_time"] == compared(known, right, unknown)
    assert found["in_this_set"] == sum(values(one) != values(other) for one, other in zip(known, right, strict=True))


def test_a_view_without_a_time_of_creation_is_joined_naively_only(project: Project) -> None:
    write(project, "gold.carrier_delay", delays([]))
    frame = pa.table(
        {
            "carrier": ["AA", "11", "AA"],
            "origin": [1, 1, 1],
            "event_timestamp": pa.array([day(1), day(1), day(3)], US),
        }
    )
    made = training_set(frame, ["route_load"], project=project, full_feature_names=True)
    assert made.manifest.leakage == (
        {
            "view": "route_load",
            "table": "gold.route_load",
            "naive": {
                "leaked": 1,
                "changed": 1,
                "features": {"flights": {"changed": 1, "mean": 58.0, "mean_leaked": (5 + 111 + 5) / 3}},
            },
            "without_knowledge_time": None,
            "in_this_set": 0,
        },
    )


def test_a_label_that_is_left_out_is_in_no_count(project: Project) -> None:
    frame = pa.table(
        {
            "carrier": ["AA", "11"],
            "origin": [1, 1],
            "late": [0, 1],
            "event_timestamp": pa.array([day(1), day(1)], US),
        }
    )
    words: dict[str, Any] = {"label": "late", "horizon": timedelta(days=1), "project": project}
    (none,) = training_set(frame, ["route_load"], now=day(1), **words).manifest.leakage
    assert none["naive"]["leaked"] == 0
    (all_known,) = training_set(frame, ["route_load"], now=day(2), **words).manifest.leakage
    assert all_known["naive"]["leaked"] == 1
