"""Continuous: the scheduled batch in a loop, in one process whose Spark session stays open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from lakehouse.config import Project
from lakehouse.errors import ConflictError, LockedError, SourceUnavailableError
from lakehouse.pipeline.report import Listener, Report, Result, StepName
from lakehouse.pipeline.running import ingest
from lakehouse.spark.session import sessions_with

LONG_RUN = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=4",
    "spark.cleaner.periodicGC.interval": "1min",
}
"""What a run of seconds does without: both of Java's compilers, with which rounds take half as long, and memory that is
given back, where else it would grow to what Java may have at most."""
LONGEST_PAUSE_S = 60.0
PASSING = (SourceUnavailableError, LockedError, ConflictError)
"""What time mends: a source that is away, and another program that is at a table."""


def follow(
    project: Project,
    verb: Callable[..., Report] = ingest,
    *,
    pause: Callable[[float], bool],
    every: float = 5.0,
    select: Iterable[str] = (),
    wait: float = 0.0,
    listen: Listener | None = None,
) -> Iterator[Report]:
    """Ingest, or do another ``verb`` of the pipeline, again and again; yields the report of each round.

    ``pause(seconds)`` sleeps, and says whether to stop: a run that has begun is always finished first. ``every`` is
    the pause (seconds) after each round, also after one that landed something: a round takes all that there was when
    it began, and a source that is read whole would be read without an end. Where just sources were unavailable, or
    another program was at a table, the pause doubles, up to a minute; any other failure ends the loop after its report.
    Raises what the verb raises, but LockedError, which is in a report.
    """
    select, rest = tuple(select), every
    while True:
        try:
            with sessions_with(LONG_RUN):
                report = verb(project, select=select, wait=wait, listen=listen)
        except LockedError as error:
            address = error.message.partition(":")[0]
            step: StepName = "ingest" if address.startswith("bronze.") else "build"
            report = Report((Result(address, step, "failed", note=error.message, error=error),), 0.0)
        yield report
        errors = [result.error for result in report.results if result.error is not None]
        if not all(isinstance(error, PASSING) for error in errors):
            return
        rest = min(2 * rest, LONGEST_PAUSE_S) if errors else every
        if pause(rest):
            return
