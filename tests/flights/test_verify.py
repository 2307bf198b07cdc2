"""What the example serves is logged, and ``lakehouse verify`` finds all of it equal to what training says."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lakehouse.config import Project, load_project
from lakehouse.features.publishing import publish
from lakehouse.features.repository import open_store, quiet
from lakehouse.features.source import delta_source
from lakehouse.features.verifying import verify
from lakehouse.local import open_lake
from lakehouse.online.filing import table_of
from lakehouse.online.request import view_id

WHEN = datetime(2026, 11, 16, 16, tzinfo=UTC)
"""When all is published: a day before the last flights, so that some are still ahead."""
LATER = (timedelta(0), timedelta(minutes=50), timedelta(hours=5), timedelta(days=1))
MANY = 150


def test_its_records_are_at_most_4_kb(flights_project: Project) -> None:
    with quiet():
        store = open_store(flights_project)
        views = [view for view in store.list_feature_views() if delta_source(view.batch_source, view.name).windows]
    sizes = {}
    with closing(sqlite3.connect(flights_project.folder / "data" / "online.db")) as file:
        for view in views:
            question = f"SELECT count(*), max(length(record)) FROM {table_of(view_id(store.config, view))}"
            sizes[view.name] = file.execute(question).fetchone()
    assert "origin_departures" in sizes
    assert all(rows > 0 and 100 < most <= 4096 for rows, most in sizes.values()), sizes


def test_its_replay_is_equal(flights_project: Project, tmp_path: Path) -> None:
    shutil.copytree(flights_project.folder, tmp_path / "flights")
    project = load_project(tmp_path / "flights", "local")
    (project.folder / "data" / "online.db").unlink()  # else nothing would be published again
    settings = project.features / "feature_store.yaml"
    log = "\n  log: {path: ../data/served, share: 1.0, most: 100000}"
    settings.write_text(settings.read_text().replace("../data/online.db", f"../data/online.db{log}"))
    publish(project, now=WHEN)
    flights = open_lake(project.folder).sql(
        "with every as (select distinct carrier, origin, dest, tailnum from silver.flights where tailnum is not null) "
        f"select * from every order by hash(tailnum, dest), tailnum, dest, carrier, origin limit {MANY}"
    )
    rows = flights.to_arrow_table().to_pydict()
    with quiet():
        store = open_store(project)
        service = store.get_feature_service("late_flight_windows")
        for later in LATER:
            store.config.online_store.as_of = WHEN + later
            store.get_online_features(service, rows)
        store.provider.online_store.log(store.config).flush()
    found = verify(project, now=datetime.now(UTC))
    views = len(service.feature_view_projections)
    assert (found.equal, found.vectors, found.compared) == (True, *[MANY * len(LATER) * views] * 2)
    assert found.differences == []
    shown = {(view, name): one for (view, name), one in found.features.items() if view == "origin_departures"}
    assert len(shown) >= 7
    assert {one.vectors for one in shown.values()} == {MANY * len(LATER)}
