"""Publishing into the SQLite store, read back with get_online_features."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from feast import FeatureStore
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus

from lakehouse.config import Project
from lakehouse.errors import NotBuiltError, UsageError
from lakehouse.features.cursor import Published
from lakehouse.features.publishing import publish
from lakehouse.features.repository import apply, look_up, open_store
from tests.features.conftest import DAY, DEFINITIONS, DELAYS, LOADS, START, delays, loads, write

NOW = START + 5 * DAY
ASKED = START + 4 * DAY
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def applied(project: Project) -> Project:
    write(project, "gold.carrier_delay", DELAYS)
    write(project, "gold.route_load", LOADS)
    apply(project)
    publish(project, now=NOW)
    return project


def find(project: Project, features: Any, keys: Any, at: datetime = ASKED) -> list[dict[str, Any]]:
    return look_up(project, features, keys, open_store(project, as_of=at))


def online(project: Project, *carriers: str, at: datetime = ASKED) -> list[Any]:
    return [row["mean"] for row in find(project, "carrier_delay", [{"carrier": one} for one in carriers], at)]


def statuses(published: list[Published]) -> dict[str, str]:
    return {one.view: one.status for one in published}


def test_each_key_gets_its_newest_row_up_to_now(applied: Project) -> None:
    assert online(applied, "AA", "UA", "B6", "DL") == [31.0, 20.5, None, None]
    rows = find(applied, "everything", [{"carrier": "1", "origin": 11}, {"carrier": "11", "origin": 1}])
    assert [row["flights"] for row in rows] == [1111, 111]
    assert find(applied, ["carrier_delay:mean"], {"carrier": "AA"}) == [{"carrier": "AA", "mean": 31.0}]


def test_only_what_changed_is_published(applied: Project) -> None:
    assert statuses(publish(applied, now=NOW)) == {"carrier_delay": "unchanged", "route_load": "unchanged"}
    write(applied, "gold.route_load", loads([(1, "11", 2, 222)]))
    heard: list[tuple[str, str | None]] = []
    got = publish(applied, now=NOW, listen=lambda view, one: heard.append((view, one and one.status)))
    assert statuses(got) == {"carrier_delay": "unchanged", "route_load": "done"}
    assert heard == [
        ("carrier_delay", None), ("carrier_delay", "unchanged"), ("route_load", None), ("route_load", "done")
    ]  # fmt: skip
    assert [row["flights"] for row in find(applied, "route_load", [{"carrier": "11", "origin": 1}])] == [222]
    assert (got[1].rows, got[1].version) == (1, DeltaTable(applied.path("gold.route_load")).version())


def test_the_views_of_some_tables_only(applied: Project) -> None:
    write(applied, "gold.carrier_delay", delays([("AA", 4, 4, 4.0, 4)]))
    write(applied, "gold.route_load", loads([(1, "11", 2, 222)]))
    assert statuses(publish(applied, now=NOW, tables=["gold.route_load"])) == {"route_load": "done"}
    assert statuses(publish(applied, now=NOW, tables=["gold.route_load"])) == {"route_load": "unchanged"}
    assert statuses(publish(applied, now=NOW)) == {"carrier_delay": "done", "route_load": "unchanged"}


def test_deleted_keys_leave_and_a_correction_may_go_back_in_time(applied: Project) -> None:
    table = DeltaTable(applied.path("gold.carrier_delay"))
    table.delete("carrier = 'UA' or (carrier = 'AA' and mean > 20)")
    (one,) = publish(applied, ["carrier_delay"], now=NOW)
    assert (one.status, one.rows) == ("done", 2)
    assert online(applied, "AA", "UA", at=START + 3 * DAY) == [10.0, None]
    table.delete()
    assert publish(applied, ["carrier_delay"], now=NOW)[0].rows == 0
    assert online(applied, "AA", "UA") == [None, None]


def test_a_row_is_due_when_its_time_comes_without_another_publish(applied: Project) -> None:
    assert online(applied, "B6", at=START + 40 * DAY - MICROSECOND) == [None]
    assert online(applied, "B6", at=START + 40 * DAY) == [40.0]


def test_a_value_is_not_given_after_its_ttl(applied: Project) -> None:
    for at, status, value in ((NOW, "PRESENT", 31.0), (NOW + MICROSECOND, "OUTSIDE_MAX_AGE", None)):
        answer = open_store(applied, as_of=at).get_online_features(["carrier_delay:mean"], [{"carrier": "AA"}])
        assert answer.to_dict() == {"carrier": ["AA"], "mean": [value]}
        assert FieldStatus.Name(answer.proto.results[1].statuses[0]) == status
        assert answer.proto.results[1].event_timestamps[0].ToDatetime(UTC) == START + 3 * DAY


def test_a_lost_or_emptied_online_store_is_filled_again(applied: Project) -> None:
    file = applied.folder / "data" / "online.db"
    file.unlink()
    assert set(statuses(publish(applied, now=NOW)).values()) == {"done"}
    assert online(applied, "AA") == [31.0]
    store = open_store(applied)
    view = store.get_feature_view("carrier_delay")
    store.provider.update_infra(store.project, [view], [], [], [], partial=True)
    assert statuses(publish(applied, now=NOW)) == {"carrier_delay": "done", "route_load": "unchanged"}
    assert online(applied, "AA") == [31.0]


def test_a_changed_definition_is_applied_and_published(applied: Project) -> None:
    assert apply(applied).status == "unchanged"
    file = applied.features / "definitions.py"
    file.write_text(DEFINITIONS.replace('features=["flights"]', 'features=["flights", "secret"]'))
    try:
        assert apply(applied).status == "done"
        assert statuses(publish(applied, now=NOW)) == {"carrier_delay": "unchanged", "route_load": "done"}
        assert find(applied, "route_load", {"carrier": "11", "origin": 1})[0]["secret"] == 1.0
    finally:
        file.write_text(DEFINITIONS)


def test_equal_rows_are_served_as_training_sees_them(applied: Project) -> None:
    tied = [("AA", 3, 3, float(mean), count) for mean, count in ((1, 2), (2, 1), (3, 1))]
    for turn in (tied, tied[::-1]):
        write(applied, "gold.carrier_delay", delays(turn))
        publish(applied, ["carrier_delay"], now=NOW)
        sql = "select 'AA' as carrier, timestamptz '2026-01-05' as event_timestamp"
        trained = open_store(applied).get_historical_features(sql, ["carrier_delay:mean"]).to_arrow()
        assert online(applied, "AA") == trained["mean"].to_pylist() == [1.0]


def test_a_view_is_readable_while_it_is_published(applied: Project) -> None:
    store = open_store(applied)
    view = store.get_feature_view("carrier_delay")
    view.state = type(view.state).MATERIALIZING
    store.registry.apply_feature_view(view, store.project)
    assert online(applied, "AA") == [31.0]
    # Nor does a publisher that was killed in that state keep the next one from its work.
    write(applied, "gold.carrier_delay", delays([("AA", 3, 3, 5.0, 1)]))
    publish(applied, now=NOW)
    assert online(applied, "AA") == [5.0]


def test_feasts_own_materialize_works_too(applied: Project) -> None:
    write(applied, "gold.carrier_delay", delays([("AA", 4, 4, 5.0, 1), (None, 4, 4, 6.0, 1)]))
    store = open_store(applied)
    store.materialize(START, NOW, feature_views=["carrier_delay"])
    assert online(applied, "AA") == [5.0]


def test_mistakes(applied: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'carier_delay'(?s:.)*'carrier_delay'"):
        publish(applied, ["carier_delay"], now=NOW)
    with pytest.raises(UsageError, match=r"no view or service 'evrything'(?s:.)*'everything'"):
        look_up(applied, "evrything", {"carrier": "AA"})
    with pytest.raises(UsageError, match="needs the key 'carrier'"):
        look_up(applied, "carrier_delay", {"carier": "AA"})
    folder = applied.path("gold.route_load")
    folder.rename(tmp_path / "away")
    try:
        with pytest.raises(NotBuiltError, match="lakehouse run"):
            publish(applied, now=NOW)
    finally:
        (tmp_path / "away").rename(folder)


def test_a_view_that_fails_stops_no_other(applied: Project, tmp_path: Path) -> None:
    folder = applied.path("gold.carrier_delay")
    folder.rename(tmp_path / "away")
    heard: dict[str, object] = {}
    try:
        with pytest.raises(NotBuiltError, match=r"gold\.carrier_delay"):
            publish(applied, now=NOW, listen=heard.__setitem__)
    finally:
        (tmp_path / "away").rename(folder)
    assert isinstance(heard["carrier_delay"], NotBuiltError)
    assert isinstance(heard["route_load"], Published)


def test_times_may_be_naive(applied: Project) -> None:
    assert set(statuses(publish(applied, now=datetime(2026, 1, 6))).values()) == {"unchanged"}


def test_the_store_is_feasts_own(applied: Project) -> None:
    assert isinstance(open_store(applied), FeatureStore)
