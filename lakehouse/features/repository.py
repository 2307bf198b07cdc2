"""The project's Feast repository from Python: apply it, open its store, look features up.

Importing Feast takes seconds of CPU, so it happens at the first call that needs it; :func:`preload` starts it early.
"""

from __future__ import annotations

import importlib
import io
import json
import linecache
import os
import sqlite3
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lakehouse.config import Project
from lakehouse.errors import DefinitionError, LakehouseError, UsageError, did_you_mean
from lakehouse.features.downstream import remember_views
from lakehouse.features.settings import Settings, code_fingerprint, read_settings

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_contents import RepoContents


@dataclass(frozen=True)
class Applied:
    """What the registry holds after an apply, by name."""

    entities: tuple[str, ...]
    views: tuple[str, ...]
    on_demand_views: tuple[str, ...]
    services: tuple[str, ...]
    status: str = "done"
    """done, or unchanged: nothing differed since the last time, so Feast was not even imported."""
    seconds: float = 0.0
    output: str = ""
    """What Feast printed."""


def preload() -> threading.Thread:
    """Import Feast in a thread, while something else (a JVM) does the work."""

    def load() -> None:
        importlib.import_module("feast.repo_operations")
        importlib.import_module("lakehouse.features.offline_store")

    thread = threading.Thread(target=load, name="import feast")
    thread.start()
    return thread


def open_store(project: Project, as_of: datetime | None = None) -> FeatureStore:
    """Feast's own store of the project, in the project's environment, wherever the process stands.

    ``as_of`` answers look-ups as of a moment that has passed instead of now: what is due, and what has expired.
    """
    settings = read_settings(project)
    if as_of is not None:
        online = settings.raw.get("online_store")
        settings.raw["online_store"] = {**(online if isinstance(online, dict) else {}), "as_of": as_of}
    return _store(project, settings)


def apply(project: Project, *, force: bool = False) -> Applied:
    """``feast apply`` without its command line. Does nothing where code, settings and tables' columns are as before.

    Raises DefinitionError for a mistake in the definitions, NotBuiltError for a view of a table that is not there.
    """
    started = time.monotonic()
    settings = read_settings(project)
    code = code_fingerprint(project)
    if not force and (known := _remembered(settings, code)) is not None:
        return replace(known, status="unchanged", seconds=time.monotonic() - started)
    with quiet() as printed:
        store = _store(project, settings)
        contents = _definitions(project.features)
        _apply(store, settings, contents)
    applied = Applied(
        entities=_names(one for one in contents.entities if not one.name.startswith("__")),
        views=_names([*contents.feature_views, *contents.stream_feature_views]),
        on_demand_views=_names(contents.on_demand_feature_views),
        services=_names(contents.feature_services),
    )
    _remember(settings, code, applied, store)
    return replace(applied, seconds=time.monotonic() - started, output=printed.getvalue())


def is_applied(project: Project) -> bool:
    """Whether the registry holds the definitions as the code has them now. Feast is not imported."""
    return _remembered(read_settings(project), code_fingerprint(project)) is not None


def check(project: Project) -> None:
    """Import the definitions, without tables and without a registry. Raises ConfigError or DefinitionError."""
    read_settings(project)
    with quiet():
        _definitions(project.features)


def look_up(
    project: Project,
    features: str | Sequence[str],
    keys: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    store: FeatureStore | None = None,
) -> list[dict[str, Any]]:
    """Online features, one dict per key in order. ``features``: a view, a feature service or a list of "view:feature".

    ``keys`` maps each join key to a value, once or in a list. Raises UsageError for an unknown name or a missing key.
    """
    rows = [dict(keys)] if isinstance(keys, Mapping) else [dict(key) for key in keys]
    with quiet():
        store = store or open_store(project)
        views = {view.name: view for view in store.list_feature_views()}
        asked: Any = list(features) if not isinstance(features, str) else None
        if isinstance(features, str):
            services = {service.name: service for service in store.list_feature_services()}
            if features in services:
                asked = services[features]
            elif features in views:
                asked = [f"{features}:{field.name}" for field in views[features].features]
            else:
                raise UsageError(f"no view or service '{features}'", hint=did_you_mean(features, [*views, *services]))
        names = {ref.partition(":")[0] for ref in asked} if isinstance(asked, list) else {features}
        for name in names & set(views):
            for column in views[str(name)].entity_columns:
                for row in rows:
                    if column.name not in row:
                        raise UsageError(f"'{name}' needs the key '{column.name}'", hint=did_you_mean(column.name, row))
        try:
            answer = store.get_online_features(features=asked, entity_rows=rows).to_dict()
        except (LakehouseError, sqlite3.Error):
            raise
        except Exception as error:
            raise UsageError(f"the look-up failed: {_first_line(error)}") from error
    return [{name: values[row] for name, values in answer.items()} for row in range(len(rows))]


