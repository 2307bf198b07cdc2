"""What was served is logged and computed again: equal, or different for a cause that is planted here."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.config import Project
from lakehouse.errors import ConfigError
from lakehouse.features.publishing import publish
from lakehouse.features.repository import open_store
from lakehouse.features.verifying import Verified, verify
from tests.features.conftest import DAY, START, US, delays, write
from tests.features.served import ASKED, NOW, add, logging_project, redefine, serve


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return logging_project(tmp_path, monkeypatch)


def causes(found: Verified) -> dict[str, int]:
    return dict(found.causes())


def tallies(found: Verified) -> dict[str, tuple[int, ...]]:
    """Of each feature: equal, different, missing, extra, and different at the newest version alone."""
    return {
        feature: (one.equal, one.different, one.missing, one.extra, one.newest)
        for (_, feature), one in found.features.items()
    }


def test_all_that_is_served_is_what_training_says(project: Project) -> None:
    serve(project, "AA", "UA", "new", None, "B6")
    serve(project, "AA", "UA", at=START + 40 * DAY)
    serve(project, "B6", at=START + 41 * DAY)
    store = open_store(project, ASKED)
    store.get_online_features(["route_load:flights"], {"carrier": ["11", "1"], "origin": [1, 11]})
    store.provider.online_store.log(store.config).flush()
    found = verify(project, now=NOW)
    assert (found.equal, found.vectors, found.compared, causes(found)) == (True, 9, 9, {})
    assert tallies(found) == {"mean": (7, 0, 0, 0, 0), "count": (7, 0, 0, 0, 0), "flights": (2, 0, 0, 0, 0)}


def test_late_data(project: Project) -> None:
    serve(project, "AA", "UA")
    add(project, delays([("AA", 3.5, 3.5, 35.0, 5)]))
    publish(project, now=NOW)
    found = verify(project, now=NOW)
    assert (found.equal, causes(found)) == (True, {"late data": 2})
    assert tallies(found) == {"mean": (2, 0, 0, 0, 1), "count": (2, 0, 0, 0, 1)}
    other, one = found.differences
    assert (one.vector.keys, one.feature, one.served, one.trained) == ({"carrier": "AA"}, "mean", 31.0, 35.0)
    assert (one.outcome, other.outcome, one.newest) == ("different", "missing", True)
    mean = found.features["carrier_delay", "mean"]
    assert (mean.distance.max, mean.newest_distance.max, mean.newest_distance.mean) == (0.0, 4.0, 2.0)


def test_a_correction_and_a_row_that_was_taken_away(project: Project) -> None:
    serve(project, "AA", "UA")
    add(project, delays([("UA", 2, 2, 21.0, 2**53 + 1)]), instead_of="carrier = 'UA'")
    found = verify(project, now=NOW)
    assert (found.equal, causes(found), found.differences[0].trained) == (True, {"correction": 1}, 21.0)
    DeltaTable(project.path("gold.carrier_delay")).delete("carrier = 'AA' and mean > 20")
    found = verify(project, now=NOW)
    assert (found.equal, causes(found)) == (True, {"correction": 2})
    assert [(one.outcome, one.trained) for one in found.differences] == [("extra", None), ("different", 21.0)]


@pytest.mark.parametrize(
    ("at", "ttl", "tallied"),
    [(5.5, "None", (0, 0, 1, 0, 0)), (4.5, "timedelta(days=1)", (0, 0, 0, 1, 0))],
    ids=["expired when it was served", "expired in training"],
)
def test_a_ttl_that_is_another_one(project: Project, at: float, ttl: str, tallied: tuple[int, ...]) -> None:
    serve(project, "AA", at=START + at * DAY)
    redefine(project, "timedelta(days=2)", ttl)
    found = verify(project, now=NOW)
    assert (found.equal, causes(found)) == (False, {"TTL": 1})
    assert tallies(found) == {"mean": tallied, "count": (1, 0, 0, 0, 0)}


def test_a_definition_that_was_changed(project: Project) -> None:
    add(project, delays([("DL", 3, 4, 1.0, 1), ("DL", 3, 3, 2.0, 2)]))
    publish(project, now=NOW)
    serve(project, "DL", "UA")
    redefine(project, ', created_timestamp_column="made_at"', "")
    found = verify(project, now=NOW)
    assert (found.equal, causes(found)) == (False, {"definition changed": 2})
    assert tallies(found) == {"mean": (1, 1, 0, 0, 0), "count": (1, 1, 0, 0, 0)}
    assert (found.differences[0].served, found.differences[0].trained) == (1.0, 2.0)
    redefine(project, 'created_timestamp_column="made_at")', 'features=["mean"])')
    gone = verify(project, now=NOW)
    assert tallies(gone)["count"] == (0, 0, 0, 2, 0)
    assert causes(gone) == {"definition changed": 3}


def test_a_publish_that_lags(project: Project) -> None:
    add(project, delays([("AA", 3.5, 3.5, 35.0, 5)]))
    serve(project, "AA", "UA")
    found = verify(project, now=NOW)
    assert (found.equal, causes(found)) == (True, {"publish lag": 2})
    assert [one.served for one in found.differences] == [None, 31.0]


def test_what_was_served_before_anything_was_published(project: Project) -> None:
    (project.folder / "data" / "online.db").unlink()
    serve(project, "AA", "new")
    found = verify(project, now=NOW)
    assert (found.equal, causes(found)) == (False, {"publish lag": 1})
    assert tallies(found) == {"mean": (1, 0, 1, 0, 0), "count": (2, 0, 0, 0, 0)}


def test_a_value_of_another_type(project: Project) -> None:
    typed = """, ttl=None, features=["flights"])
