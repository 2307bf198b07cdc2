"""``lakehouse ingest``, ``build``, ``publish`` and ``run``: the pipeline's verbs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from lakehouse.cli.options import Debug, Env, Json, Select, Wait
from lakehouse.cli.output import Grid, Line, Output, Page, described
from lakehouse.cli.progress import STEPS, Timing, listen_on
from lakehouse.cli.projects import opened, ready

if TYPE_CHECKING:
    from lakehouse.config import Project
    from lakehouse.pipeline import Report


Continuous = Annotated[bool, typer.Option("--continuous", help="Go on until it is interrupted.")]
Every = Annotated[float, typer.Option("--every", min=0.1, metavar="SECONDS", help="The pause after each round.")]


def ingest(
    context: typer.Context,
    select: Select = None,
    wait: Wait = 0,
    continuous: Continuous = False,
    every: Every = 5.0,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Land what is new at the sources in bronze: each record once, as it came.

    With --continuous the first interrupt (or SIGTERM) lets the run that has begun finish; the second ends at once.
    """
    from lakehouse import pipeline

    if continuous:
        _follow(context.obj, pipeline.ingest, env, every, tuple(select or ()), wait)
    run_verb(context.obj, pipeline.ingest, ("ingest",), env, select=tuple(select or ()), wait=wait)


def build(
    context: typer.Context,
    select: Select = None,
    wait: Wait = 0,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Build silver from new bronze rows, and gold from what changed; a changed definition rebuilds its table."""
    from lakehouse import pipeline

    run_verb(context.obj, pipeline.build, ("build",), env, select=tuple(select or ()), wait=wait)


def publish(
    context: typer.Context, select: Select = None, env: Env = None, json: Json = False, debug: Debug = False
) -> None:
    """Publish the features of gold tables that changed to the online store."""
    from lakehouse import pipeline

    run_verb(context.obj, pipeline.publish, ("publish",), env, select=tuple(select or ()))


def run_all(
    context: typer.Context,
    select: Select = None,
    wait: Wait = 0,
    continuous: Continuous = False,
    every: Every = 5.0,
    env: Env = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Ingest, build and publish: all that is new, the whole way.

    With --continuous the first interrupt (or SIGTERM) lets the run that has begun finish; the second ends at once.
    """
    from lakehouse import pipeline

    if continuous:
        _follow(context.obj, pipeline.run, env, every, tuple(select or ()), wait)
    run_verb(context.obj, pipeline.run, STEPS, env, select=tuple(select or ()), wait=wait)


def run_verb(
    output: Output, verb: Callable[..., Report], steps: tuple[str, ...], env: str | None, **settings: Any
) -> None:
    """Run a verb of the pipeline and show how it goes on and what came of it; the exit code is the report's."""
    project = opened(output, env)
    report, _ = run_shown(output, project, verb, steps, **settings)
    for result in report.results:
        ready(output, result.error)
    output.show(report_page(report, steps, env))
    if report.exit_code and project.config.spark.profile == "local" and log_file(project).is_file():
        output.say(Line(f"Spark's own words are in {log_file(project)}", "quiet"))
    raise typer.Exit(report.exit_code)


def _follow(
    output: Output, verb: Callable[..., Report], env: str | None, every: float, select: tuple[str, ...], wait: float
) -> NoReturn:
    """One line for each step that did something, and for each error when it is first met."""
    from lakehouse.pipeline.following import follow

    project, code, said = opened(output, env), 0, ""
    with interrupts() as pause, spark_log(project):
        doing = "Ingesting" if verb.__name__ == "ingest" else "Ingesting, building and publishing"
        output.say(Line(f"{doing} until it is interrupted.", "title"))
        for report in follow(project, verb, pause=pause, every=every, select=select, wait=wait):
            code = report.exit_code
            for result in report.results:
                if result.status == "done":
                    counts = f"{result.landed:,} landed, {result.quarantined:,} quarantined"
                    output.say(f"{result.address}: {counts}, {result.seconds:.1f} s")
            errors = [result.error for result in report.results if result.error is not None]
            wrong = "\n".join(error.message for error in errors)
            if wrong and wrong != said:
                for error in errors:
                    ready(output, error)
                output.say(Line("\n".join(map(str, errors)), "bad"))
            said = wrong
    raise typer.Exit(code)


@contextmanager
def interrupts() -> Iterator[Callable[[float], bool]]:
    """Sleep, and say whether an interrupt or SIGTERM has come; the second one does what it always does."""
    stopped = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: object) -> None:
        stopped.set()
        for one, handler in before.items():
            signal.signal(one, handler)

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopped.wait
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_shown(
    output: Output, project: Project, verb: Callable[..., Report], steps: tuple[str, ...], **settings: Any
) -> tuple[Report, Timing]:
    """Run a verb of the pipeline and show how it goes on."""
    from lakehouse import pipeline

    planned = pipeline.plan(project, select=settings.get("select", ()))
    expected = [(step.address, step.step) for step in planned.steps if step.step in steps]
    with listen_on(output, expected) as listener, spark_log(project):
        report = verb(project, listen=listener, **settings)
    return report, listener.timing