@contextmanager
def quiet() -> Iterator[io.StringIO]:
    """Keep what Feast prints and its own deprecations off the screen; errors pass."""
    printed = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(printed), redirect_stderr(printed):
        for noise in (DeprecationWarning, FutureWarning, RuntimeWarning):
            for module in ("feast", "pandas", "sqlalchemy", "google", "dask"):
                warnings.filterwarnings("ignore", category=noise, module=rf"{module}\b")
        warnings.filterwarnings("ignore", message=".*serve_features_while_materializing.*")
        yield printed


def _store(project: Project, settings: Settings) -> FeatureStore:
    from feast import FeatureStore
    from feast.repo_config import RepoConfig

    try:
        config = RepoConfig(**settings.raw)
        # Feast reads each when it is first asked for: a mistake in one is said now.
        _ = config.offline_store, config.batch_engine, config.online_store
    except LakehouseError:
        raise
    except Exception as error:
        raise DefinitionError(f"{settings.file}: {_mistakes(error) or _first_line(error)}") from error
    config.repo_path = project.features.resolve()
    return FeatureStore(config=config)


def _definitions(folder: Path) -> RepoContents:
    """The objects of the repository's Python files, imported anew."""
    from feast.repo_operations import parse_repo

    folder = folder.resolve()
    before, place, path = set(sys.modules), Path.cwd(), list(sys.path)
    _forget(folder)
    # Feast names the modules of a repository by their path from the current folder.
    os.chdir(folder)
    sys.path[:0] = [str(folder), str(folder.parent)]
    importlib.invalidate_caches()
    try:
        return parse_repo(folder)
    except LakehouseError:
        raise
    except Exception as error:
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(folder))
        ]
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(folder)
        raise DefinitionError(f"{where}: {type(error).__name__}: {_first_line(error)}") from error
    finally:
        os.chdir(place)
        sys.path[:] = path
        _forget(folder, set(sys.modules) - before)


def _forget(folder: Path, names: set[str] | None = None) -> None:
    """Drop modules of the folder, and those that would hide its files: another project has a definitions.py too.

    And the text of its files, of which Feast keeps the code of on-demand views.
    """
    for name in [name for name in linecache.cache if Path(name).is_relative_to(folder)]:
        del linecache.cache[name]
    files = {path.stem for path in folder.glob("*.py")}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        inside = file is not None and Path(file).is_relative_to(folder)
        if (names is None or name in names) and (inside or (names is None and name in files)):
            del sys.modules[name]


def _apply(store: FeatureStore, settings: Settings, contents: RepoContents) -> None:
    from feast import Project as FeastProject
    from feast.repo_operations import apply_total_with_repo_instance

    if not contents.projects:
        contents.projects.append(FeastProject(name=settings.project))
    try:
        apply_total_with_repo_instance(store, settings.project, store.registry, contents, skip_source_validation=False)
    except (LakehouseError, sqlite3.Error):
        raise
    except Exception as error:
        raise DefinitionError(f"{settings.file.parent}: Feast refuses it: {_first_line(error)}") from error


def _names(objects: Any) -> tuple[str, ...]:
    return tuple(sorted(one.name for one in objects))


def _mistakes(error: Exception) -> str:
    """What pydantic says of each setting."""
    if not isinstance(error, ValidationError):
        return ""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _columns(store: FeatureStore) -> dict[str, str]:
    """The columns of each view's table, by where it is: when they change, so may the views."""
    from lakehouse.features.source import DeltaSource

    sources = [source for source in store.list_data_sources() if isinstance(source, DeltaSource)]
    return {source.location(store.config): str(source.open(store.config).schema) for source in sources}


def _remember(settings: Settings, code: str, applied: Applied, store: FeatureStore) -> None:
    # In the registry's own file, so that a registry that is deleted is also forgotten.
    if settings.registry_file is None:
        return
    with closing(sqlite3.connect(settings.registry_file)) as database, database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS lakehouse_applied "
            "(project TEXT PRIMARY KEY, code TEXT, applied TEXT, columns TEXT)"
        )
        row = (settings.project, code, json.dumps(asdict(applied)), json.dumps(_columns(store)))
        database.execute("INSERT OR REPLACE INTO lakehouse_applied VALUES (?, ?, ?, ?)", row)
        remember_views(database, store)


def _remembered(settings: Settings, code: str) -> Applied | None:
    """What was applied, if the code, the tables' columns and the registry's views are still the same."""
    from lakehouse.features.reading import open_table

    if settings.registry_file is None or not settings.registry_file.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"file:{settings.registry_file}?mode=ro", uri=True)) as database:
            question = "SELECT applied, columns FROM lakehouse_applied WHERE project = ? AND code = ?"
            row = database.execute(question, (settings.project, code)).fetchone()
            database.execute("SELECT 1 FROM lakehouse_applied_views")  # an older release wrote none: apply again
            question = "SELECT feature_view_name FROM feature_views WHERE project_id = ?"
            views = {name for (name,) in database.execute(question, (settings.project,))}
    except sqlite3.Error:
        return None
    if row is None:
        return None
    applied = Applied(**{name: _frozen(value) for name, value in json.loads(row[0]).items()})
    try:
        current = all(str(open_table(place, place).schema) == schema for place, schema in json.loads(row[1]).items())
    except LakehouseError:
        return None
    return applied if current and set(applied.views) == views else None


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
