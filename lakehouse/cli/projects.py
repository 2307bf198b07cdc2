"""The project that a command is about, and what is said of it: without its secrets, and with --debug where from."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

from lakehouse.cli.output import Output, safe
from lakehouse.errors import WHERE, LakehouseError

if TYPE_CHECKING:
    from lakehouse.config import Project


def opened(output: Output, env: str | None) -> Project:
    """The project of the folder that we are in. What goes wrong from now on is said without its secrets."""
    from lakehouse.config import load_project

    output.project = load_project(env=env)
    return output.project


def ready(output: Output, error: LakehouseError | None) -> None:
    """Make an error ready to be shown: without secrets, and with --debug after where it comes from."""
    if error is None:
        return
    if output.debug:
        if error.hint == WHERE:
            error.hint = ""
        text = "".join(traceback.format_exception(error))
        print(safe(output.project.without_any_secret(text) if output.project else text), file=sys.stderr)
    if output.project is not None:
        redacted = output.project.redacted
        error.message, error.hint = redacted(error.message), redacted(error.hint)
