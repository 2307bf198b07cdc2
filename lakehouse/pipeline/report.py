"""What a run did, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lakehouse.errors import GateError, LakehouseError, PartialError, SourceUnavailableError

StepName = Literal["ingest", "build", "publish", "maintain", "train"]
Status = Literal["done", "unchanged", "failed", "stopped"]


@dataclass(frozen=True)
class Result:
    """One step over one table or feature view; ``seconds`` is wall-clock time.

    ingest: read = landed + quarantined. silver: ``read`` records passed through the function, ``landed`` rows were
    merged. gold: ``read`` rows were computed, ``landed`` were written. publish: ``landed`` keys. maintain: in its
    note. train: just seconds, of each stage.
    """

    address: str
    step: StepName
    status: Status
    read: int = 0
    landed: int = 0
    quarantined: int = 0
    superseded: int = 0
    seconds: float = 0.0
    note: str = ""
    error: LakehouseError | None = None


@dataclass(frozen=True)
class Event:
    """Something to show: a step began, or ended with a result."""

    address: str
    step: StepName
    state: Literal["started", "finished"]
    result: Result | None = None


Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Report:
    """All results of a run, in the order of the graph."""

    results: tuple[Result, ...]
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 done · 3 a gate stopped it · 5 a source is unavailable · 4 some done, some not · else why all failed."""
        codes = {result.error.exit_code for result in self.results if result.error is not None}
        if not codes:
            return 0
        if len(codes) == 1 and codes <= {GateError.exit_code, SourceUnavailableError.exit_code}:
            return codes.pop()
        if any(result.status in ("done", "unchanged") for result in self.results):
            return PartialError.exit_code
        return codes.pop() if len(codes) == 1 else LakehouseError.exit_code
