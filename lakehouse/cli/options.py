"""The options that several commands share, each named once."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from lakehouse.errors import UsageError

UNITS = {"d": "days", "h": "hours", "m": "minutes"}

Env = Annotated[
    str | None,
    typer.Option("--env", metavar="NAME", help="The environment: conf/env/NAME.yaml. Else $LAKEHOUSE_ENV, else local."),
]
Json = Annotated[bool, typer.Option("--json", help="Answer as JSON on stdout, errors too.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select",
        "-s",
        metavar="TABLES",
        help="Just these tables: silver.flights, 'silver.*', tag:daily; +x adds what x reads, x+ what reads it.",
    ),
]
Wait = Annotated[
    float,
    typer.Option("--wait", metavar="SECONDS", min=0, help="How long to wait for another run to end; else exit 6."),
]


def span(option: str, text: str, what: str) -> timedelta:
    """The value of an option such as 7d, 12h or 30m. Raises UsageError that says what it should be."""
    found = re.fullmatch(r"(\d{1,6})([dhm])", text)
    if found is None:
        raise UsageError(f"{option}: '{text}' is no {what}", hint="Such as 7d, 12h or 30m.")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def moment(option: str, text: str | None) -> datetime | None:
    """The value of an option that is a time in ISO 8601, in UTC where it names no zone. Raises UsageError."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option}: '{text}' is no time", hint="Such as 2026-01-31 or 2026-01-31T12:00.") from error
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
