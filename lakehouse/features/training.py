"""Training sets: rows as a model may see them, with the manifest that makes the same rows again, byte for byte."""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import io
import platform
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FeatureStore

from lakehouse.config import Project, load_project
from lakehouse.errors import DefinitionError, LakehouseError, UsageError
from lakehouse.features.canonical import digest
from lakehouse.features.choosing import choose
from lakehouse.features.definitions import described, still_store
from lakehouse.features.entity_rows import TIME, EntityRows, entity_rows, of_table
from lakehouse.features.frames import as_frame
from lakehouse.features.labels import find_label, labelled
from lakehouse.features.leakage import leakage
from lakehouse.features.manifest import Knowledge, Label, Manifest
from lakehouse.features.pinned import Tables
from lakehouse.features.repository import open_store, quiet
from lakehouse.features.retrieval import Wanted, wanted_views
from lakehouse.features.source import DeltaSource

LIBRARIES = ("lakehouse", "feast", "deltalake", "pyarrow", "numpy", "pandas", "duckdb", "pyspark")
Listen = Callable[[str], None]
FURTHEST = timedelta(days=36_500)


@dataclass(frozen=True)
class TrainingSet:
    """Rows, the entity rows that they were made of, and the manifest. Nothing is kept before ``keep`` is called."""

    rows: pa.Table
    """The columns of the entity rows, the label of a table, then the features; in the order of the entity rows."""
    entities: pa.Table
    """All that were given, also those that were left out."""
    manifest: Manifest
    project: Project
    places: Mapping[str, str]
    """Where its tables are on this machine."""

    def to_pandas(self) -> pd.DataFrame:
        """The rows, with the types of the pandas frame that was given where one was."""
        return as_frame(self.rows, {})

    def keep(self, name: str, *, rows: bool = True, replace: bool = False) -> TrainingSet:
        """Write ROOT/training/NAME, which pins the versions: maintenance spares them until the set is forgotten.

        ``rows=False`` keeps what makes the rows again, and not the rows. Raises UsageError where the name is taken
        and may not be replaced, VersionGoneError where a version is gone already.
        """
        from lakehouse.features.keeping import keep

        return keep(self, name, rows=rows, replace=replace)


def training_set(
    entities: Any,
    features: Any,
    *,
    label: str | None = None,
    horizon: timedelta | None = None,
    label_at: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    full_feature_names: bool = False,
    filter_by_created_timestamp: bool = False,
    project: Project | None = None,
    given: str = "",
    now: datetime | None = None,
    listen: Listen | None = None,
) -> TrainingSet:
    """The entity rows, in order, with each feature as it was at the row's time, and the label.

    ``entities``: a pandas frame, an Arrow table, SQL over silver.x and gold.x, or None with ``start`` and ``end``:
    then each key at each event time in between. ``features``: a service, a view, "view:feature", or a list of the last
    two, as they were last applied. ``label``: a column of the entity rows, or "LAYER.TABLE.COLUMN": the newest value
    of the row's key at its time plus ``horizon``, by the column ``label_at`` (else the table's ``at``). A label is
    known when its horizon has passed: rows that are too young for that are left out, and the manifest counts them.

    ``filter_by_created_timestamp`` is Feast's; within ``with known_by():`` a value is seen only if it was known by then
    (:mod:`lakehouse.features.knowledge`). The manifest holds both.

    Every table is read at one version, whatever is written meanwhile. ``project``: else that of the current folder.
    ``given`` is what the manifest calls the entity rows. ``now`` is the clock. ``listen`` is told what is being
    done. Raises UsageError, DefinitionError, NotBuiltError.
    """
    if horizon is not None and not isinstance(horizon, timedelta):
        raise UsageError(f"horizon={horizon!r} is no span of time", hint="Such as horizon=timedelta(days=30).")
    if (label is None) != (horizon is None):
        known = "horizon=timedelta(…) says how long after a row's time its label is known"
        raise UsageError("a label needs a horizon, and a horizon a label", hint=f"{known}; timedelta(0): at once.")
    if label is None and label_at is not None:
        raise UsageError(f"label_at='{label_at}' says nothing without a label", hint="label='LAYER.TABLE.COLUMN'")
    if entities is not None and (start is not None or end is not None):
        raise UsageError("entity rows and a range of time can't both be given", hint="Leave one of them out.")
    if horizon is not None and horizon > FURTHEST:
        raise UsageError(f"horizon={horizon} is beyond {FURTHEST.days:,} days", hint="No label is known by then.")
    project = project or load_project()
    now = now or datetime.now(UTC)
    now = now.replace(tzinfo=UTC) if now.tzinfo is None else now
    wish = Knowledge.now(filter_by_created_timestamp)
    tell = listen or (lambda _: None)
    with quiet():
        store = open_store(project)
        chosen = choose(store, features)
        definitions = described(store, chosen)
        tables = Tables(store.config)
        with still_store(project, store, definitions, tables) as still:
            tell("entity rows")
            asked = _given(store, still, entities, chosen.asked, start, end or now)
            found = None
            if label is not None and horizon is not None:
                found = find_label(project, asked, label, label_at, horizon, now, tables)
            made = build(still, asked, found, chosen.asked, full_feature_names, tables, definitions, wish, tell)
            wanted = _wanted(still, made, definitions, wish)
            for one in wanted:
                for kept, _ in one.known.ended if one.known is not None else ():
                    tables.beside(project.root, kept, one.name)
            tell("leakage report")
            report = leakage(made.asked, made.rows, wanted, full_feature_names, still.config)
    manifest = Manifest(
        made_at=now.astimezone(UTC).isoformat(),
        environment=project.env,
        versions=versions(),
        code=_code(project),
        features=chosen.asked,
        full_feature_names=full_feature_names,
        given=given or _said(entities, start, end or now),
        time=asked.time,
        asked=asked.table.num_rows,
        left_out=made.left_out,
        rows=made.rows.num_rows,
        sha256=digest(made.rows),
        columns=columns_of(made.rows),
        entities_sha256=digest(asked.table),
        tables=tables.pins(),
        definitions=definitions,
        knowledge=wish,
        notes=made.notes,
        leakage=report,
        label=made.label,
    )
    return TrainingSet(made.rows, asked.table, manifest, project, tables.places)


