"""A pytest plugin for Feast's tests: our stores and engine where they take Feast's own by default.

Without it, the tests of the online half would read their source with Feast's file store. Tests that never ask for the
store under test (the fixture ``environment``) are left out: they try Feast's own classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pytest
from tests.universal.feature_repos import integration_test_repo_config as settings
from tests.universal.feature_repos.universal.data_sources import file
from tests.utils import data_source_test_creator as sources

from conformance.stores import ENGINE, DeltaPathSourceCreator
from lakehouse.features.source import DeltaSource


class RepoConfig(settings.IntegrationTestRepoConfig):  # type: ignore[misc]
    """Feast's, with our engine where a test asks for none."""

    def __init__(self, **chosen: Any) -> None:
        super().__init__(**{"batch_engine": ENGINE, **chosen})


@contextmanager
def prepared_source(df: pd.DataFrame, timestamp_field: str | None = None) -> Iterator[DeltaSource]:
    """A source for a test that makes one of its own, beside those of its environment."""
    creator = DeltaPathSourceCreator("prepared")
    yield creator.create_data_source(df, "source", created_timestamp_column=None, timestamp_field=timestamp_field)
    creator.teardown()


file.FileDataSourceCreator = DeltaPathSourceCreator
settings.IntegrationTestRepoConfig = RepoConfig
sources.prep_file_source = prepared_source


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    about_stores = [item for item in items if "environment" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(about_stores)])
    items[:] = about_stores
