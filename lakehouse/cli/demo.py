"""``lakehouse demo``: the project's own demo, from staged files to served features."""

from __future__ import annotations

import fcntl
import importlib
import shutil
import time
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Protocol, cast

import typer

from lakehouse.cli.options import Debug, Env, Json
from lakehouse.cli.output import Grid, Line, Output, Page
from lakehouse.cli.progress import STEPS
from lakehouse.cli.projects import opened, ready
from lakehouse.cli.runs import next_lines, report_page, run_shown
from lakehouse.errors import ConfigError, LockedError, UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lakehouse.config import Project


class Demo(Protocol):
    """What the module that ``demo:`` in conf/ names must offer."""

    NEXT: tuple[str, str, str]
    """The three commands to try next, as they can be pasted."""

    def stage(self, project: Project, until: date | None) -> list[str]:
        """Write raw files below the project's data/raw as they would arrive; return lines that say what is there."""

    def show(self, project: Project) -> Iterable[Any]:
        """What a user would want to see when features are published: texts, and anything that rich can show."""


def demo(
    context: typer.Context,
    until: Annotated[
        datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], metavar="DATE", help="The last day of the data.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start in an empty lake: delete what is in root.")] = False,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Run the project's demo: stage raw files, ingest, build, publish, and look features up."""
    from lakehouse import pipeline

    output: Output = context.obj
    begun = time.monotonic()
    project = opened(output, env)
    module = _module(project)
    if fresh:
        empty(project)
    spent: dict[str, float] = {}
    with _timed(spent, "stage"):
        staged = module.stage(project, until.date() if until else None)
    output.say(Line("Raw files, as they would arrive", "title"), *staged, "")
    output.say(Line("Ingest to bronze, build silver and gold, publish to the online store", "title"))
    report, timing = run_shown(output, project, pipeline.run, STEPS)
    for result in report.results:
        ready(output, result.error)
    page = report_page(report, STEPS, env)
    spent |= timing.spent()
    if report.exit_code:
        output.show(page)
        raise typer.Exit(report.exit_code)
    output.say(page.parts[0])
    with _timed(spent, "look up"):
        for part in module.show(project):
            output.say(part)
    total = time.monotonic() - begun
    spent["other"] = max(0.0, total - sum(spent.values()))
    rows = [[what, f"{seconds:.1f}"] for what, seconds in spent.items() if seconds >= 0.05]
    data = {"staged": staged, "run": page.data, "seconds": {**spent, "total": total}, "next": list(module.NEXT)}
    grid = Grid(["where the time went", "seconds"], [*rows, ["total", f"{total:.1f}"]])
    output.show(Page(data, [grid, *next_lines(*module.NEXT)]))


@contextmanager
def _timed(spent: dict[str, float], what: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    spent[what] = time.monotonic() - begun


def _module(project: Project) -> Demo:
    name = project.config.demo
    if name is None:
        raise UsageError("this project has no demo: conf/base.yaml does not name one", hint="Run: lakehouse run")
    from lakehouse.tables import tables_in

    # Finding tables puts the project's folder first on the path, and forgets namesakes from elsewhere.
    tables_in(project.config.tables, project.folder)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        hint = "Correct demo: in conf/base.yaml." if error.name and name.startswith(error.name) else "Install it."
        raise ConfigError(f"demo: {name} can't be imported: {error}", hint=hint) from error
    for needed in ("stage", "show", "NEXT"):
        if not hasattr(module, needed):
            raise ConfigError(f"demo: {name} has no '{needed}'", hint=did_you_mean(needed, vars(module)))
    return cast("Demo", module)


def empty(project: Project) -> None:
    """Delete the tables in root, which nobody may be writing: only a folder below the project's is the demo's own."""
    root = project.root.resolve()
    if root == project.folder or not root.is_relative_to(project.folder):
        raise UsageError(
            f"--fresh would delete {root}, which is not below the project's folder",
            hint="Empty it yourself, or use an environment whose root is the demo's own.",
        )
    with ExitStack() as held:
        for lock in sorted((root / ".locks").glob("*")):
            file = held.enter_context(lock.open("r+"))
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise LockedError(
                    f"{lock.name}: another run is writing it", hint="Run again when it is done."
                ) from error
        for layer in ("bronze", "silver", "gold", "state"):
            if (root / layer).is_dir():
                shutil.rmtree(root / layer)
