"""What is asked for and is not there is named, with the nearest one."""

from __future__ import annotations

from pathlib import Path

import pytest
from feast.errors import FeastError

from lakehouse.errors import UsageError
from tests.online.stores import online_store
from tests.online.tens import opened, publish


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
