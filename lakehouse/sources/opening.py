"""From a source's settings in conf/ to what reads it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from lakehouse.config import FilesSource, JdbcSource, KafkaSource, OwnSource, Project
from lakehouse.errors import ConfigError, did_you_mean
from lakehouse.sources.files import Files, clock
from lakehouse.sources.files.inspection import bronze_name, unusable
from lakehouse.sources.jdbc import Jdbc
from lakehouse.sources.kafka import Kafka
from lakehouse.tables.batch import Source

CURSORS = {"files": "files", "kafka": "offsets", "jdbc": "mode"}
"""What the cursor of each kind of source has, and that of no other kind."""


def open_source(project: Project, name: str, now: Callable[[], datetime] = clock) -> Source:
    """What reads a source of the project. Reads nothing yet.

    Raises ConfigError where a declared column can't be one of bronze's, or a class of the project's own is not there or
    refuses its options.
    """
    settings, folder = project.config.sources[name], project.folder
    _require_bronze_names(name, list(settings.columns))
    if isinstance(settings, FilesSource):
        return Files(name, settings, folder, now)
    if isinstance(settings, KafkaSource):
        return Kafka(name, settings, folder)
    if isinstance(settings, JdbcSource):
        return Jdbc(name, settings, project.path(f"bronze.{name}"))
    return _own(name, settings, folder)


def require_kind(project: Project, name: str, cursors: Iterable[dict[str, Any]]) -> None:
    """Raises ConfigError where the receipts are of another kind of source, whose cursors say nothing to this one.

    What a class of the project's own keeps in its cursors is its own affair.
    """
    mark = CURSORS.get(project.config.sources[name].type)
    if mark is not None and any(mark not in cursor for cursor in cursors):
        raise ConfigError(
            f"sources.{name}.type: bronze.{name} holds batches of another kind of source",
            hint="Give this source another name in conf/, or the type that it had.",
        )


def _require_bronze_names(name: str, columns: list[str]) -> None:
    """Declared columns are named as bronze names them: a file's own name that is written in another way is lost."""
    odd = next((column for column in columns if bronze_name(column) != column), None)
    problem = unusable(columns) if odd is None else f"the column {odd!r} is {bronze_name(odd)!r} in bronze"
    if problem:
        raise ConfigError(
            f"sources.{name}.columns: {problem}",
            hint=f"Correct sources.{name}.columns in conf/: names as bronze has them.",
        )


def _own(name: str, settings: OwnSource, folder: Path) -> Source:
    where = f"sources.{name}.type: {settings.type}"
    module_name, _, class_name = settings.type.rpartition(".")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigError(
            f"{where}: {module_name} can't be imported: {type(error).__name__}: {settings.redacted(str(error))}",
            hint="Name a class of your project by its dotted path, such as jobs.sources.Api.",
        ) from error
    kind = getattr(module, class_name, None)
    if kind is None:
        classes = [known for known, value in vars(module).items() if isinstance(value, type)]
        raise ConfigError(f"{where}: there is no {class_name!r}", hint=did_you_mean(class_name, classes))
    lacking = [method for method in ("waiting", "plan") if not callable(getattr(kind, method, None))]
    if lacking:
        raise ConfigError(
            f"{where}: it has no {' and no '.join(lacking)}", hint="See docs/sources.md: a source of your own."
        )
    options = {
        key: value.get_secret_value() if isinstance(value, SecretStr) else value
        for key, value in settings.options.items()
    }
    try:
        source: Source = kind(name, options, folder)
    except Exception as error:
        # Not chained: the original's text may hold a secret.
        raise ConfigError(
            f"{where}: {settings.redacted(str(error))}", hint=f"Correct sources.{name}.options in conf/."
        ) from None
    return source