def log_file(project: Project) -> Path:
    """Where a run's JVM writes what it has to say."""
    return project.folder / ".cache" / f"spark-{project.env}.log"


@contextmanager
def spark_log(project: Project) -> Iterator[None]:
    """In the local profile, send what is written to descriptor 2 meanwhile to a log file; a JVM's as long as it lives.

    Spark's own words would tear the live table, and no setting silences those of its start.
    """
    try:
        own = sys.stderr.fileno() == 2 and project.config.spark.profile == "local"
    except (OSError, ValueError, AttributeError):
        own = False
    if not own:
        yield
        return
    file = log_file(project)
    file.parent.mkdir(exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    # Nobody takes secrets out of what Spark writes there: it is for us alone.
    log = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(log, 0o600)
    os.dup2(log, 2)
    os.close(log)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def report_page(report: Report, steps: tuple[str, ...], env: str | None) -> Page:
    """What each step read, landed, quarantined and took; then every error with its hint, and what to do next."""
    columns = ("step", "address", "status", "read", "landed", "quarantined", "superseded", "seconds", "note")
    data = {
        "results": [
            {
                **{name: getattr(result, name) for name in columns},
                **({"note": result.error.message} if result.error else {}),
                "error": described(result.error) if result.error else None,
            }
            for result in report.results
        ],
        "seconds": report.seconds,
        "exit_code": report.exit_code,
    }
    parts: list[Any] = [report_grid(report)]
    for result in report.results:
        if result.error:
            parts.append(Line(named(result.address, result.error.message), "bad"))
            parts += [Line(f"  {line}", "command") for line in result.error.hint.splitlines()]
    states = [result.status for result in report.results]
    if not states:
        parts.append(Line("There was nothing to do."))
    elif all(state == "unchanged" for state in states):
        parts.append(Line(f"Nothing was new, in {report.seconds:.1f} s."))
    else:
        done = sum(state in ("done", "unchanged") for state in states)
        parts.append(Line(f"{done} of {len(states)} steps done in {report.seconds:.1f} s."))
    return Page(data, [*parts, *next_lines(_following(report, steps, env))])


def named(address: str, message: str) -> str:
    """A message that says which table it is about, once."""
    return message if message.startswith(address) else f"{address}: {message}"


def report_grid(report: Report) -> Grid:
    columns = ["step", "table", "status", "read", "landed", "quarantined", "superseded", "seconds", "note"]
    rows = [
        [
            *(result.step, result.address, result.status),
            *(f"{count:,}" for count in (result.read, result.landed, result.quarantined, result.superseded)),
            *(f"{result.seconds:.1f}", "" if result.error else result.note),
        ]
        for result in report.results
    ]
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    return Grid(columns, rows)


def _following(report: Report, steps: tuple[str, ...], env: str | None) -> str:
    """The command to try next."""
    if report.exit_code:
        return command("show runs", env)
    if steps == ("ingest",):
        return command("build", env)
    tables = [result.address for result in report.results if result.address.startswith(("gold.", "silver."))]
    if steps == ("build",) and tables:
        return command("publish", env)
    if tables:
        return command(f"query 'select * from {tables[-1]} limit 5'", env)
    return command("show tables", env)


def command(words: str, env: str | None) -> str:
    """A command that can be pasted, in the environment of this one."""
    return f"lakehouse {words} --env {env}" if env else f"lakehouse {words}"


def next_lines(*commands: str) -> list[Line]:
    return [Line(f"Next: {one}" if place == 0 else f"      {one}", "command") for place, one in enumerate(commands)]
