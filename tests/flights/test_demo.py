"""The main job as a person runs it: the demo on the built example, and the commands that it says to try next."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from jobs.flights.demo import NEXT
from lakehouse.cli import run
from lakehouse.config import Project
from lakehouse.pipeline import Report
from tests.flights.built import UNTIL
from tests.laws.shop import rows_of


@pytest.fixture(autouse=True)
def _in_the_project(flights_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(flights_project.folder)


def test_the_year_landed_whole(flights_run: tuple[Project, Report]) -> None:
    found = {result.address: result for result in flights_run[1].results}
    assert (found["bronze.flights"].read, found["bronze.flights"].quarantined) == (336_776, 0)
    assert (found["bronze.weather"].read, found["bronze.planes"].read) == (26_115, 3_322)
    for result in found.values():
        if result.address.startswith("bronze."):
            assert result.read == result.landed + result.quarantined
        if result.address.startswith("silver."):
            assert result.read == result.landed + result.quarantined + result.superseded, "no function here filters"
    assert found["carrier_delay"].landed == 16


def test_demo(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--json", "--until", str(UNTIL)]) == 0
    said = json.loads(capfd.readouterr().out)
    assert {result["status"] for result in said["run"]["results"]} == {"unchanged"}
    assert said["next"] == list(NEXT)
    assert run(["demo", "--until", str(UNTIL)]) == 0
    shown = capfd.readouterr().out
    for words in (
        "get_online_features",
        "get_historical_features",
        "mean_delay_1d",
        "more than 15 minutes late",
        *NEXT,
    ):
        assert words in shown.replace("\n", " "), words


@pytest.mark.parametrize("command", [command for command in NEXT if "lakehouse " in command])
def test_what_to_try_next_works(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    program, *words = shlex.split(command)
    assert program.endswith("lakehouse")
    assert run(words) == 0
    assert len(capfd.readouterr().out.splitlines()) > 3


def test_features_are_the_same_online_and_offline(flights_project: Project) -> None:
    """Law 5, as far as it reaches today: what serving answers is what training computes at the newest event time."""
    import pandas as pd

    from lakehouse.features.repository import open_store

    views = ("carrier_delay", "route_delay")
    newest = max(row["as_of"] for view in views for row in rows_of(flights_project.path(f"gold.{view}")))
    store = open_store(flights_project, as_of=newest)
    keys = [{"carrier": "UA", "origin": "EWR", "dest": "ORD"}, {"carrier": "DL", "origin": "JFK", "dest": "SFO"}]
    names = ["mean_delay_1d", "late_share_7d", "arrivals_14d", "late_share_28d"]
    features = [f"carrier_delay:{name}" for name in names[:2]] + [f"route_delay:{name}" for name in names[2:]]
    online: dict[str, list[Any]] = store.get_online_features(features=features, entity_rows=keys).to_dict()
    entities = pd.DataFrame([key | {"event_timestamp": newest} for key in keys])
    offline = store.get_historical_features(entity_df=entities, features=features).to_df()
    for name in names:
        assert online[name] == offline[name].tolist(), name
        assert None not in online[name]