from feast import FeatureView
typed = FeatureView(
    name="typed", entities=[carrier], schema=[Field(name="count", dtype=Float64)], source=delay.batch_source
)
"""
    add(project, delays([("UA", 3, 3, 1.0, 7)]), instead_of="carrier = 'UA'")
    redefine(project, ', ttl=None, features=["flights"])', typed)
    publish(project, now=NOW)
    assert serve(project, "UA", "AA", features=["typed:count"])["count"] == [7.0, None]
    found = verify(project, now=NOW)
    assert (found.equal, causes(found)) == (False, {"type": 1})
    assert tallies(found) == {"count": (1, 1, 0, 0, 0)}
    assert found.features["typed", "count"].distance.max == 0.0


def test_a_setting_of_the_log_that_is_none(project: Project) -> None:
    file = project.features / "feature_store.yaml"
    file.write_text(file.read_text().replace("share:", "shrae:"))
    with pytest.raises(ConfigError, match="log: has no setting 'shrae'\n.*'share'"):
        open_store(project).get_online_features(["carrier_delay:mean"], {"carrier": ["AA"]})


def test_a_version_that_is_gone_and_a_table_that_was_made_anew(project: Project) -> None:
    place = project.path("gold.carrier_delay")
    serve(project, "UA")
    add(project, delays([("AA", 3.5, 3.5, 35.0, 5)]))
    DeltaTable(place).optimize.compact()
    publish(project, now=NOW)
    serve(project, "UA", "AA")  # of UA the record is still the one of version 0
    DeltaTable(place).vacuum(0, dry_run=False, enforce_retention_duration=False)
    found = verify(project, now=NOW)
    assert (found.equal, found.compared, found.differences) == (False, 2, [])
    ((view, why),) = found.unverified
    assert (view, found.unverified[view, why]) == ("carrier_delay", 1)
    assert "gold.carrier_delay can't be read" in why
    shutil.rmtree(place)
    write_deltalake(place, delays([("AA", 3.5, 3.5, 35.0, 5)]))
    found = verify(project, now=NOW)
    assert (found.equal, found.compared) == (False, 0)
    assert dict(found.unverified) == {("carrier_delay", "its table was made anew since"): 3}


def test_pushed_rows_and_views_that_are_gone(project: Project) -> None:
    store = open_store(project)
    row = {"carrier": ["AA"], "known_at": [START + 3.5 * DAY], "made_at": [START], "mean": [1.0], "count": [1]}
    store.write_to_online_store("carrier_delay", pd.DataFrame(row))
    assert serve(project, "AA", "UA")["mean"] == [1.0, 20.5]
    found = verify(project, now=NOW)
    assert (found.equal, found.vectors, found.pushed, found.compared) == (True, 2, 1, 1)
    redefine(
        project, "delay = feature_view(tables.carrier_delay,", 'delay = feature_view(tables.carrier_delay, name="d",'
    )
    found = verify(project, now=NOW)
    assert (found.equal, dict(found.unverified)) == (False, {("carrier_delay", "no such feature view is applied"): 1})


def test_values_of_every_type(project: Project) -> None:
    nan, at = float("nan"), START + DAY / 7
    columns = {
        "a_float": pa.array([0.1, nan], pa.float32()),
        "a_double": pa.array([float("-inf"), -0.0]),
        "a_bool": [True, None],
        "an_int": pa.array([-(2**31), None], pa.int32()),
        "a_time": pa.array([at, None], US),
        "a_date": pa.array([at.date(), None]),
        "a_decimal": pa.array([Decimal("0.07"), None], pa.decimal128(9, 2)),
        "a_text": ["é", ""],
        "some_bytes": [b"\x00\xff", None],
        "doubles": pa.array([[0.1, nan], []], pa.list_(pa.float64())),
        "times": pa.array([[at], None], pa.list_(US)),
        "texts": pa.array([["x", ""], None], pa.list_(pa.string())),
        "a_map": pa.array([[("k", 1.5)], None], pa.map_(pa.string(), pa.float64())),
    }
    known = {"origin": pa.array([1, 2], pa.int64()), "carrier": ["AA", "AA"], "known_at": pa.array([START] * 2, US)}
    write(project, "gold.route_load", pa.table({**known, **columns}), schema_mode="overwrite")
    redefine(project, ', features=["flights"]', "")
    publish(project, now=NOW)
    store = open_store(project, ASKED)
    references = [f"route_load:{name}" for name in columns]
    answer = store.get_online_features(references, {"origin": [1, 2, 3], "carrier": ["AA"] * 3}).to_dict()
    assert answer["a_time"] == [at, None, None]
    log = store.provider.online_store.log(store.config)
    assert log is not None
    log.flush()
    found = verify(project, now=NOW)
    assert found.differences == []
    assert {name: one.equal for (_, name), one in found.features.items()} == dict.fromkeys(columns, 3)
    assert (found.equal, found.unverified) == (True, {})
