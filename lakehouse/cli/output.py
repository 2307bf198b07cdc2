"""What a command says, apart from how it is shown: a page is data for programs and parts for people."""

from __future__ import annotations

import json
import math
import os
import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Protocol, Self
from unicodedata import category

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse.config import Project


@dataclass(frozen=True)
class Line:
    """A line of text. ``style`` is one of: "", title, good, warning, bad, quiet, command."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Grid:
    """Rows under column names. Numbers stand to the right; ``fit`` leaves out columns that have no room."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""
    fit: bool = False


@dataclass(frozen=True)
class Page:
    """One answer: ``data`` is all that JSON shows, ``parts`` all that a person sees."""

    data: Mapping[str, Any]
    parts: Sequence[Line | Grid | Any] = field(default_factory=tuple)
    """Lines, grids, and anything that rich can show."""


class Output(Protocol):
    """Where a command's answer goes. Entered for as long as the command runs."""

    as_json: bool
    debug: bool
    """Show where an error comes from."""
    project: Project | None
    """What the command is about, once that is known."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...
    def show(self, page: Page) -> None:
        """Show an answer; once a command for JSON, as often as it likes for people."""

    def say(self, *parts: Line | Grid | Any) -> None:
        """Show something to people only."""

    def error(self, error: LakehouseError) -> None:
        """Show what went wrong and what to do next."""

    def stopped(self) -> None:
        """Say that the command was interrupted."""

    def nobody_reads(self) -> None:
        """Stop writing: whoever read stdout has closed it."""


def open_output(*, as_json: bool, debug: bool = False) -> Output:
    """The output for people, or the one for programs."""
    if as_json:
        return JsonOutput(debug)
    from lakehouse.cli.console import ConsoleOutput

    return ConsoleOutput(debug)


class JsonOutput:
    """One JSON value on stdout, and nothing else there: what others print while a command runs goes to stderr."""

    as_json = True
    project: Project | None

    def __init__(self, debug: bool = False) -> None:
        self.debug, self.project = debug, None
        self._stdout: IO[str] = sys.stdout
        self._saved: int | None = None
        self._done = False

    def __enter__(self) -> Self:
        try:
            descriptor = sys.stdout.fileno()
        except (OSError, ValueError, AttributeError):
            descriptor = -1
        if descriptor == 1:
            # A JVM that we start writes to descriptor 1, whatever sys.stdout is.
            sys.stdout.flush()
            self._saved = os.dup(1)
            os.dup2(2, 1)
            self._stdout = os.fdopen(os.dup(self._saved), "w", encoding="utf-8")
        self._python_stdout, sys.stdout = sys.stdout, sys.stderr
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        sys.stdout = self._python_stdout
        if self._saved is not None:
            with suppress(BrokenPipeError):
                self._stdout.close()
            os.dup2(self._saved, 1)
            os.close(self._saved)

    def show(self, page: Page) -> None:
        self._write(page.data)

    def say(self, *parts: Line | Grid | Any) -> None:
        pass

    def error(self, error: LakehouseError) -> None:
        if not self._done:
            self._write({"error": described(error)})

    def stopped(self) -> None:
        if not self._done:
            self._write({"error": {"type": "Interrupted", "message": "interrupted", "hint": "", "exit_code": 130}})

    def nobody_reads(self) -> None:
        self._done = True

    def _write(self, data: Mapping[str, Any]) -> None:
        if self._done:
            return  # stdout holds one value; a program could not read a second
        self._done = True
        self._stdout.write(json.dumps(plain(data), ensure_ascii=False, indent=2, allow_nan=False) + "\n")
        self._stdout.flush()


def described(error: LakehouseError) -> dict[str, Any]:
    """An error as data."""
    return {
        "type": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


def plain(value: Any) -> Any:
    """Any value of a table or page as JSON has it: times in ISO 8601, bytes in base64, NaN as null, else its text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): plain(child) for key, child in value.items()}
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return b64encode(value).decode()
        case Decimal() | Path():
            return str(value)
        case _ if isinstance(value, Iterable):
            return [plain(child) for child in value]
    return str(value)


def safe(text: str) -> str:
    r"""The text without what a terminal would obey or hide: such characters are escaped; line breaks stay.

    >>> safe("caf\xe9\x1b[31m\u202e"), safe("a\nb")
    ('café\\x1b[31m\\u202e', 'a\nb')
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else _escaped(letter) for letter in text)


def printable(text: str | bytes) -> str:
    r"""What may be printed safely: everything that is no plain character, and the backslash, is escaped.

    >>> printable(b'caf\xc3\xa9,\xff\x1b[31m\n')
    'café,\\xff\\x1b[31m\\n'
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    return "".join(letter if letter.isprintable() and letter != "\\" else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # a byte that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    if category(letter) == "Zs":  # a space of another width
        return letter
    return letter.encode("unicode_escape").decode()
