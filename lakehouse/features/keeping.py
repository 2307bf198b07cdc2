"""Keep a training set in the lake, so that nothing that it needs goes, and make its rows again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.config import Project
from lakehouse.delta.pins import holding, is_there
from lakehouse.errors import DefinitionError, StorageError, VersionGoneError
from lakehouse.features.canonical import differing, digest
from lakehouse.features.definitions import changed_code, still_store
from lakehouse.features.entity_rows import of_table
from lakehouse.features.manifest import ENTITIES, MANIFEST, ROWS, Manifest, folder_of, free, pins_folder, read_manifest
from lakehouse.features.pinned import Tables
from lakehouse.features.repository import open_store, quiet
from lakehouse.features.training import TrainingSet, build, versions

COPIES = "Bring it back from where you keep copies, or make the set anew."
SHOWN = 5
"""Values that a difference shows."""


@dataclass(frozen=True)
class Difference:
    """One column that is not what it was; no column: the number of rows."""

    column: str
    what: str
    rows: int | None = None
    """How many rows differ; None where what they were was not kept."""
    examples: tuple[Mapping[str, Any], ...] = ()
    """The first of them: row (from 0), was, is_now."""


@dataclass(frozen=True)
class Verified:
    """Whether a training set's rows, made again, are what they were, byte for byte."""

    name: str
    rebuilt: bool
    """The rows that were made again are those that the manifest hashed."""
    kept: bool | None
    """The rows in the folder are; None where they were not kept."""
    differences: tuple[Difference, ...]
    reasons: tuple[str, ...]
    """What else is not as it was, and may be why: libraries, code of on-demand views."""
    manifest: Manifest

    @property
    def equal(self) -> bool:
        return self.rebuilt and self.kept is not False


def keep(made: TrainingSet, name: str, *, rows: bool, replace: bool) -> TrainingSet:
    """See :meth:`TrainingSet.keep`."""
    project = made.project
    folder = folder_of(project, name)
    free(project, name, replace)
    manifest = changed(made.manifest, name=name)
    draft = folder.with_name(f".{name}.{os.getpid()}")
    old = folder.with_name(f".{name}.{os.getpid()}.old")
    draft.mkdir(parents=True)
    try:
        pq.write_table(made.entities, draft / ENTITIES)
        if rows:
            _write_rows(made.rows, draft / ROWS, manifest)
        (draft / MANIFEST).write_text(manifest.text(), encoding="utf-8")
        with holding(pins_folder(project)):
            for table in manifest.tables:
                place = made.places[table.table]
                if "://" not in place and not is_there(Path(place), table.pin(name)):
                    raise VersionGoneError(
                        f"{table.table}: version {table.version}, which '{name}' was made of, is gone already",
                        hint="Make the set again.",
                    )
            free(project, name, replace)
            if folder.exists():
                folder.replace(old)
            draft.replace(folder)
    finally:
        for left in (draft, old):
            with suppress(FileNotFoundError):
                shutil.rmtree(left)
    return changed(made, manifest=manifest)


def rebuild(project: Project, name: str) -> TrainingSet:
    """The rows of a kept training set, made again from its manifest alone.

    Raises UsageError where there is none, StorageError for one that was changed, VersionGoneError where a table's
    version is gone.
    """
    manifest, folder = read_manifest(project, name), folder_of(project, name)
    entities = _read(folder / ENTITIES)
    if digest(entities) != manifest.entities_sha256:
        raise StorageError(
            f"{folder / ENTITIES} is not what was kept: '{name}' can't be made again",
            hint=COPIES,
        )
    with quiet():
        store = open_store(project)
        tables = Tables(store.config, manifest.tables)
        try:
            tables.require_beside(project.root)
            with still_store(project, store, manifest.definitions, tables) as still:
                asked, full = manifest.features, manifest.full_feature_names
                given = of_table(entities, manifest.time)
                made = build(
                    *(still, given, manifest.label, asked, full, tables), manifest.definitions, manifest.knowledge
                )
        except VersionGoneError as error:
            error.hint = _instead(project, folder, name)
            raise
    rows, names = made.rows, [column["name"] for column in manifest.columns]
    if {*names} == {*rows.column_names}:
        rows = rows.select(names)  # Feast hands on what on-demand views are made of in an order that chance decides
    return TrainingSet(rows, entities, manifest, project, tables.places)