@dataclass(frozen=True)
class Built:
    rows: pa.Table
    asked: EntityRows
    """Those that are rows of the set."""
    references: list[str]
    """All features that were looked up, also those behind on-demand views."""
    notes: tuple[str, ...]
    """What the offline store says of the rows."""
    label: Label | None
    left_out: Mapping[str, int]


def build(
    still: FeatureStore,
    given: EntityRows,
    label: Label | None,
    asked: tuple[str, ...],
    full_feature_names: bool,
    tables: Tables,
    definitions: Mapping[str, Any],
    knowledge: Knowledge,
    tell: Listen = lambda _: None,
) -> Built:
    """The rows of a store that stands still: all that they depend on is in the arguments."""
    left_out: Mapping[str, int] = {}
    table = given.table
    if label is not None:
        tell("label")
        done = labelled(given, label, tables)
        table, label, left_out = done.rows, done.label, done.left_out
    tell("features")
    features: Any = still.get_feature_service(asked[0]) if "service" in definitions else list(asked)
    with knowledge.asked():
        job = _asked(
            lambda: still.get_historical_features(
                table, features, full_feature_names, filter_by_created_timestamp=knowledge.by_created
            )
        )
    rows = _asked(job.to_arrow)
    return Built(rows, of_table(table, given.time), list(job.metadata.features), job.notes, label, left_out)


def columns_of(rows: pa.Table) -> tuple[dict[str, Any], ...]:
    """Each column as a manifest describes it."""
    return tuple(
        {
            "name": field.name,
            "type": str(field.type),
            "nulls": rows.column(field.name).null_count,
            "sha256": digest(rows.select([field.name])),
        }
        for field in rows.schema
    )


def _given(
    store: FeatureStore, still: FeatureStore, entities: Any, asked: tuple[str, ...], start: Any, end: datetime
) -> EntityRows:
    """The entity rows as they come back from the file that keeps them."""
    if entities is None:
        if start is None:
            raise UsageError("without entity rows a start is needed", hint="start=datetime(2026, 1, 1, tzinfo=UTC)")
        features: Any = list(asked) if ":" in asked[0] else still.get_feature_service(asked[0])
        job = _asked(lambda: still.get_historical_features(None, features, start_date=start, end_date=end))
        rows = of_table(_asked(job.to_arrow).select([*job.metadata.keys, TIME]), TIME)
    else:
        known = store.list_data_sources() if isinstance(entities, str) else []
        sources = {source.name: source for source in known if isinstance(source, DeltaSource)}
        rows = entity_rows(entities, store.config, sources)
    file = io.BytesIO()
    try:
        pq.write_table(rows.table, file)
    except pa.ArrowException as error:
        raise DefinitionError(
            f"the entity rows can't be kept as Parquet: {error}", hint="Cast that column to a simpler type."
        ) from error
    file.seek(0)
    return of_table(pq.read_table(file), rows.time)


def _wanted(still: FeatureStore, made: Built, definitions: Mapping[str, Any], knowledge: Knowledge) -> list[Wanted]:
    """The views that were read, as the offline store saw them."""
    names = [view["name"] for view in definitions["views"]]
    views = [still.get_feature_view(name) for name in names]
    if "service" in definitions:
        service = still.get_feature_service(definitions["service"]["name"])
        parts = [part for part in service.feature_view_projections if part.name in names]
        behind = [view for view in views if view.name not in {part.name for part in parts}]
        views = [still.get_feature_view(part.name).with_projection(copy.copy(part)) for part in parts] + behind
    with knowledge.asked():
        return list(wanted_views(still.config, views, made.references))


def _asked(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except LakehouseError:
        raise
    except Exception as error:  # Feast's own, and what on-demand views raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(f"the features can't be computed: {type(error).__name__}: {lines[0]}") from error


def _said(entities: Any, start: Any, end: datetime) -> str:
    if isinstance(entities, str):
        return entities
    if entities is None:
        return f"each key at each event time from {start} to {end}"
    return f"a {type(entities).__module__.partition('.')[0]} {type(entities).__name__}"


def versions() -> dict[str, str]:
    """Of Python, the engine and the libraries that compute a training set."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):  # Spark is not everywhere
            found[name] = importlib.metadata.version(name)
    return found


def _code(project: Project) -> dict[str, Any]:
    """What the definitions are made of: the Feast repository's files by their content, and the git commit."""
    sha = hashlib.sha256()
    for file in sorted([*project.features.rglob("*.py"), *project.features.glob("*.yaml")]):
        sha.update(f"\0{file.relative_to(project.features)}\0".encode() + file.read_bytes())
    commit, status = _git(project, "rev-parse", "HEAD"), _git(project, "status", "--porcelain")
    changed = None if status is None else bool(status)
    return {"features": sha.hexdigest(), "commit": commit, "changed_since_commit": changed}


def _git(project: Project, *words: str) -> str | None:
    try:
        command = ["git", "--no-optional-locks", *words]
        done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
