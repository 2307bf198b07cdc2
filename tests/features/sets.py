"""Entity rows to make training sets of."""

from __future__ import annotations

import pandas as pd

from lakehouse.config import Project
from lakehouse.features.manifest import forget, names
from tests.features.conftest import DELAYS, LOADS, day, write

FEATURES = ["carrier_delay", "route_load:flights"]


def begin_again(project: Project) -> None:
    """The tables as they were at first, and no set that was kept."""
    write(project, "gold.carrier_delay", DELAYS)
    write(project, "gold.route_load", LOADS)
    for name in names(project):
        forget(project, name)


def ask(days: list[float | None], carrier: str = "AA") -> pd.DataFrame:
    """A row at each of the days after START, with the keys of both views, a label and what an on-demand view needs."""
    times = pd.to_datetime(pd.Series([day(number) for number in days], dtype=object), utc=True)
    one = {"carrier": carrier, "origin": 1, "event_timestamp": times, "late": range(len(days)), "minutes": 1.0}
    return pd.DataFrame(one)
