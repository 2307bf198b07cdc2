"""Entity rows to make training sets of."""

from __future__ import annotations

import pandas as pd

from tests.features.conftest import day

FEATURES = ["carrier_delay", "route_load:flights"]


def ask(days: list[float | None], carrier: str = "AA") -> pd.DataFrame:
    """A row at each of the days after START, with the keys of both views, a label and what an on-demand view needs."""
    times = pd.to_datetime(pd.Series([day(number) for number in days], dtype=object), utc=True)
    one = {"carrier": carrier, "origin": 1, "event_timestamp": times, "late": range(len(days)), "minutes": 1.0}
    return pd.DataFrame(one)
