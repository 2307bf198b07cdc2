"""``lakehouse init``: write a new project that runs."""

from __future__ import annotations

import importlib.metadata
import json as json_format
import keyword
import re
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.options import Debug, Json
from lakehouse.cli.output import Line, Page
from lakehouse.cli.runs import next_lines
from lakehouse.errors import StorageError, UsageError

TEMPLATE = Path(__file__).with_name("template")
SUFFIX = ".in"
"""Template files carry it so that no tool takes them for the engine's own."""


def init(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The project's name: small letters, digits and _.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a new project into the folder NAME: sources, tables, features and tests, with a little data.

    It depends on the engine that it was written by, and overwrites nothing.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").lstrip("0123456789_") or "shop"
        near = f"{near}_data" if keyword.iskeyword(near) else near
        raise UsageError(
            f"'{name}' can't be a project's name: its tables are a Python package of that name",
            hint=f"Small letters, digits and _, such as: lakehouse init {near}",
        )
    folder = Path.cwd() / name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} is there already", hint="Choose another name, or move it away; nothing was written."
        )
    try:
        files = write_project(folder, name)
    except OSError as error:
        raise StorageError(
            f"{folder} can't be written: {error.strerror}", hint="Go to a folder that you own."
        ) from error
    program = _program()
    following = [f"cd {name} && {program} run", f"{program} query 'select * from gold.customer_spend'", "make test"]
    data = {"folder": folder, "files": files, "next": following}
    parts = [Line(f"Wrote {len(files)} files to {folder}"), *(Line(f"  {file}", "quiet") for file in files)]
    context.obj.show(Page(data, [*parts, *next_lines(*following)]))


def write_project(folder: Path, name: str) -> list[str]:
    """Fill in the template; returns the files that were written, below ``folder``."""
    today = datetime.now(UTC).date()
    written = []
    for source in sorted(TEMPLATE.rglob(f"*{SUFFIX}")):
        place = str(source.relative_to(TEMPLATE)).removesuffix(SUFFIX).replace("__name__", name)
        text = source.read_text(encoding="utf-8").replace("{{name}}", name).replace("{{engine}}", engine_requirement())
        text = re.sub(r"\{\{day-(\d+)\}\}", lambda days: str(today - timedelta(days=int(days[1]))), text)
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
        written.append(place)
    return written


def engine_requirement() -> str:
    """How a project asks for this very engine: the checkout that it runs from, or its version."""
    from lakehouse import __version__

    checkout = Path(__file__).parents[2]
    try:
        installed = importlib.metadata.distribution("lakehouse").read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        installed = None
    url = json_format.loads(installed).get("url", "") if installed else ""
    if not url.startswith("file:") and (checkout / "pyproject.toml").is_file():
        url = checkout.as_uri()
    return f"lakehouse[java,spark] @ {url}" if url.startswith("file:") else f"lakehouse[java,spark]=={__version__}"


def _program() -> str:
    """How to call this program from any folder."""
    if shutil.which("lakehouse"):
        return "lakehouse"
    own = Path(sys.executable).with_name("lakehouse")
    return str(own) if own.exists() else "lakehouse"
