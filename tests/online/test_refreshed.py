"""A request that was worked out is kept when the registry was read again, unless what it was made of has changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureService, FeatureStore, Field, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64

from tests.online.stores import HOUR, START, US, applied, feast_store, keys_of, online_store, view_of, write

FIELDS = [Field(name="a", dtype=Int64), Field(name="b", dtype=Float64)]


class Served:
    """A repository that one process applies and another one serves; the second reads its registry when it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("t", "other"):
            table = {"id": pa.array([1]), "at": pa.array([START], US), "a": pa.array([1]), "b": pa.array([0.5])}
            write(folder, name, pa.table(table))
        self.changes: dict[str, Any] = {"id": keys_of(), "t": self.view("t"), "other": self.view("other")}
        self.change()
        self.server = self.store()
        self.publish()
        self.server.refresh_registry()

    def store(self) -> FeatureStore:
        return feast_store(self.folder, online_store("sqlite", self.folder, as_of=START + 2 * HOUR))

    def view(self, name: str, **options: Any) -> Any:
        return view_of(self.folder, name, options.pop("fields", FIELDS), [keys_of()], **options)

    def change(self, **objects: Any) -> None:
        self.changes |= objects
        applied(self.store(), list(self.changes.values()))

    def publish(self) -> None:
        self.store().materialize(START - HOUR, START + HOUR)

    def request(self, features: Any) -> Any:
        """What the serving process has worked out for a list of features, or for a service."""
        store = self.server
        return store.provider.online_store._requests.of(store.config, store.registry, store.project, features, False)


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


def total(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"total": inputs["a"] + inputs["plus"]})


def twice(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"total": 2 * inputs["a"] + inputs["plus"]})


def summed(served: Served, function: Callable[[pd.DataFrame], pd.DataFrame]) -> Any:
    asked = RequestSource(name="asked", schema=[Field(name="plus", dtype=Int64)])
    sources = [served.changes["t"], asked]
    schema = [Field(name="total", dtype=Int64)]
    return on_demand_feature_view(sources=sources, schema=schema, mode="pandas", name="summed")(function)


def test_it_is_kept_where_nothing_of_it_changed(served: Served) -> None:
    service = FeatureService(name="s", features=[served.changes["t"]])
    served.change(s=service)
    served.server.refresh_registry()
    for features in (["t:a"], service):
        first = served.request(features)
        assert served.request(features) is first
        served.server.refresh_registry()
        assert served.request(features) is first
        served.publish()
        served.server.refresh_registry()
        assert served.server.get_feature_view("t", allow_registry_cache=True).materialization_intervals
        assert served.request(features) is first
        served.change(other=served.view("other", ttl=timedelta(hours=2 if features == ["t:a"] else 3)))
        served.server.refresh_registry()
        assert served.request(features) is first


def test_it_is_read_again_when_the_cache_runs_out(served: Served) -> None:
    served.request(["t:a"])
    registry: Any = served.server.registry
    before = registry.cached_registry_proto_created
    registry.cached_registry_proto_created -= timedelta(days=1)
    served.change(t=served.view("t", ttl=timedelta(hours=1)))
    assert served.server.get_online_features(["t:a"], [{"id": 1}]).to_dict()["a"] == [None]
    assert registry.cached_registry_proto_created > before


def test_it_is_worked_out_again_where_a_definition_changed(served: Served) -> None:
    served.change(summed=summed(served, total), s=FeatureService(name="s", features=[served.changes["t"][["a"]]]))
    served.server.refresh_registry()

    def look_up(features: Any, **more: Any) -> dict[str, Any]:
        if features == "s":
            features = served.server.get_feature_service("s", allow_cache=True)
        got = served.server.get_online_features(features, [{"id": 1, **more}]).to_dict()
        return {name: values[0] for name, values in got.items() if name not in ("id", "plus")}

    asked: list[tuple[Any, dict[str, Any]]] = [(["t:a"], {}), ("s", {}), (["summed:total"], {"plus": 10})]

    def all_of_them() -> list[dict[str, Any]]:
        return [look_up(features, **more) for features, more in asked]

    assert all_of_them() == [{"a": 1}, {"a": 1}, {"total": 11}]
    served.change(summed=summed(served, twice))
    served.server.refresh_registry()
    assert all_of_them() == [{"a": 1}, {"a": 1}, {"total": 12}]
    served.change(s=FeatureService(name="s", features=[served.changes["t"][["b"]]]))
    served.server.refresh_registry()
    assert all_of_them() == [{"a": 1}, {"b": 0.5}, {"total": 12}]
    served.change(t=served.view("t", fields=[Field(name="a", dtype=Float64), FIELDS[1]]))
    served.server.refresh_registry()
    assert [look_up(*one[:1]) for one in asked[:2]] == [{"a": None}, {"b": 0.5}]
    before = served.request(["other:a"])
    served.change(id=keys_of(kind=ValueType.INT32))
    served.server.refresh_registry()
    assert served.request(["other:a"]) is not before
    served.change(t=served.view("t", enabled=False))
    served.server.refresh_registry()
    with pytest.raises(ValueError, match="is disabled"):
        look_up(["t:a"])


def test_a_service_that_was_changed_and_not_applied_is_as_feast_takes_it(served: Served) -> None:
    """Feast keeps to the name of a service until its registry is read again."""
    served.change(s=FeatureService(name="s", features=[served.changes["t"][["a"]]]))
    served.server.refresh_registry()
    applied_first = served.server.get_feature_service("s")
    first = served.request(applied_first)
    changed = FeatureService(name="s", features=[served.changes["t"][["a"]]], description="changed")
    assert served.request(changed) is first
    served.server.refresh_registry()
    with pytest.warns(UserWarning, match="inconsistent with the version"):
        assert served.request(changed) is not first
    served.server.refresh_registry()
    first = served.request(applied_first)
    served.change(s=changed)
    served.server.refresh_registry()
    with pytest.warns(UserWarning, match="inconsistent with the version"):
        assert served.request(applied_first) is not first