def verify(project: Project, name: str) -> Verified:
    """Make the rows again and compare them with what the manifest says, and with the rows that were kept.

    Raises what :func:`rebuild` raises.
    """
    made = rebuild(project, name)
    manifest, file = made.manifest, folder_of(project, name) / ROWS
    rebuilt = digest(made.rows) == manifest.sha256
    kept = _read(file) if file.exists() else None
    whole = None if kept is None else digest(kept) == manifest.sha256
    differences: list[Difference] = []
    if not rebuilt:
        differences += _differences(manifest, kept if whole else None, made.rows)
    elif kept is not None and not whole:
        differences += _differences(manifest, made.rows, kept)
    reasons = [f"{what} was {was}, is {now}" for what, was, now in _others(manifest.versions, versions())]
    reasons += [
        f"the on-demand view '{view}' is another than it was (its code then: definitions.code of {MANIFEST})"
        for view in _views_changed(project, manifest)
    ]
    return Verified(name, rebuilt, whole, tuple(differences), tuple(reasons), manifest)


def _differences(manifest: Manifest, was: pa.Table | None, now: pa.Table) -> list[Difference]:
    if now.num_rows != manifest.rows:
        return [Difference("", f"{manifest.rows:,} rows were made, now {now.num_rows:,}")]
    found = []
    known = {column["name"]: column for column in manifest.columns}
    for name, column in known.items():
        if name not in now.column_names:
            found.append(Difference(name, "it is gone"))
        elif str(now.schema.field(name).type) != column["type"]:
            found.append(Difference(name, f"it was {column['type']}, is {now.schema.field(name).type}"))
        elif digest(now.select([name])) != column["sha256"]:
            found.append(_values(name, was, now))
    found += [Difference(name, "it is new") for name in now.column_names if name not in known]
    return found or [Difference("", "the columns stand in another order")]


def _values(name: str, was: pa.Table | None, now: pa.Table) -> Difference:
    if was is None:
        return Difference(name, "its values are others")
    before, after = was.column(name), now.column(name)
    places = np.flatnonzero(differing(before, after)).tolist()
    examples = tuple(
        {"row": place, "was": before[place].as_py(), "is_now": after[place].as_py()} for place in places[:SHOWN]
    )
    return Difference(name, "its values are others", len(places), examples)


def _write_rows(rows: pa.Table, file: Path, manifest: Manifest) -> None:
    try:
        pq.write_table(rows, file)
    except pa.ArrowException as error:
        raise DefinitionError(
            f"the rows can't be kept as Parquet: {error}", hint="Keep the set without its rows: rows=False."
        ) from error
    if digest(_read(file)) != manifest.sha256:
        raise DefinitionError(
            "Parquet would change the rows' types", hint="Keep the set without its rows, or cast those columns."
        )


def _read(file: Path) -> pa.Table:
    try:
        return pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(
            f"{file} can't be read: {error}", hint="Bring it back from where you keep copies."
        ) from error


def _instead(project: Project, folder: Path, name: str) -> str:
    kept = folder / ROWS
    rows = f"Its rows as they were are in {kept.relative_to(project.folder)}. " if kept.exists() else ""
    return f"{rows}Nothing can make them again; make another set, or forget it: lakehouse train {name} --forget"


def _others(was: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str, str]]:
    return [(what, said, now.get(what, "unknown")) for what, said in was.items() if now.get(what) != said]


def _views_changed(project: Project, manifest: Manifest) -> list[str]:
    if not manifest.definitions["on_demand"]:
        return []
    with quiet():
        return changed_code(open_store(project), manifest.definitions)
