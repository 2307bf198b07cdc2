"""Feast's monitoring service over Delta: what it computes, and the tables that keep it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from deltalake import DeltaTable
from feast import FeatureStore
from feast.monitoring.monitoring_service import MonitoringService

from lakehouse.config import Project
from lakehouse.features.repository import apply, open_store
from tests.features.conftest import START, delays, write

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning:feast")
ROWS = [("AA", day, day, mean, day) for day, mean in ((1, 10.0), (2, 20.0), (3, None), (4, 40.0))]


@pytest.fixture(scope="module")
def store(project: Project) -> FeatureStore:
    apply(project)
    write(project, "gold.carrier_delay", delays([*ROWS, ("AA", 60, 60, 99.0, 1)]))
    return open_store(project)


def kept(store: FeatureStore, kind: str, **filters: Any) -> list[dict[str, Any]]:
    found = store._get_provider().offline_store.query_monitoring_metrics(store.config, store.project, kind, filters)
    assert isinstance(found, list)
    return found


def test_metrics_are_computed_kept_and_replaced(store: FeatureStore, project: Project) -> None:
    service = MonitoringService(store)
    for _ in range(2):  # the second time replaces what the first kept
        service.compute_metrics(
            project=store.project,
            feature_view_name="carrier_delay",
            start_date=START.date(),
            end_date=date(2026, 1, 31),
            granularity="monthly",
            set_baseline=True,
        )
    (mean,) = kept(store, "feature", feature_view_name="carrier_delay", feature_name="mean")
    assert (mean["row_count"], mean["null_count"], mean["null_rate"]) == (4, 1, 0.25)  # not the row of March
    assert (mean["min_val"], mean["max_val"], mean["mean"]) == (10.0, 40.0, pytest.approx(70 / 3))
    assert sum(mean["histogram"]["counts"]) == 3
    assert mean["is_baseline"] is True
    (view,) = kept(store, "feature_view", feature_view_name="carrier_delay")
    assert (view["total_row_count"], view["features_with_nulls"]) == (4, 1)
    assert DeltaTable(project.features / "feast_monitoring" / "feast_monitoring_feature_metrics").count() == 2


def test_baselines_dates_and_jobs(store: FeatureStore) -> None:
    offline = store._get_provider().offline_store
    offline.ensure_monitoring_tables(store.config)
    one = {"project_id": store.project, "feature_view_name": "v'1", "granularity": "daily", "data_source_type": "batch"}
    rows = [
        {
            **one,
            "feature_name": name,
            "metric_date": date(2026, 1, number),
            "is_baseline": True,
            "histogram": {"a": [1]},
        }
        for number, name in ((2, "b"), (1, "a"))
    ]
    offline.save_monitoring_metrics(store.config, "feature", rows)
    offline.save_monitoring_metrics(store.config, "feature", [])
    assert [row["feature_name"] for row in kept(store, "feature", feature_view_name="v'1")] == ["a", "b"]
    offline.clear_monitoring_baseline(store.config, store.project, "v'1", feature_name="a")
    found = kept(store, "feature", feature_view_name="v'1")
    assert [(row["is_baseline"], row["histogram"]) for row in found] == [(False, {"a": [1]}), (True, {"a": [1]})]
    days = offline.query_monitoring_metrics(
        store.config, "", "feature", {"feature_view_name": "v'1"}, date(2026, 1, 2), date(2026, 1, 2)
    )
    assert [row["metric_date"] for row in days] == ["2026-01-02"]
    jobs = MonitoringService(store).job_manager
    job = jobs.submit(store.project, "baseline", "carrier_delay", {"feature_names": ["mean"]})
    jobs.update_status(job, "completed", result_summary={"n": 1})
    done = jobs.get_job(job)
    assert done is not None
    assert (done["status"], done["parameters"], done["result_summary"]) == (
        "completed", {"feature_names": ["mean"]}, {"n": 1},
    )  # fmt: skip


def test_the_last_event_time(store: FeatureStore, project: Project) -> None:
    source = store.get_feature_view("carrier_delay").batch_source
    newest = store._get_provider().offline_store.get_monitoring_max_timestamp
    assert newest(store.config, source, "known_at") == START.replace(month=3, day=2)
    write(project, "gold.carrier_delay", delays([]))
    assert newest(store.config, source, "known_at") is None
