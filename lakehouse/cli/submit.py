"""``lakehouse submit``: the real spark-submit, with the Java, the jars and the settings of the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.options import Debug, Env
from lakehouse.cli.projects import opened
from lakehouse.errors import UsageError, did_you_mean


def submit(
    context: typer.Context,
    script: Annotated[str, typer.Argument(metavar="SCRIPT [ARGUMENTS]", help="The job, and what it is to be given.")],
    env: Env = None,
    debug: Debug = False,
) -> None:
    """Run a job with spark-submit, with Java found and the environment's settings passed on.

    The exit code is the job's. An --env among the job's arguments counts for the settings too.
    """
    from lakehouse.spark import environment, fetch_jars, properties_file

    arguments = list(context.args)
    theirs = _env_among(arguments)
    if env and theirs and env != theirs:
        raise UsageError(f"two environments: --env {env} here, --env {theirs} for the job", hint="Name it once.")
    project = opened(context.obj, env or theirs)
    path = Path(script)
    if not path.is_file():
        known = [str(job.relative_to(project.folder)) for job in (project.folder / "jobs").glob("*.py")]
        raise UsageError(f"there is no file {script}", hint=did_you_mean(script, known))
    fetch_jars()
    variables = os.environ | environment()
    variables |= {"LAKEHOUSE_ENV": project.env, "LAKEHOUSE_PROJECT": str(project.folder)}
    # A job imports the project's modules, which an editable install offers too; this is for a project without one.
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(project.folder), os.environ.get("PYTHONPATH")]))
    program = str(Path(variables["SPARK_HOME"]) / "bin" / "spark-submit")
    sys.stdout.flush()
    # This process becomes spark-submit: signals and the exit code are the job's.
    command = [program, "--properties-file", str(properties_file(project)), str(path), *arguments]
    os.execve(program, command, variables)


def _env_among(arguments: list[str]) -> str | None:
    for place, argument in enumerate(arguments):
        if argument == "--env" and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith("--env="):
            return argument.removeprefix("--env=")
    return None
