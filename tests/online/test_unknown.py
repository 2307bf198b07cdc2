"""What is asked for and is not there is named, with the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest
from feast import Field
from feast.errors import FeastError
from feast.types import Int64

from lakehouse.errors import UsageError
from lakehouse.online.compiled import UnknownFeatureError
from tests.online.stores import applied, feast_store, keys_of, online_store, view_of, write
from tests.online.tens import opened, publish, rows


@pytest.mark.parametrize(
    ("reference", "said"),
    [("t:aa", "'t' has no feature 'aa'\n  Did you mean 'a'"), ("t@latest:zz", "'t@latest' has no feature 'zz'")],
)
def test_a_feature_that_its_view_has_not(tmp_path: Path, reference: str, said: str) -> None:
    """Feast's own message names no other feature, and its server answers a bare KeyError with the status 500."""
    store = opened(tmp_path, online_store("sqlite", tmp_path))
    publish(store)
    with pytest.raises(UsageError, match=said) as caught:
        store.get_online_features([reference], [{"id": 1}])
    assert isinstance(caught.value, FeastError)
    assert caught.value.http_status_code() == 404


def test_a_feature_that_its_version_has_not(tmp_path: Path) -> None:
    """The version that is asked for says what there is, not the one that the view has now."""
    registry = {"registry_type": "file", "enable_online_feature_view_versioning": True}
    write(tmp_path, "t", rows().append_column("y", rows()["a"]))
    store = feast_store(tmp_path, online_store("sqlite", tmp_path), registry=registry)
    for names in ("a", "ay"):
        fields = [Field(name=name, dtype=Int64) for name in names]
        applied(store, [keys_of(), view_of(tmp_path, "t", fields, [keys_of()])])
    publish(store)
    assert store.get_online_features(["t@v1:y"], [{"id": 1}]).to_dict()["y"] == [10]
    with pytest.raises(UnknownFeatureError, match=r"'t@v0' has no feature 'y'\n  Known: a"):
        store.get_online_features(["t@v0:y"], [{"id": 1}])
