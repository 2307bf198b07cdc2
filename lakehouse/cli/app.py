"""All commands together, and the one place where an error becomes words and an exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

from lakehouse.cli.again import rebuild, restore
from lakehouse.cli.check import check
from lakehouse.cli.demo import demo
from lakehouse.cli.doctor import doctor
from lakehouse.cli.init import init
from lakehouse.cli.maintain import maintain
from lakehouse.cli.output import Output, open_output
from lakehouse.cli.plan import plan
from lakehouse.cli.projects import ready
from lakehouse.cli.quarantine import quarantine
from lakehouse.cli.query import query
from lakehouse.cli.runs import build, ingest, publish, run_all
from lakehouse.cli.show import show
from lakehouse.cli.submit import submit
from lakehouse.cli.train import train
from lakehouse.cli.verify import verify
from lakehouse.errors import WHERE, LakehouseError, UsageError, did_you_mean

INTERRUPTED = 130
EXIT_CODES = (
    "Exit codes: 0 done · 1 failed · 2 usage or configuration · 3 a quality gate stopped it · 4 some tables done, "
    "some not · 5 a source is unavailable · 6 another run holds the lock · 8 changes wait (plan --exit-code)"
)

app = typer.Typer(
    name="lakehouse",
    help="Raw sources to bronze, silver and gold Delta tables with Spark, and features through Feast.",
    epilog=EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: rich's own needs Markdown and Pygments, which cost as much as all the rest of the command.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from lakehouse import __version__

        typer.echo(f"lakehouse {__version__}")
        raise typer.Exit


@app.callback()
def lakehouse(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _add(function: Callable[..., None], name: str, summary: str, example: str) -> None:
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
    settings = passed_on if name == "submit" else {}
    app.command(name, short_help=summary, epilog=f"Example: {example}", context_settings=settings)(function)


_add(init, "init", "Write a new project that runs.", "lakehouse init shop")
_add(check, "check", "Find every mistake without running anything.", "lakehouse check --env prod")
_add(plan, "plan", "Show what a run would do, and why.", "lakehouse plan --select +gold.customer_spend")
_add(ingest, "ingest", "Land what is new in bronze.", "lakehouse ingest --select bronze.orders")
_add(build, "build", "Build silver and gold from what changed.", "lakehouse build --select silver.orders+")
_add(publish, "publish", "Publish features to the online store.", "lakehouse publish --select gold.customer_spend")
_add(run_all, "run", "Ingest, build and publish all that is new.", "lakehouse run --wait 600")
_add(rebuild, "rebuild", "Make silver or gold tables anew.", "lakehouse rebuild silver")
_add(restore, "restore", "Bring a table back to an older version.", "lakehouse restore silver.orders --to 12")
_add(maintain, "maintain", "Compact tables, remove what nobody needs.", "lakehouse maintain --older-than 7d")
_add(show, "show", "Show tables, one table, runs or a source.", "lakehouse show gold.customer_spend")
_add(
    quarantine,
    "quarantine",
    "List, show, replay or discard what is kept out.",
    "lakehouse quarantine show bronze.orders --limit 5",
)
_add(
    query,
    "query",
    "Run SQL on the tables; only reads.",
    "lakehouse query 'select * from gold.customer_spend' --limit 10",
)
_add(
    train,
    "train",
    "Make a training set that can be made again.",
    "lakehouse train late --entities rows.parquet --features late_flight --label late --horizon 12h",
)
_add(verify, "verify", "Compare what was served with training.", "lakehouse verify --since 2026-01-31")
_add(demo, "demo", "Run the project's demo.", "lakehouse demo --fresh")
_add(doctor, "doctor", "Say what is wrong with this machine.", "lakehouse doctor")
_add(submit, "submit", "Run a job with spark-submit.", "lakehouse submit jobs/build.py --env local")


def run(words: Sequence[str]) -> int:
    """Run one command and return its exit code. What goes wrong is said, never raised."""
    words = list(words) or ["--help"]
    own = _own_words(words)
    with open_output(as_json="--json" in own, debug="--debug" in own) as output:
        try:
            return _called(words, output)
        except (BrokenPipeError, SystemExit):
            # Whoever read our output has gone, as `head` does; typer ends the process then.
            output.nobody_reads()
            return 1


def _called(words: list[str], output: Output) -> int:
    try:
        code = app(words, prog_name="lakehouse", standalone_mode=False, obj=output)
    except LakehouseError as error:
        return _failed(output, error)
    except TyperException as error:
        output.error(_usage(error))
        return UsageError.exit_code
    except (KeyboardInterrupt, Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # the last resort: nothing ends in a traceback
        return _failed(output, _unexpected(output, error))
    if code == INTERRUPTED:
        output.stopped()
    return code if isinstance(code, int) else 0


def _own_words(words: Sequence[str]) -> list[str]:
    """The words that are ours: what stands behind the script of ``submit`` is the script's."""
    if words[0] != "submit":
        return list(words)
    rest = iter(words[1:])
    own = ["submit"]
    for word in rest:
        if not word.startswith("-"):
            break
        own.append(word)
        if word == "--env":
            own.append(next(rest, ""))
    return own


def _failed(output: Output, error: LakehouseError) -> int:
    ready(output, error)
    output.error(error)
    return error.exit_code


def _usage(error: TyperException) -> UsageError:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "lakehouse"
    hint = f"See: {command} --help"
    if message.startswith("No such command"):
        word = message.split("'")[1]
        known = [info.name for info in app.registered_commands if info.name]
        message, hint = f"there is no command '{word}'", did_you_mean(word, known)
    return UsageError(message, hint=hint)


def _unexpected(output: Output, error: Exception) -> LakehouseError:
    text = (output.project.without_any_secret(str(error)) if output.project else str(error)).strip().splitlines()
    said = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
    unexpected = LakehouseError(f"unexpected: {said}", hint=WHERE)
    unexpected.__cause__ = error
    return unexpected
