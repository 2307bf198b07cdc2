"""What a run is doing right now: a live table on a terminal, a line for each finished step elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from lakehouse.cli.output import Line, Output, safe

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from lakehouse.pipeline import Event, Result

STEPS = ("ingest", "build", "publish")
REFRESHED_A_SECOND = 8


@dataclass
class Phase:
    """When one kind of step ran first and last, in seconds since the run began."""

    begun: float
    ended: float


@dataclass
class Timing:
    """Where the time of a run went; fed by its events, read when it is over."""

    start: float = field(default_factory=time.monotonic)
    phases: dict[str, Phase] = field(default_factory=dict)

    def note(self, step: str) -> None:
        now = time.monotonic() - self.start
        phase = self.phases.setdefault(step, Phase(now, now))
        phase.ended = now

    def spent(self) -> dict[str, float]:
        """Seconds by what they were spent on, in order: starting, then each kind of step until its last one ended."""
        spent: dict[str, float] = {}
        last = 0.0
        for place, (step, phase) in enumerate(sorted(self.phases.items(), key=lambda item: item[1].begun)):
            if place == 0:
                spent["start Spark"] = phase.begun
                last = phase.begun
            spent[step] = max(0.0, phase.ended - last)
            last = max(last, phase.ended)
        return spent


class Listener(Protocol):
    """What the pipeline calls with each event; entered for as long as the run lasts."""

    timing: Timing

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...
    def __call__(self, event: Event) -> None: ...


def listen_on(output: Output, expected: Sequence[tuple[str, str]]) -> Listener:
    """The listener for an output. ``expected`` are the (address, step) pairs that will run, in order."""
    console = getattr(output, "console", None)
    if console is not None and console.is_terminal:
        return LiveTable(console, expected)
    return Lines(output)


class Lines:
    """One plain line when a step starts to differ from waiting: when it is finished."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.timing = Timing()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.timing = Timing()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def __call__(self, event: Event) -> None:
        with self._lock:
            self.timing.note(event.step)
            if event.result is not None:
                result = event.result
                words = f"{result.step:8}{result.address:32}{result.status:10}{said(result)}".rstrip()
                self.output.say(Line(words))


def said(result: Result) -> str:
    """The counts of a finished step in a few words, and how long it took."""
    counts = {
        "read": result.read,
        "landed": result.landed,
        "quarantined": result.quarantined,
        "superseded": result.superseded,
    }
    words = [f"{count:,} {name}" for name, count in counts.items() if count]
    return "  ".join([*filter(None, [", ".join(words), result.note]), f"{result.seconds:.1f} s"])


class LiveTable:
    """A table on a terminal that is drawn anew several times a second: each step waiting, running or done."""

    def __init__(self, console: Console, expected: Sequence[tuple[str, str]]) -> None:
        self.console = console
        self.timing = Timing()
        self._lock = threading.Lock()
        self._states: dict[tuple[str, str], float | Result | None] = dict.fromkeys(expected)
        """By (address, step): None while waiting, when it started while it runs, then its result."""

    def __enter__(self) -> Self:
        from rich.live import Live

        self.timing = Timing()
        self._live = Live(
            get_renderable=self._drawn, console=self.console, refresh_per_second=REFRESHED_A_SECOND, transient=True
        )
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.__exit__(kind, error, at)

    def __call__(self, event: Event) -> None:
        with self._lock:
            self.timing.note(event.step)
            key = (event.address, event.step)
            self._states[key] = event.result if event.result is not None else time.monotonic()

    def _drawn(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        from lakehouse.cli.console import STATES

        now = time.monotonic()
        with self._lock:
            states = list(self._states.items())
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        rows, left_out = _in_room(states, self.console.height - 4)
        for (address, step), state in rows:
            if state is None:
                cells = ["waiting", ""]
            elif isinstance(state, float):
                cells = ["running", f"{now - state:.1f} s"]
            else:
                cells = [state.status, said(state)]
            table.add_row(step, address, Text(cells[0], STATES.get(cells[0], "")), Text(safe(cells[1]), "dim"))
        done = sum(not isinstance(state, float | None) for _, state in states)
        running = any(isinstance(state, float) for _, state in states)
        doing = "" if running or done else " · starting Spark"
        more = f" · {left_out} more" if left_out else ""
        head = Text(f"{done} of {len(states)} steps · {now - self.timing.start:.0f} s{doing}{more}", "bold")
        return Group(head, table)


def _in_room(states: list[tuple[Any, Any]], room: int) -> tuple[list[tuple[Any, Any]], int]:
    """The rows to draw where there are more than fit: those around the first that is not done."""
    room = max(room, 3)
    if len(states) <= room:
        return states, 0
    first = next((i for i, (_, state) in enumerate(states) if state is None or isinstance(state, float)), len(states))
    begin = min(max(0, first - room // 3), len(states) - room)
    return states[begin : begin + room], len(states) - room
