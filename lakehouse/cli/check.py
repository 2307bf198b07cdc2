"""``lakehouse check``: every mistake that can be found without running, all at once, without a JVM."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lakehouse.cli.options import Debug, Env, Json
from lakehouse.cli.output import Line, Page, described
from lakehouse.cli.projects import opened, ready
from lakehouse.cli.runs import command, next_lines
from lakehouse.cli.sources import matching, missing_folder
from lakehouse.errors import LakehouseError, StorageError

if TYPE_CHECKING:
    from lakehouse.config import Project

SHOWN = 3
"""Of a list of tables."""


def check(context: typer.Context, env: Env = None, json: Json = False, debug: Debug = False) -> None:
    """Find every mistake in conf/, in the tables and in features/, all at once. It runs nothing and starts no JVM.

    Features are checked again only when they, the tables, conf/ or the engine have changed.
    """
    project = opened(context.obj, env)
    checked: dict[str, str] = {"conf": f"{len(project.config.sources)} sources"}
    problems: list[LakehouseError] = []
    # Each is asked even when another has a mistake; only features need tables that are right.
    _try(problems, checked, "root", lambda: check_root(project))
    for name in project.config.sources:
        _try(problems, {}, name, partial(_open_source, project, name))
    if _try(problems, checked, "tables", lambda: _check_tables(project)):
        _try(problems, checked, "features", lambda: _check_features(project))
    warnings = [project.redacted(warning) for warning in _source_warnings(project)]
    for problem in problems:
        ready(context.obj, problem)
    checked = {what: project.redacted(said) for what, said in checked.items()}

    code = max((problem.exit_code for problem in problems), default=0)
    data = {
        "ok": not problems,
        "checked": checked,
        "problems": [described(problem) for problem in problems],
        "warnings": warnings,
        "exit_code": code,
    }
    parts: list[Any] = [Line(f"{what:9} {said}", "good") for what, said in checked.items()]
    parts += [Line(f"Warning: {warning}", "warning") for warning in warnings]
    for problem in problems:
        parts.append(Line(problem.message, "bad"))
        parts += [Line(f"  {line}", "command") for line in problem.hint.splitlines()]
    parts += [Line("No mistakes."), *next_lines(command("plan", env))] if not problems else []
    context.obj.show(Page(data, parts))
    raise typer.Exit(code)


def _try(problems: list[LakehouseError], checked: dict[str, str], what: str, look: Callable[[], str]) -> bool:
    try:
        checked[what] = look()
    except LakehouseError as error:
        problems.append(error)
    return what in checked


def check_root(project: Project) -> str:
    """Raises StorageError when tables can't be written to the root."""
    root = project.root
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    hint = "Make it writable for this user, or name another root in conf/."
    if not there.is_dir():
        raise StorageError(f"root {root}: {there} is a file, not a folder", hint=hint)
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".lakehouse-check-"):
            pass
    except OSError as error:
        raise StorageError(f"root {root} can't be written: {error.strerror} in {there}", hint=hint) from error
    return str(root)


def _open_source(project: Project, name: str) -> str:
    from lakehouse.sources import open_source

    open_source(project, name)
    return "right"


def _check_tables(project: Project) -> str:
    from lakehouse.tables import Graph, tables_in

    tables = tables_in(project.config.tables, project.folder)
    Graph.of(tables, project.config.sources, project.config.expect)
    layers = [f"{sum(table.layer == layer for table in tables)} {layer}" for layer in ("silver", "gold")]
    return ", ".join(layers) + _in_order_of_landing(
        [table.name for table in tables if not table.sequence_by and table.layer == "silver"]
    )


def _in_order_of_landing(names: list[str]) -> str:
    """What holds of silver tables without ``sequence_by``, where there are any."""
    shown = [f"silver.{name}" for name in names[:SHOWN]]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"; in any batches, not in any order (no sequence_by): {', '.join(shown)}{more}" if names else ""


def _check_features(project: Project) -> str:
    definitions = list(project.features.glob("*.py"))
    if not definitions:
        return f"none: no Python file in {project.config.features}/"
    mark = _fingerprint(project)
    remembered = project.folder / ".cache" / f"check-{project.env}"
    if remembered.is_file() and remembered.read_text() == mark:
        return "unchanged since they were found right"
    # Importing Feast costs seconds: that is why it is avoided above.
    from lakehouse.features import repository

    repository.check(project)
    remembered.parent.mkdir(exist_ok=True)
    draft = remembered.with_suffix(f".{os.getpid()}")
    draft.write_text(mark)
    draft.replace(remembered)
    return f"{len(definitions)} {'file' if len(definitions) == 1 else 'files'} right"


def _fingerprint(project: Project) -> str:
    """Changes with everything that could make features wrong: they, the tables' package, conf/, this engine, Feast."""
    digest = hashlib.sha256(repr((project, importlib.metadata.version("feast"))).encode())
    engine = Path(__file__).parents[1]
    package = project.folder / project.config.tables.partition(".")[0]
    for folder, pattern in (
        (project.features, "**/*.py"),
        (project.features, "*.yaml"),
        (package, "**/*.py"),
        (engine, "**/*.py"),
    ):
        for file in sorted(folder.glob(pattern)):
            digest.update(f"{file}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _source_warnings(project: Project) -> Iterator[str]:
    from lakehouse.config import FilesSource

    for name, source in project.config.sources.items():
        if not isinstance(source, FilesSource):
            continue
        missing = missing_folder(project, name)
        if missing is not None:
            yield f"sources.{name}: the folder {missing} is not there"
        elif not matching(project, name):
            yield f"sources.{name}: no file matches {source.path}"
