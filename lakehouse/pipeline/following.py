"""Ingest continuously: the scheduled batch in a loop, in one process whose Spark session stays open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lakehouse.config import Project
from lakehouse.errors import SourceUnavailableError
from lakehouse.pipeline.report import Listener, Report
from lakehouse.pipeline.running import ingest

LONGEST_PAUSE_S = 60.0


def follow(
    project: Project,
    *,
    pause: Callable[[float], bool],
    every: float = 5.0,
    select: Iterable[str] = (),
    wait: float = 0.0,
    listen: Listener | None = None,
) -> Iterator[Report]:
    """Ingest again and again; yields the report of each round.

    ``pause(seconds)`` sleeps, and says whether to stop: a run that has begun is always finished first. ``every`` is
    the pause (seconds) after a round that found nothing; after one that landed something there is none. Where just
    sources were unavailable the pause doubles, up to a minute; any other failure ends the loop after its report.
    Raises what :func:`lakehouse.pipeline.ingest` raises.
    """
    select, rest = tuple(select), every
    while True:
        report = ingest(project, select=select, wait=wait, listen=listen)
        yield report
        if report.exit_code not in (0, SourceUnavailableError.exit_code):
            return
        rest = every if report.exit_code == 0 else min(2 * rest, LONGEST_PAUSE_S)
        landed = any(result.status == "done" for result in report.results)
        if pause(0.0 if landed and report.exit_code == 0 else rest):
            return
