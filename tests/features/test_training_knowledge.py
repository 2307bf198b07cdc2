"""Training sets of what was known: made again from the manifest, and the report counts what is not known yet."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from lakehouse.config import Project
from lakehouse.errors import VersionGoneError
from lakehouse.features.keeping import verify
from lakehouse.features.knowledge import known_by
from lakehouse.features.manifest import forget, names, read_manifest, trained
from lakehouse.features.repository import apply
from lakehouse.features.training import training_set
from tests.features import test_offline_knowledge as kept
from tests.features.conftest import DAY, DELAYS, LOADS, START, US, write
from tests.features.sets import ask

HOUR = timedelta(hours=1)
DEFINITIONS = """
from datetime import timedelta
from feast import Entity, FeatureView, ValueType
from lakehouse.features.source import DeltaSource

shop = Entity(name="shop", value_type=ValueType.STRING)
source = DeltaSource(name="orders", table="silver.orders", timestamp_field="at", columns=["total"])
orders = FeatureView(name="orders", entities=[shop], ttl=timedelta(days=3), source=source)
"""


@pytest.fixture(scope="module")
def rows(project: Project) -> list[dict[str, Any]]:
    rows = kept.versions(kept.batches(random.Random(3)))
    kept.build(project, rows)
    (project.features / "orders.py").write_text(DEFINITIONS)
    apply(project)
    return rows


@pytest.fixture(autouse=True)
def _none_kept(project: Project, rows: list[dict[str, Any]]) -> None:
    for name in names(project):
        forget(project, name)


def asked() -> tuple[list[tuple[str, datetime]], pa.Table]:
    pairs = [(shop, START + hours * HOUR) for shop in ("a", "b", "c") for hours in range(-96, 200, 8)]
    frame = {"shop": [shop for shop, _ in pairs], "event_timestamp": pa.array([at for _, at in pairs], US)}
    return pairs, pa.table(frame)


@pytest.mark.parametrize("by", [None, START + 2 * DAY])
def test_a_set_of_what_was_known_is_made_again(project: Project, rows: list[Any], by: datetime | None) -> None:
    pairs, frame = asked()
    with known_by(by):
        made = training_set(frame, "orders", project=project).keep("known")
    wanted = [kept.oracle(shop, at, rows, by) for shop, at in pairs]
    assert made.rows.column("total").to_pylist() == wanted
    manifest = read_manifest(project, "known")
    assert manifest.knowledge.by == ("row" if by is None else by.isoformat())
    assert "count as known at their event time" in manifest.notes[0]
    assert [table.table for table in manifest.tables] == ["silver.orders", "state/silver/orders.versions.0123abcd"]
    assert len({pin.table_id for pin in trained(project)}) == 2
    (report,) = manifest.leakage
    if by is None:
        assert report["in_this_set"] == 0
    table = DeltaTable(project.path("silver.orders"))
    write(project, "silver.orders", pa.table(table.scan()).slice(0, 1))
    beside = project.state("silver.orders").with_name("orders.versions.0123abcd")
    try:
        assert verify(project, "known").equal
        beside.rename(beside.with_name("away"))
        with pytest.raises(
            VersionGoneError, match=r"orders.versions.0123abcd: the versions(?s:.)*rows as they were are in"
        ):
            verify(project, "known")
    finally:
        beside.with_name("away").rename(beside)
        DeltaTable(project.path("silver.orders")).restore(table.version())


def test_the_report_counts_what_was_not_known_yet(project: Project, rows: list[Any]) -> None:
    pairs, frame = asked()
    made = training_set(frame, "orders", project=project)
    (report,) = made.manifest.leakage
    known = [kept.oracle(shop, at, rows, None) for shop, at in pairs]
    now = [row for row in rows if row["_known_until"] is None]

    def seen(shop: str, at: datetime) -> Any:
        fits = [row for row in now if row["shop"] == shop and at - 3 * DAY <= row["at"] <= at]
        return max(fits, key=lambda row: (row["at"], row["total"]), default=None)

    picked = [seen(shop, at) for shop, at in pairs]
    totals = [row and row["total"] for row in picked]
    assert made.rows.column("total").to_pylist() == totals
    found = report["without_knowledge_time"]
    assert found["changed"] == sum(one != other for one, other in zip(known, totals, strict=True)) > 0
    since = [row and (row["at"] if row["batch"] == 0 else row["_known_from"]) for row in picked]
    assert found["leaked"] == sum(one is not None and one > at for one, (_, at) in zip(since, pairs, strict=True)) > 0
    assert report["in_this_set"] == found["changed"]


def test_feasts_own_filter_is_in_the_manifest(project: Project) -> None:
    write(project, "gold.carrier_delay", DELAYS)
    write(project, "gold.route_load", LOADS)
    frame = ask([3, 4])
    plain = training_set(frame, "everything", project=project)
    made = training_set(frame, "everything", filter_by_created_timestamp=True, project=project).keep("filtered")
    assert plain.rows.column("mean").to_pylist() == [31.0, 31.0]
    assert made.rows.column("mean").to_pylist() == [30.0, 31.0]
    assert [plain.manifest.leakage[0]["in_this_set"], made.manifest.leakage[0]["in_this_set"]] == [1, 0]
    write(project, "gold.carrier_delay", DELAYS.slice(0, 1))
    assert verify(project, "filtered").equal
