"""Views of several projects, and versions of one view, in one store: none has another's records."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from feast import FeatureStore, Field
from feast.types import Int64

from lakehouse.errors import LockedError
from lakehouse.features.engine import publish_view
from lakehouse.kernels.record import Layout
from tests.online.stores import START, STORES, US, applied, feast_store, keys_of, online_store, view_of, write

FIELDS = [Field(name="a", dtype=Int64)]


def published(folder: Path, kind: str, project: str, name: str, value: int) -> FeatureStore:
    """A view of its own project, with one row, in the store that all share."""
    own = folder / project
    write(own, name, pa.table({"id": [1], "at": pa.array([START], US), "a": [value]}))
    store = feast_store(own, online_store(kind, folder), project=project)
    applied(store, [keys_of(), view_of(own, name, FIELDS, [keys_of()])])
    publish_view(store.config, store.provider.online_store, store.get_feature_view(name), START)
    return store


@pytest.mark.parametrize("kind", STORES)
def test_names_that_run_together(tmp_path: Path, kind: str) -> None:
    one = published(tmp_path, kind, "shop", "eu_trips", 1)
    other = published(tmp_path, kind, "shop_eu", "trips", 2)
    for _ in range(2):
        assert one.get_online_features(["eu_trips:a"], [{"id": 1}]).to_dict()["a"] == [1]
        if other is not one:
            assert other.get_online_features(["trips:a"], [{"id": 1}]).to_dict()["a"] == [2]
            other.teardown()
            other = one


@pytest.mark.parametrize("kind", STORES)
def test_a_view_that_is_named_as_a_version_of_another(tmp_path: Path, kind: str) -> None:
    registry = {"registry_type": "file", "enable_online_feature_view_versioning": True}
    store = feast_store(tmp_path, online_store(kind, tmp_path), registry=registry)
    for value, names in ((1, ["t_v1"]), (2, ["t"])):
        for name in names:
            write(tmp_path, name, pa.table({"id": [1], "at": pa.array([START], US), "a": [value], "b": [value]}))
    more = [*FIELDS, Field(name="b", dtype=Int64)]
    for fields in (FIELDS, more):
        views = [view_of(tmp_path, "t_v1", FIELDS, [keys_of()]), view_of(tmp_path, "t", fields, [keys_of()])]
        applied(store, [keys_of(), *views])
    for name in ("t_v1", "t"):
        publish_view(store.config, store.provider.online_store, store.get_feature_view(name), START)
    assert store.get_feature_view("t").current_version_number == 1
    got = [store.get_online_features([f"{name}:a"], [{"id": 1}]).to_dict()["a"] for name in ("t_v1", "t")]
    assert got == [[1], [2]]


@pytest.mark.parametrize("kind", STORES)
def test_two_views_are_published_at_once(tmp_path: Path, kind: str) -> None:
    """One while the other is in the middle of it; the same view is not, and who is refused changes nothing."""
    names = ["t", "u/v"]
    stores = {name: published(tmp_path, kind, "shop", name, 1) for name in names}
    layout = Layout(())
    online = stores["t"].provider.online_store
    views = {name: store.get_feature_view(name) for name, store in stores.items()}
    with online.publication(config=stores["t"].config, view=views["t"], layout=layout):
        for name, store in stores.items():
            write(tmp_path / "shop", name, pa.table({"id": [2], "at": pa.array([START], US), "a": [2]}))
            config, online = store.config, store.provider.online_store
            if name == "t":
                with pytest.raises(LockedError, match="shop:t: another run is publishing"):
                    publish_view(config, online, views[name], START)
            else:
                assert publish_view(config, online, views[name], START).status == "done"
    for name, value in (("t", None), ("u/v", 2)):
        assert stores[name].get_online_features([f"{name}:a"], [{"id": 2}]).to_dict()["a"] == [value]
