"""One Postgres for all tests of this folder; each test has a schema of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from lakehouse.config import Project
from tests.sources.jdbc.server import PASSWORD, Postgres


@pytest.fixture
def sql(postgres: Postgres) -> Callable[..., list[list[str]]]:
    postgres.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return postgres.sql


@pytest.fixture
def source(
    spark: Any, postgres: Postgres, sql: Any, make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Project]:
    """A project with one source of the given settings: ``source("table: public.t, cursor: at")``."""
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)
    monkeypatch.setenv("DB_URL", postgres.url)
    assert os.environ["DB_URL"]

    def make(settings: str, tables: str = "") -> Project:
        login = 'type: jdbc, url: "${env:DB_URL}", user: lake, password: "${env:DB_PASSWORD}"'
        return make_project(f"  t: {{{login}, {settings}}}", tables)

    return make
