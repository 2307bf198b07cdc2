"""The output for people: rich on a terminal, plain lines elsewhere; errors on stderr."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lakehouse.cli.output import Grid, Line, Page, safe
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse.config import Project

STYLES = {
    "title": "bold",
    "good": "green",
    "warning": "yellow",
    "bad": "bold red",
    "quiet": "dim",
    "command": "cyan",
}
STATES = {"done": "green", "ok": "green", "failed": "bold red", "problem": "bold red", "stopped": "bold red"}
STATES |= {"warning": "yellow", "skipped": "yellow", "unchanged": "dim", "waiting": "dim", "running": "cyan"}
WIDEST_CELL = 60
NOT_A_TERMINAL = 1000
"""The width where nobody looks: nothing is folded or cut."""


def console_on(stream: Any) -> Console:
    """A console that shows text as it is: no markup, no guesses about what is a number or a path."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(file=stream, highlight=False, markup=False, emoji=False, width=NOT_A_TERMINAL)
    return console


class ConsoleOutput:
    as_json = False
    project: Project | None

    def __init__(self, debug: bool = False) -> None:
        self.debug, self.project = debug, None
        # Taken now: a library that is imported meanwhile may redirect them, in another thread even.
        self._stdout, self._stderr = sys.stdout, sys.stderr

    @cached_property
    def console(self) -> Console:
        return console_on(self._stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def show(self, page: Page) -> None:
        self.say(*page.parts)

    def say(self, *parts: Line | Grid | Any) -> None:
        for part in parts:
            if isinstance(part, Grid):
                self._grid(part)
            elif isinstance(part, Line):
                self.console.print(Text(safe(part.text), STYLES.get(part.style, "")), soft_wrap=True)
            elif isinstance(part, str):
                self.console.print(Text(safe(part)), soft_wrap=True)
            else:
                self.console.print(part)

    def error(self, error: LakehouseError) -> None:
        console = console_on(self._stderr)
        console.print(Text.assemble(("Error: ", STYLES["bad"]), safe(error.message)), soft_wrap=True)
        for line in error.hint.splitlines():
            console.print(Text(f"  {safe(line)}", STYLES["command"]), soft_wrap=True)

    def stopped(self) -> None:
        console_on(self._stderr).print("Interrupted.")

    def nobody_reads(self) -> None:
        # Python flushes stdout once more when it ends, and would complain.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stdout.fileno())

    def _grid(self, grid: Grid) -> None:
        cells = [[shown(value) for value in row] for row in grid.rows]
        widths = [
            max([len(name), *(min(len(row[place]), WIDEST_CELL) for row in cells)])
            for place, name in enumerate(grid.columns)
        ]
        count = _fitting(widths, self.console.width) if grid.fit else len(widths)
        table = Table(
            box=box.SIMPLE_HEAD,
            title=grid.title or None,
            title_justify="left",
            title_style="bold",
            pad_edge=False,
            collapse_padding=True,
        )
        for place, name in enumerate(grid.columns[:count]):
            number = bool(grid.rows) and all(_is_number(row[place]) for row in grid.rows)
            table.add_column(
                Text(safe(name)),
                justify="right" if number else "left",
                overflow="ellipsis" if grid.fit else "fold",
                no_wrap=grid.fit or number,  # a number that is cut short would be another number
                max_width=WIDEST_CELL if grid.fit else None,
            )
        for row in cells:
            table.add_row(*(Text(cell, STATES.get(cell, "")) for cell in row[:count]))
        self.console.print(table)
        if count < len(widths):
            more = ", ".join(grid.columns[count:])
            self.say(Line(f"{len(widths) - count} more columns: {more}", "quiet"))


def shown(value: Any) -> str:
    """A value as a person reads it in a cell: times in UTC to the second where they are whole, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            value = value.astimezone(UTC).replace(tzinfo=None)
        return str(value)
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{value:.6g}"
    if isinstance(value, bytes):
        return repr(value)[2:-1]
    return safe(str(value).replace("\n", "⏎"))


def _is_number(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    digits = str(value).replace(",", "").replace(".", "").lstrip("-").removesuffix(" s")
    return value is None or isinstance(value, int | float) or digits.isdigit() or value == ""


def _fitting(widths: Sequence[int], room: int) -> int:
    """How many of the columns stand side by side; at least one."""
    used = 0
    for count, width in enumerate(widths):
        used += width + 2
        if used > room and count:
            return count
    return len(widths)
