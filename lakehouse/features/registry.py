"""``sqlite+project:///data/registry.db``: a SQLite file below the project's folder, wherever one stands.

Feast hands the registry's URL to SQLAlchemy as it is, so a relative path would mean another file from the project's
root than from its Feast repository. This dialect resolves it against the project's folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL

from lakehouse.config import find_project
from lakehouse.errors import ConfigError

SCHEME = "sqlite+project"


class ProjectSqlite(SQLiteDialect_pysqlite):
    """SQLAlchemy's own SQLite dialect, but for where a relative path starts."""

    driver = "project"
    supports_statement_cache = True

    def create_connect_args(self, url: URL) -> Any:
        path = project_folder() / (url.database or "data/registry.db")
        path.parent.mkdir(parents=True, exist_ok=True)
        return super().create_connect_args(url.set(database=str(path)))


def project_folder() -> Path:
    """$LAKEHOUSE_PROJECT, else the nearest folder upward of the current one with conf/base.yaml.

    Raises ConfigError where there is none.
    """
    if named := os.environ.get("LAKEHOUSE_PROJECT"):
        return Path(named).expanduser().resolve()
    folder = find_project(Path.cwd())
    if folder is None:
        raise ConfigError(
            f"{SCHEME}:///… has no project: neither {Path.cwd()} nor a folder above it holds conf/base.yaml",
            hint="Go to a project's folder, or set LAKEHOUSE_PROJECT to it.",
        )
    return folder


def register() -> None:
    """Make the scheme known to SQLAlchemy; an installed lakehouse is known already, by its entry point."""
    from sqlalchemy.dialects import registry

    registry.register("sqlite.project", "lakehouse.features.registry", "ProjectSqlite")
